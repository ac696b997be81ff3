"""Ctrl-C by a person, told from callbacks that raise KeyboardInterrupt to end a training."""

import signal
import threading
import traceback
from contextlib import contextmanager

__all__ = ["ctrl_c_goes_through", "stopped_early"]


@contextmanager
def ctrl_c_goes_through():
    """Raise KeyboardInterrupt at the end if a fit has swallowed it, as skorch's does.

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


def stopped_early(interrupt):
    """Whether a callback, such as skorch's EarlyStopping, raised a KeyboardInterrupt, not a person.

    Parameters
    ----------
    interrupt : KeyboardInterrupt
    """
    from skorch.callbacks import Callback  # here, so that other searches need no torch

    *_, (frame, _) = traceback.walk_tb(interrupt.__traceback__)
    return isinstance(frame.f_locals.get("self"), Callback)
