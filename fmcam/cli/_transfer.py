"""A ResNet-18 that learned elsewhere learns other classes: its head first, then all of it."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from sklearn.model_selection import PredefinedSplit
from skorch.dataset import ValidSplit
from torchvision.models import ResNet18_Weights

import fmcam
from fmcam._files import replacing
from fmcam._hashing import digest_of, hash_of
from fmcam.classifiers import Frozen, Resumable, load_classifier, save_classifier
from fmcam.cli._pipeline import make_classifier
from fmcam.cli._settings import TransferSettings
from fmcam.models import ResNet18

__all__ = ["Transfer", "best_epoch", "save_torch", "starting_weights"]


@dataclass(frozen=True, kw_only=True)
class Transfer(TransferSettings):
    """A training in two stages; the fields are those of a script's configuration.

    In the first one the convolutions stay as they are. In the second one they learn at a tenth of
    the head's rate, until the loss on the images held out has not fallen for `patience` epochs; the
    weights of the lowest loss are kept. Random weights (None) learn in the second stage alone, all
    at the same rate.
    """

    weights: str | None
    image_size: int

    @classmethod
    def of(cls, config, weights):
        """The training that a configuration asks for, from `weights` of `starting_weights`."""
        given = {field.name: getattr(config, field.name) for field in fields(cls)}
        return cls(**given | {"weights": weights})

    def fit(self, X, y, held_out, folder):
        """Train, or go on with a training, or read a finished one.

        Parameters
        ----------
        X : ndarray of shape (n, 3, h, w), uint8
        y : ndarray of shape (n,)
        held_out : ndarray of shape (n,), bool
            Whether to hold an image out for early stopping.
        folder : Path
            Of what is kept.

        Returns
        -------
        clf : ResNet18Classifier
        history : list of dict
            One row an epoch, with its `stage`, "head" or "all".
        """
        stages, changes = {}, {}
        if self.weights is not None:
            stages["head"] = self._stage(
                *("head", X, y, held_out, folder),
                frozen="features.*",
                epochs=self.head_epochs,
                patience=None,
            )
            changes = {
                "lr": self.lr / 10,
                "param_groups": [("head.*", {"lr": self.lr})],
                "weights": _state_dict_file(stages["head"], folder),
            }
        stages["all"] = self._stage("all", X, y, held_out, folder, **changes)
        rows = [{**row, "stage": name} for name, clf in stages.items() for row in clf.history]
        history = [{**row, "epoch": number} for number, row in enumerate(rows, start=1)]
        return stages["all"], history

    def _stage(self, name, X, y, held_out, folder, *, frozen=None, param_groups=None, **changes):
        stem = f"{name}-{self._digest(y, held_out)}"
        finished, unfinished = folder / f"{stem}.safetensors", folder / f"{stem}.unfinished"
        if not finished.exists():
            settings = asdict(self) | changes
            del settings["head_epochs"]
            clf = make_classifier(
                "resnet18",
                optimizer="adam",
                scheduler="reduce-on-plateau",
                val_size=int(held_out.sum()),
                **settings,
            )
            clf.set_params(train_split=ValidSplit(PredefinedSplit(held_out.astype(int) - 1)))
            if param_groups:
                clf.set_params(optimizer__param_groups=param_groups)
            if frozen:
                clf.callbacks.append(("frozen", Frozen(frozen)))
            clf.callbacks.append(("resumable", Resumable(unfinished)))
            save_classifier(clf.fit(X, y), finished)
            unfinished.unlink(missing_ok=True)
        return load_classifier(finished)

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
    names = list(ResNet18_Weights.__members__)
    if weights is None or weights in names:
        return weights
    if not Path(weights).is_file():
        raise SystemExit(f"--weights must be a file or one of {names}, got {weights!r}.")
    try:
        return _state_dict_file(load_classifier(weights, module=ResNet18), folder)
    except ValueError as error:
        raise SystemExit(f"--weights: {error}") from error


def _state_dict_file(clf, folder):
    """A file named after its content, so that other weights are another training."""
    weights = {name: tensor.cpu() for name, tensor in clf.module_.net.state_dict().items()}
    path = folder / f"weights-{hash_of(weights)[:8]}.pt"
    save_torch(weights, path)
    return str(path)


def save_torch(content, path):
    """Write a torch file of plain data, beside and renamed."""
    with replacing(path) as beside:
        torch.save(content, beside)
