"""Rows and tables of localization."""

import numpy as np
import pandas as pd
import pytest

from fmcam.explain import chance_heatmaps
from fmcam.localize import boxes_from_heatmaps, count_regions
from fmcam.metrics import energy_in_box_score, paired_box_iou, pointing_game_score
from fmcam.report import bootstrap_difference, localization_frame, summarize, wilson_interval
from fmcam.report._wilson import effective_number

NAN = np.nan
CORNERS = ["x0", "y0", "x1", "y1"]
COLUMNS = [
    *("id", "method", "y", "predicted", "probability", "correct", "rank"),
    *(
        "threshold",
        *CORNERS,
        "iou",
        "hit",
        "energy",
        "empty_map",
        "no_box",
        "regions",
        "error_type",
    ),
]

# Two images of 2 x 4 pixels; "hot" has two regions at 0.5 in the first, nothing in the second.
HOT = np.array([[[0.9, 0.6, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]], np.zeros((2, 4))])
WARM = np.array([[[0.2, 0.4, 0.4, 0.0], [0.0, 0.4, 0.4, 0.2]], [[0, 0, 0, 0], [0, 0, 0, 1.0]]])
MAPS = {"hot": HOT, "warm": WARM}
BOXES = [[1, 0, 3, 2], [2, 0, 4, 2]]
MASKS = np.zeros((2, 2, 4), dtype=int)
MASKS[0, 0, :2] = MASKS[1, 0, 3] = 1
ANSWERS = (["bag", "coat"], [[0.7, 0.3], [0.6, 0.4]], ["bag", "coat"])


# Rows


def test_rows_by_hand():
    thresholds = {"hot": 0.5, "warm": 0.4}
    bag, coat = ("bag", "bag", 0.7, True, 1), ("coat", "bag", 0.4, False, 2)
    rows = localization_frame(MAPS, *ANSWERS, boxes=BOXES, masks=MASKS, thresholds=thresholds)
    expected = pd.DataFrame(
        [
            # The box is 2 x 1 pixels, one of them in the true box of 4: 1 / 5.
            (0, "hot", *bag, 0.5, 0, 0, 2, 1, 1 / 5, 1, 0.6 / 2, False, False, 2, "elsewhere"),
            *[(0, "warm", *bag, 0.4, 1, 0, 3, 2, 1, 1, 1.6 / 2, False, False, 1, "correct")],
            *[(1, "hot", *coat, 0.5, *[NAN] * 4, 0, 0, NAN, True, True, 0, "wrong class")],
            *[(1, "warm", *coat, 0.4, 3, 1, 4, 2, 1 / 4, 0, 1, False, False, 1, "wrong class")],
        ],
        columns=COLUMNS,
    )
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False)
    for column in ("correct", "empty_map", "no_box"):
        assert rows[column].dtype == bool
    assert rows["regions"].dtype == int


def test_what_cannot_be_computed_is_nan():
    known = {"id", "method", "y", "predicted", "probability", "correct", "rank", "empty_map"}
    known |= {"error_type"}
    by_threshold = {"threshold", *CORNERS, "no_box", "regions"}
    options = [
        ({}, known),
        ({"masks": MASKS}, known | {"hit"}),
        ({"thresholds": 0.1}, known | by_threshold),
        ({"thresholds": 0.1, "boxes": BOXES}, known | by_threshold | {"iou", "energy", "hit"}),
    ]
    for given, defined in options:
        rows = localization_frame({"warm": WARM}, *ANSWERS, **given)
        assert rows.columns.tolist() == COLUMNS
        assert set(rows.columns[rows.notna().all()]) == defined
        assert set(rows.columns[rows.isna().all()]) == set(COLUMNS) - defined


def test_maps_without_a_classifier_have_boxes_but_no_prediction():
    rows = localization_frame(MAPS, ["bag", "coat"], boxes=BOXES, thresholds=0.4)
    expected = localization_frame(MAPS, *ANSWERS, boxes=BOXES, thresholds=0.4)
    unknown = ["predicted", "probability", "correct", "rank"]
    assert rows[unknown].isna().all(axis=None)
    unknown += ["error_type"]
    pd.testing.assert_frame_equal(rows.drop(columns=unknown), expected.drop(columns=unknown))
    assert rows["error_type"].tolist() == ["elsewhere", "correct", "no box", "part only"]
    summary, of_known = summarize(rows), summarize(expected)
    top = [f"top{k}_localization{end}" for k in (1, 5) for end in ("", "_low", "_high")]
    assert summary[top].isna().all(axis=None)
    pd.testing.assert_frame_equal(summary.drop(columns=top), of_known.drop(columns=top))
    older = summarize(expected.drop(columns="rank"))
    pd.testing.assert_frame_equal(older.drop(columns=top[3:]), of_known.drop(columns=top[3:]))
    assert older[top[3:]].isna().all(axis=None)


