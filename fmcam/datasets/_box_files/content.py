"""The bytes and the text of a stranger's file, which may be no file, too large or no text."""

import codecs

__all__ = ["content_of", "start_of", "text_of"]

_MOST_BYTES = 2 * 2**30
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def content_of(path, most_bytes=_MOST_BYTES):
    """Return the bytes of a file.

    Raises
    ------
    OSError
        If it is not there or cannot be opened.
    ValueError
        If it is no regular file, such as a device that never ends, or too large.
    """
    _check_file(path, most_bytes)
    return path.read_bytes()


def text_of(path):
    """Return the text of a file in UTF-8, or in UTF-16 if its first bytes say so.

    Raises
    ------
    OSError, ValueError
        As :func:`content_of`, and for another encoding or no text.
    """
    content = content_of(path)
    try:
        text = content.decode(_ENCODINGS.get(content[:2], "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} must be text in UTF-8, got the byte {content[error.start]:#04x} at "
            f"{error.start}. Save it in UTF-8."
        ) from error
    if not text.strip():
        raise ValueError(f"{path} is empty.")
    return text


def start_of(path, n_bytes=4096):
    """Return how the text of a file begins, without the spaces in front; errors as `text_of`."""
    _check_file(path, _MOST_BYTES)
    with open(path, "rb") as file:
        content = file.read(n_bytes)
    start = content.decode(_ENCODINGS.get(content[:2], "utf-8-sig"), errors="ignore").lstrip()
    if not start:
        raise ValueError(f"{path} is empty.")
    return start


def _check_file(path, most_bytes):
    n_bytes = path.stat().st_size
    if not path.is_file():
        raise ValueError(f"{path} must be a file.")
    if n_bytes > most_bytes:
        raise ValueError(f"{path} must have {most_bytes:,} bytes at most, got {n_bytes:,}.")
