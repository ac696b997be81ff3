"""The logits among what a network returns."""

import dataclasses
from collections.abc import Mapping

import torch
from torch.utils._pytree import keystr, tree_leaves_with_path

__all__ = ["logits_among", "tensors_in"]


def logits_among(outputs, n_images, n_columns=None):
    """The logits among what a network returned.

    A tensor of shape (n, k), (n, k, 1, 1) or, for one logit, (n,) holds logits. The entry or
    attribute `logits` counts alone where there is one. Of several tensors the one with the wanted
    number of columns is taken; where two are wanted and none has them, the one with a single one.

    Parameters
    ----------
    outputs : tensor, tuple, list, mapping or object with `logits`
    n_images : int
        That came to the network. Something in it may have multiplied them.
    n_columns : int or None, default=None

    Returns
    -------
    tensor of shape (n, k)

    Raises
    ------
    ValueError
        If no tensor can be the logits, or several can.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models._logits import logits_among
    >>> logits_among({"head": torch.ones(2, 3), "maps": torch.ones(2, 8, 4, 4)}, 2).shape
    torch.Size([2, 3])
    """
    tensors = tensors_in(outputs)
    candidates = [] if _is_headless(outputs) else _candidates(tensors, n_images, n_columns)
    if len(candidates) > 1 and n_columns is not None:
        fitting = [rows for rows in candidates if rows.shape[1] == n_columns]
        single = [rows for rows in candidates if rows.shape[1] == 1 and n_columns == 2]
        candidates = fitting or single or candidates
    if len(candidates) == 1:
        return candidates[0]
    wanted = "k" if n_columns is None else n_columns
    came = ", ".join(f"{name}{tuple(t.shape)}" for name, t in tensors.items())
    differ = len({rows.shape[1] for rows in candidates}) > 1
    hint = "pass `classes`, or " if n_columns is None and differ else ""
    raise ValueError(
        f"A network must give logits of shape (n, {wanted}). For n = {n_images} images it gave "
        f"{came or type(outputs).__name__}, of which {len(candidates) or 'none'} can be the "
        f"logits. To say which they are, {hint}wrap the network in an nn.Module whose `forward` "
        "returns them alone."
    )


def tensors_in(outputs):
    """The tensors by name in what a network returned; the entry `logits` alone if there is one.

    Parameters
    ----------
    outputs : tensor, tuple, list, mapping, dataclass or object with `logits`

    Returns
    -------
    dict of str to tensor
    """
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, Mapping):
        outputs = vars(outputs)
    if isinstance(outputs, Mapping):
        named = outputs.get("logits")
        outputs = dict(outputs)
    else:
        named = None if isinstance(outputs, torch.Tensor) else getattr(outputs, "logits", None)
    leaves = tree_leaves_with_path(outputs if named is None else {"logits": named})
    return {keystr(path): leaf for path, leaf in leaves if isinstance(leaf, torch.Tensor)}


def _is_headless(outputs):
    """Whether this is what transformers' networks without a head give."""
    return isinstance(outputs, Mapping) and "last_hidden_state" in outputs


def _candidates(tensors, n_images, n_columns):
    """Those of some tensors that can be logits, each of shape (n, k)."""
    floats = {id(t): t for t in tensors.values() if t.is_floating_point()}.values()
    flat = [t.flatten(1) for t in floats if t.ndim > 1 and all(size == 1 for size in t.shape[2:])]
    if n_columns == 1:
        flat += [t.reshape(-1, 1) for t in floats if t.ndim < 2]
    else:
        flat += [t.reshape(-1, 1) for t in floats if t.shape == (n_images,) and n_images > 1]
    squeezed = [t.reshape(1, -1) for t in floats if t.ndim < 2 and n_images == 1]
    return [rows for rows in flat if len(rows) == n_images] or flat or squeezed
