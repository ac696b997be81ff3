"""The classifiers of the networks in `fmcam.models`: each only names its network."""

from fmcam.classifiers._cnn import CNNClassifier
from fmcam.models import CNN_CAM, LeNet5, ResNet18, SimpleCNN

__all__ = ["CNNCAMClassifier", "LeNet5Classifier", "ResNet18Classifier", "SimpleCNNClassifier"]


class SimpleCNNClassifier(CNNClassifier):
    """:class:`CNNClassifier` of the one-convolution :class:`fmcam.models.SimpleCNN`."""

    def __init__(self, module=SimpleCNN, **kwargs):
        super().__init__(module, **kwargs)


class LeNet5Classifier(CNNClassifier):
    """:class:`CNNClassifier` of :class:`fmcam.models.LeNet5`."""

    def __init__(self, module=LeNet5, **kwargs):
        super().__init__(module, **kwargs)


class CNNCAMClassifier(CNNClassifier):
    """:class:`CNNClassifier` of :class:`fmcam.models.CNN_CAM`, which ends in global pooling."""

    def __init__(self, module=CNN_CAM, **kwargs):
        super().__init__(module, **kwargs)


class ResNet18Classifier(CNNClassifier):
    """:class:`CNNClassifier` of :class:`fmcam.models.ResNet18`; `module__weights` pretrains it."""

    def __init__(self, module=ResNet18, **kwargs):
        super().__init__(module, **kwargs)
