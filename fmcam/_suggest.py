"""What a mistyped name probably meant."""

import difflib

__all__ = ["nearest", "suggest"]


def nearest(name, known):
    """Up to three of the known names that are most like a mistyped one, whatever their case.

    >>> nearest("LeNet", ["lenet5", "simplecnn"])
    ['lenet5']
    """
    lower = {one.lower(): one for one in known}
    return [lower[one] for one in difflib.get_close_matches(name.lower(), lower, n=3)]


def suggest(name, known):
    """A sentence that names what is most like a mistyped name, or else some of what is known.

    Parameters
    ----------
    name : str
    known : sequence of str

    Returns
    -------
    str

    Examples
    --------
    >>> suggest("LeNet", ["lenet5", "simplecnn"])
    "Did you mean 'lenet5'?"
    """
    if near := nearest(name, known):
        return f"Did you mean {' or '.join(map(repr, near))}?"
    return f"Known are {', '.join([*list(known)[:20], *['...'] * (len(known) > 20)])}."
