"""skorch callbacks: schedules of rate and size, frozen layers, and those that all carry."""

import math
import multiprocessing
import sys
from collections.abc import Sequence

from sklearn.base import clone
from skorch.callbacks import Callback

from fmcam.classifiers._parameters import check_patterns

__all__ = ["BatchAccuracy", "Frozen", "GrowingSize", "OneCycle", "print_on_terminal"]

_STRIDE = 32


class BatchAccuracy(Callback):
    """Record the share of right predictions in each batch as `train_acc` or `valid_acc`.

    In training it is the accuracy on the augmented images while the weights move, which costs
    nothing; skorch's PassthroughScoring averages it over the epoch.
    """

    def on_batch_end(self, net, batch=None, training=None, y_pred=None, **kwargs):
        """Compare the largest logit with the label's column."""
        right = (y_pred.argmax(dim=1) == batch[1].to(y_pred.device)).sum().item()
        net.history.record_batch("train_acc" if training else "valid_acc", right / len(y_pred))


class OneCycle(Callback):
    """Learning rate that rises to the classifier's `lr` and falls to zero, batch by batch.

    A parameter group with an `lr` of its own (``optimizer__param_groups``) rises to that.

    Both parts are half cosines, as in the one-cycle policy [1]_ of torch's OneCycleLR; but the peak
    is the parameter `lr` and the length is `max_epochs`, so a search over `lr`, `batch_size` or
    `max_epochs` needs to change nothing here.

    Parameters
    ----------
    warmup : float, default=0.25
        Share of the training in which the rate rises, in (0, 1).
    start : float, default=0.04
        First rate as a share of the peak.

    References
    ----------
    .. [1] Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
       Learning Rates", 2018. https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> from fmcam.classifiers import OneCycle
    >>> [round(OneCycle().factor(progress), 2) for progress in (0, 0.25, 0.625, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """

    def __init__(self, warmup: float = 0.25, start: float = 0.04) -> None:
        self.warmup = warmup
        self.start = start

    def factor(self, progress: float) -> float:
        """The learning rate at one moment of the training.

        Parameters
        ----------
        progress : float
            Share of the training that is done, in [0, 1].

        Returns
        -------
        float
            As a share of the peak, in [0, 1].
        """
        if progress < self.warmup:
            rise = (1 - math.cos(math.pi * progress / self.warmup)) / 2
            return self.start + (1 - self.start) * rise
        fall = (progress - self.warmup) / (1 - self.warmup)
        return (1 + math.cos(math.pi * min(fall, 1))) / 2

    def on_train_begin(self, net, **kwargs):
        """Start a cycle."""
        self.first_epoch_ = len(net.history)
        (groups,), _ = net.get_params_for_optimizer("optimizer", net.get_all_learnable_params())
        self.own_peaks_ = [group.get("lr") for group in groups]

    def on_epoch_begin(self, net, **kwargs):
        """Count the batches of the epoch from zero."""
        if net.n_batches_ is None:
            raise ValueError(
                "OneCycle needs to know how many batches an epoch has, but the data set has no "
                "length. Use a schedule that steps by epoch, such as skorch's LRScheduler."
            )
        self.batch_ = 0

    def on_batch_begin(self, net, training=None, **kwargs):
        """Set the rate of every parameter group."""
        if not training:
            return
        epochs = len(net.history) - 1 - self.first_epoch_ + self.batch_ / net.n_batches_
        factor = self.factor(epochs / net.max_epochs)
        for group, peak in zip(net.optimizer_.param_groups, self.own_peaks_, strict=True):
            group["lr"] = factor * (net.lr if peak is None else peak)
        self.batch_ += 1

    def on_epoch_end(self, net, **kwargs):
        """Note the rate of the epoch's last batch in the history."""
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


