"""Warnings that say nothing to a user."""

import contextlib
import threading
import warnings

__all__ = ["warnings_ignored"]

_turn = threading.RLock()


@contextlib.contextmanager
def warnings_ignored(message=""):
    """Ignore warnings that begin with `message`, a regular expression.

    Threads take turns: the filters belong to the process, and of two threads that put them back
    the last would leave those of the first.
    """
    with _turn, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message)
        yield
