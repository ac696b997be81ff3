"""What a classifier costs: parameters, operations and time."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from fmcam.classifiers._cnn import CNNClassifier

__all__ = ["measure_cost"]


def measure_cost(clf: CNNClassifier, X: NDArray[Any], *, n_repeats: int = 20) -> dict[str, float]:
    """Parameters, operations and prediction time of a fitted classifier.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted.
    X : array-like of shape (n, c, h, w) or (n, h, w)
        Images to predict, at least one.
    n_repeats : int, default=20
        How often the time of one image is taken.

    Returns
    -------
    dict
        `parameters`: trainable numbers. `flops`: floating-point operations of convolutions and
        linear layers for one image, a multiplication and an addition counting as two. `latency_ms`:
        median milliseconds of ``predict_proba`` on one image. `images_per_second`: on all of `X`,
        best of three.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.classifiers import CNNClassifier, measure_cost
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> cost = measure_cost(clf, np.zeros((4, 1, 28, 28)), n_repeats=1)
    >>> cost["parameters"], cost["flops"]
    (61706, 833040)
    """
    with FlopCounterMode(display=False) as counter:
        clf.predict_proba(X[:1])
    one = [_seconds(clf, X[:1]) for _ in range(n_repeats)]
    return {
        "parameters": sum(p.numel() for p in clf.module_.parameters() if p.requires_grad),
        "flops": counter.get_total_flops(),
        "latency_ms": 1000 * float(np.median(one)),
        "images_per_second": len(X) / min(_seconds(clf, X) for _ in range(3)),
    }


def _seconds(clf, X):
    start = time.perf_counter()
    clf.predict_proba(X)
    if torch.device(clf.device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
