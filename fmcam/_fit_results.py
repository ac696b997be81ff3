"""Results of finished fits, each in a file."""

import json

from fmcam._files import replacing

__all__ = ["read_result", "write_result"]

_FIELDS = {"test_scores", "n_test_samples", "fit_time", "score_time", "fit_error"}


def write_result(file, result):
    """Write a result beside `file` and rename it; one that failed is not kept."""
    if result["fit_error"] is not None:
        return
    kept = f"The fits finished before are kept in {file.parent}, and the same call goes on."
    with replacing(file, kept=kept) as beside:
        beside.write_text(json.dumps(result, default=float))


def read_result(file):
    """Return the result kept in `file`, or None if it is missing, damaged or a failure."""
    if file is None:
        return None
    try:
        result = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(result, dict) and result.keys() >= _FIELDS
    return result if whole and result["fit_error"] is None else None
