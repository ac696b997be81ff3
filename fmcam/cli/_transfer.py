"""A ResNet-18 that learned elsewhere learns other classes: its head first, then all of it."""

from dataclasses import asdict, dataclass, fields

import torch
from sklearn.model_selection import PredefinedSplit
from skorch.callbacks import TrainEndCheckpoint
from skorch.dataset import ValidSplit

import fmcam
from fmcam._hashing import digest_of, hash_of
from fmcam._weight_files import write_torch_file
from fmcam.classifiers import Frozen, Resumable, load_classifier, save_classifier
from fmcam.cli._networks import load_weights
from fmcam.cli._pipeline import make_classifier
from fmcam.cli._settings import TransferSettings
from fmcam.models import ResNet18, list_weights

__all__ = ["Transfer", "best_epoch", "starting_weights"]


_TWO_STAGES = {
    "scheduler": "reduce-on-plateau",
    "weight_decay": 1e-4,
    "label_smoothing": 0.05,
    "head_epochs": 3,
    "patience": 6,
}
_PLAIN = {"scheduler": "none", "weight_decay": 0.0, "label_smoothing": 0.0, "head_epochs": 0}


@dataclass(frozen=True, kw_only=True)
class Transfer(TransferSettings):
    """A training; the fields are those of a script's configuration.

    By default in two stages. In the first one the convolutions stay as they are. In the second one
    they learn at a tenth of the head's rate, until the loss on the images held out has not fallen
    for `patience` epochs. Random weights (None) learn in the second stage alone, all at the same
    rate. With an `optimizer` all weights learn at one rate, `epochs` long. In each case the weights
    of the lowest loss on the images held out are kept, and the last ones beside them.
    """

    weights: str | None
    image_size: int

    @classmethod
    def of(cls, config, weights):
        """The training that a configuration asks for, from `weights` of `starting_weights`."""
        given = {field.name: getattr(config, field.name) for field in fields(cls)}
        usual = _TWO_STAGES if config.optimizer is None else _PLAIN
        unset = {name: value for name, value in usual.items() if given[name] is None}
        return cls(**given | unset | {"weights": weights})

    def fit(self, X, y, held_out, folder):
        """Train, or go on with a training, or read a finished one.

        Parameters
        ----------
        X : ndarray of shape (n, 3, h, w), uint8
        y : ndarray of shape (n,)
        held_out : ndarray of shape (n,), bool
            Whether to hold an image out to choose the epoch by.
        folder : Path
            Of what is kept.

        Returns
        -------
        clf, last : ResNet18Classifier
            With the weights of the lowest loss on the images held out, and with the last ones.
        history : list of dict
            One row an epoch, with its `stage`, "head" or "all".
        """
        stages, changes = {}, {}
        if self.weights is not None and self.head_epochs:
            stages["head"], _ = self._stage(
                *("head", X, y, held_out, folder),
                frozen="features.*",
                epochs=self.head_epochs,
                patience=None,
            )
            changes["weights"] = _state_dict_file(stages["head"], folder)
        if self.weights is not None and self.optimizer is None:
            changes["lr"] = self.lr / 10
            changes["param_groups"] = [("head.*", {"lr": self.lr})]
        # Patience that lasts for all epochs: in the end the best one's weights are taken.
        patience = self.epochs if self.patience is None else self.patience
        stages["all"], last = self._stage(
            "all", X, y, held_out, folder, patience=patience, **changes
        )
        rows = [{**row, "stage": name} for name, clf in stages.items() for row in clf.history]
        history = [{**row, "epoch": number} for number, row in enumerate(rows, start=1)]
        return stages["all"], last, history

    def _stage(self, name, X, y, held_out, folder, *, frozen=None, param_groups=None, **changes):
        stem = f"{name}-{self._digest(y, held_out)}"
        finished, unfinished = folder / f"{stem}.safetensors", folder / f"{stem}.unfinished"
        last = f"{stem}-last.pt"
        if not finished.exists():
            clf = self._classifier(held_out, changes)
            if param_groups:
                clf.set_params(optimizer__param_groups=param_groups)
            if frozen:
                clf.callbacks.append(("frozen", Frozen(frozen)))
            clf.callbacks.append(("resumable", Resumable(unfinished)))
            clf.callbacks.insert(0, ("last", _last_weights(folder, last)))  # before the best ones
            save_classifier(clf.fit(X, y), finished)
            unfinished.unlink(missing_ok=True)
        return load_classifier(finished), _with_weights(load_classifier(finished), folder / last)

    def _classifier(self, held_out, changes):
        settings = asdict(self) | {"optimizer": self.optimizer or "adam"} | changes
        settings["smoothing"] = settings.pop("label_smoothing")
        del settings["head_epochs"]
        clf = make_classifier("resnet18", val_size=int(held_out.sum()), **settings)
        return clf.set_params(train_split=ValidSplit(PredefinedSplit(held_out.astype(int) - 1)))

    def _digest(self, y, held_out):
        known = [asdict(self), hash_of((y, held_out)), fmcam.__version__, torch.__version__]
        return digest_of(known)[:8]


def best_epoch(history):
    """The epoch whose weights a training has kept: that of the lowest validation loss."""
    return min(
        (row for row in history if row["stage"] == "all"), key=lambda row: row["valid_loss"]
    )["epoch"]


def starting_weights(weights, folder):
    """What `Transfer` starts from: None, a name of torchvision's, or a state dict file in `folder`.

    A file may be anything that `load_classifier` reads as a ResNet-18.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if weights is None or weights in list_weights("resnet18"):
        return weights
    try:
        return _state_dict_file(load_weights(weights, ResNet18), folder)
    except ValueError as error:
        raise SystemExit(f"--weights: {error}") from error


def _last_weights(folder, file):
    others = dict.fromkeys(["f_optimizer", "f_criterion", "f_history"])
    return TrainEndCheckpoint(file, **others, fn_prefix="", dirname=str(folder))


def _with_weights(clf, file):
    clf.module_.load_state_dict(torch.load(file, map_location=clf.device, weights_only=True))
    return clf


def _state_dict_file(clf, folder):
    """A file named after its content, so that other weights are another training."""
    weights = {name: tensor.cpu() for name, tensor in clf.module_.net.state_dict().items()}
    path = folder / f"weights-{hash_of(weights)[:8]}.pt"
    write_torch_file(weights, path)
    return str(path)
