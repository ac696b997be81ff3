"""Networks as scikit-learn classifiers of images."""

from fmcam.classifiers._augment import FlipAndShift, RandomResizedCrop
from fmcam.classifiers._callbacks import Frozen, GrowingSize, OneCycle
from fmcam.classifiers._checkpoint import load_classifier, save_classifier
from fmcam.classifiers._cnn import CNNClassifier
from fmcam.classifiers._cost import measure_cost
from fmcam.classifiers._named import (
    CNNCAMClassifier,
    LeNet5Classifier,
    ResNet18Classifier,
    SimpleCNNClassifier,
)
from fmcam.classifiers._resume import Resumable

__all__ = [
    "CNNCAMClassifier",
    "CNNClassifier",
    "FlipAndShift",
    "Frozen",
    "GrowingSize",
    "LeNet5Classifier",
    "OneCycle",
    "RandomResizedCrop",
    "ResNet18Classifier",
    "Resumable",
    "SimpleCNNClassifier",
    "load_classifier",
    "measure_cost",
    "save_classifier",
]
