"""Changes of a file that somebody or a disk may have made: its bytes, or the values in it."""

import copy
import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file

__all__ = ["damage"]

_HEADER = "fmcam-classifier-1"
_VALUES = (
    *(None, True, False, -1, 0, 1, 3, 10**6, 10**30, 0.5, 1e308, float("nan"), float("inf")),
    *("", "a", "x" * 5000, "\ud800", "../../etc/passwd", "os.system", "torch.nn.Linear", "<U9"),
    *([], {}, [[]], [1, 2], ["a", "b"], {"class": "os.system"}, [[[[1]]]], [0] * 1000),
)


def change_bytes(draw, content):
    """Bytes flipped, cut off, put in, doubled or overwritten by large numbers."""
    content = bytearray(content)
    place = draw.randrange(len(content) + 1)
    length = draw.choice((1, 2, 8, 64, 1000))
    how = draw.choice(("flip", "cut", "insert", "double", "large", "zero", "drop"))
    if how == "flip":
        for _ in range(length):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del content[place:]
    elif how == "insert":
        content[place:place] = draw.randbytes(length)
    elif how == "double":
        content[place:place] = content[place : place + length]
    else:
        new = {"large": b"\xff" * length, "zero": bytes(length), "drop": b""}[how]
        content[place : place + length] = new
    return bytes(content)


def change_values(draw, record):
    """A value of some JSON, or several, replaced, deleted or put in."""
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        places = list(_places(record))
        if not places:
            break
        holder, key = draw.choice(places)
        if draw.random() < 0.15:
            del holder[key]
        elif draw.random() < 0.15 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(draw.choice(_VALUES)))
        elif draw.random() < 0.2:
            other, name = draw.choice(places)
            holder[key] = copy.deepcopy(other[name])
        else:
            holder[key] = copy.deepcopy(draw.choice(_VALUES))
    return record


def _places(record):
    """Where a value stands in some JSON: what holds it, and its key."""
    for key, value in record.items() if isinstance(record, dict) else enumerate(record):
        yield record, key
        if isinstance(value, dict | list):
            yield from _places(value)


def damage(draw, path):
    """Change a file: JSON by its values or bytes, the header of a checkpoint too."""
    content = path.read_bytes()
    if path.suffix == ".json" and draw.random() < 0.7:
        content = json.dumps(change_values(draw, json.loads(content))).encode(errors="replace")
    elif path.suffix == ".safetensors" and draw.random() < 0.8:
        return _change_header(draw, path)
    else:
        content = change_bytes(draw, content)
    path.write_bytes(content)
    return None


def _change_header(draw, path):
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[_HEADER])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if draw.random() < 0.8:
        header = change_values(draw, header)
    else:
        name = draw.choice(sorted(tensors))
        tensor = tensors[name]
        changed = (tensor * 0, tensor / 0, -tensor, tensor.cfloat(), tensor.half(), tensor.long())
        tensors[name] = draw.choice((*changed, tensor.flatten()[:0], torch.zeros(3)))
    save_file(tensors, path, metadata={_HEADER: json.dumps(header)})
