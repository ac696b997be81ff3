"""Where a network looks: heatmaps of its classes, as scikit-learn transformers."""

from fmcam.explain._attention import AttentionRollout, LeGrad
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
from fmcam.explain._cam_variants import EigenGradCAM, FinerCAM, ShapleyCAM
from fmcam.explain._full_grad import FullGrad
from fmcam.explain._guided import GuidedBackprop, GuidedGradCAM
from fmcam.explain._perturb import AblationCAM, Occlusion, ScoreCAM
from fmcam.explain._registry import get_explainer, list_explainers
from fmcam.explain._sanity import oracle_heatmaps, randomized
from fmcam.explain._shards import explain_in_shards
from fmcam.explain._smooth import SmoothedExplainer

__all__ = [
    "CAM",
    "AblationCAM",
    "AttentionRollout",
    "CenterMap",
    "EdgeMap",
    "EigenCAM",
    "EigenGradCAM",
    "FinerCAM",
    "ForegroundMap",
    "FullGrad",
    "GradCAM",
    "GradCAMPlusPlus",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "LayerCAM",
    "LeGrad",
    "Occlusion",
    "RandomMap",
    "ScoreCAM",
    "ShapleyCAM",
    "SmoothedExplainer",
    "XGradCAM",
    "explain_in_shards",
    "explain_together",
    "get_explainer",
    "list_explainers",
    "oracle_heatmaps",
    "randomized",
]
