"""Whatever holds numbers, as a NumPy array: tensors, lists of tensors, frames, pictures."""

from contextlib import suppress
from numbers import Real

import numpy as np

__all__ = ["as_array", "plain_array"]


def as_array(values, *, name):
    """Real numbers as an array.

    Parameters
    ----------
    values : array-like, tensor of any device, or list of such
        Numbers. A tensor leaves its graph; bfloat16, which NumPy lacks, becomes float32.
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of bool, integers or floats
        A view where that is possible, of bool a copy. None and `pandas.NA` are NaN.

    Raises
    ------
    TypeError
        For values that are not real numbers, such as text, complex numbers and dictionaries.
    ValueError
        For a list whose items differ in shape, and for masked values.

    Examples
    --------
    >>> import torch
    >>> from fmcam._arrays import as_array
    >>> as_array([torch.ones(2, requires_grad=True), [0.5, None]], name="scores")
    array([[1. , 1. ],
           [0.5, nan]])
    """
    array = plain_array(values, name=name)
    if array.dtype == object and array.ndim:
        array = _floats(plain_array(array.tolist(), name=name))
    if array.dtype.kind not in "biuf":
        got = f"an array of dtype {array.dtype}" if array.ndim else f"a {type(values).__name__}"
        raise TypeError(
            f"`{name}` must hold real numbers, got {got}. "
            "Pass an array, a tensor or a list of numbers."
        )
    # Pillow writes True as 255, which NumPy takes for 255 elsewhere.
    return array.view(np.uint8) != 0 if array.dtype == bool else array


def plain_array(values, *, name):
    """Numbers or labels as an array of any dtype; see `as_array`."""
    if hasattr(values, "detach"):
        return _from_tensor(values, name)
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values, name)
    if isinstance(values, list | tuple):
        return _from_list(values, name)
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`{name}` must be an array, a tensor or a list of numbers, got a "
            f"{type(values).__name__}, which NumPy cannot read: {error}"
        ) from error


def _from_tensor(tensor, name):
    with suppress(TypeError, RuntimeError):
        return tensor.numpy(force=True)
    with suppress(TypeError, RuntimeError):
        return tensor.float().numpy(force=True)  # bfloat16 and float8, which NumPy lacks
    raise TypeError(
        f"`{name}` must be a dense tensor of numbers, got one of {tensor.dtype} in the layout "
        f"{tensor.layout} on {tensor.device}. Pass `{name}.to_dense()`, or a list of tensors."
    )


def _unmasked(values, name):
    if n_masked := np.ma.count_masked(values):
        raise ValueError(
            f"`{name}` must hold a number everywhere, got {n_masked} masked values. "
            f"Choose what they are: `{name}.filled(0)`."
        )
    return values.data


def _from_list(values, name):
    if not any(hasattr(item, "detach") or np.ma.isMA(item) for item in values):
        try:
            return np.asarray(values)
        except (TypeError, ValueError, RuntimeError):  # ragged, or tensors further inside
            pass
    arrays = [plain_array(item, name=name) for item in values]
    shapes = [array.shape for array in arrays]
    others = [row for row, shape in enumerate(shapes) if shape != shapes[0]]
    if others:
        raise ValueError(
            f"`{name}` must be of one size, got {shapes[0]} in row 0 and {shapes[others[0]]} in "
            f"row {others[0]} ({len(others)} of {len(shapes)} rows differ from row 0). "
            "Resize them to one size, or pass them one by one."
        )
    return np.stack(arrays)


def _floats(array):
    """An array of objects as floats where each is a number or missing, else as it is."""
    flat = [np.nan if _is_missing(value) else value for value in array.flat]
    if not all(isinstance(value, Real | np.bool_) for value in flat):
        return array
    return np.array(flat, dtype=float).reshape(array.shape)


def _is_missing(value):
    return value is None or type(value).__name__ == "NAType"  # of pandas
