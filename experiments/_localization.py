"""Which explainers are put to the test on canvases."""

from itertools import combinations
from operator import attrgetter

from sklearn.frozen import FrozenEstimator

from fmcam.explain import (
    CAM,
    EdgeMap,
    ForegroundMap,
    GradCAM,
    GradCAMPlusPlus,
    LayerCAM,
    explain_together,
    randomized,
)
from fmcam.localize import HeatmapToBox

__all__ = ["BLOCKS", "FUSED", "REFERENCE", "choose_fusion", "main_explainers", "with_truth"]

BLOCKS = [f"features.{block}" for block in range(5)]
FUSED = "Grad-CAM++, chosen blocks"
REFERENCE = "pixels unlike the border"  # on a blank canvas the item itself
with_truth = attrgetter("images", "target", "boxes", "masks")  # for evaluate_localization


def choose_fusion(clf, held_out, batch_size, *, explained="true", threshold="fit", region="fit"):
    """The run of blocks whose fused maps, and the kind of region, that box held-out items best.

    Fine maps of early blocks fit an item's outline, coarse maps of late blocks tell it from other
    things; how much of each is needed depends on the scene. So does whether a box goes around the
    largest region or around all: an item alone on its canvas may fall to pieces, as a sandal does,
    but among clutter the other regions are other things. All runs of blocks share one forward.
    `explained`, `threshold` and `region` are as for `evaluate_localization`.

    Returns
    -------
    blocks : list of str
    region : str
        As `HeatmapToBox` takes it.
    """
    runs = [tuple(BLOCKS[i:j]) for i, j in combinations(range(len(BLOCKS) + 1), 2)]
    explainers = {
        run: GradCAMPlusPlus(FrozenEstimator(clf), layer=list(run), batch_size=batch_size)
        for run in runs
    }
    labels = held_out.target if explained == "true" else None
    maps = explain_together(explainers, held_out.images, labels)
    to_boxes = {
        run: HeatmapToBox(threshold, region=region).fit(found, held_out.boxes)
        for run, found in maps.items()
    }
    blocks = max(to_boxes, key=lambda run: to_boxes[run].scores_.max())
    return list(blocks), to_boxes[blocks].region_


def main_explainers(clf, blocks, batch_size):
    """The methods of `experiments.localize`, and two that know nothing of the network.

    `blocks` are those that :func:`choose_fusion` chose for this network.
    """
    frozen, size = FrozenEstimator(clf), {"batch_size": batch_size}
    chance = FrozenEstimator(randomized(clf, random_state=0))
    return {
        "CAM": CAM(frozen, **size),
        "Grad-CAM": GradCAM(frozen, **size),
        "LayerCAM": LayerCAM(frozen, **size),
        "Grad-CAM++, all blocks": GradCAMPlusPlus(frozen, layer=BLOCKS, **size),
        FUSED: GradCAMPlusPlus(frozen, layer=blocks, **size),
        "edges": EdgeMap(frozen, **size),
        REFERENCE: ForegroundMap(frozen, **size),
        "random weights, CAM": CAM(chance, **size),
        f"random weights, {FUSED}": GradCAMPlusPlus(chance, layer=blocks, **size),
    }
