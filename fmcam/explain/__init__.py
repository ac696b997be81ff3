"""Where a network looks: heatmaps of its classes, as scikit-learn transformers."""

from fmcam.explain._base import explain_together
from fmcam.explain._baseline import CenterMap, EdgeMap, ForegroundMap, RandomMap
from fmcam.explain._cam import (
    CAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
)
from fmcam.explain._guided import GuidedBackprop, GuidedGradCAM
from fmcam.explain._perturb import AblationCAM, Occlusion, ScoreCAM
from fmcam.explain._sanity import oracle_heatmaps, randomized
from fmcam.explain._shards import explain_in_shards
from fmcam.explain._smooth import SmoothedExplainer

__all__ = [
    "CAM",
    "AblationCAM",
    "CenterMap",
    "EdgeMap",
    "EigenCAM",
    "ForegroundMap",
    "GradCAM",
    "GradCAMPlusPlus",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "LayerCAM",
    "Occlusion",
    "RandomMap",
    "ScoreCAM",
    "SmoothedExplainer",
    "XGradCAM",
    "explain_in_shards",
    "explain_together",
    "oracle_heatmaps",
    "randomized",
]
