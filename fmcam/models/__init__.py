"""The networks: each an `nn.Module` that maps images to logits through `features` and `head`.

`features` holds the convolutions and gives the feature maps of shape (n, k, h', w') that explainers
look at; `head` turns them into logits of shape (n, n_classes). Max-pooling stands before the ReLU:
both orders compute the same function, and this one runs the ReLU on a quarter of the values.
"""

from fmcam.models._cnn_cam import CNN_CAM
from fmcam.models._lenet5 import LeNet5
from fmcam.models._registry import get_model, get_preprocessing, list_models
from fmcam.models._resnet18 import ResNet18
from fmcam.models._simple_cnn import SimpleCNN
from fmcam.models._standardize import Standardize, StandardizedNet

__all__ = [
    "CNN_CAM",
    "LeNet5",
    "ResNet18",
    "SimpleCNN",
    "Standardize",
    "StandardizedNet",
    "get_model",
    "get_preprocessing",
    "list_models",
]
