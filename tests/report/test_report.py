import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import f1_score, log_loss, roc_auc_score
from sklearn.preprocessing import label_binarize

from fmcam.report import (
    bootstrap_difference,
    calibration_error,
    classification_frame,
    compare_classifiers,
    compare_per_class,
    mcnemar_test,
    overall_frame,
    wilson_interval,
    write_csv,
)

NAN = np.nan


def one_hot(predicted, n_classes, sure=0.8):
    """Probabilities that put `sure` on the predicted columns and share out the rest."""
    proba = np.full((len(predicted), n_classes), (1 - sure) / (n_classes - 1))
    proba[np.arange(len(predicted)), predicted] = sure
    return proba


def random_answers(n=400, n_classes=4, skill=1.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), codes] += skill
    return codes, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


# Wilson's interval


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_interval_equals_scipy(confidence):
    successes, n = np.array([0, 1, 7, 50, 10]), np.array([10, 1, 9, 100, 10])
    low, high = wilson_interval(successes, n, confidence)
    for row in range(len(n)):
        expected = stats.binomtest(int(successes[row]), int(n[row])).proportion_ci(
            confidence, method="wilson"
        )
        np.testing.assert_allclose([low[row], high[row]], expected, rtol=1e-12, atol=1e-15)


def test_wilson_interval_without_trials_is_nan():
    low, high = wilson_interval([0, 5], [0, 10])
    np.testing.assert_array_equal(np.isnan([low, high]), [[True, False], [True, False]])


def test_wilson_interval_stays_inside_the_unit_interval():
    for confidence in np.linspace(0.5, 0.999, 50):
        n = np.arange(1, 100)
        assert wilson_interval(0, n, confidence)[0].min() >= 0
        assert wilson_interval(n, n, confidence)[1].max() <= 1


def test_wilson_interval_rejects_rates_and_percentages():
    with pytest.raises(ValueError, match=r"`successes` must lie in 0..n, got 11.0 of 10.0"):
        wilson_interval(11, 10)
    with pytest.raises(ValueError, match=r"`successes` must lie in 0..n"):
        wilson_interval([-1, 3], 10)
    with pytest.raises(ValueError, match=r"`confidence` must lie in \(0, 1\), got 95"):
        wilson_interval(1, 10, 95)


# One classifier


def test_classification_frame_by_hand():
    y_true = ["a", "a", "b", "b", "b"]
    y_proba = one_hot([0, 1, 1, 1, 0], 3)
    frame = classification_frame(y_true, y_proba, ["a", "b", "c"])
    assert frame.index.name == "class"
    assert frame.index.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(frame["precision"], [1 / 2, 2 / 3, NAN])
    np.testing.assert_allclose(frame["recall"], [1 / 2, 2 / 3, NAN])
    np.testing.assert_allclose(frame["f1"], [1 / 2, 2 / 3, NAN])
    # The column of a holds 0.8, 0.1 | 0.1, 0.1, 0.8. A pair in the right order counts 1, a tie 1/2:
    # (1 + 1 + 1/2) for the first a, (1/2 + 1/2 + 0) for the second, of six pairs. Likewise for b.
    np.testing.assert_allclose(frame["auc"], [3.5 / 6, 3.5 / 6, NAN])
    assert frame["support"].tolist() == [2, 3, 0]
    assert frame["n_predicted"].tolist() == [2, 3, 0]


def test_class_that_is_never_predicted_has_no_precision_and_zero_recall():
    frame = classification_frame([0, 0, 1], one_hot([0, 0, 0], 2), [0, 1])
    assert np.isnan(frame.loc[1, ["precision", "precision_low", "precision_high"]]).all()
    assert frame.loc[1, "recall"] == frame.loc[1, "f1"] == 0
    assert frame.loc[1, "recall_high"] > 0.5


def test_auc_of_the_only_class_is_undefined():
    y_proba = one_hot([0, 1], 2)
    assert classification_frame([0, 0], y_proba, [0, 1])["auc"].isna().all()
    assert np.isnan(overall_frame([0, 0], y_proba, [0, 1]).loc[0, "roc_auc_ovr"])


