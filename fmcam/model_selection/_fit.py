"""One fit of a search, done by a worker process or by this one."""

from joblib.parallel import parallel_config

from fmcam._fit_results import read_result, write_result
from fmcam._interrupts import ctrl_c_goes_through
from fmcam._parallel import one_thread
from fmcam._sklearn_compat import fit_and_score

__all__ = ["fit_and_keep"]


def fit_and_keep(index, file, *args, **kwargs):
    """Run one fit in a worker and keep its result in `file`, if there is one.

    A cluster sends a task again if its worker dies before it hands over the result; then the file
    may be there. Parallel work inside the fit stays in this process: joblib's dask backend would
    spread it over the other workers.
    """
    result = read_result(file)
    if result is None:
        with one_thread(), ctrl_c_goes_through(), parallel_config("threading", n_jobs=1):
            result = fit_and_score(*args, **kwargs, return_n_test_samples=True, return_times=True)
        if file is not None:
            write_result(file, result)
    return index, result