class GrowingSize(Callback):
    """Small training images in the first epochs, larger ones later [1]_: early epochs are cheap.

    The side of the classifier's :class:`RandomResizedCrop` starts at `first` and grows in steps of
    32 pixels, the stride of a ResNet's last maps, to the crop's own `size`. The parameter `augment`
    stays as it is.

    Parameters
    ----------
    first : int
        Side in the first epoch, in pixels; a multiple of 32, as must be the crop's `size`.
    until : float, default=0.6
        Share of the training, in (0, 1], after which the full size is reached. The steps before
        take equally long.

    References
    ----------
    .. [1] Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, section 4.
       https://arxiv.org/abs/2104.00298

    Examples
    --------
    >>> from fmcam.classifiers import GrowingSize
    >>> [GrowingSize(64).size(progress, last=128) for progress in (0, 0.29, 0.3, 0.6, 1)]
    [64, 64, 96, 128, 128]
    """

    def __init__(self, first: int, until: float = 0.6) -> None:
        self.first = first
        self.until = until

    def size(self, progress: float, last: int) -> int:
        """The side of the images at one moment of the training.

        Parameters
        ----------
        progress : float
            Share of the training that is done, in [0, 1].
        last : int
            Side at the end, in pixels.

        Returns
        -------
        int
            In pixels.
        """
        steps = (last - self.first) // _STRIDE
        return self.first + _STRIDE * min(int(steps * progress / self.until), steps)

    def on_train_begin(self, net, **kwargs):
        """Check the sizes."""
        last = getattr(net.augment, "size", None)
        if last is None:
            raise ValueError(
                "GrowingSize needs an `augment` with a `size`, such as RandomResizedCrop(128), got "
                f"{net.augment!r}."
            )
        if self.first % _STRIDE or last % _STRIDE or not 0 < self.first <= last:
            raise ValueError(
                f"`first` and the size of `augment` must be multiples of {_STRIDE}, the former not "
                f"the larger, got {self.first} and {last}."
            )
        self.first_epoch_ = len(net.history)

    def on_epoch_begin(self, net, **kwargs):
        """Set the side of the epoch's images."""
        progress = (len(net.history) - 1 - self.first_epoch_) / net.max_epochs
        size = self.size(progress, net.augment.size)
        net.augment_ = clone(net.augment).set_params(size=size)
        net.history.record("size", size)


class Frozen(Callback):
    """Keep parts of the network as they are while the rest is trained.

    Their weights take no gradient, and batch normalization among them stays in evaluation mode, so
    that its running statistics do not move either. After the training they are trainable again.

    Parameters
    ----------
    patterns : str or list of str
        Names of parameters of the network, with wildcards as in ``optimizer__param_groups``, such
        as ``"features.*"``; an empty list freezes nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.classifiers import Frozen, LeNet5Classifier
    >>> from fmcam.models import LeNet5
    >>> net, X = LeNet5(n_classes=2), np.zeros((4, 28, 28), dtype=np.uint8)
    >>> clf = LeNet5Classifier(net, max_epochs=1, callbacks=[Frozen("features.*")])
    >>> trained = clf.fit(X, [0, 0, 1, 1]).module_.net
    >>> bool((trained.features[0].weight == net.features[0].weight).all())
    True
    >>> bool((trained.head[-1].weight == net.head[-1].weight).all())
    False
    """

    def __init__(self, patterns: str | Sequence[str]) -> None:
        self.patterns = patterns

    def on_train_begin(self, net, **kwargs):
        """Freeze the parameters; ValueError for a pattern that none has."""
        parameters = dict(net.module_.net.named_parameters())
        matched = check_patterns(self.patterns, list(parameters), "patterns")
        self.frozen_ = [name for name in parameters if name in matched]
        self.frozen_ = [name for name in self.frozen_ if parameters[name].requires_grad]
        _let_train(net, self.frozen_, False)
        self.still_ = [name for name, part in net.module_.net.named_modules() if _is_still(part)]

    def on_batch_begin(self, net, training=None, **kwargs):
        """Put frozen batch normalization in evaluation mode."""
        if training:
            for name in self.still_:
                net.module_.net.get_submodule(name).eval()

    def on_train_end(self, net, **kwargs):
        """Let the frozen parameters be trained again."""
        _let_train(net, self.frozen_, True)


def _let_train(net, names, trainable):
    for name in names:
        net.module_.net.get_parameter(name).requires_grad_(trainable)


def _is_still(part):
    weights = list(part.parameters(recurse=False))
    has_statistics = getattr(part, "running_mean", None) is not None
    return has_statistics and weights and not any(weight.requires_grad for weight in weights)


def print_on_terminal(text):
    """Print where a person is watching: on a terminal, and not from a worker process."""
    if sys.stdout.isatty() and multiprocessing.parent_process() is None:
        print(text)
