"""Whether joblib's backend is a dask cluster, and what its tasks share."""

import sys
from contextlib import contextmanager

from joblib.parallel import get_active_backend

__all__ = ["ask_worker", "cluster_is_active", "shared_on_cluster"]


def cluster_is_active():
    """Whether the workers of a dask cluster do what joblib is given."""
    backend, _ = get_active_backend()
    return hasattr(backend, "data_futures")


def ask_worker(function, *arguments):
    """What a function gives on a worker of the cluster; without a cluster, here."""
    if not cluster_is_active():
        return function(*arguments)
    backend, _ = get_active_backend()
    return backend.client.submit(function, *arguments, pure=False).result()


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
