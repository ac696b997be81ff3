"""Files of weights, read without running code: safetensors and torch files of plain values."""

import io
import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from fmcam._files import replacing

__all__ = ["read_weight_file", "write_torch_file"]

_FOREIGN = (
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file with `git lfs pull`"),
    (b"<", "a web page: the download failed"),
    (b"\x1f\x8b", "compressed: unpack it with gunzip or tar"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GGUF", "a GGUF file"),
)
_FOREIGN_ZIPS = (
    ("constants.pkl", "a TorchScript archive, which holds code"),
    (".npy", "a NumPy archive"),
    ("config.json", "a Keras archive"),
)
_MOST_UNPACKED = 10  # times the size of the file; torch does not compress
_LONGEST_NAME = 1000
_MOST_VALUES = 10**7
_NEEDED = "Needed is a safetensors file, or a state dict saved with `torch.save`."


def write_torch_file(content, path, *, kept=None):
    """Write a torch file of plain values, beside and renamed; `kept` as for `replacing`."""
    file = io.BytesIO()  # written at once: torch tells of a full disk in words of its own
    torch.save(content, file)
    with replacing(path, kept=kept) as beside:
        beside.write_bytes(file.getbuffer())


def read_weight_file(path):
    """What a file of weights holds.

    Nothing in the file is run. Beside tensors and Python's own values, torch files may hold NumPy's
    numbers, texts and arrays of them, as training scripts keep accuracies, and the arguments of a
    script: a Namespace of argparse comes as a dict, a path of pathlib as a str.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    content : object
        For a safetensors file a dict of tensors, on the CPU.
    metadata : dict of str to str
        That of a safetensors file.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file of another kind, damaged, or with objects that could run code.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder. Name the file of weights in it.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with path.open("rb") as file:
        start = file.read(32)
    kind = _foreign_kind(path, start)
    if kind is not None:
        raise ValueError(f"{path} is {kind}. {_NEEDED}")
    if start[8:9] == b"{":
        content, metadata = _read_safetensors(path)
    else:
        content, metadata = _read_torch_file(path), {}
    wrong = next(_wrong_tensors(content), None)
    if wrong is not None:
        raise ValueError(f"{path}: {wrong}. {_NEEDED}")
    return content, metadata


def _foreign_kind(path, start):
    """What a file is, by its first bytes, where it can hold no weights."""
    if not start:
        return "empty"
    found = [kind for magic, kind in _FOREIGN if start.lstrip().startswith(magic)]
    if found or not start.startswith(b"PK"):
        return next(iter(found), None)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "cut off or damaged"
    if unpacked > _MOST_UNPACKED * path.stat().st_size:
        return f"a zip archive that unpacks to {unpacked:,} bytes"
    found = [kind for end, kind in _FOREIGN_ZIPS if any(name.endswith(end) for name in names)]
    if not found and not any(name.endswith("data.pkl") for name in names):
        return "a zip archive without torch's weights"
    return next(iter(found), None)


def _read_safetensors(path):
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is a safetensors file, cut off or damaged: {error}.") from error


def _read_torch_file(path):
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            content = torch.load(path, map_location="cpu", weights_only=True)
        _check_size(content)
        return _finished(content)
    except _NotReadError as error:
        raise ValueError(f"{path}: {error}. Nothing in it was run. {_NEEDED}") from error
    except Exception as error:  # torch raises many kinds for a foreign or damaged file
        found = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        if found is None:
            raise ValueError(
                f"{path} is no file of weights, or it is damaged. Nothing in it was run. {_NEEDED} "
                f"({type(error).__name__})"
            ) from error
        raise ValueError(
            f"{path} holds a Python object of kind {found[1]}: a whole network that "
            "torch.save(net) wrote, or settings beside weights. Such an object could run code when "
            "it is read. Nothing in it was run. Where the file was made, save plain weights: "
            "torch.save(net.state_dict(), path)."
        ) from error


# What a file claims -------------------------------------------------------------------------------


def _check_size(content):
    """Raise _NotReadError for what holds itself, or far more values than a file has bytes for."""
    sizes: dict[int, int] = {}  # None while a container is being counted

    def count(value):
        if not isinstance(value, dict | list | tuple):
            return 1
        if id(value) not in sizes:
            sizes[id(value)] = 0
            parts = value.values() if isinstance(value, dict) else value
            sizes[id(value)] = 1 + sum(map(count, parts))
        elif not sizes[id(value)]:
            raise _NotReadError("it holds a dictionary or list within itself")
        return sizes[id(value)]

    if count(content) > _MOST_VALUES:
        raise _NotReadError(
            f"its dictionaries and lists repeat each other to over {_MOST_VALUES:,} values"
        )


def _wrong_tensors(content):
    """Yield what is wrong with tensors, where they are not what a file of weights holds."""
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, dict):
            yield from _wrong_tensors(value)
        elif torch.is_tensor(value):
            if isinstance(name, str) and len(name) > _LONGEST_NAME:
                yield f"a tensor has a name of {len(name):,} characters ({name[:40]}...)"
            elif value.layout != torch.strided or value.is_nested or value.is_meta:
                yield f"{name} is not a plain tensor of numbers ({value.layout}, {value.device})"
            elif value.numel() * value.element_size() > max(
                value.untyped_storage().nbytes(), 2**20
            ):
                yield f"{name} claims shape {tuple(value.shape)} for fewer numbers in the file"


# Stand-ins for what pickles call: they make numbers, texts and dictionaries, never objects.


class _NotReadError(ValueError):
    """A value that a file of weights should not hold."""


class _DType:
    def __init__(self, code, *_):
        if not re.fullmatch(r"[biufcSU]\d+", code):
            raise _NotReadError(
                f"NumPy values of type {code!r}, which may be objects, are not read"
            )
        self.code, self.order = code, "="

    def __setstate__(self, state):
        self.order = {"|": "="}.get(state[1], state[1])

    def read(self, data):
        return np.frombuffer(data, np.dtype(self.order + self.code))


class _Array:
    value = None

    def __setstate__(self, state):
        _, shape, dtype, in_columns, data = state
        self.value = dtype.read(data).reshape(shape, order="F" if in_columns else "C").copy()


def _number(dtype, data):
    return dtype.read(data)[0]


def _start_array(*_):
    return _Array()


def _no_bytes():
    return b""


class _Settings:
    values = None

    def __setstate__(self, state):
        self.values = state


def _path(*parts):
    return str(PurePosixPath(*parts))


_STAND_INS: list = [
    (_Settings, "argparse.Namespace"),
    *((_path, f"{module}.PosixPath") for module in ("pathlib", "pathlib._local")),
    (_DType, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    (_no_bytes, "builtins.bytes"),
    *((_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_start_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]


def _finished(content):
    """The content of a file with values in place of their stand-ins."""
    if isinstance(content, _Array):
        return content.value
    if isinstance(content, _Settings):
        return _finished(content.values)
    if isinstance(content, dict):
        for key, value in content.items():
            content[key] = _finished(value)
    elif type(content) in (list, tuple):
        return type(content)(_finished(value) for value in content)
    return content
