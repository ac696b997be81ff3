"""Where a network looks: heatmaps of its classes, as scikit-learn transformers."""

from fmcam.explain._base import explain_together
from fmcam.explain._cam import (
    CAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
)
from fmcam.explain._smooth import SmoothedExplainer

__all__ = [
    "CAM",
    "EigenCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "SmoothedExplainer",
    "XGradCAM",
    "explain_together",
]
