"""Files that are whole or not there, and digests of settings."""

import hashlib
import json
import os

import numpy as np
import pytest

from fmcam._files import replacing
from fmcam._hashing import digest_of


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    file = tmp_path / "table.csv.gz"
    file.write_text("old")
    with replacing(file) as beside:
        beside.write_text("new")
        assert file.read_text() == "old"
        assert beside.parent == tmp_path
        assert beside.name.endswith(".table.csv.gz")  # so that pandas still sees what to compress
    assert file.read_text() == "new"
    assert os.listdir(tmp_path) == ["table.csv.gz"]


def fail_after_writing(path):
    path.write_text("half")
    raise OSError("disk full")


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacing(file) as beside:
        fail_after_writing(beside)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_two_may_write_one_file(tmp_path):
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"  # the last to be renamed


def test_folders_are_made_where_asked(tmp_path):
    file = tmp_path / "new" / "table.csv"
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*new to write table.csv to"):
        replacing(file).__enter__()
    with replacing(file, parents=True) as beside:
        beside.write_text("here")
    assert file.read_text() == "here"
    with pytest.raises(IsADirectoryError, match=r"is a folder. Name a file in it to write"):
        replacing(file.parent).__enter__()


def test_settings_have_the_digest_of_their_json():
    settings = ["a", {"lr": 0.1, "rows": np.int64(3)}]
    expected = hashlib.sha256(json.dumps(["a", {"lr": 0.1, "rows": 3}]).encode()).hexdigest()
    assert digest_of(settings) == expected
    assert digest_of(["a", {"lr": 0.1, "rows": 4}]) != expected