def test_classification_frame_intervals_have_the_n_of_their_rate():
    # Class 0: two of three images found, two of four answers right.
    frame = classification_frame([0, 0, 0, 1, 1, 1], one_hot([0, 0, 1, 0, 0, 1], 2), [0, 1])
    recall, precision = stats.binomtest(2, 3), stats.binomtest(2, 4)
    np.testing.assert_allclose(
        frame.loc[0, ["recall_low", "recall_high"]].tolist(), recall.proportion_ci(method="wilson")
    )
    np.testing.assert_allclose(
        frame.loc[0, ["precision_low", "precision_high"]].tolist(),
        precision.proportion_ci(method="wilson"),
    )


def test_auc_and_f1_equal_scikit_learn():
    codes, y_proba = random_answers()
    y_true = np.array(["d", "c", "b", "a"])[codes]
    y_proba = y_proba[:, ::-1]  # columns in the order of the sorted labels
    classes = np.array(["a", "b", "c", "d"])
    frame = classification_frame(y_true, y_proba, classes)
    auc = roc_auc_score(y_true, y_proba, multi_class="ovr", average=None)
    np.testing.assert_allclose(frame["auc"], auc, rtol=1e-12)
    f1 = f1_score(y_true, classes[y_proba.argmax(axis=1)], average=None)
    np.testing.assert_allclose(frame["f1"], f1, rtol=1e-12)


@pytest.mark.parametrize(
    "classes",
    [[-3, 0, 7, 9], ["b", "c", "d", "x"], [0.5, 1.5, 2.5, 3.5]],
    ids=["int", "str", "float"],
)
def test_kind_of_label_changes_nothing_but_the_index(classes):
    codes, y_proba = random_answers()
    plain = classification_frame(codes, y_proba, range(4))
    frame = classification_frame(pd.Series(classes)[codes], y_proba, np.array(classes))
    assert frame.index.tolist() == classes
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), plain.reset_index(drop=True))


def test_class_names_replace_the_labels():
    frame = classification_frame([0, 1], one_hot([0, 1], 2), [0, 1], class_names=["bag", "coat"])
    assert frame.index.tolist() == ["bag", "coat"]
    assert frame.index.name == "class"


def test_overall_frame_by_hand():
    y_proba = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.6, 0.3]])
    row = overall_frame(["a", "b", "b", "b"], y_proba, ["a", "b", "c"]).iloc[0]
    assert row["n"] == 4
    assert row["n_absent_classes"] == 1
    assert row["accuracy"] == 3 / 4
    # F1 of a: 2 * 1 / (1 + 2), of b: 2 * 2 / (3 + 2); c plays no part.
    np.testing.assert_allclose(row["macro_f1"], (2 / 3 + 4 / 5) / 2)
    np.testing.assert_allclose(row["log_loss"], -np.log(0.7 * 0.5 * 0.3 * 0.6) / 4)
    # a ranks all three pairs right, b all three; c is absent.
    assert row["roc_auc_ovr"] == 1
    # Each bin holds one image, but for the two of 0.6, one of them right.
    expected = (abs(1 - 0.7) + abs(1 - 0.5) + abs(1 - 2 * 0.6)) / 4
    np.testing.assert_allclose(row["calibration_error"], expected)
    interval = stats.binomtest(3, 4).proportion_ci(method="wilson")
    np.testing.assert_allclose([row["accuracy_low"], row["accuracy_high"]], interval)


def test_overall_frame_equals_scikit_learn():
    y_true, y_proba = random_answers()
    row = overall_frame(y_true, y_proba, range(4)).iloc[0]
    np.testing.assert_allclose(
        row["roc_auc_ovr"], roc_auc_score(y_true, y_proba, multi_class="ovr")
    )
    micro = roc_auc_score(label_binarize(y_true, classes=range(4)), y_proba, average="micro")
    np.testing.assert_allclose(row["roc_auc_micro"], micro)
    np.testing.assert_allclose(row["log_loss"], log_loss(y_true, y_proba))


