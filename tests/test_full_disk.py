"""Files that have no room: one error that names them, nothing left over, a way to go on."""

import errno
import os
import re
import subprocess
import sys

import pytest

from experiments.benchmark._full_disk import CASES, files_limited, prepare, tried
from fmcam._files import replacing, reserve

# The file that is named, and what each run may leave of it for the next to go on from.
EXPECTED = {
    "explain_to_file": ("maps.npy", None),
    "shards": ("maps.npy.part", None),
    "resumable_training": ("state{}.pt", None),
    "grid_search": (r"\w+.json", None),
    "table": ("rows.csv", None),
    "compressed_table": ("rows.csv.gz", None),
    "figure": ("figures/maps.png", "config.json"),
    "picture": ("noise.png", "config.json"),
    "checkpoint": ("clf.safetensors", None),
    "torch_file": ("net.pth", None),
    "downloads": ("noise{}.bin.part", "noise{}.bin.part"),
    "archive": ("noise{}", "noise{}.tar"),
    "compressed_data": ("noise", None),
    "decoded_pictures": (r"fmcam/pictures/\w+.u8", r"fmcam/pictures/\w+.u8"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    prepare(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_what_has_no_room_is_told_and_leaves_nothing(name, source, tmp_path):
    """The second run, which has room, ends whole; the first must not have spoilt its files."""
    found = tried(name, source, tmp_path)
    named, left = EXPECTED[name]
    for version, said in enumerate(found["said"]):
        told = (
            f"DiskFullError: {re.escape(str(tmp_path))}/{named} cannot be written: File too large"
        )
        assert re.match(told.format(version), said), said
        assert re.search("Nothing|is as it was|goes on|gets the rest|is kept", said), said
    for version, files in enumerate([found["left"], [*found["new"], *found["changed"]]]):
        there = [file for file in files if file != "config.json"]
        kept = [] if left in (None, "config.json") else [left.format(version)]
        assert len(there) == len(kept)
        assert all(re.fullmatch(*pair) for pair in zip(kept, there, strict=True))


def test_room_is_taken_before_a_file_is_filled(tmp_path):
    with open(tmp_path / "maps.npy", "wb") as file, files_limited(1_000):
        reserve(file, 1_000)
        assert os.fstat(file.fileno()).st_blocks > 0
        with pytest.raises(OSError, match="File too large") as told:
            reserve(file, 1_001)
    assert told.value.errno == errno.EFBIG


def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path):
    """But not what another one is about to write."""
    code = """if True:
        import os, signal, sys
        from fmcam._files import replacing
        with replacing(sys.argv[1]) as beside:
            beside.write_text("half")
            print(beside.name, flush=True)
            if sys.argv[2] == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", code, tmp_path / "table.csv"]
    with subprocess.Popen(
        [*command, "waits"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as waiting:
        alive = waiting.stdout.readline().strip()
        dead = subprocess.run([*command, "dies"], stdout=subprocess.PIPE, text=True, check=False)
        assert {*os.listdir(tmp_path)} == {alive, dead.stdout.strip()}
        with replacing(tmp_path / "other.csv") as beside:
            beside.write_text("whole")
        assert {*os.listdir(tmp_path)} == {alive, "other.csv"}
        waiting.communicate()
    assert {*os.listdir(tmp_path)} == {"table.csv", "other.csv"}
