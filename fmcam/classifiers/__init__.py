"""Networks as scikit-learn classifiers of images."""

from fmcam.classifiers._augment import FlipAndShift
from fmcam.classifiers._callbacks import OneCycle
from fmcam.classifiers._checkpoint import load_classifier, save_classifier
from fmcam.classifiers._cnn import CNNClassifier
from fmcam.classifiers._cost import measure_cost
from fmcam.classifiers._named import (
    CNNCAMClassifier,
    LeNet5Classifier,
    ResNet18Classifier,
    SimpleCNNClassifier,
)

__all__ = [
    "CNNCAMClassifier",
    "CNNClassifier",
    "FlipAndShift",
    "LeNet5Classifier",
    "OneCycle",
    "ResNet18Classifier",
    "SimpleCNNClassifier",
    "load_classifier",
    "measure_cost",
    "save_classifier",
]
