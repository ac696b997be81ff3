"""One picture file."""

from fmcam._pictures import read_picture
from fmcam._placement import check_fit


def load_image(path, *, size=224, fit="crop"):
    """Return a picture as a square of colours.

    The picture is turned upright as its EXIF data say. Grey, 16-bit grey, palette and CMYK become
    RGB, and what is transparent becomes white. Of an animation this is the first frame.

    Parameters
    ----------
    path : str or path-like
        A JPEG, PNG, WebP, GIF, BMP, TIFF or PPM file, whatever its name ends in.
    size : int, default=224
        Height and width of the result in pixels.
    fit : {"crop", "stretch"}, default="crop"
        "crop" resizes the shorter side to `size` and takes the square in the centre. "stretch"
        resizes both sides to `size`.

    Returns
    -------
    ndarray of shape (3, size, size), uint8, 0..255
        Red, green and blue.

    Raises
    ------
    OSError
        If the file is missing or may not be opened.
    ValueError
        If it is no such picture, damaged, too large or too narrow, or an argument is out of range.
    TypeError
        If `size` is not an integer.

    Examples
    --------
    >>> from fmcam.datasets import load_image
    >>> load_image("holiday.jpg", size=160).shape  # doctest: +SKIP
    (3, 160, 160)
    """
    check_fit(size, fit)
    try:
        return read_picture(path, size, fit)[0]
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
