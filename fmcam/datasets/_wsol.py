"""CUB, ILSVRC and OpenImages as the benchmark of weakly supervised localization splits them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.utils import Bunch

from fmcam._matching import match_pictures
from fmcam._text import shown
from fmcam._typing import FilePath
from fmcam.datasets._box_files import wsol
from fmcam.datasets._boxed_images import load_boxed_images
from fmcam.datasets._masks import values_of_masks
from fmcam.datasets._read_boxes import read_boxes

_SPLITS = ("train", "val", "test")


def load_wsol(
    root: FilePath,
    metadata: FilePath,
    split: str,
    *,
    size: int = 224,
    class_names: Sequence[str] | None = None,
) -> Bunch:
    """Return the images of a split of a WSOL benchmark [1]_ with its boxes or masks.

    The lists come with wsolevaluation [2]_, as `metadata/CUB`, `metadata/ILSVRC` and
    `metadata/OpenImages`; the images are one's own. See :func:`load_boxed_images` for how they are
    found and kept.

    Parameters
    ----------
    root : str or path-like
        Folder of the images, and for OpenImages of the masks, such as `dataset/CUB`.
    metadata : str or path-like
        Folder of a data set's lists, one folder a split.
    split : {"train", "val", "test"}
        Thresholds are to be chosen on "val" and reported on "test".
    size : int, default=224
        Height and width of the images in pixels; both sides are resized, as in [1]_.
    class_names : sequence of k str, optional
        What the labels 0 to k-1 are called; default: "0", "1" and so on.

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only.
        target : ndarray of shape (n,), int
            The labels in `class_labels.txt`.
        target_names : list of str
            `class_names`.
        boxes : ndarray of shape (n, k, 4), float64
            x0, y0, x1, y1 in half-open pixels of the images; rows of NaN are none. For OpenImages
            the tight box around the 1 of each mask.
        wsol_boxes : ndarray of shape (n, k, 4), float64; None for OpenImages
            Corners as [2]_ counts them: rounded down, the last pixel in the box. What
            ``max_box_accuracy_score(convention="wsol")`` takes for the numbers of its tables.
        masks : ndarray of shape (n, size, size), uint8; None without masks
            For OpenImages: 0 background, 1 any object, 255 to be ignored, each pixel the nearest
            one, with half-pixel centres.
        filenames : ndarray of shape (n,), str
            Relative to `root`, sorted.
        placements : list of n Placement
            Where each image lies in its picture.
        unreadable : DataFrame
            `file` and `reason` of each image of the split that cannot be read.
        root : Path
            The folder that `filenames` are relative to.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If a folder or list is missing, or the cache cannot be written to.
    TypeError, ValueError
        If an argument is out of its range, a list is damaged, an image or mask is missing, or an
        image has another size than the lists say.

    Notes
    -----
    The lists hold inclusive corners. Those of CUB are x + width and y + height of the published
    boxes, cut to the picture, so that boxes are a pixel wider than in :func:`fetch_cub200`.

    References
    ----------
    .. [1] Choe et al., "Evaluation for weakly supervised object localization: protocol, metrics,
       and datasets", TPAMI 2022. https://arxiv.org/abs/2007.04178
    .. [2] https://github.com/clovaai/wsolevaluation

    Examples
    --------
    >>> from fmcam.datasets import load_wsol
    >>> cub = load_wsol("dataset/CUB", "metadata/CUB", "test")  # doctest: +SKIP
    >>> cub.images.shape, cub.boxes.shape  # doctest: +SKIP
    ((5794, 3, 224, 224), (5794, 1, 4))
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` must be one of {_SPLITS}, got {split!r}.")
    lists = Path(metadata) / split
    table = read_boxes(lists, format="wsol")
    if class_names is None:
        class_names = _numbered(table["label"])
    loaded = load_boxed_images(root, table, size=size, class_names=class_names)
    of_split = loaded.unreadable["reason"] != "is not among the boxes"
    loaded.unreadable = loaded.unreadable[of_split].reset_index(drop=True)
    loaded.DESCR = f"The part {split!r} of {lists.parent.name} as wsolevaluation lists it\n"
    loaded.wsol_boxes = None
    if wsol.is_of_masks(lists):
        loaded.masks = _masks(lists, loaded)
        around = [Image.fromarray(mask == 1).getbbox() or [np.nan] * 4 for mask in loaded.masks]
        loaded.boxes = np.array(around, dtype=float)[:, None]
    else:
        pairs = zip(loaded.boxes, loaded.placements, strict=True)
        loaded.wsol_boxes = np.stack([wsol_corners(boxes, place) for boxes, place in pairs])
    return loaded


def _numbered(labels):
    """Names of the labels 0 to k-1: their numbers."""
    if not labels.str.isdecimal().all():
        raise ValueError(
            "Labels of wsolevaluation must be numbers from 0, got "
            f"{shown(labels[~labels.str.isdecimal()].iloc[0])}."
        )
    return [str(number) for number in range(labels.astype(int).max() + 1)]


def _masks(lists, loaded):
    """Masks of all objects of each image together, 255 in what is to be ignored around them."""
    files = wsol.read_masks(lists)
    pictures = match_pictures(files, loaded.filenames.tolist(), lists / "localization.txt")
    masks = np.zeros((len(loaded.filenames), *loaded.images.shape[2:]), dtype=np.uint8)
    rows = {name: row for row, name in enumerate(loaded.filenames.tolist())}
    of_rows = [(rows[pictures[name]], *of_image) for name, of_image in files.items()]
    # what is to be ignored first, as objects in it count
    parts = [(row, ignored, 255) for row, _, ignored in of_rows if ignored]
    parts += [(row, mask, 1) for row, of_objects, _ in of_rows for mask in of_objects]
    places = [loaded.placements[row] for row, _, _ in parts]
    values, _ = values_of_masks(loaded.root, [name for _, name, _ in parts], places)
    for (row, _, meaning), value in zip(parts, values, strict=True):
        masks[row][value > 0] = meaning
    return masks


def wsol_corners(boxes, place):
    """Boxes of an image as wsolevaluation resizes them, by the same operations in that order."""
    corners = np.rint(place.boxes_in_original(boxes)) - [0, 0, 1, 1]
    return np.trunc(corners * place.size / np.tile([place.width, place.height], 2))
