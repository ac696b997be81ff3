"""Work in several processes: one thread each, and what the tasks of a dask cluster share."""

import sys
from contextlib import contextmanager

from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

__all__ = ["cluster_is_active", "one_thread", "shared_on_cluster", "torch_threads_restored"]


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
def torch_threads_restored():
    """Put the number of PyTorch's threads back on leaving."""
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads)


def cluster_is_active():
    """Whether the workers of a dask cluster do what joblib is given."""
    backend, _ = get_active_backend()
    return hasattr(backend, "data_futures")


@contextmanager
def shared_on_cluster(*shared):
    """Send `shared` to a dask cluster once, in a way that outlasts its workers.

    Does nothing for other backends of joblib. Its dask backend sends what tasks share to one
    worker, and the others copy it; dask itself removes copies that no task waits for, also those of
    a broadcast. When the last worker with a copy dies, no task that needs it can run any more. So
    each is made the result of a task here, which the scheduler runs again where it is lost.

    Parameters
    ----------
    *shared : object
        Arguments of the tasks, the very objects. None is left out.
    """
    if not cluster_is_active():
        yield
        return
    import dask

    backend, _ = get_active_backend()
    scattered = backend.data_futures  # by the caller, with joblib's `scatter`
    parts = [part for part in shared if part is not None and id(part) not in scattered]
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": sys.maxsize}):
        futures = [backend.client.submit(_itself, part, pure=False) for part in parts]
    known = dict(zip(map(id, parts), futures, strict=True))
    scattered.update(known)
    try:
        yield
    finally:
        for key in known:
            del scattered[key]


def _itself(part):
    return part
