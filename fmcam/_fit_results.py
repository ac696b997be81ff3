"""Results of finished fits, each in a file."""

import json

from fmcam._files import replacing
from fmcam._hashing import digest_of

__all__ = ["read_result", "write_result"]


def write_result(file, result):
    """Write a result beside `file` and rename it; one that failed is not kept."""
    if result["fit_error"] is not None:
        return
    kept = f"The fits finished before are kept in {file.parent}, and the same call goes on."
    with replacing(file, kept=kept) as beside:
        result = json.loads(json.dumps(result, default=float))
        beside.write_text(json.dumps({"result": result, "digest": digest_of(result)}))


def read_result(file):
    """Return the result kept in `file`, or None if it is missing or not as it was written."""
    if file is None:
        return None
    try:
        kept = json.loads(file.read_text())
        whole = digest_of(kept["result"]) == kept["digest"]
    except (FileNotFoundError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return kept["result"] if whole else None
