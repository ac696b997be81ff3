"""One picture file."""

from typing import Any

from fmcam._pictures import read_picture
from fmcam._placement import Placement, check_fit
from fmcam._typing import FilePath


def load_image(
    path: FilePath, *, size: int = 224, fit: str = "crop", return_placement: bool = False
) -> Any:
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
    return_placement : bool, default=False
        Whether to return where the square lies in the picture, too.

    Returns
    -------
    image : ndarray of shape (3, size, size), uint8, 0..255
        Red, green and blue.
    placement : Placement
        With `return_placement`. Its `heatmap_in_original(heatmap)` makes of a heatmap of the image,
        (size, size), one of the upright picture, (height, width), and `boxes_in_original(boxes)` of
        boxes (n, 4) in pixels of the image those in pixels of the picture.

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
    >>> import tempfile
    >>> from PIL import Image
    >>> from fmcam.datasets import load_image
    >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
    ...     Image.new("RGB", (400, 300)).save(file.name)
    ...     image, placement = load_image(file.name, size=160, return_placement=True)
    >>> image.shape
    (3, 160, 160)
    >>> heatmap = image.mean(axis=0) / 255  # one of an explainer, really
    >>> placement.heatmap_in_original(heatmap).shape
    (300, 400)
    """
    check_fit(size, fit)
    try:
        image, (width, height) = read_picture(path, size, fit)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    return (image, Placement(width, height, size, fit)) if return_placement else image
