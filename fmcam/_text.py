"""Text that any program can read."""

__all__ = ["printable", "shown"]


def printable(text):
    r"""Text whose bytes that are no UTF-8, as in names of old archives, are written ``\udc..``.

    Python keeps such a byte of a file's name as a lone surrogate, which nothing can encode or draw.

    >>> print(printable("Andr\udce9.png"))
    Andr\udce9.png
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value, length=100):
    """A value of a stranger's file for a message, cut after some characters.

    >>> shown(["a" * 200], length=8)
    "['aaaaaa..."
    """
    text = repr(value)
    return printable(text if len(text) <= length else f"{text[:length]}...")
