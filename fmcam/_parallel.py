"""Work in several processes: one thread each, and what the tasks of a dask cluster share."""

import sys
import threading
from contextlib import ExitStack, contextmanager

from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

__all__ = ["cluster_is_active", "one_thread", "shared_on_cluster", "torch_threads"]


class _Limits:
    """The limits on the threads of this process, which all that is under way in it shares."""

    def __init__(self):
        self.change = threading.Lock()
        self.n_users = 0
        self.before = ExitStack()  # puts back what was


_limits = _Limits()


@contextmanager
def one_thread():
    """Limit OpenMP, BLAS and PyTorch to one thread; the last that leaves puts back what was.

    PyTorch's MKL heeds `torch.set_num_threads` and MKL_NUM_THREADS, which joblib sets in its
    workers, before OpenMP's limit.
    """
    with _limits.change:
        if _limits.n_users == 0:
            _limits.before.enter_context(threadpool_limits(limits=1))
        _limits.n_users += 1
        _limit_torch()
    try:
        yield
    finally:
        with _limits.change:
            _limits.n_users -= 1
            if _limits.n_users == 0:
                _limits.before.close()


def _limit_torch():
    # it may be imported when others are under way
    torch = sys.modules.get("torch")
    if torch and torch.get_num_threads() != 1:
        _limits.before.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)


@contextmanager
def torch_threads(number):
    """A number of PyTorch's threads, put back on leaving."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
