"""What a mistyped name probably meant."""

import difflib

__all__ = ["suggest"]


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
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), lower, n=3)
    if near:
        return f"Did you mean {' or '.join(repr(lower[one]) for one in near)}?"
    return f"Known are {', '.join([*list(known)[:20], *['...'] * (len(known) > 20)])}."
