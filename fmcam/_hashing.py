"""Hashes that last from one process to the next."""

import hashlib
import json
import pickle
import sys

from joblib.hashing import NumpyHasher

__all__ = ["digest_of", "hash_of"]


def digest_of(settings):
    """The SHA-256 digest, 64 hexadecimal digits, of settings that JSON can hold.

    >>> digest_of({"lr": 0.1})[:8]
    'c924a5f4'
    """
    return hashlib.sha256(json.dumps(settings, default=int).encode()).hexdigest()


class _Hasher(NumpyHasher):
    """joblib's hasher, which would see the addresses of tensors, made to see their values."""

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
            "Results are kept under a hash of what they come from: estimator, data, `scoring` and "
            f"other parameters must be picklable, but: {error.args[0]}. In place of a lambda or a "
            "local function or class, use one from the top level of a module."
        ) from error
