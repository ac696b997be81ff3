"""How explainers are put to the test on canvases: maps, thresholds of other canvases, rows."""

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

__all__ = ["BLOCKS", "REFERENCE", "known_maps", "localize", "main_explainers"]

BLOCKS = [f"features.{block}" for block in range(5)]
REFERENCE = "pixels unlike the border"  # on a blank canvas the item itself


def main_explainers(clf, batch_size):
    """The methods of `experiments.localize`, and two that know nothing of the network."""
    frozen, size = FrozenEstimator(clf), {"batch_size": batch_size}
    chance = FrozenEstimator(randomized(clf, random_state=0))
    return {
        "CAM": CAM(frozen, **size),
        "Grad-CAM": GradCAM(frozen, **size),
        "LayerCAM": LayerCAM(frozen, **size),
        "Grad-CAM++, all blocks": GradCAMPlusPlus(frozen, layer=BLOCKS, **size),
        "edges": EdgeMap(frozen, **size),
        REFERENCE: ForegroundMap(frozen, **size),
        "random weights, CAM": CAM(chance, **size),
        "random weights, Grad-CAM++": GradCAMPlusPlus(chance, layer=BLOCKS, **size),
    }


def known_maps(explainer, data, boxes):
    """Maps that need no method: centre box, full frame, and the oracle of the explainer's layer."""
    return {
        **chance_heatmaps(data.masks.shape, boxes),
        "resolution oracle": oracle_heatmaps(explainer, data.images, data.masks),
    }


def localize(clf, explainers, validation, test):
    """Rows of the test canvases, thresholds fitted on the validation canvases, and the test maps.

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
        boxers[name] = HeatmapToBox().fit(fitting.pop(name), validation.boxes)
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
    )
    return rows, boxers, maps
