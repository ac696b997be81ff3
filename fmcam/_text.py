"""Text that any program can read."""

__all__ = ["printable"]


def printable(text):
    r"""Text whose bytes that are no UTF-8, as in names of old archives, are written ``\udc..``.

    Python keeps such a byte of a file's name as a lone surrogate, which nothing can encode or draw.

    >>> print(printable("Andr\udce9.png"))
    Andr\udce9.png
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