def test_rounding_of_float32_probabilities_is_no_problem():
    y_true, y_proba = random_answers(n=2000, n_classes=10)
    double = overall_frame(y_true, y_proba, range(10))
    single = overall_frame(y_true, y_proba.astype(np.float32), range(10))
    pd.testing.assert_frame_equal(single, double, rtol=1e-5)


def test_overall_frame_appends_what_was_measured_elsewhere():
    y_true, y_proba = random_answers()
    frame = overall_frame(y_true, y_proba, range(4), extra={"parameters": 61_706, "fit_time": 2.5})
    assert frame.columns[-2:].tolist() == ["parameters", "fit_time"]
    assert frame[["parameters", "fit_time"]].to_numpy().tolist() == [[61_706, 2.5]]
    with pytest.raises(ValueError, match=r"`extra` must hold new columns only, got \['n'\]"):
        overall_frame(y_true, y_proba, range(4), extra={"n": 3})


def test_calibration_error_by_hand():
    # Bins (0, 1/2] and (1/2, 1]: a top probability of 0.5 belongs to the lower one.
    y_proba = [[0.5, 0.5], [0.7, 0.3], [0.1, 0.9]]
    error = calibration_error([0, 0, 0], y_proba, [0, 1], n_bins=2)
    np.testing.assert_allclose(error, (abs(1 - 0.5) + abs(1 + 0 - 0.7 - 0.9)) / 3)


def test_calibration_error_of_one_bin_is_accuracy_against_confidence():
    y_true, y_proba = random_answers()
    accuracy = (y_proba.argmax(axis=1) == y_true).mean()
    error = calibration_error(y_true, y_proba, range(4), n_bins=1)
    np.testing.assert_allclose(error, abs(accuracy - y_proba.max(axis=1).mean()))
    assert calibration_error(y_true, y_proba, range(4)) > error


def test_calibration_error_needs_a_bin():
    with pytest.raises(ValueError, match="`n_bins` must be at least 1, got 0"):
        calibration_error([0, 1], one_hot([0, 1], 2), [0, 1], n_bins=0)


# What labels and probabilities must be like


@pytest.mark.parametrize(
    ("y_true", "y_proba", "classes", "message"),
    [
        ([0, 1], np.eye(2), [1, 0], r"`classes` must be a sorted list .* got \[1, 0\]"),
        ([0, 0], np.ones((2, 1)), [0], r"two or more distinct labels, got \[0\]"),
        ([0, 1], np.eye(2), [0, 1, 2], r"`y_proba` must have shape \(n, 3\).* got \(2, 2\)"),
        ([0, 1], [0.2, 0.8], [0, 1], r"`y_proba` must have shape \(n, 2\).* got \(2,\)"),
        ([0, 1, 1], np.eye(2), [0, 1], r"`y_true` must have shape \(n,\).* got \(3,\) for 2 rows"),
        ([], np.empty((0, 2)), [0, 1], r"n >= 1 rows .* got \(0,\) for 0 rows"),
        ([0, 1], [[1, 0], [2.5, -1.5]], [0, 1], r"non-negative .* minimum of -1.5 in row 1"),
        ([0, 1], [[1, 0], [0.9, 0.2]], [0, 1], r"sum to one, got a sum of 1.1 .* in row 1"),
        ([0, 1], [[NAN, NAN], [0, 1]], [0, 1], r"sum to one, got a sum of nan .* in row 0"),
        ([0, 5], np.eye(2), [0, 1], r"labels of `classes` \[0, 1\] only, got also \[5\]"),
        (["0", "1"], np.eye(2), [0, 1], r"only, got also \['0', '1'\]"),
    ],
)
@pytest.mark.parametrize("function", [classification_frame, overall_frame, calibration_error])
def test_bad_labels_and_probabilities(function, y_true, y_proba, classes, message):
    with pytest.raises(ValueError, match=message):
        function(y_true, y_proba, classes)


