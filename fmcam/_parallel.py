"""Work in several processes: one thread each, and what the tasks of a dask cluster share."""

import errno
import os
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pickle import PicklingError

from joblib import Parallel
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

from fmcam._files import DiskFullError

__all__ = [
    "cluster_is_active",
    "one_thread",
    "shared_on_cluster",
    "torch_threads",
    "trouble_told",
    "workers",
]

_LOOK_EVERY = 2  # seconds


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
    torch = sys.modules.get("torch")
    with _limits.change:
        if _limits.n_users == 0:
            if torch:  # asked before the limit, which hides the number
                _limits.before.callback(torch.set_num_threads, torch.get_num_threads())
            _limits.before.enter_context(threadpool_limits(limits=1))
        _limits.n_users += 1
        if torch:  # in each thread: OpenMP has a number for each
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _limits.change:
            _limits.n_users -= 1
            if _limits.n_users == 0:
                _limits.before.close()


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


def workers(n_jobs, *, kind=Parallel, **options):
    """Joblib's Parallel, which hands over each result as soon as it is there, if the backend can.

    Its processes end when this one has died, which kill -9 lets nobody tell them: joblib's would
    wait for work for five minutes, and go on with what they have.

    Parameters
    ----------
    n_jobs : int or None
    kind : class
        Parallel, or scikit-learn's.
    **options
        Others of Parallel.
    """
    backend, _ = get_active_backend()
    if "initializer" not in getattr(backend, "backend_kwargs", {}):  # of the user
        options |= {"initializer": _end_with, "initargs": (os.getpid(),)}
    unordered = "generator_unordered" if backend.supports_return_generator else "list"
    return kind(n_jobs, batch_size=1, return_as=unordered, **options)


def _end_with(parent):
    threading.Thread(target=_watch, args=[parent], name="fmcam-watch", daemon=True).start()


def _watch(parent):
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


@contextmanager
def trouble_told(kept):
    """Say what is kept where workers are killed or their data find no room.

    Parameters
    ----------
    kept : str
        A sentence on what is kept of the work, and how to go on.

    Raises
    ------
    ChildProcessError
        If a worker process was killed.
    DiskFullError
        If joblib could not write what the workers share.
    """
    try:
        yield
    except PicklingError as error:
        if os.strerror(errno.ENOSPC) not in str(error.__cause__):
            raise
        raise DiskFullError(
            f"joblib has no room for the copy of the data that its workers share. {kept} The "
            "environment variable JOBLIB_TEMP_FOLDER names a folder with more."
        ) from error
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"A worker process was killed, most often because memory ran out. {kept} Fewer "
            "processes (`n_jobs`) need less memory."
        ) from error


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
