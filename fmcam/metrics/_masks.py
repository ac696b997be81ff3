"""How well masks fit, and masks beside heatmaps."""

from typing import Any

from numpy.typing import ArrayLike

from fmcam._arrays import as_array
from fmcam._masks import check_masks
from fmcam._overlap import mask_iou
from fmcam._per_image import average_images
from fmcam._validation import check_heatmaps


def mask_iou_score(
    masks_true: ArrayLike, masks_pred: ArrayLike, *, average: str | None = "mean"
) -> Any:
    r"""Return the mean intersection over union of true and predicted masks.

    .. math:: \mathrm{IoU} = \frac{|A \cap B|}{|A \cup B|}

    Parameters
    ----------
    masks_true : array-like of shape (n, h, w), bool or whole numbers
        0 background, 1 object, 255 ignored: these pixels count in neither mask. Where no mask holds
        a 1, the one number besides 0 is the object, as 255 in picture files.
    masks_pred : array-like of shape (n, h, w), bool
        Such as ``heatmaps >= threshold``, the threshold fitted on other images.
    average : {"mean", None}, default="mean"
        None gives one value an image.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        In [0, 1]. NaN where the true mask holds no object, which the mean leaves out.

    Raises
    ------
    TypeError
        If `masks_pred` are not of bool.
    ValueError
        If the shapes differ or `masks_true` holds other values.

    Examples
    --------
    >>> from fmcam.metrics import mask_iou_score
    >>> mask_iou_score([[[1, 1, 0, 255]]], [[[False, True, True, True]]])
    0.3333333333333333
    """
    masks_true = check_masks(masks_true, name="masks_true")
    return average_images(paired_mask_iou(masks_true, masks_pred), average)


def paired_mask_iou(masks_true, masks_pred):
    """Return the IoU of each image, of shape (n,), from true masks that have been checked."""
    masks_pred = as_array(masks_pred, name="masks_pred")
    if masks_pred.dtype != bool:
        raise TypeError(
            f"`masks_pred` must be of bool, got {masks_pred.dtype}. Pass `heatmaps >= threshold`."
        )
    if masks_pred.shape != masks_true.shape:
        raise ValueError(
            f"`masks_pred` must have the shape of `masks_true`, (n, h, w) = {masks_true.shape}, "
            f"got {masks_pred.shape}. Pass the same images in the same order, at one size."
        )
    return mask_iou(masks_true, masks_pred)


def check_masks_and_heatmaps(masks_true, heatmaps):
    """Return masks and heatmaps, both (n, h, w)."""
    heatmaps = check_heatmaps(heatmaps)
    masks_true = check_masks(masks_true, name="masks_true")
    check_same_shape("masks_true", masks_true, heatmaps)
    return masks_true, heatmaps


def check_same_shape(name, array, heatmaps):
    """Raise a ValueError unless an array has the shape of the heatmaps."""
    if array.shape != heatmaps.shape:
        raise ValueError(
            f"`{name}` must have the shape of `heatmaps`, (n, h, w) = {heatmaps.shape}, got "
            f"{array.shape}. Pass the same images in the same order, at one size."
        )
