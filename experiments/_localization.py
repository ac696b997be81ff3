"""How explainers are put to the test on canvases: maps, thresholds of other canvases, rows."""

from itertools import combinations

from sklearn.frozen import FrozenEstimator

from fmcam.explain import (
    CAM,
    EdgeMap,
    ForegroundMap,
    GradCAM,
    GradCAMPlusPlus,
    LayerCAM,
    explain_together,
    oracle_heatmaps,
    randomized,
)
from fmcam.localize import HeatmapToBox
from fmcam.report import chance_heatmaps, localization_frame

__all__ = ["BLOCKS", "FUSED", "REFERENCE", "choose_fusion", "known_maps", "localize"]
__all__ += ["main_explainers"]

BLOCKS = [f"features.{block}" for block in range(5)]
FUSED = "Grad-CAM++, chosen blocks"
REFERENCE = "pixels unlike the border"  # on a blank canvas the item itself


def choose_fusion(clf, held_out, batch_size, regions=("largest", "all")):
    """The run of blocks whose fused maps, and the kind of region, that box held-out items best.

    Fine maps of early blocks fit an item's outline, coarse maps of late blocks tell it from other
    things; how much of each is needed depends on the scene. So does whether a box goes around the
    largest region or around all: an item alone on its canvas may fall to pieces, as a sandal does,
    but among clutter the other regions are other things. All runs of blocks share one forward.

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
    maps = explain_together(explainers, held_out.images, held_out.target)
    reached = {
        (run, region): HeatmapToBox(region=region).fit(found, held_out.boxes).scores_.max()
        for run, found in maps.items()
        for region in regions
    }
    blocks, region = max(reached, key=reached.get)
    return list(blocks), region


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


def known_maps(explainer, data, boxes):
    """Maps that need no method: centre box, full frame, and the oracle of the explainer's layer."""
    return {
        **chance_heatmaps(data.masks.shape, boxes),
        "resolution oracle": oracle_heatmaps(explainer, data.images, data.masks),
    }


def localize(clf, explainers, validation, test, region):
    """Rows of the test canvases, thresholds fitted on the validation canvases, and the test maps.

    Boxes go around the same kind of `region` for all methods.

    Returns
    -------
    rows : DataFrame
        As `fmcam.report.localization_frame` gives them.
    boxers : dict of str to fitted HeatmapToBox
    maps : dict of str to ndarray of shape (n, h, w)
    """
    oracle = next(iter(explainers.values()))
    boxers = {}
    fitting = {
        **explain_together(explainers, validation.images, validation.target),
        **known_maps(oracle, validation, validation.boxes),
    }
    for name in list(fitting):
        boxers[name] = HeatmapToBox(region=region).fit(fitting.pop(name), validation.boxes)
    maps = {
        **explain_together(explainers, test.images, test.target),
        **known_maps(oracle, test, validation.boxes),
    }
    rows = localization_frame(
        maps,
        test.target,
        clf.predict_proba(test.images),
        clf.classes_,
        boxes=test.boxes,
        masks=test.masks,
        thresholds={name: boxer.threshold_ for name, boxer in boxers.items()},
        region=region,
    )
    return rows, boxers, maps
