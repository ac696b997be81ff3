"""A dask cluster for the fits of a script."""

import contextlib
import os
from pathlib import Path

import joblib

__all__ = ["on_cluster"]

_PATIENCE = 5  # seconds


@contextlib.contextmanager
def on_cluster(scheduler, folder):
    """Send the fits of searches to the workers of a dask scheduler; None: keep them here.

    Parameters
    ----------
    scheduler : str or None
        Its address, such as ``tcp://host:8786``.
    folder : str or path
        Of the results; all workers must be able to write to it under this path.

    Raises
    ------
    SystemExit
        If dask is not installed, no scheduler answers, it has fewer than two workers, or one of
        them cannot write to `folder`.
    """
    if scheduler is None:
        yield
        return
    with _client(scheduler) as client:
        _check_workers(client, scheduler, folder)
        with joblib.parallel_config("dask", client=client):
            yield


def _client(scheduler):
    try:
        from distributed import Client
    except ImportError as error:
        raise SystemExit(
            "--scheduler needs dask. Install it with python -m pip install 'fmcam[cluster]'."
        ) from error
    try:
        return Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"No dask scheduler answers at {scheduler}. Start one with `dask scheduler` and pass "
            "the address that it prints, such as tcp://host:8786."
        ) from error


def _check_workers(client, scheduler, folder):
    try:
        client.wait_for_workers(2, timeout=_PATIENCE)
    except TimeoutError as error:
        raise SystemExit(
            "The scheduler has fewer than two workers, so joblib would do all fits here. Start "
            f"more with `dask worker {scheduler} --nthreads 1`."
        ) from error
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    allowed = client.run(os.access, folder, os.W_OK)
    without = [worker for worker, access in allowed.items() if not access]
    if without:
        raise SystemExit(
            f"The workers {', '.join(without)} cannot write to {folder}. Name a folder that all "
            "machines share with --out."
        )