@pytest.mark.parametrize("class_names", [["bag"], ["bag", "bag"]])
def test_bad_class_names(class_names):
    with pytest.raises(ValueError, match=r"`class_names` must be 2 distinct names .* got \['bag'"):
        classification_frame([0, 1], np.eye(2), [0, 1], class_names=class_names)


# Two classifiers


def test_mcnemar_by_hand():
    correct_a = np.array([1, 0, 0, 0, 0, 0, 1, 0], dtype=bool)
    correct_b = np.array([0, 1, 1, 1, 1, 1, 1, 0], dtype=bool)
    # Of six images, one or fewer on one side: 2 (C(6,0) + C(6,1)) / 2^6.
    assert mcnemar_test(correct_a, correct_b) == (1, 5, 14 / 64)
    assert mcnemar_test(correct_b, correct_a) == (5, 1, 14 / 64)


def test_mcnemar_of_equal_answers():
    assert mcnemar_test([True, False], [True, False]) == (0, 0, 1)


def test_mcnemar_errors():
    with pytest.raises(TypeError, match=r"must be of bool, got int64 and bool. Pass `y_pred =="):
        mcnemar_test(np.array([0, 1]), [True, False])
    with pytest.raises(ValueError, match=r"must have one shape \(n,\).* got \(2,\) and \(1,\)"):
        mcnemar_test([True, False], [True])


def test_bootstrap_of_three_images_by_hand():
    # Means of three draws from {0, 0, 1}: 0, 1/3, 2/3 and 1 with 8, 12, 6 and 1 chances of 27, so
    # that 1 is above the 97.5 % quantile's 0.963 but 0 is well above 2.5 %.
    values_a, values_b = [0.5, 0.5, 1], [0.5, 0.5, 0]
    assert bootstrap_difference(values_a, values_b, random_state=0) == (1 / 3, 0, 1)
    middle = bootstrap_difference(values_a, values_b, random_state=0, confidence=0.2)
    np.testing.assert_allclose(middle, [1 / 3, 1 / 3, 1 / 3])


def test_bootstrap_is_paired():
    rng = np.random.default_rng(0)
    values_a = rng.normal(scale=10, size=2000)
    differences = 0.3 + rng.normal(size=2000)
    result = bootstrap_difference(values_a + differences, values_a, random_state=0)
    margin = 1.96 * differences.std() / np.sqrt(2000)
    np.testing.assert_allclose(result.difference, differences.mean())
    np.testing.assert_allclose(result.high - result.difference, margin, rtol=0.1)
    np.testing.assert_allclose(result.difference - result.low, margin, rtol=0.1)


def test_bootstrap_random_state():
    values_a, values_b = np.random.default_rng(0).normal(size=(2, 50))
    first = bootstrap_difference(values_a, values_b, random_state=1)
    assert bootstrap_difference(values_a, values_b, random_state=1) == first
    rng = np.random.default_rng(1)
    assert bootstrap_difference(values_a, values_b, random_state=rng) == first
    assert bootstrap_difference(values_a, values_b, random_state=rng) != first


def test_bootstrap_errors():
    with pytest.raises(ValueError, match=r"n >= 2 finite values, got 1 finite pairs of 2"):
        bootstrap_difference([0, NAN], [1, 1])
    with pytest.raises(ValueError, match=r"n >= 2 finite values, got 1 finite pairs of 1"):
        bootstrap_difference([0], [1])
    with pytest.raises(ValueError, match=r"one shape \(n,\).* got \(2,\) and \(3,\)"):
        bootstrap_difference([0, 1], [1, 1, 1])


