"""One fit in a process of its own or not, and what it may do with that process."""

import signal
import sys
import threading
from contextlib import contextmanager

from joblib.parallel import parallel_config
from sklearn.model_selection._validation import _fit_and_score
from threadpoolctl import threadpool_limits

from fmcam.model_selection._kept import read_result, write_result

__all__ = ["ctrl_c_goes_through", "fit_and_keep", "one_thread", "torch_threads_restored"]


def fit_and_keep(index, file, *args, **kwargs):
    """Run one fit in a worker and keep its result in `file`, if there is one.

    A cluster sends a task again if its worker dies before it hands over the result; then the file
    may be there. Parallel work inside the fit stays in this process: joblib's dask backend would
    spread it over the other workers.
    """
    result = read_result(file)
    if result is None:
        with one_thread(), ctrl_c_goes_through(), parallel_config("threading", n_jobs=1):
            result = _fit_and_score(*args, **kwargs, return_n_test_samples=True, return_times=True)
        if file is not None:
            write_result(file, result)
    return index, result


@contextmanager
def one_thread():
    """Limit OpenMP, BLAS and PyTorch to one thread.

    PyTorch's MKL heeds `torch.set_num_threads` and MKL_NUM_THREADS, which joblib sets in its
    workers, before OpenMP's limit. All fits of a process share that setting, so no fit puts it
    back: another may be under way beside it.
    """
    with threadpool_limits(limits=1):
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)
        yield


@contextmanager
def ctrl_c_goes_through():
    """Raise KeyboardInterrupt in the end where a fit swallows it, as skorch's does.

    Otherwise the scores of a half-trained network would be kept. Only main threads hear Ctrl-C.
    """
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield
        return
    heard = []

    def hear(number, frame):
        heard.append(number)
        previous(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if heard:
        raise KeyboardInterrupt


@contextmanager
def torch_threads_restored():
    """Put the number of PyTorch's threads back on leaving."""
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads)
