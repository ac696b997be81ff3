"""The one pipeline that every network trained from the command line goes through."""

from dataclasses import asdict, dataclass
from typing import Any

import joblib
import torch
from sklearn.model_selection import StratifiedShuffleSplit
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit

import fmcam
from fmcam._hashing import digest_of
from fmcam._parallel import torch_threads, trouble_told, workers
from fmcam._progress import ProgressBar
from fmcam.classifiers import (
    CNNClassifier,
    FlipAndShift,
    GrowingSize,
    OneCycle,
    RandomResizedCrop,
    Resumable,
    load_classifier,
    measure_cost,
    save_classifier,
)
from fmcam.models import get_model_builder
from fmcam.report import overall_frame

__all__ = ["BASELINE", "Fit", "crop_size", "make_classifier", "score", "train"]

BASELINE = {"lr": 0.01, "batch_size": 128, "weight_decay": 0.0}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "optimizer__nesterov": True},
    "adam": {"optimizer": torch.optim.Adam},
}


def make_classifier(
    model,
    *,
    lr,
    batch_size,
    weight_decay,
    epochs,
    seed,
    precision="float32",
    smoothing=0.05,
    optimizer="sgd",
    scheduler="one-cycle",
    val_size=0,
    patience=None,
    image_size=None,
    first_size=None,
    color=0.0,
    weights=None,
):
    """A classifier trained as all are: by default one-cycle SGD, shifted images, smoothed labels.

    Gradients are clipped, as without that a high rate now and then ends a training at chance.
    Garments are not mirrored: the shoes of Fashion-MNIST all point one way. With an `image_size`
    the images are photographs: parts of them, mirrored or not, are resized to that, their colours
    changed by up to `color`.
    """
    callbacks = [
        *_schedule(scheduler, epochs, "valid_loss" if val_size else "train_loss"),
        ("clip", GradientNormClipping(1.0)),
    ]
    if first_size is not None:
        callbacks.append(("growing", GrowingSize(first_size)))
    if patience is not None:
        callbacks.append(("early", EarlyStopping(patience=patience, load_best=True, sink=_silent)))
    return CNNClassifier(
        get_model_builder(model),
        **OPTIMIZERS[optimizer],
        optimizer__weight_decay=weight_decay,
        lr=lr,
        batch_size=batch_size,
        max_epochs=epochs,
        criterion__label_smoothing=smoothing,
        augment=(
            RandomResizedCrop(image_size, color=color)
            if image_size
            else FlipAndShift(1, flip=False)
        ),
        train_split=_held_out(val_size, seed),
        callbacks=callbacks,
        precision=precision,
        random_state=seed,
        **({} if weights is None else {"module__weights": weights}),
    )


def crop_size(data):
    """The side of the crops to train on by default: the images', where they are photographs."""
    _, channels, height, _ = data.images.shape
    return height if channels == 3 else None


def _schedule(name, epochs, monitor):
    if name == "none":
        return []
    if name == "one-cycle":
        return [("one_cycle", OneCycle())]
    if name == "cosine":
        return [("cosine", LRScheduler("CosineAnnealingLR", T_max=epochs))]
    return [("plateau", LRScheduler("ReduceLROnPlateau", monitor=monitor, patience=2))]


def _held_out(val_size, seed):
    if val_size == 0:
        return None
    return ValidSplit(
        StratifiedShuffleSplit(1, test_size=val_size, random_state=seed), stratified=True
    )


def _silent(*_):
    """Nothing: EarlyStopping would print, also into a pipe."""


class BatchLog(Callback):
    """Print the loss after every few batches and the numbers of each epoch, also into a file."""

    def __init__(self, every):
        self.every = every

    def on_batch_end(self, net, training=None, **kwargs):
        """Print the mean loss since the last line, if it is time for one."""
        batches = net.history[-1, "batches"]
        if training and len(batches) % self.every == 0:
            loss = sum(batch["train_loss"] for batch in batches[-self.every :]) / self.every
            place = f"epoch {len(net.history)}/{net.max_epochs}"
            batch = f"batch {len(batches)}/{net.n_batches_}"
            print(f"{place}, {batch}: train_loss {loss:.4f}", flush=True)

    def on_epoch_end(self, net, **kwargs):
        """Print the epoch's numbers."""
        row = net.history[-1]
        known = ("train_loss", "train_acc", "valid_loss", "valid_acc", "lr", "size", "dur")
        numbers = ", ".join(f"{name} {row[name]:.4g}" for name in known if name in row)
        print(f"epoch {len(net.history)}/{net.max_epochs}: {numbers}", flush=True)