def test_an_image_without_a_true_box_has_no_iou():
    boxes = [BOXES[0], [NAN] * 4]
    rows = localization_frame({"warm": WARM}, *ANSWERS, boxes=boxes, thresholds=0.4)
    of_truth = rows[["iou", "energy", "hit"]]
    np.testing.assert_array_equal(of_truth.isna(), [[False] * 3, [True] * 3])
    assert rows["no_box"].tolist() == [False, False]


def test_without_masks_the_hottest_pixel_is_to_be_in_a_box():
    """Which holds pixels whose centres it holds; with masks boxes tell nothing of it."""
    maps = {"hot": HOT[[0] * 4]}  # hottest in the corner
    boxes = np.full((4, 2, 4), NAN)
    boxes[:, 0] = [[0, 0, 1, 1], [1, 0, 4, 2], [0.4, 0, 4, 2], [0.6, 0, 4, 2]]
    boxes[1, 1] = [0, 0, 2, 1]  # another object
    rows = localization_frame(maps, ["bag"] * 4, boxes=boxes, thresholds=0.5)
    assert rows["hit"].tolist() == [1, 1, 1, 0]
    masks = np.zeros((4, 2, 4), dtype=int)
    masks[:, 1, 1] = 1
    rows = localization_frame(maps, ["bag"] * 4, boxes=boxes, masks=masks, thresholds=0.5)
    assert rows["hit"].tolist() == [0, 0, 0, 0]


def test_rows_hold_the_metrics_of_each_image():
    rng = np.random.default_rng(0)
    maps, masks = rng.random((20, 9, 7)), rng.integers(2, size=(20, 9, 7))
    start = rng.integers(4, size=(20, 2))
    boxes = np.hstack([start, start + rng.integers(1, 4, size=(20, 2))])
    y_proba = rng.dirichlet(np.ones(3), size=20)
    y_proba[:4] = 1 / 3
    rows = localization_frame(
        {"noise": maps},
        rng.integers(3, size=20),
        y_proba,
        [0, 1, 2],
        boxes=boxes,
        masks=masks,
        thresholds=0.8,
        region="all",
    )
    predicted = boxes_from_heatmaps(maps, 0.8, region="all")
    assert not np.array_equal(predicted, boxes_from_heatmaps(maps, 0.8))
    np.testing.assert_array_equal(rows[CORNERS], predicted)
    np.testing.assert_array_equal(rows["iou"], paired_box_iou(boxes, predicted))
    np.testing.assert_array_equal(rows["hit"], pointing_game_score(masks, maps, average=None))
    np.testing.assert_array_equal(rows["energy"], energy_in_box_score(boxes, maps, average=None))
    np.testing.assert_array_equal(rows["regions"], count_regions(maps, 0.8))
    np.testing.assert_array_equal(rows["probability"], y_proba[np.arange(20), rows["y"]])
    np.testing.assert_array_equal(rows["correct"], rows["rank"] == 1)
    order = np.argsort(-y_proba, axis=1, kind="stable")
    np.testing.assert_array_equal(order[np.arange(20), rows["rank"] - 1], rows["y"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": None}, r"`thresholds` must be given with `boxes`, got None. Fit one"),
        ({"thresholds": {"hot": 0.5}}, r"name each of \['hot', 'warm'\], got none for \['warm'\]"),
        ({"boxes": BOXES[:1]}, r"must have one row for each image, got 1 and 2"),
        ({"boxes": [[0, 0, 5, 2]] * 2}, r"`boxes` must be inside the image of 2 rows"),
        ({"masks": MASKS[:, :1]}, r"`masks` must have the size of the heatmaps"),
        ({"heatmaps": {"hot": HOT, "warm": 2 * WARM}}, r"`heatmaps of warm` must lie in \[0, 1\]"),
        ({"heatmaps": {"hot": HOT, "warm": WARM[:1]}}, r"`heatmaps of warm` and `y_true` must "),
        ({"y_true": ["bag", "shoe"]}, r"labels of `classes` \['bag', 'coat'\] only, .* \['shoe'\]"),
    ],
)
def test_rows_of_what_does_not_fit_together(changes, message):
    answers = dict(zip(["y_true", "y_proba", "classes"], ANSWERS, strict=True))
    arguments = {"heatmaps": MAPS, **answers, "boxes": BOXES, "masks": MASKS, "thresholds": 0.5}
    with pytest.raises(ValueError, match=message):
        localization_frame(**(arguments | changes))


