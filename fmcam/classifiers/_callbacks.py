"""skorch callbacks that every classifier carries."""

import math
import multiprocessing
import sys

from skorch.callbacks import Callback

__all__ = ["BatchAccuracy", "OneCycle", "print_on_terminal"]


class BatchAccuracy(Callback):
    """Record the share of right predictions in each batch as `train_acc` or `valid_acc`.

    In training it is the accuracy on the augmented images while the weights move, which costs
    nothing; skorch's PassthroughScoring averages it over the epoch.
    """

    def on_batch_end(self, net, batch=None, training=None, y_pred=None, **kwargs):
        """Compare the largest logit with the label's column."""
        accuracy = (y_pred.argmax(dim=1) == batch[1].to(y_pred.device)).float().mean()
        net.history.record_batch("train_acc" if training else "valid_acc", accuracy.item())


class OneCycle(Callback):
    """Learning rate that rises to the classifier's `lr` and falls to zero, batch by batch.

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

    def __init__(self, warmup=0.25, start=0.04):
        self.warmup = warmup
        self.start = start

    def factor(self, progress):
        """Share of the peak rate after a share `progress` of the training."""
        if progress < self.warmup:
            rise = (1 - math.cos(math.pi * progress / self.warmup)) / 2
            return self.start + (1 - self.start) * rise
        fall = (progress - self.warmup) / (1 - self.warmup)
        return (1 + math.cos(math.pi * min(fall, 1))) / 2

    def on_train_begin(self, net, **kwargs):
        """Start a cycle."""
        self.epochs_done_ = 0

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
        progress = (self.epochs_done_ + self.batch_ / net.n_batches_) / net.max_epochs
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * self.factor(progress)
        self.batch_ += 1

    def on_epoch_end(self, net, **kwargs):
        """Note the rate of the epoch's last batch in the history."""
        self.epochs_done_ += 1
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


def print_on_terminal(text):
    """Print where a person is watching: on a terminal, and not from a worker process."""
    if sys.stdout.isatty() and multiprocessing.parent_process() is None:
        print(text)
