"""One picture file as a square array."""

from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from fmcam._placement import Placement

# What Pillow reads by itself: other formats, such as PostScript, start programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_LONGEST = 100  # times the shorter side: cutting a square out of more is a mistake
_TIFF_SIZE = (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH)  # as it is stored
_TURNED = (5, 6, 7, 8)  # the EXIF orientations that swap width and height


def read_picture(path, size, fit):
    """Return a picture as an array of shape (3, size, size), and its width and height upright.

    Errors are those of :func:`open_picture`.
    """
    with open_picture(path) as image:
        square, upright = _square(image, size, fit)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1)), upright


def read_size(path):
    """Return the width and height of a picture, upright, as its header says.

    Errors are those of :func:`open_picture`.
    """
    with open_picture(path) as image:
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # some Pillow have turned its size
            width, height = (image.tag_v2[tag] for tag in _TIFF_SIZE)
        return (height, width) if _orientation(image) in _TURNED else (width, height)


@contextmanager
def open_picture(path):
    """Give the PIL image in a file, not yet decoded.

    Whatever is wrong with the file becomes a ValueError that says so without naming the path, also
    where decoding inside the `with` brings it to light. A file that cannot be opened is an OSError.
    """
    with open(path, "rb") as file:
        try:
            yield Image.open(file, formats=_FORMATS)
        except Image.UnidentifiedImageError as error:
            raise ValueError(_unidentified(file)) from error
        except Image.DecompressionBombError as error:
            raise ValueError(f"is too large: {error}") from error
        except Exception as error:  # on damaged files Pillow raises a dozen kinds
            raise ValueError(f"cannot be decoded: {error}") from error


def _unidentified(file):
    if file.seek(0, 2) == 0:
        return "is empty: it has no bytes"
    return f"is not a picture in one of the formats {', '.join(_FORMATS)}"


def _square(image, size, fit):
    """Return the square PIL image in RGB, and width and height of the upright picture."""
    width, height = image.size
    # A JPEG decodes faster to 1/2, 1/4 or 1/8; twice the size leaves the rest to the filter.
    drafted = image.draft(None, (2 * size, 2 * size))
    image.load()
    if drafted is None:
        width, height = image.size  # some Pillow turns a TIFF only on loading
    region = drafted[1] if drafted else (0, 0, width, height)
    resized = _as_rgb(image).resize(
        _resized(Placement(width, height, size, fit)), Image.Resampling.BILINEAR, box=region
    )
    if _orientation(image) in _TURNED:
        width, height = height, width
    if _orientation(image) is not None:
        resized.info = image.info  # where the orientation is looked up
        resized = ImageOps.exif_transpose(resized)
    return Placement(width, height, size, fit).cut(resized), (width, height)


def _orientation(image):
    """How an image says that it is turned; None where it does not, or its EXIF data are damaged."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises a dozen kinds
        return None


def _resized(placement):
    """Width and height to resize to, of a picture that is not too narrow."""
    long, short = max(placement.resized), placement.size
    if long > _LONGEST * short:
        raise ValueError(
            f"its {placement.width} x {placement.height} pixels are too narrow to cut a square "
            "out of; 'stretch' would take it"
        )
    return placement.resized


def _as_rgb(image):
    """Return an image of any mode in RGB, on white where it is transparent."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its grey values do not lie within 16 bits")
        image = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