# Tables


def rows_of(n=200, seed=0):
    """Rows of three methods, the second better than the first, some values undefined."""
    rng = np.random.default_rng(seed)
    iou = rng.uniform(0, 0.8, size=n)
    iou[:10] = NAN
    correct = rng.random(n) < 0.9
    frames = []
    for number, method in enumerate(["CAM", "LayerCAM", "resolution oracle"]):
        values = {
            "iou": iou + 0.1 * number,
            "hit": np.where(np.arange(n) < 20, NAN, rng.random(n) < 0.5),
            "energy": np.where(np.arange(n) < 30, NAN, rng.random(n)),
            "empty_map": rng.random(n) < 0.1,
            "no_box": rng.random(n) < 0.2,
        }
        frames.append(pd.DataFrame({"id": np.arange(n), "method": method, **values}))
        frames[-1]["correct"] = correct
        frames[-1]["rank"] = np.where(correct, 1, 2 + np.arange(n) % 8)
    return pd.concat(frames, ignore_index=True)


def test_summary_by_hand():
    rows = pd.DataFrame(
        {
            "id": range(5),
            "method": "CAM",
            "correct": [True, True, False, True, True],
            "rank": [1, 1, 5, 1, 1],
            "iou": [0.5, 0.7, 0.9, 0.3, NAN],
            "hit": [1, 0, 1, NAN, 1],
            "energy": [0.2, 0.4, NAN, NAN, NAN],
            "empty_map": [False, False, True, False, False],
            "no_box": [False, False, True, True, False],
            "mask_iou": [0.1, NAN, 0.5, NAN, 0.3],
        }
    )
    frame = summarize(rows)
    assert frame.index.tolist() == ["CAM"]
    assert frame.index.name == "method"
    expected = {
        "n": 5,
        "n_iou": 4,
        "mean_iou": 0.6,
        "box_accuracy_0.3": 1,
        "box_accuracy_0.5": 3 / 4,
        "box_accuracy_0.7": 2 / 4,
        "box_accuracy_v2": 3 / 4,
        "top1_localization": 2 / 4,
        "top5_localization": 3 / 4,
        "n_hit": 4,
        "pointing_game": 3 / 4,
        "n_energy": 2,
        "energy": 0.3,
        "empty_maps": 1 / 5,
        "no_boxes": 2 / 5,
        "n_mask_iou": 3,
        "mask_iou": 0.3,
    }
    values = [name for name in frame.columns if not name.endswith(("_low", "_high"))]
    assert values == list(expected)
    np.testing.assert_allclose(frame.loc["CAM", values], list(expected.values()), rtol=1e-12)
    with_interval = {name for name in values if f"{name}_low" in frame}
    assert set(values) - with_interval == {
        *("n", "n_iou", "n_hit", "n_energy", "n_mask_iou", "empty_maps", "no_boxes"),
        "box_accuracy_v2",
    }
    assert "mask_iou" not in summarize(rows.drop(columns="mask_iou"))


def test_intervals_of_shares_are_wilson_s():
    rows = rows_of()
    row = summarize(rows).loc["CAM"]
    cam = rows[(rows["method"] == "CAM") & rows["iou"].notna()]
    hits = {
        "box_accuracy_0.3": (cam["iou"] >= 0.3).sum(),
        "box_accuracy_0.5": (cam["iou"] >= 0.5).sum(),
        "box_accuracy_0.7": (cam["iou"] >= 0.7).sum(),
        "top1_localization": ((cam["iou"] >= 0.5) & cam["correct"]).sum(),
        "top5_localization": ((cam["iou"] >= 0.5) & (cam["rank"] <= 5)).sum(),
    }
    for name, count in hits.items():
        expected = wilson_interval(count, 190)
        np.testing.assert_array_equal(row[[f"{name}_low", f"{name}_high"]], expected)
    hit = rows.loc[rows["method"] == "CAM", "hit"]
    expected = wilson_interval(hit.sum(), 180)
    np.testing.assert_array_equal(row[["pointing_game_low", "pointing_game_high"]], expected)


