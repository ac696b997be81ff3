"""Scores of heatmaps that no image has by itself: those of a threshold or of pixels of all."""

from collections.abc import Mapping
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from fmcam.metrics import MaxBoxAccuracy, MaxPixelIoU, PixelAveragePrecision

_IOU_THRESHOLDS = (0.3, 0.5, 0.7)


class PooledScores:
    """Scores of each method over all images together, which come a batch at a time.

    Beside the rows of `evaluate_localization` and `localization_frame`, which are of single images.
    What is kept of the images are sums, so memory does not grow.

    Parameters
    ----------
    region : {"fit", "largest", "all"}, default="fit"
        What boxes go around, as in `fmcam.metrics.max_box_accuracy_score`.

    Raises
    ------
    ValueError
        If `region` is unknown.

    See Also
    --------
    fmcam.metrics.MaxBoxAccuracy, fmcam.metrics.PixelAveragePrecision, fmcam.metrics.MaxPixelIoU :
        The scores, with papers.

    Examples
    --------
    >>> from fmcam.report import PooledScores
    >>> scores = PooledScores()
    >>> for box in ([1, 0, 3, 1], [1, 0, 2, 1]):
    ...     scores = scores.update({"CAM": [[[0.0, 1.0, 0.5]]]}, boxes=[box])
    >>> scores.frame()["oracle_max_box_accuracy_0.7"].to_dict()
    {'CAM': 0.5}
    """

    def __init__(self, *, region: str = "fit") -> None:
        self.region = region
        self._accuracy()  # an unknown region is an error now
        self._of_boxes: dict[str, MaxBoxAccuracy] = {}
        self._of_masks: dict[str, tuple[PixelAveragePrecision, MaxPixelIoU]] = {}

    def update(
        self, heatmaps: Mapping[str, ArrayLike], *, boxes: ArrayLike, masks: ArrayLike | None = None
    ) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        heatmaps : mapping of str to array-like of float, of shape (n, h, w)
            Maps in [0, 1], by the name of the method.
        boxes : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes (k, 4)
            True boxes x0, y0, x1, y1 in half-open pixels; NaN where an image has none.
        masks : array-like of shape (n, h, w), optional
            With each batch or with none. 0 is background, 1 the object, 255 ignored. Where no mask
            of any batch holds a 1, the one number besides 0 is the object.

        Returns
        -------
        PooledScores
            The object itself.

        Raises
        ------
        ValueError
            If boxes, masks and maps do not fit together, maps leave [0, 1], or a method has masks
            with some of its batches only.
        """
        self._check_known(heatmaps, masks)
        for name, maps in heatmaps.items():
            self._of_boxes.setdefault(name, self._accuracy()).update(boxes, maps)
            if masks is not None:
                of_masks = (PixelAveragePrecision(), MaxPixelIoU())
                for score in self._of_masks.setdefault(name, of_masks):
                    score.update(masks, maps)
        return self

    def _accuracy(self):
        options: dict[str, Any] = {"iou_thresholds": _IOU_THRESHOLDS, "region": self.region}
        return MaxBoxAccuracy(average=None, **options)

    def _check_known(self, heatmaps, masks):
        known = (name for name in heatmaps if name in self._of_boxes)
        if any((name in self._of_masks) != (masks is not None) for name in known):
            raise ValueError(
                "`masks` must come with each batch of images or with none. Pass images without a "
                "mask to another `PooledScores`."
            )

    def frame(self) -> pd.DataFrame:
        """Return the scores of all images so far.

        Returns
        -------
        DataFrame of one row a method, index "method"
            oracle_max_box_accuracy_0.3, oracle_max_box_accuracy_0.5, oracle_max_box_accuracy_0.7
                Box accuracy at the threshold, and region, that is best for these very images: a
                bound of those that are fitted elsewhere. With 0.5 it is called MaxBoxAcc.
            oracle_max_box_accuracy_v2
                Their mean, MaxBoxAccV2.
            pixel_average_precision, oracle_pixel_iou
                Only with masks: PxAP, and the IoU of pixels at the threshold that is best for
                them, peak IoU, both of maps rounded down to a thousandth.
        """
        table = {}
        for name, of_boxes in self._of_boxes.items():
            at = of_boxes.compute()
            prefix = "oracle_max_box_accuracy"
            row = {f"{prefix}_{least}": one for least, one in zip(_IOU_THRESHOLDS, at, strict=True)}
            row[f"{prefix}_v2"] = at.mean()
            if name in self._of_masks:
                precision, peak = self._of_masks[name]
                row["pixel_average_precision"] = precision.compute()
                row["oracle_pixel_iou"] = peak.compute()
            table[name] = row
        return pd.DataFrame.from_dict(table, orient="index").rename_axis("method")
