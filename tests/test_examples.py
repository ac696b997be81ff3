"""The script of examples/ as a notebook, which runs from its first cell to its last."""

import base64
import io
import re
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "compare_simple_cnn_with_lenet5.py"
SMALL = {"dataset": '"shapes"', "searched_images": "300", "searched_epochs": "1", "epochs": "1"}


def small(script):
    """A script with the settings of its first lines made small, of its images some."""
    for name, value in SMALL.items():
        script, n_found = re.subn(
            rf"^{name} = .*$", f"{name} = {value}", script, flags=re.MULTILINE
        )
        assert n_found == 1, name
    return script


def pictures(notebook):
    """The pictures that the cells show."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    encoded = [
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in encoded]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # of a notebook its own
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = jupytext.reads(small(SCRIPT.read_text()), fmt="py:percent")
    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    assert len(pictures(notebook)) == 9  # 2 histories, 2 confusions, 4 ROCs, Grad-CAM side by side
