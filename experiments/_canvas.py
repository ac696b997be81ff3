"""CNN_CAM on canvases: features learned on small canvases, the linear head on large ones.

A convolutional network costs as much as its image is large, and most of a large canvas is no item.
With batch normalization at its kept statistics the features of an item are the same on a canvas of
any size. Only their mean over the canvas, which the head sees, is diluted; so the head is fitted
anew, on the pooled features of large canvases.
"""

import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from skorch.callbacks import GradientNormClipping
from skorch.helper import predefined_split

import fmcam
from fmcam._boxes import masks_of_boxes
from fmcam._hashing import digest_of
from fmcam.classifiers import CNNCAMClassifier, OneCycle, load_classifier, save_classifier
from fmcam.datasets import CanvasFashionMNIST, make_canvas

__all__ = [
    "OPTIMIZERS",
    "CanvasFit",
    "canvases_of",
    "first",
    "split_rows",
    "train_on_canvas",
    "trained",
    "training_canvases",
    "validation_canvases",
]

OPTIMIZERS = {
    "adam": {"optimizer": torch.optim.Adam},
    "sgd": {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__nesterov": True,
        "optimizer__weight_decay": 5e-4,
        "criterion__label_smoothing": 0.05,
    },
}
_HEAD_ROWS = 6_000
_HEAD_C = 0.1  # inverse strength of the head's L2 penalty, for standardized features


@dataclass(frozen=True)
class CanvasFit:
    """One training.

    `canvas` is the size that the classifier is for, `feature_canvas` the size that its features are
    learned on, each with its number of pieces of clutter; `item_size` resizes the items, `rows`
    limits the images; None leaves them as they are and takes all.
    """

    dataset: str
    canvas: int
    feature_canvas: int
    item_size: int | None
    clutter: int
    feature_clutter: int
    noise: float
    optimizer: str
    lr: float
    batch_size: int
    epochs: int
    rows: int | None
    precision: str
    seed: int

    def file(self, folder):
        """Where its checkpoint is kept; other settings or versions, another file."""
        known = [asdict(self), fmcam.__version__, torch.__version__]
        digest = digest_of(known)[:8]
        return folder / f"cnn-cam-seed{self.seed}-{digest}.safetensors"

    def classifier(self):
        """The classifier, not yet fitted."""
        return CNNCAMClassifier(
            **OPTIMIZERS[self.optimizer],
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=self.epochs,
            callbacks=[("one_cycle", OneCycle()), ("clip", GradientNormClipping(1.0))],
            precision=self.precision,
            random_state=self.seed,
        )


def split_rows(y, rows, seed):
    """Numbers of the images to train on, nine tenths of the first `rows`, and of those held out."""
    return train_test_split(
        np.arange(len(y))[:rows], test_size=0.1, stratify=y[:rows], random_state=seed
    )


def canvases_of(config, items, random_state):
    """Items on canvases, the same whatever the seed of the training; `boxes` are those to find."""
    scene = {"item_size": config.item_size, "clutter": config.clutter, "noise": config.noise}
    canvases = make_canvas(
        items.images, items.target, canvas_size=config.canvas, **scene, random_state=random_state
    )
    canvases.tight_boxes = canvases.boxes
    if config.boxes == "paste":
        canvases.boxes = canvases.paste_boxes
        canvases.masks = masks_of_boxes(canvases.boxes[:, None], canvases.masks.shape[1:])
    return canvases


def training_canvases(config, data, seed):
    """Canvases of some images of `data` that the training with this seed learned from."""
    rows, _ = split_rows(data.target, config.rows, seed)
    return canvases_of(config, _take(data, rows[: config.validation]), random_state=2)


def validation_canvases(config, data, seed):
    """Canvases of the images of `data` that the training with this seed held out."""
    _, rows = split_rows(data.target, config.rows, seed)
    return canvases_of(config, _take(data, rows[: config.validation]), random_state=1)


def _take(data, rows):
    """Some of the images and labels of a data set."""
    return Bunch(images=data.images[rows], target=data.target[rows])


def first(bunch, n):
    """The first `n` rows of the arrays of a Bunch."""
    return Bunch(**{name: value[:n] for name, value in bunch.items() if hasattr(value, "shape")})


def train_on_canvas(fit, X, y):
    """A classifier trained on canvases of items `X` with labels `y`."""
    rows, held_out = split_rows(y, fit.rows, fit.seed)
    scene = {"item_size": fit.item_size, "noise": fit.noise, "random_state": fit.seed}
    small = {"canvas_size": fit.feature_canvas, "clutter": fit.feature_clutter, **scene}
    drawn = CanvasFashionMNIST(X[rows], y[rows], redraw=True, **small)
    fixed = CanvasFashionMNIST(X[held_out], y[held_out], **small)
    clf = fit.classifier().set_params(train_split=predefined_split(fixed)).fit(drawn)
    if fit.feature_canvas != fit.canvas:
        rows = rows[:_HEAD_ROWS]
        scene |= {"canvas_size": fit.canvas, "clutter": fit.clutter}
        large = make_canvas(X[rows], y[rows], **scene)
        refit_head(clf, large.images, large.target)
    return clf


def trained(fits, X, y, folder):
    """The classifiers of some fits, in their order, those with a checkpoint in `folder` read."""
    folder.mkdir(parents=True, exist_ok=True)
    for fit in fits:
        if not fit.file(folder).exists():
            start = time.perf_counter()
            clf = train_on_canvas(fit, X, y)
            seconds = time.perf_counter() - start
            save_classifier(clf, fit.file(folder), metrics={"fit_time": seconds})
    return [load_classifier(fit.file(folder)) for fit in fits]


def refit_head(clf, images, target):
    """Fit the linear head of a CNN_CAM anew, by logistic regression, and nothing else.

    Parameters
    ----------
    clf : CNNCAMClassifier
        Is for images of the size of `images` from then on.
    images : ndarray of shape (n, 1, h, w), uint8
    target : ndarray of shape (n,)
    """
    pooled = _pooled_features(clf, images)
    scaler = StandardScaler().fit(pooled)
    head = LogisticRegression(C=_HEAD_C, max_iter=2_000).fit(scaler.transform(pooled), target)
    weight = head.coef_ / scaler.scale_
    linear = clf.module_.net.head[-1]
    with torch.no_grad():
        linear.weight.copy_(torch.as_tensor(weight))
        linear.bias.copy_(torch.as_tensor(head.intercept_ - weight @ scaler.mean_))
    clf.image_shape_, clf.n_features_in_ = images.shape[1:], images[0].size


def _pooled_features(clf, images):
    """What the linear layer is given, an array of shape (n, c)."""
    net, pooled = clf.module_.net, []
    net.eval()
    hook = net.head[-1].register_forward_pre_hook(lambda _, given: pooled.append(given[0]))
    try:
        with torch.inference_mode():
            for batch in torch.from_numpy(images).split(64):
                clf.infer(batch)
    finally:
        hook.remove()
    return torch.cat(pooled).cpu().numpy()
