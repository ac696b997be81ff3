"""The leaderboard: ranks and what they are worth, by hand."""

import numpy as np
import pandas as pd
import pytest

from experiments import leaderboard
from experiments._leaderboard import BoardsDisplay, board, in_words, ranks


def test_ranks_by_hand():
    """One method is always best; two differ on one image of four, which a draw may miss."""
    iou = pd.DataFrame(
        {"worse": [0.1, 0.2, 0.3, 0.3], "best": [0.9] * 4, "better": [0.1, 0.2, 0.3, 0.4]}
    )
    found = ranks(iou, 20_000, 0)
    assert found["rank"].to_dict() == {"worse": 3, "best": 1, "better": 2}
    assert found.loc["best", ["rank_low", "rank_high", "share_best"]].tolist() == [1, 1, 1]
    # Without that image, in (3/4)^4 = 32 % of the draws, both are second.
    assert found.loc["worse", ["rank_low", "rank_high"]].tolist() == [2, 3]
    assert found.loc["better", ["rank_low", "rank_high"]].tolist() == [2, 2]


def test_equal_methods_are_best_equally_often():
    iou = pd.DataFrame(np.random.default_rng(0).random((400, 2)), columns=["a", "b"])
    iou += 0.5 - iou.mean()
    found = ranks(iou, 4_000, 0)
    assert found["share_best"].tolist() == pytest.approx([0.5, 0.5], abs=0.03)
    assert (found["rank_low"].tolist(), found["rank_high"].tolist()) == ([1, 1], [2, 2])


def rows_of(**iou):
    return pd.concat(
        pd.DataFrame({"id": range(len(values)), "method": name.replace("_", " "), "iou": values})
        for name, values in iou.items()
    )


def test_a_board_by_hand():
    rows = rows_of(
        CAM=[0.5, 0.7, np.nan],
        centre_box=[0.4, 0.4, np.nan],
        constant_box=[0.5, 0.5, np.nan],
        resolution_oracle=[0.9, 0.9, np.nan],
    )
    found = board(rows, 100, 0)
    assert found.index.tolist() == ["CAM", "constant box", "centre box"]  # no oracle
    assert found["n"].tolist() == [2, 2, 2]  # the third image has no box
    assert found["mean_iou"].tolist() == pytest.approx([0.6, 0.5, 0.4])
    assert found["over_centre"].tolist() == pytest.approx([0.2, 0.1, 0])
    assert found["over_constant"].tolist() == pytest.approx([0.1, 0, -0.1])
    assert found["knows_network"].tolist() == [True, False, False]
    ax = BoardsDisplay({"net": found}).plot().figure_.axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert [label.split("  ")[0] for label in labels] == found.index.tolist()


def test_the_text_says_what_the_numbers_are():
    rows = rows_of(CAM=[0.5, 0.7, np.nan], centre_box=[0.4] * 3, constant_box=[0.5] * 3)
    rows = pd.concat([rows, rows_of(**{"random_weights,_CAM": [0.3] * 3})])
    table = board(rows, 100, 0).assign(cpu_seconds_per_1000=12.5)
    text = in_words(pd.concat({"net": table}), leaderboard.Config(timed=3, draws=100))
    (line,) = (line for line in text.splitlines() if line.startswith("net "))
    shown = ["1", "1", "1", "2", "0.6", "0.5", "0.7", "0.2", "0.1", "12.5"]
    assert line.split() == ["net", "CAM", *shown]
    for told in (
        "100 bootstrap draws of the n photographs",
        "on 3 photographs",
        "random weights, CAM",
    ):
        assert told in text
    assert text.count("Left out: ") == 3
    assert "on the cluttered canvas: its rows have the centre box of mean size" in text


def test_folders_without_rows_are_refused(tmp_path):
    config = leaderboard.Config(runs=(str(tmp_path),), out=str(tmp_path / "board"))
    with pytest.raises(SystemExit, match=r"experiments\.pets wrote, but .* holds no rows\.csv\.gz"):
        leaderboard.main(config)
    assert not (tmp_path / "board").exists()
