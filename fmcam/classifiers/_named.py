"""The classifiers of the networks in `fmcam.models`: each only names its network."""

from collections.abc import Callable
from typing import Any

from torch import nn

from fmcam.classifiers._cnn import CNNClassifier
from fmcam.models import CNN_CAM, LeNet5, ResNet18, SimpleCNN

__all__ = ["CNNCAMClassifier", "LeNet5Classifier", "ResNet18Classifier", "SimpleCNNClassifier"]


class SimpleCNNClassifier(CNNClassifier):
    """:class:`CNNClassifier` of the one-convolution :class:`fmcam.models.SimpleCNN`.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.classifiers import SimpleCNNClassifier
    >>> X = np.repeat(np.uint8([0, 255]), 8 * 28 * 28).reshape(16, 28, 28)
    >>> y = np.repeat(["dark", "light"], 8)
    >>> SimpleCNNClassifier(lr=0.01, random_state=0).fit(X, y).score(X, y)
    1.0
    """

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | Callable[..., nn.Module] = SimpleCNN,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, **kwargs)


class LeNet5Classifier(CNNClassifier):
    """:class:`CNNClassifier` of :class:`fmcam.models.LeNet5`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from fmcam.classifiers import LeNet5Classifier
    >>> X = np.repeat(np.uint8([0, 255]), 8 * 28 * 28).reshape(16, 28, 28)
    >>> y = np.repeat(["dark", "light"], 8)
    >>> clf = LeNet5Classifier(max_epochs=5, random_state=0)
    >>> GridSearchCV(clf, {"lr": [1e-5, 1e-2]}, cv=2).fit(X, y).best_params_
    {'lr': 0.01}
    """

    def __init__(
        self, module: type[nn.Module] | nn.Module | Callable[..., nn.Module] = LeNet5, **kwargs: Any
    ) -> None:
        super().__init__(module, **kwargs)


class CNNCAMClassifier(CNNClassifier):
    """:class:`CNNClassifier` of :class:`fmcam.models.CNN_CAM`, which ends in global pooling.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNCAMClassifier
    >>> from fmcam.explain import CAM
    >>> X = np.repeat(np.uint8([0, 255]), 2 * 32 * 32).reshape(4, 32, 32)
    >>> clf = CNNCAMClassifier(max_epochs=1, random_state=0).fit(X, ["dark"] * 2 + ["light"] * 2)
    >>> CAM(FrozenEstimator(clf)).transform(X).shape
    (4, 32, 32)
    """

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | Callable[..., nn.Module] = CNN_CAM,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, **kwargs)


class ResNet18Classifier(CNNClassifier):
    """:class:`CNNClassifier` of :class:`fmcam.models.ResNet18`; `module__weights` pretrains it.

    Examples
    --------
    Fine-tuning: at first the convolutions stay as they are and a new head is trained; then all is
    trained, the convolutions at a tenth of the head's rate. ``module__weights="DEFAULT"`` would
    start from ImageNet.

    >>> import numpy as np
    >>> from fmcam.classifiers import Frozen, OneCycle, ResNet18Classifier
    >>> X = np.random.default_rng(0).integers(0, 255, (8, 3, 32, 32), dtype=np.uint8)
    >>> y = np.repeat(["cat", "dog"], 4)
    >>> clf = ResNet18Classifier(
    ...     module__weights=None,
    ...     max_epochs=1,
    ...     optimizer__param_groups=[("head.*", {"lr": 0.01})],
    ...     lr=0.001,
    ...     callbacks=[("one_cycle", OneCycle()), ("frozen", Frozen("features.*"))],
    ...     random_state=0,
    ... )
    >>> clf = clf.fit(X, y)
    >>> clf = clf.set_params(callbacks__frozen__patterns=[]).partial_fit(X, y)
    >>> len(clf.history)
    2
    """

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | Callable[..., nn.Module] = ResNet18,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, **kwargs)
