"""Published weights where there is no network."""

import contextlib
from http.client import HTTPException

__all__ = ["downloading"]


@contextlib.contextmanager
def downloading(name, weights, url):
    """Tell in the error of a failed download which file to fetch and pass.

    Parameters
    ----------
    name, weights, url : str
        The network, the name of its weights, and where they are published.
    """
    try:
        yield
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"The weights {weights!r} of {name} could not be downloaded. Where there is a network, "
            f"fetch {url} and give the file, {url.rpartition('/')[2]}, in place of the name. "
            f"({str(error).splitlines()[0]})"
        ) from error