def test_compare_classifiers_by_hand():
    y_true = [0, 0, 0, 1, 1, 1]
    probas = {
        "good": one_hot([0, 0, 0, 1, 1, 1], 2),
        "fair": one_hot([0, 0, 0, 1, 0, 0], 2),
        "poor": one_hot([1, 1, 1, 0, 0, 1], 2),
    }
    frame = compare_classifiers(y_true, probas, [0, 1])
    assert frame[["a", "b"]].to_numpy().tolist() == [
        ["good", "fair"],
        ["good", "poor"],
        ["fair", "poor"],
    ]
    assert frame["n"].tolist() == [6, 6, 6]
    np.testing.assert_allclose(frame["accuracy_a"], [1, 1, 4 / 6])
    np.testing.assert_allclose(frame["accuracy_b"], [4 / 6, 1 / 6, 1 / 6])
    np.testing.assert_allclose(frame["difference"], [2 / 6, 5 / 6, 3 / 6])
    assert frame[["n_only_a", "n_only_b"]].to_numpy().tolist() == [[2, 0], [5, 0], [4, 1]]
    np.testing.assert_allclose(frame["mcnemar_p"], [2 / 4, 2 / 32, 2 * (1 + 5) / 32])
    assert (frame["low"] < frame["difference"]).all()
    assert (frame["difference"] < frame["high"]).all()
    pd.testing.assert_frame_equal(frame, compare_classifiers(y_true, probas, [0, 1]))


def test_compare_classifiers_with_a_baseline():
    y_true, proba = random_answers(n=20)
    probas = dict.fromkeys(("x", "base", "y"), proba)
    frame = compare_classifiers(y_true, probas, range(4), baseline="base")
    assert frame[["a", "b"]].to_numpy().tolist() == [["x", "base"], ["y", "base"]]
    assert (frame[["difference", "low", "high"]] == 0).all(axis=None)


@pytest.mark.parametrize(("names", "baseline"), [(["x"], None), (["x", "y"], "z")])
def test_compare_classifiers_errors(names, baseline):
    y_true, proba = random_answers(n=20)
    with pytest.raises(ValueError, match=rf"two or more classifiers.* baseline={baseline!r}"):
        compare_classifiers(y_true, dict.fromkeys(names, proba), range(4), baseline=baseline)


def test_compare_per_class_by_hand():
    # b alone is right on one image of classes 0 and 1 each, and on all six of classes 2 and 3.
    y_true = np.repeat([0, 1, 2, 3], [2, 2, 6, 6])
    predicted_a = np.array([0, 1] + [1, 0] + [3] * 6 + [2] * 6)
    frame = compare_per_class(y_true, one_hot(predicted_a, 5), one_hot(y_true, 5), range(5))
    assert frame.index.tolist() == [0, 1, 2, 3, 4]
    assert frame["support"].tolist() == [2, 2, 6, 6, 0]
    np.testing.assert_array_equal(frame["recall_a"], [0.5, 0.5, 0, 0, NAN])
    np.testing.assert_array_equal(frame["recall_b"], [1, 1, 1, 1, NAN])
    np.testing.assert_array_equal(frame["recall_difference"], [-0.5, -0.5, -1, -1, NAN])
    np.testing.assert_array_equal(frame["recall_low"], [-1, -1, -1, -1, NAN])
    np.testing.assert_array_equal(frame["recall_high"], [0, 0, -1, -1, NAN])
    assert frame["n_only_a"].tolist() == [0, 0, 0, 0, 0]
    assert frame["n_only_b"].tolist() == [1, 1, 6, 6, 0]
    np.testing.assert_array_equal(frame["mcnemar_p"], [1, 1, 2 / 64, 2 / 64, NAN])
    # Holm: 4 p, then 3 p raised to the one before, then 2 cut to 1.
    np.testing.assert_array_equal(frame["mcnemar_p_holm"], [1, 1, 8 / 64, 8 / 64, NAN])
    np.testing.assert_array_equal(frame["f1_a"], [0.5, 0.5, 0, 0, NAN])
    np.testing.assert_array_equal(frame["f1_difference"], [-0.5, -0.5, -1, -1, NAN])
    np.testing.assert_array_equal(frame.loc[4, ["f1_low", "f1_high"]].tolist(), [NAN, NAN])


def test_compare_per_class_of_a_single_image_has_no_recall_interval():
    frame = compare_per_class([0, 1, 1], one_hot([1, 1, 1], 2), one_hot([0, 1, 0], 2), [0, 1])
    assert frame.loc[0, "recall_difference"] == -1
    np.testing.assert_array_equal(np.isnan(frame["recall_low"]), [True, False])


