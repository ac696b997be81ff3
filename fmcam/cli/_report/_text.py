"""Names and numbers as people read them."""

import math
from html import escape

import numpy as np
from pandas.api.types import is_bool_dtype, is_numeric_dtype

__all__ = ["element", "format_numbers", "is_number", "words"]

_SPELLED = {
    "auc": "AUC",
    "cam": "CAM",
    "f1": "F1",
    "gradcam": "Grad-CAM",
    "iou": "IoU",
    "lenet5": "LeNet-5",
    "lr": "learning rate",
    "roc": "ROC",
    "simplecnn": "SimpleCNN",
}


def words(name):
    """Return a column's or a file's name in words.

    Examples
    --------
    >>> words("mean_iou"), words("n_iou")
    ('Mean IoU', 'n IoU')
    """
    text = " ".join(_SPELLED.get(word, word) for word in name.replace("_", " ").split())
    return text if text[1:2] == " " or len(text) == 1 else text[:1].upper() + text[1:]


def element(tag, content, attributes=None):
    """Return an HTML element; `content` is HTML already, the attributes' values are escaped.

    Examples
    --------
    >>> element("td", "0.5", {"data-value": 0.5, "class": "<b>"})
    '<td data-value="0.5" class="&lt;b&gt;">0.5</td>'
    """
    given = (attributes or {}).items()
    inside = "".join(f' {name}="{escape(str(value))}"' for name, value in given)
    return f"<{tag}{inside}>{content}</{tag}>"


def is_number(values):
    """Return whether a Series holds numbers, not truth values."""
    return is_numeric_dtype(values) and not is_bool_dtype(values)


def format_numbers(values):
    """Return the numbers of a Series as short texts; a dash for a missing one.

    Examples
    --------
    >>> import pandas as pd
    >>> format_numbers(pd.Series([0.58244, -1.0, 0.00123, 1138.21, None]))
    ['0.582', '-1.000', '0.0012', '1138', '—']
    >>> format_numbers(pd.Series([42.0, 10000.0]))
    ['42', '10,000']
    """
    finite = values[np.isfinite(values)]
    whole = bool((finite == finite.round()).all())
    return [_format_number(value, whole) for value in values]


def _format_number(value, whole):
    if math.isnan(value):
        return "—"
    size = abs(value)
    if math.isinf(value):
        text = "∞"
    elif size >= 1000 or whole:
        text = f"{size:,.0f}" if size >= 10_000 else f"{size:.0f}"
    elif size >= 100:
        text = f"{size:.1f}"
    elif size >= 0.01 or size == 0:
        text = f"{size:.3f}"
    else:
        text = f"{size:.2g}"
    return "-" + text if value < 0 else text
