"""From heatmaps to boxes: around hot regions, above a threshold that scikit-learn estimators fit.

Boxes are x0, y0, x1, y1 in half-open pixels of the heatmaps, x to the right, y down.
"""

from fmcam._regions import boxes_from_heatmaps, count_regions
from fmcam.localize._heatmap_to_box import HeatmapToBox
from fmcam.localize._localizer import CAMLocalizer

__all__ = ["CAMLocalizer", "HeatmapToBox", "boxes_from_heatmaps", "count_regions"]