def test_f1_interval_equals_drawing_images_one_by_one():
    y_true, proba_a = random_answers(n=300, skill=1.0)
    noise = random_answers(n=300, skill=0.0, seed=1)[1]
    proba_b = 0.6 * proba_a + 0.4 * noise
    frame = compare_per_class(y_true, proba_a, proba_b, range(4))
    a, b = proba_a.argmax(axis=1), proba_b.argmax(axis=1)
    np.testing.assert_allclose(frame["f1_a"], f1_score(y_true, a, average=None))
    np.testing.assert_allclose(frame["f1_b"], f1_score(y_true, b, average=None))

    drawn = np.random.default_rng(0).integers(300, size=(5000, 300))
    for code in range(4):
        is_class, says_a, says_b = (labels[drawn] == code for labels in (y_true, a, b))
        f1_a = 2 * (is_class & says_a).sum(axis=1) / (is_class.sum(axis=1) + says_a.sum(axis=1))
        f1_b = 2 * (is_class & says_b).sum(axis=1) / (is_class.sum(axis=1) + says_b.sum(axis=1))
        expected = np.quantile(f1_a - f1_b, [0.025, 0.975])
        width = expected[1] - expected[0]
        found = frame.loc[code, ["f1_low", "f1_high"]].tolist()
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.08 * width)


def test_swapping_the_classifiers_turns_the_differences_round():
    y_true, proba_a = random_answers()
    proba_b = np.roll(proba_a, 1, axis=0)
    frame = compare_per_class(y_true, proba_a, proba_b, range(4), class_names=list("wxyz"))
    back = compare_per_class(y_true, proba_b, proba_a, range(4), class_names=list("wxyz"))
    assert frame.index.tolist() == ["w", "x", "y", "z"]
    np.testing.assert_allclose(frame["recall_low"], -back["recall_high"])
    np.testing.assert_allclose(frame["f1_difference"], -back["f1_difference"])
    np.testing.assert_array_equal(frame["n_only_a"], back["n_only_b"])
    np.testing.assert_array_equal(frame["mcnemar_p_holm"], back["mcnemar_p_holm"])


# Tables on disk


def test_write_csv_round_trip(tmp_path):
    frame = pd.DataFrame(
        {"recall": [0.1 + 0.2, NAN]}, index=pd.Index(["bag", "coat"], name="class")
    )
    write_csv(frame, tmp_path / "new" / "folder" / "table.csv")
    found = pd.read_csv(tmp_path / "new" / "folder" / "table.csv", index_col="class")
    pd.testing.assert_frame_equal(found, frame, check_exact=True)


def test_write_csv_leaves_out_an_index_without_a_name(tmp_path):
    write_csv(pd.DataFrame({"n": [3, 4]}), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "n\n3\n4\n"


def test_write_csv_that_fails_keeps_the_old_table(tmp_path):
    class Unwritable:
        def __str__(self):
            raise RuntimeError("no text")

    write_csv(pd.DataFrame({"n": [3]}), tmp_path / "table.csv")
    with pytest.raises(RuntimeError, match="no text"):
        write_csv(pd.DataFrame({"n": [4, Unwritable()]}), tmp_path / "table.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "n\n3\n"


def test_write_csv_does_not_disturb_who_reads_the_old_table(tmp_path):
    write_csv(pd.DataFrame({"n": [3]}), tmp_path / "table.csv")
    with open(tmp_path / "table.csv") as reader:
        write_csv(pd.DataFrame({"n": [4]}), tmp_path / "table.csv")
        assert reader.read() == "n\n3\n"
    assert (tmp_path / "table.csv").read_text() == "n\n4\n"


def test_write_csv_names_the_folder_it_cannot_write_to(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"a folder that can be written to, got .*file/results"):
        write_csv(pd.DataFrame({"n": [3]}), tmp_path / "file" / "results" / "table.csv")
