"""Results of finished fits on disk, found again by a hash of all that a fit depends on."""

import json
import os
import pickle
import sys
import tempfile
import uuid
from pathlib import Path

from joblib.hashing import NumpyHasher

__all__ = ["hash_of", "read_result", "writable_folder", "write_result"]

_FIELDS = {"test_scores", "n_test_samples", "fit_time", "score_time", "fit_error"}


def write_result(file, result):
    """Write a result beside `file` and rename it; one that failed is not kept."""
    if result["fit_error"] is not None:
        return
    part = file.with_suffix(f".{uuid.uuid4().hex}")
    part.write_text(json.dumps(result, default=float))
    os.replace(part, file)


def read_result(file):
    """Return the result kept in `file`, or None if there is none, or it is damaged or a failure."""
    if file is None:
        return None
    try:
        result = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(result, dict) and result.keys() >= _FIELDS
    return result if whole and result["fit_error"] is None else None


def writable_folder(memory):
    """Return the absolute path of a folder, made if need be; ValueError if it takes no file."""
    try:
        folder = Path(memory).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, TypeError) as error:
        raise ValueError(
            f"`memory` must be a folder that can be written to, got {memory!r} ({error}). Choose "
            "another folder or change its permissions."
        ) from error
    return folder


class _Hasher(NumpyHasher):
    """joblib's hasher, with tensors known by their values: it would see their addresses."""

    def save(self, obj):
        torch = sys.modules.get("torch")
        if torch and isinstance(obj, torch.Tensor):
            values = obj.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            obj = [type(obj), str(obj.dtype), obj.requires_grad, tuple(obj.shape), values]
        super().save(obj)


def hash_of(obj):
    """Return a hash that lasts from one process to the next; ValueError if there is none."""
    try:
        return _Hasher("md5", coerce_mmap=True).hash(obj)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ValueError(
            "With `memory`, the estimator, the data, `scoring` and the fit parameters must be "
            f"picklable, so that a kept fit can be found again, but: {error.args[0]}. In place of "
            "a lambda or a local function or class, use one from the top level of a module."
        ) from error