def test_intervals_of_means_are_those_of_a_bootstrap_over_images():
    rows = rows_of()
    rows = rows[rows["method"] == "CAM"]
    row = summarize(rows, random_state=3).loc["CAM"]
    iou = rows["iou"].dropna()
    expected = bootstrap_difference(iou, np.zeros(len(iou)), random_state=3)
    np.testing.assert_allclose(row[["mean_iou", "mean_iou_low", "mean_iou_high"]], expected)
    # Close to the normal approximation, for both means.
    for name, values in {"mean_iou": iou, "energy": rows["energy"].dropna()}.items():
        half = 1.96 * values.std() / np.sqrt(len(values))
        ends = row[[f"{name}_low", f"{name}_high"]]
        np.testing.assert_allclose(ends, [values.mean() - half, values.mean() + half], atol=0.005)


def test_differences_are_paired():
    frame = summarize(rows_of(), reference="CAM")
    names = ["iou_difference", "iou_difference_low", "iou_difference_high"]
    # Each image gains the same, so the interval of the difference has no width.
    np.testing.assert_allclose(frame.loc["LayerCAM", names], [0.1] * 3, rtol=1e-12)
    np.testing.assert_array_equal(frame.loc["CAM", names], [0, 0, 0])
    assert frame.loc["LayerCAM", "mean_iou_high"] - frame.loc["LayerCAM", "mean_iou_low"] > 0.05
    assert "iou_difference" not in summarize(rows_of())


def test_difference_and_share_are_of_the_images_of_both_methods():
    rows = rows_of()
    rows = rows[(rows["method"] == "CAM") | (rows["id"] >= 100)]
    frame = summarize(rows, reference="LayerCAM")
    iou = rows[rows["method"] == "CAM"].set_index("id")["iou"].loc[100:]
    assert frame.loc["CAM", "iou_difference"] == pytest.approx(-0.1)
    share = frame.loc["CAM", "share_of_oracle"]
    assert share == pytest.approx(iou.mean() / (iou.mean() + 0.2), rel=1e-12)


def test_share_of_the_oracle():
    rows = rows_of()
    frame = summarize(rows)
    shares = frame["mean_iou"] / frame.loc["resolution oracle", "mean_iou"]
    np.testing.assert_allclose(frame["share_of_oracle"], shares, rtol=1e-12)
    assert frame.loc["resolution oracle", "share_of_oracle"] == 1
    assert "share_of_oracle" not in summarize(rows, oracle="oracle of layer 2")


def test_methods_without_boxes_or_masks_have_nan():
    answers = (["bag", "coat"], [[0.7, 0.3], [0.6, 0.4]], ["bag", "coat"])
    frame = summarize(localization_frame({"warm": WARM}, *answers))
    assert frame.loc["warm", ["n", "n_iou", "n_hit", "n_energy"]].tolist() == [2, 0, 0, 0]
    undefined = frame.drop(columns=["n", "n_iou", "n_hit", "n_energy", "empty_maps"])
    assert undefined.isna().all(axis=None)


def test_one_image_has_no_bootstrap_interval():
    row = summarize(rows_of().query("id == 50")).loc["CAM"]
    assert row[["mean_iou_low", "mean_iou_high"]].isna().all()
    assert 0 < row["mean_iou"] < 1
    labels = rows_of().query("50 <= id < 53").assign(file="50.jpg")
    row = summarize(labels, reference="CAM", image="file").loc["LayerCAM"]
    for name in ("mean_iou", "iou_difference", "energy"):
        assert row[[f"{name}_low", f"{name}_high"]].isna().all()


@pytest.mark.parametrize(
    ("hits", "groups", "expected"),
    [
        ([1, 1, 0, 0], "aabb", 2),  # pairs alike count once
        ([1, 1, 0, 0], "abcd", 4),
        ([1, 0, 1, 0], "aabb", 4),  # pairs of opposites, for no more than they are
        ([1, 1, 1, 0], "aabb", 4 * 4 * 3 / 16 / (2 * 0.25)),  # 2 and 1 where 1.5 are expected
        ([1, 1, 1, 1], "aabb", 2),
        ([0, 0, 0], "aab", 2),
        ([1, 0, 0], "aaa", 1),
        ([], "", 0),
    ],
)
def test_as_how_many_trials_those_in_groups_count(hits, groups, expected):
    assert effective_number(hits, list(groups)) == pytest.approx(min(expected, max(len(hits), 0)))


