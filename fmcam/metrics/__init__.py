"""How well heatmaps and boxes find objects, and whether classifiers need what heatmaps show.

Functions: NumPy in, a number out, or with ``average=None`` one value an image. `_score` means that
higher is better, `_error` that lower is. Classes compute the same from images that come a batch at
a time, in memory that does not grow: `update` takes a batch, `compute` gives the number, `reset`
forgets, `merge_state` takes the images of another process.

Boxes are x0, y0, x1, y1 of shape (n, 4) in half-open pixels, x to the right, y down, a row of NaN
where there is none; of true ones an image may have several, in an array (n, k, 4) or a list of n
arrays (k, 4). Heatmaps are of shape (n, h, w). Masks, of the same shape, hold 0 for background, 1
for the object and 255 for what to ignore; where none holds a 1, the one number besides 0 is the
object, as 255 in picture files. Tensors of any device may take the place of arrays.

What is undefined is NaN and left out of means: any score without a true box or mask, the share of
a sum that is zero. No box, or no hottest pixel, is a miss.
"""

from fmcam._regions import boxes_from_heatmaps  # noqa: F401, see fmcam.localize
from fmcam.metrics._boxes import (
    box_accuracy_score,
    mean_iou_score,
    paired_box_iou,
    top1_localization_score,
    top_k_localization_score,
)
from fmcam.metrics._faithfulness import (
    average_drop_error,
    deletion_auc_error,
    increase_in_confidence_score,
    insertion_auc_score,
)
from fmcam.metrics._heatmaps import (
    energy_in_box_score,
    pointing_game_score,
    rank_correlation,
    sparseness_score,
)
from fmcam.metrics._masks import mask_iou_score
from fmcam.metrics._means import EnergyInBox, MaskIoU, PointingGame, RankCorrelation, Sparseness
from fmcam.metrics._oracle import MaxBoxAccuracy, max_box_accuracy_score
from fmcam.metrics._pixels import (
    MaxPixelIoU,
    PixelAveragePrecision,
    max_pixel_iou_score,
    pixel_average_precision_score,
)
from fmcam.metrics._road import road_lerf_score, road_morf_error, road_score

__all__ = [
    "EnergyInBox",
    "MaskIoU",
    "MaxBoxAccuracy",
    "MaxPixelIoU",
    "PixelAveragePrecision",
    "PointingGame",
    "RankCorrelation",
    "Sparseness",
    "average_drop_error",
    "box_accuracy_score",
    "deletion_auc_error",
    "energy_in_box_score",
    "increase_in_confidence_score",
    "insertion_auc_score",
    "mask_iou_score",
    "max_box_accuracy_score",
    "max_pixel_iou_score",
    "mean_iou_score",
    "paired_box_iou",
    "pixel_average_precision_score",
    "pointing_game_score",
    "rank_correlation",
    "road_lerf_score",
    "road_morf_error",
    "road_score",
    "sparseness_score",
    "top1_localization_score",
    "top_k_localization_score",
]

box_iou = paired_box_iou  # the name until paired and pairwise were told apart
