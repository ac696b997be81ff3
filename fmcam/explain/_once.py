"""What the classes of a batch, and explainers that go together, share."""

from weakref import WeakKeyDictionary

__all__ = ["once"]

_found: WeakKeyDictionary = WeakKeyDictionary()


def once(batch, key, compute):
    """`compute()`, called once for each key as long as a batch lives.

    >>> from fmcam.explain._base import Batch
    >>> from fmcam.explain._once import once
    >>> batch = Batch(None, None)
    >>> once(batch, "a", lambda: 1), once(batch, "a", lambda: 2), once(batch, "b", lambda: 2)
    (1, 1, 2)
    """
    found = _found.setdefault(batch, {})
    if key not in found:
        found[key] = compute()
    return found[key]