def test_a_bootstrap_of_groups_by_hand():
    """Two groups, drawn twice: a twice, b twice, or both, whose mean is that of three values."""
    found = bootstrap_difference([1, 1, 0], [0, 0, 0], groups=list("aab"), random_state=0)
    assert found == (pytest.approx(2 / 3), 0, 1)
    half = bootstrap_difference(
        [1, 1, 0], [0, 0, 0], groups=list("aab"), random_state=0, confidence=0.4
    )
    assert half[1:] == pytest.approx((2 / 3, 2 / 3))
    with pytest.raises(ValueError, match="`groups` and `values_a` must have one row for each"):
        bootstrap_difference([1, 1, 0], [0, 0, 0], groups=[0, 1])
    with pytest.raises(ValueError, match="`groups` must be two or more, got one"):
        bootstrap_difference([1, 1, 0], [0, 0, 0], groups=[7, 7, 7])


def test_rows_of_several_labels_of_an_image_are_no_more_images():
    """Each image twice: intervals are those of the images, not those of twice as many."""
    rows = rows_of().assign(file=lambda rows: rows["id"])
    twice = pd.concat([rows, rows.assign(id=rows["id"] + 1000)], ignore_index=True)
    once, grouped, naive = (
        summarize(one, reference="CAM", image=image)
        for one, image in ((rows, None), (twice, "file"), (twice, None))
    )
    for name in ("mean_iou", "box_accuracy_0.5", "top1_localization", "pointing_game", "energy"):
        width = {
            kind: (table[f"{name}_high"] - table[f"{name}_low"]).loc["CAM"]
            for kind, table in (("once", once), ("grouped", grouped), ("naive", naive))
        }
        assert width["grouped"] == pytest.approx(width["once"], rel=0.05), name
        assert width["naive"] == pytest.approx(width["once"] / np.sqrt(2), rel=0.07), name
    noisy = twice.assign(
        iou=twice["iou"] + np.where(twice["method"] == "LayerCAM", twice["file"] % 7 / 50, 0)
    )
    gains = [
        summarize(noisy, reference="CAM", image=image).loc["LayerCAM"] for image in ("file", None)
    ]
    widths = [one["iou_difference_high"] - one["iou_difference_low"] for one in gains]
    assert widths[0] == pytest.approx(np.sqrt(2) * widths[1], rel=0.07)


def test_images_of_tables_that_were_concatenated():
    """Each method's table counts its rows from 0; the index is no matter."""
    rows = rows_of().assign(file=lambda rows: rows["id"] // 2)
    parts = [part.reset_index(drop=True) for _, part in rows.groupby("method", sort=False)]
    found, expected = (
        summarize(one, reference="CAM", image="file")
        for one in (pd.concat(parts), pd.concat(parts, ignore_index=True))
    )
    pd.testing.assert_frame_equal(found, expected)
    by_id = summarize(rows, reference="CAM", image="id")
    same = summarize(rows.assign(file=rows["id"]), reference="CAM", image="file")
    pd.testing.assert_frame_equal(by_id, same)


@pytest.mark.parametrize("file", [None, np.nan])
def test_images_that_are_not_said_are_refused(file):
    rows = rows_of()
    with pytest.raises(ValueError, match=r"`image` must be a column of `rows` .* got 'file'"):
        summarize(rows, image="file")
    with pytest.raises(ValueError, match=r"`image` must be a column .* names an image in each"):
        summarize(rows.assign(file=[file, *map(str, rows["id"][1:])]), image="file")


def test_summary_is_repeatable():
    rows = rows_of()
    pd.testing.assert_frame_equal(summarize(rows), summarize(rows))
    assert not summarize(rows).equals(summarize(rows, random_state=1))


def test_summary_of_several_rows_of_an_image_or_an_unknown_reference():
    rows = rows_of()
    with pytest.raises(
        ValueError, match=r"one row for each image and method, got several .*'seed'"
    ):
        summarize(pd.concat([rows, rows]))
    with pytest.raises(ValueError, match=r"one of the methods \['CAM', .*\], got 'GradCAM'"):
        summarize(rows, reference="GradCAM")


# Chance


def test_chance_rows_stand_beside_the_methods():
    maps = chance_heatmaps((2, 2, 4), BOXES)
    rows = localization_frame({**MAPS, **maps}, *ANSWERS, boxes=BOXES, thresholds=0.5)
    iou = rows.pivot(index="id", columns="method", values="iou")
    assert iou["full frame"].tolist() == [0.5, 0.5]
    assert iou["centre box"].tolist() == [1, 1 / 3]
    energy = rows.pivot(index="id", columns="method", values="energy")
    assert energy["full frame"].tolist() == [0.5, 0.5]