@dataclass(frozen=True)
class Fit:
    """One training: a name for tables, a data set, and the arguments of `make_classifier`."""

    name: str
    dataset: str
    model: str
    lr: float
    batch_size: int
    weight_decay: float
    epochs: int
    seed: int
    precision: str = "float32"
    smoothing: float = 0.05
    optimizer: str = "sgd"
    scheduler: str = "one-cycle"
    val_size: int = 0
    patience: int | None = None
    image_size: int | None = None
    first_size: int | None = None
    color: float = 0.0
    weights: str | None = None

    def classifier(self):
        """The classifier, not yet fitted."""
        settings = asdict(self)
        del settings["name"], settings["dataset"]
        return make_classifier(settings.pop("model"), **settings)

    def file(self, folder):
        """Where its checkpoint is kept; other settings, data or versions, another file."""
        known = [asdict(self), fmcam.__version__, torch.__version__]
        digest = digest_of(known)[:8]
        slug = self.name.lower().replace(" ", "-")
        return folder / f"{slug}-seed{self.seed}-{digest}.safetensors"

    def state_file(self, folder):
        """Where the state of an unfinished training is kept."""
        return self.file(folder).with_suffix(".unfinished")

    def forget(self, folder):
        """Delete its files."""
        for path in (self.file(folder), self.state_file(folder)):
            path.unlink(missing_ok=True)


def train(fits, data, folder, jobs, *, save_every=None, log_every=None):
    """Classifiers fitted on `data`, one for each of `fits`; checkpoints in `folder` are read.

    Each runs in a process of its own on one thread, so the number of jobs changes no result; one
    that is alone runs here on all threads. With `save_every` its state is kept after that many
    epochs, and it goes on from there. With `log_every` a line is printed after that many batches.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [fit for fit in fits if not fit.file(folder).exists()]
    threads = torch.get_num_threads() if len(fits) == 1 else 1
    tasks = (
        joblib.delayed(_fit_and_save)(fit, data, folder, threads, save_every, log_every)
        for fit in missing
    )
    with (
        trouble_told(f"Finished fits are kept in {folder}, and --resume goes on."),
        joblib.parallel_config("loky", n_jobs=min(jobs, len(fits)), inner_max_num_threads=1),
    ):
        done = workers(None)(tasks)
        kept = len(fits) - len(missing)
        for _ in ProgressBar(done, initial=kept, total=len(fits), unit="fit"):
            pass
    return [load_classifier(fit.file(folder)) for fit in fits]


def _fit_and_save(fit, data, folder, threads, save_every, log_every):
    state_file = fit.state_file(folder)
    clf = fit.classifier()
    if log_every:
        clf.set_params(callbacks__print_log=BatchLog(log_every))
    if save_every:
        clf.callbacks.append(("resumable", Resumable(state_file, save_every)))
    with torch_threads(threads):
        clf.fit(data.images, data.target)
    seconds = sum(clf.history[:, "dur"])  # also those before a stop
    save_classifier(
        clf,
        fit.file(folder),
        class_names=[data.target_names[label] for label in clf.classes_],
        dataset=fit.dataset,
        metrics={"fit_time": seconds},
    )
    state_file.unlink(missing_ok=True)


def score(clf, X, y):
    """A row of numbers about a fitted classifier on test images, and its probabilities."""
    y_proba = clf.predict_proba(X)
    cost = measure_cost(clf, X)
    extra = {**cost, "fit_time": clf.checkpoint_["metrics"]["fit_time"]}
    return overall_frame(y, y_proba, clf.classes_, extra=extra), y_proba
