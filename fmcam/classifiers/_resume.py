"""Trainings that go on where they were killed."""

import inspect
import io
import numbers
import tempfile
import zipfile
from pathlib import Path, PurePath

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback, PrintLog
from torch import nn

from fmcam._hashing import hash_of
from fmcam._random_state import generator_states, set_generator_states
from fmcam._typing import FilePath
from fmcam._weight_files import write_torch_file

__all__ = ["Resumable"]

_PARTS = {*("settings", "weights", "frozen", "optimizer", "history", "callbacks", "generators")}


class Resumable(Callback):
    """Keep the state of a training in a file, and go on from it where ``fit`` finds one.

    The weights, the optimizer, the history, the other callbacks and the generators of random
    numbers are written after every few epochs. A ``fit`` with the same settings and data goes on
    after the last of them and ends bit for bit as one that was never stopped; after a finished
    training it gives the same classifier at once. A file of other settings, images or labels is
    refused. The file is read as plain tensors, numbers and texts: nothing in it is ever run.
    ``fit(X, y, epochs=3)`` pauses a training after three epochs.

    It must be the last of the classifier's `callbacks`. ``partial_fit`` and warm starts of a
    trained network pass it by.

    Parameters
    ----------
    path : str or path
        Written beside and renamed, so a file that is there is whole. Its folder is made if need be.
    every : int, default=1
        Epochs from one writing to the next; the last epoch is always written.

    Notes
    -----
    Of another callback the attributes that end in an underscore are kept, as far as they are
    numbers, texts, tensors or containers of these, or have a `state_dict`, as the schedules of
    torch. Of a Dataset or DataLoader only length and labels are compared, and generators of its
    own are not kept. Bits also depend on the number of threads and the version of torch.
    A training that `EarlyStopping` ended repeats its last epoch when it is fitted again.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fmcam.classifiers import OneCycle, Resumable, SimpleCNNClassifier
    >>> X = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    >>> y = np.repeat([0, 1], 10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf = SimpleCNNClassifier(
    ...         callbacks=[OneCycle(), Resumable(f"{folder}/training.pt")], random_state=0
    ...     )
    ...     again = clf.fit(X, y).history[:, "train_loss"]
    ...     again == clf.fit(X, y).history[:, "train_loss"]
    True
    """

    def __init__(self, path: FilePath, every: int = 1) -> None:
        self.path = path
        self.every = every

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Read the file if there is one; ValueError if it is of another training or damaged."""
        self.settings_ = None
        if net.history:
            return
        self.check(net)
        self.settings_ = {**_settings(net), **_data(net, X, y)}
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
        if path.exists():
            state = _read(path)
            _check_same(path, state["settings"], self.settings_)
            _restore(path, net, state)

    def on_epoch_end(self, net, **kwargs):
        """Write the file."""
        done = len(net.history)
        if self.settings_ is None or (done % self.every and done < net._last_epoch):
            return
        kept = "Nothing of the training is kept."
        if Path(self.path).exists():
            kept = "It holds the state that was last written, from which the same `fit` goes on."
        write_torch_file({"settings": self.settings_, **_state(net)}, self.path, kept=kept)

    def epochs_kept(self) -> int:
        """How far the training in the file is.

        Returns
        -------
        int
            Its epochs; 0 if there is no file, or none that holds a training.
        """
        try:
            return len(_read(Path(self.path))["history"])
        except (FileNotFoundError, TypeError, ValueError):
            return 0

    def check(self, net: NeuralNet) -> None:
        """Raise ValueError for a classifier whose training cannot be resumed.

        Parameters
        ----------
        net : CNNClassifier
            With its `callbacks_`, as after ``initialize_callbacks``.

        Raises
        ------
        ValueError
            If its numbers are not drawn from an integer, its rows not held out alike again, or
            other callbacks come after this one.
        """
        if not isinstance(net.random_state, numbers.Integral):
            raise ValueError(
                "Resumable needs an integer as the classifier's `random_state`, as a training "
                f"cannot be repeated otherwise; got {net.random_state!r}."
            )
        split = net.train_split
        if isinstance(getattr(split, "cv", None), float) and split.random_state is None:
            raise ValueError(
                "Resumable needs a `train_split` that gives the same rows again. "
                "Pass its `random_state`."
            )
        if not isinstance(self.every, numbers.Integral) or self.every < 1:
            raise ValueError(f"`every` must be a whole number of epochs, got {self.every!r}.")
        *_, last = (part for name, part in net.callbacks_ if not _only_prints(name, part))
        if last is not self:
            raise ValueError(
                "Resumable must be the last of `callbacks`, as it keeps what the others learn in "
                f"an epoch; {type(last).__name__} comes after it."
            )


def _only_prints(name, callback):
    return name == "print_log" or isinstance(callback, PrintLog)


# What makes a training the same -------------------------------------------------------------------


def _settings(net):
    """Each parameter that has a part in the result, as a text that lasts over processes."""
    without = [
        f"callbacks__{name}"
        for name, part in net.callbacks_
        if _only_prints(name, part) or isinstance(part, Resumable)
    ]
    prefixes = tuple(f"{name}__" for name in without)
    return {
        name: _described(value)
        for name, value in net.get_params().items()
        if name not in ("device", "verbose", "callbacks", *without)
        and not name.startswith(prefixes)
    }


def _data(net, X, y):
    if isinstance(X, np.ndarray):
        images = f"{X.dtype} {X.shape} {hash_of(X)}"
        labels = hash_of(y)
    else:
        images = f"{type(X).__name__} of {len(X) if hasattr(X, '__len__') else 'unknown'} length"
        labels = ""
    weights = "" if net._row_weights is None else hash_of(net._row_weights)
    return {"X": images, "y": f"{net.classes_.tolist()} {labels}", "sample_weight": weights}


def _described(value):
    if isinstance(value, str | numbers.Number | nn.Module | PurePath | None):
        return repr(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"{type(value).__name__} {hash_of(value)}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_described, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_described(part)}' for key, part in value.items())}}}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Callback | BaseEstimator):  # its parameters stand beside it
        return type(value).__qualname__
    options = {name: part for name, part in vars(value).items() if not name.endswith("_")}
    return f"{type(value).__qualname__} {_described(options)}"


def _check_same(path, before, now):
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise ValueError(
                f"{path} holds the state of another training: there {name} is {before.get(name)}, "
                f"here {now.get(name)}. Delete it to start again, or name another file."
            )


# The state ----------------------------------------------------------------------------------------


def _state(net):
    return {
        "weights": net.module_.state_dict(),
        "frozen": [n for n, p in net.module_.named_parameters() if not p.requires_grad],
        "optimizer": net.optimizer_.state_dict(),
        "history": [_storable_items(row) for row in net.history],
        "callbacks": {name: _callback_state(callback) for name, callback in net.callbacks_},
        "generators": generator_states(net._generator, net.device),
    }


def _callback_state(callback):
    if isinstance(callback, Resumable):
        return {}
    learned = {n: v for n, v in vars(callback).items() if n.endswith("_") and n[0] != "_"}
    return _storable_items(learned)


def _storable_items(mapping):
    items = {}
    for name, value in mapping.items():
        try:
            items[name] = _storable(value)
        except TypeError:  # made anew by the next fit
            continue
    return items


def _storable(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return type(value)(map(_storable, value))
    if isinstance(value, dict):
        return {name: _storable(part) for name, part in value.items()}
    if isinstance(value, str | int | float | torch.Tensor | None):
        return value
    if hasattr(value, "state_dict") and not inspect.isclass(value):
        return _storable_items(value.state_dict())
    raise TypeError(f"{type(value).__name__} is not kept.")


def _read(path):
    content = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(content) as archive:  # torch does not look at the checksums in it
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"The checksum of {damaged} is wrong.")
        content.seek(0)
        state = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a foreign or damaged file
        raise _damaged(path, error) from error
    if not isinstance(state, dict) or state.keys() != _PARTS:
        raise _damaged(path, "It holds other entries.")
    if not isinstance(state["settings"], dict):
        raise _damaged(path, "Its settings are not a mapping.")
    return state


def _restore(path, net, state):
    try:
        net.module_.load_state_dict(state["weights"])
        for name, parameter in net.module_.named_parameters():
            parameter.requires_grad_(name not in state["frozen"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history.extend(state["history"])
        for name, callback in net.callbacks_:
            _restore_callback(callback, state["callbacks"][name])
        set_generator_states(state["generators"], net._generator, net.device)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _restore_callback(callback, values):
    for name, value in values.items():
        if not name.endswith("_") or name.startswith("_"):
            raise ValueError(f"{name} is not an attribute that a callback learns.")
        load = getattr(getattr(callback, name, None), "load_state_dict", None)
        if load is None:
            setattr(callback, name, value)
        else:
            load(value)


def _damaged(path, error):
    return ValueError(
        f"{path} is not the state of a training, or it is damaged. Nothing in it was run. Delete "
        f"it to start again. ({str(error).splitlines()[0][:200]})"
    )
