import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import auc, roc_auc_score, roc_curve
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier

from fmcam.plot import ComparisonDisplay, HistoryDisplay, RocCurvesDisplay, SearchDisplay
from fmcam.report import compare_per_class, overall_frame

NAN = np.nan


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(artists):
    return [artist.get_text() for artist in artists]


def test_importing_the_displays_does_not_import_matplotlib():
    code = "import sys, fmcam.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Learning curves

HISTORY = [
    {"epoch": 1, "train_loss": 0.9, "valid_loss": 1.0, "train_acc": 0.7, "valid_acc": 0.6, "lr": 1},
    {"epoch": 2, "train_loss": 0.5, "valid_loss": 0.7, "train_acc": 0.9, "valid_acc": 0.8, "lr": 1},
]


def test_history_frame_by_hand():
    frame = HistoryDisplay.from_history(HISTORY).frame()
    assert frame.to_numpy().tolist() == [
        [1, "loss", "train", 0.9],
        [2, "loss", "train", 0.5],
        [1, "loss", "validation", 1.0],
        [2, "loss", "validation", 0.7],
        [1, "accuracy", "train", 0.7],
        [2, "accuracy", "train", 0.9],
        [1, "accuracy", "validation", 0.6],
        [2, "accuracy", "validation", 0.8],
    ]
    assert frame.columns.tolist() == ["epoch", "metric", "split", "value"]


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_history_lines_are_the_frame_and_show_single_epochs(n_epochs):
    display = HistoryDisplay.from_history(HISTORY[:n_epochs])
    frame = display.frame()
    assert display.plot() is display
    assert [panel.get_title(loc="left") for panel in display.ax_] == ["Loss", "Accuracy"]
    for metric, panel in zip(["loss", "accuracy"], display.ax_, strict=True):
        assert panel.figure is display.figure_
        assert texts(panel.get_legend().get_texts()) == ["train", "validation"]
        for line in panel.lines:
            rows = frame[(frame["metric"] == metric) & (frame["split"] == line.get_label())]
            np.testing.assert_array_equal(line.get_xydata(), rows[["epoch", "value"]])
            assert line.get_marker() in "os"


def test_history_ticks_are_whole_epochs():
    display = HistoryDisplay.from_history(HISTORY[:1]).plot()
    low, high = display.ax_[0].get_xlim()
    ticks = [tick for tick in display.ax_[0].get_xticks() if low <= tick <= high]
    assert ticks == [1]


def test_history_without_validation_or_accuracy_has_one_panel():
    history = [{"epoch": 1, "train_loss": 0.9}, {"epoch": 2, "train_loss": 0.5}]
    display = HistoryDisplay.from_history(history).plot()
    assert len(display.ax_) == 1
    assert texts(display.ax_[0].get_legend().get_texts()) == ["train"]


def test_history_leaves_out_an_interrupted_epoch():
    display = HistoryDisplay.from_history([*HISTORY, {"epoch": 3}])
    np.testing.assert_array_equal(display.epoch, [1, 2])


def test_history_keeps_the_epochs_of_a_fit_that_diverged():
    history = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": NAN}]
    np.testing.assert_array_equal(HistoryDisplay.from_history(history).train_loss, [2, NAN])


def test_history_draws_on_given_axes():
    figure, axes = plt.subplots(2, 1)
    display = HistoryDisplay.from_history(HISTORY).plot(ax=axes)
    assert display.figure_ is figure
    assert list(display.ax_) == list(axes)
    with pytest.raises(ValueError, match=r"`ax` must hold 2 axes, one a panel, got 1"):
        HistoryDisplay.from_history(HISTORY).plot(ax=axes[0])


def test_history_of_a_fitted_net():
    X, y = np.eye(20, dtype=np.float32), np.arange(20) % 2
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=20,
        module__out_features=2,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=3,
        verbose=0,
    )
    with pytest.raises(ValueError, match=r"got 0 dicts without. Fit the classifier first"):
        HistoryDisplay.from_estimator(net)
    frame = HistoryDisplay.from_estimator(net.fit(X, y)).frame()
    accuracy = frame.query("metric == 'accuracy' and split == 'validation'")
    assert accuracy["value"].tolist() == net.history[:, "valid_acc"]
    loss = frame.query("metric == 'loss' and split == 'train'")
    assert loss["value"].tolist() == net.history[:, "train_loss"]


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "valid_loss": 0.3}]])
def test_history_without_training_loss(history):
    with pytest.raises(ValueError, match=rf"'epoch' and 'train_loss', got {len(history)} dicts"):
        HistoryDisplay.from_history(history)


# ROC curves

CLASSES = ["Ankle boot", "Bag", "T-shirt/top"]


def answers(skill, n=300, n_classes=3):
    rng = np.random.default_rng(0)
    codes = rng.integers(n_classes, size=n)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), codes] += skill
    return codes, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_roc_averages_by_hand():
    # Class 0: one of its two images leads, then an image of another class, then the second.
    # Class 1 has the same scores seen from the other side.
    y_proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.3, 0.7]])
    display = RocCurvesDisplay.from_predictions([0, 0, 1, 1], y_proba, [0, 1])
    assert display.names == ["0", "1", "micro average", "macro average"]
    macro = display.frame().query("curve == 'macro average'")
    # Both rise from 0 to 1/2 at 0, and from 1/2 to 1 at 1/2.
    steps = macro[["fpr", "tpr"]].drop_duplicates().to_numpy().tolist()
    assert steps == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert display.roc_auc == [0.75, 0.75, 0.75, 0.75]


def test_roc_curves_equal_scikit_learn():
    codes, y_proba = answers(skill=1.0)
    display = RocCurvesDisplay.from_predictions(codes, y_proba, [0, 1, 2], class_names=CLASSES)
    frame = display.frame()
    for code, name in enumerate(CLASSES):
        rows = frame[frame["curve"] == name]
        fpr, tpr, _ = roc_curve(codes == code, y_proba[:, code])
        np.testing.assert_array_equal(rows[["fpr", "tpr"]], np.column_stack([fpr, tpr]))
        np.testing.assert_allclose(rows["auc"], roc_auc_score(codes == code, y_proba[:, code]))


@pytest.mark.parametrize("digits", [1, 15], ids=["many ties", "no ties"])
def test_roc_averages_agree_with_the_report(digits):
    codes, y_proba = answers(skill=1.0)
    y_proba[:, :2] = y_proba[:, :2].round(digits) / 1.5
    y_proba[:, 2] = 1 - y_proba[:, :2].sum(axis=1)
    display = RocCurvesDisplay.from_predictions(codes, y_proba, [0, 1, 2])
    row = overall_frame(codes, y_proba, [0, 1, 2]).iloc[0]
    np.testing.assert_allclose(display.roc_auc[-2], row["roc_auc_micro"], rtol=1e-12)
    np.testing.assert_allclose(display.roc_auc[-1], row["roc_auc_ovr"], rtol=1e-12)
    np.testing.assert_allclose(auc(display.fpr[-1], display.tpr[-1]), np.mean(display.roc_auc[:3]))


def test_roc_lines_are_the_frame_and_the_legend_has_the_areas():
    codes, y_proba = answers(skill=1.0)
    display = RocCurvesDisplay.from_predictions(codes, y_proba, [0, 1, 2], class_names=CLASSES)
    assert display.plot() is display
    curves = display.frame().groupby("curve", sort=False)
    labels = []
    for line, (name, rows) in zip(display.ax_.lines, curves, strict=False):
        np.testing.assert_array_equal(line.get_xydata(), rows[["fpr", "tpr"]])
        labels.append(f"{name} (AUC {rows['auc'].iloc[0]:.3f})")
    assert len(labels) == 5
    assert texts(display.ax_.get_legend().get_texts()) == [*labels, "chance (AUC 0.500)"]


def test_roc_of_each_class_in_a_panel_of_its_own():
    codes, y_proba = answers(skill=1.0)
    display = RocCurvesDisplay.from_predictions(codes, y_proba, [0, 1, 2], class_names=CLASSES)
    assert display.plot(panels=True) is display
    curves = display.frame().groupby("curve")
    assert [panel.get_title().split("\n")[0] for panel in display.ax_] == CLASSES
    for name, panel in zip(CLASSES, display.ax_, strict=True):
        curve, chance = panel.lines
        np.testing.assert_array_equal(curve.get_xdata(), curves.get_group(name)["fpr"])
        np.testing.assert_array_equal(curve.get_ydata(), curves.get_group(name)["tpr"])
        assert chance.get_xydata().tolist() == [[0, 0], [1, 1]]
        assert panel.get_title().endswith(f"AUC {curves.get_group(name)['auc'].iloc[0]:.3f}")
    assert display.inset_ is None
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="`ax` must hold 3 axes, one a panel, got 2"):
        display.plot(axes, panels=True)


def test_roc_corner_is_enlarged_for_good_classifiers_only():
    for skill, enlarged in [(1.0, False), (4.0, True)]:
        codes, y_proba = answers(skill)
        display = RocCurvesDisplay.from_predictions(codes, y_proba, [0, 1, 2]).plot()
        assert (display.roc_auc[-1] >= 0.9) == enlarged == (display.inset_ is not None)
    assert display.inset_.get_xlim() == (0, 0.2)
    assert display.inset_.get_ylim() == (0.8, 1)
    for line, enlarged_line in zip(display.ax_.lines, display.inset_.lines, strict=False):
        np.testing.assert_array_equal(line.get_xydata(), enlarged_line.get_xydata())
    assert len(display.inset_.lines) == 5


def test_roc_curves_of_many_classes_look_different():
    codes, y_proba = answers(skill=1.0, n_classes=18)
    lines = RocCurvesDisplay.from_predictions(codes, y_proba, range(18)).plot().ax_.lines
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == 18 + 3


def test_roc_class_without_images_is_skipped_with_a_warning():
    codes, y_proba = answers(skill=1.0)
    keep = codes != 1
    with pytest.warns(UndefinedMetricWarning, match=r"No ROC curve for \['Bag'\]: absent"):
        display = RocCurvesDisplay.from_predictions(
            codes[keep], y_proba[keep], [0, 1, 2], class_names=CLASSES
        )
    assert display.names == ["Ankle boot", "T-shirt/top", "micro average", "macro average"]
    np.testing.assert_allclose(display.roc_auc[-1], np.mean(display.roc_auc[:2]))


def test_roc_of_one_class_only():
    with pytest.raises(ValueError, match=r"must hold two or more classes, got \['Bag'\] only"):
        RocCurvesDisplay.from_predictions([1], [[0, 1, 0]], [0, 1, 2], class_names=CLASSES)


def test_roc_from_estimator_equals_from_predictions():
    iris = load_iris()
    y = iris.target_names[iris.target]
    clf = LogisticRegression().fit(iris.data[:, :2], y)
    display = RocCurvesDisplay.from_estimator(clf, iris.data[:, :2], y, class_names=CLASSES)
    y_proba = clf.predict_proba(iris.data[:, :2])
    expected = RocCurvesDisplay.from_predictions(y, y_proba, clf.classes_, class_names=CLASSES)
    pd.testing.assert_frame_equal(display.frame(), expected.frame())


def test_roc_draws_on_a_given_axes():
    codes, y_proba = answers(skill=4.0)
    figure, ax = plt.subplots()
    display = RocCurvesDisplay.from_predictions(codes, y_proba, [0, 1, 2]).plot(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure


# Search scores

# lr, weight decay, batch size, momentum, mean, std; the order is not sorted.
CANDIDATES = pd.DataFrame(
    [
        (1e-1, 0.0, 32, 0.0, 0.80, 0.01),
        (1e-1, 0.0, 32, 0.9, 0.85, 0.02),
        (1e-3, 0.0, 32, 0.9, 0.70, 0.01),
        (1e-3, 0.0, 32, 0.0, 0.65, 0.01),
        (1e-2, 1e-4, 32, 0.9, 0.90, 0.03),
        (1e-2, 1e-4, 64, 0.9, NAN, NAN),
        (1e-2, 1e-4, 64, 0.0, 0.60, 0.01),
        (1e-1, 1e-4, 64, 0.9, NAN, NAN),
    ],
    columns=[
        "param_lr",
        "param_optimizer__weight_decay",
        "param_batch_size",
        "param_optimizer__momentum",
        "mean_test_score",
        "std_test_score",
    ],
)


def search_display(**changes):
    names = {"x": "lr", "y": "optimizer__weight_decay", "by": "batch_size"} | changes
    return SearchDisplay.from_results(CANDIDATES, **names)


def test_search_cells_show_the_best_of_the_other_parameters():
    frame = search_display().frame()
    assert frame.columns.tolist() == [
        "batch_size",
        "optimizer__weight_decay",
        "lr",
        "mean_test_score",
        "std_test_score",
    ]
    expected = [
        [32, 0, 1e-3, 0.70, 0.01],
        [32, 0, 1e-2, NAN, NAN],
        [32, 0, 1e-1, 0.85, 0.02],
        [32, 1e-4, 1e-3, NAN, NAN],
        [32, 1e-4, 1e-2, 0.90, 0.03],
        [32, 1e-4, 1e-1, NAN, NAN],
        [64, 0, 1e-3, NAN, NAN],
        [64, 0, 1e-2, NAN, NAN],
        [64, 0, 1e-1, NAN, NAN],
        [64, 1e-4, 1e-3, NAN, NAN],
        [64, 1e-4, 1e-2, 0.60, 0.01],
        [64, 1e-4, 1e-1, NAN, NAN],
    ]
    np.testing.assert_array_equal(frame.to_numpy(dtype=float), expected)


def test_search_without_by_takes_the_best_of_all_panels():
    frame = search_display(by=None).frame()
    assert frame.columns[0] == "optimizer__weight_decay"
    np.testing.assert_array_equal(frame["mean_test_score"], [0.70, NAN, 0.85, NAN, 0.90, NAN])


def test_search_draws_scores_in_per_cent_and_outlines_the_best():
    display = search_display()
    assert display.plot() is display
    first, second = display.ax_
    assert first.get_title(loc="left") == "batch_size = 32"
    assert second.get_title(loc="left") == "batch_size = 64"
    assert texts(first.texts) == ["70.0\n±1.0", "85.0\n±2.0", "90.0\n±3.0"]
    assert [text.get_position() for text in first.texts] == [(0, 0), (2, 0), (1, 1)]
    assert texts(second.texts) == ["60.0\n±1.0"]
    assert texts(first.get_xticklabels()) == ["1e-3", "1e-2", "1e-1"]
    assert texts(first.get_yticklabels()) == ["0", "1e-4"]
    assert (first.get_xlabel(), first.get_ylabel()) == ("lr", "optimizer__weight_decay")
    assert first.get_ylim() == (-0.5, 1.5)  # the larger values on top
    assert first.patches[0].get_xy() == (0.5, 0.5)
    assert len(second.patches) == 0
    for panel, scores in zip(display.ax_, display.mean, strict=True):
        np.testing.assert_array_equal(panel.images[0].get_array().filled(NAN), 100 * scores)
        assert panel.images[0].get_clim() == (60, 90)
    assert "(%)" in display.figure_.axes[-1].get_ylabel()


def test_search_outline_of_a_cell_off_the_diagonal():
    display = search_display(x="batch_size", y="lr", by=None).plot()
    assert texts(display.ax_[0].get_xticklabels()) == ["32", "64"]
    assert display.ax_[0].patches[0].get_xy() == (-0.5, 0.5)


def test_search_text_stands_out_from_its_cell():
    colors = {
        text.get_text()[:4]: text.get_color() for text in search_display().plot().ax_[0].texts
    }
    assert colors == {"70.0": "white", "85.0": "black", "90.0": "black"}


def test_search_scores_that_are_no_rates_stay_as_they_are():
    results = CANDIDATES.assign(mean_test_score=-CANDIDATES["mean_test_score"] / 8)
    display = SearchDisplay.from_results(results, x="lr", y="optimizer__weight_decay").plot()
    assert texts(display.ax_[0].texts) == ["-0.0813\n±0.01", "-0.1\n±0.01", "-0.075\n±0.01"]
    assert "%" not in display.figure_.axes[-1].get_ylabel()
    results = CANDIDATES.assign(mean_test_score=10 * CANDIDATES["mean_test_score"])
    display = SearchDisplay.from_results(results, x="lr", y="optimizer__weight_decay").plot()
    assert texts(display.ax_[0].texts) == ["7\n±0.01", "8.5\n±0.02", "9\n±0.03"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1e-3, 1e-2, 1e-1], ["1e-3", "1e-2", "1e-1"]),
        ([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"]),
        ([0, 1e-4, 5e-4], ["0", "1e-4", "5e-4"]),
        ([0.0031622776601683795, 0.01], ["3.162e-3", "1e-2"]),
        ([64, 128], ["64", "128"]),
        (["onecycle", None, "cosine"], ["onecycle", "None", "cosine"]),
        ([True, False], ["False", "True"]),
    ],
)
def test_search_labels(values, labels):
    n = len(values)
    results = {
        "param_x": np.ma.MaskedArray(values, mask=False, dtype=object),
        "param_y": ["one"] * n,
        "mean_test_score": np.linspace(0.1, 0.9, n),
        "std_test_score": np.zeros(n),
    }
    display = SearchDisplay.from_results(results, x="x", y="y").plot()
    assert texts(display.ax_[0].get_xticklabels()) == labels


def test_search_from_estimator_shows_its_cv_results():
    X, y = load_iris(return_X_y=True)
    grid = {"C": [1e-2, 1e-3], "fit_intercept": [True, False]}
    search = GridSearchCV(LogisticRegression(), grid, cv=3).fit(X, y)
    frame = SearchDisplay.from_estimator(search, x="C", y="fit_intercept").frame()
    # The grid in the order of the frame: no intercept first, the smaller C first.
    expected = search.cv_results_["mean_test_score"].reshape(2, 2)[::-1, ::-1].T.ravel()
    np.testing.assert_array_equal(frame["mean_test_score"], expected)
    assert frame["mean_test_score"].max() == search.best_score_


@pytest.mark.parametrize("changes", [{"x": "learning_rate"}, {"by": "batchsize"}, {"y": "lr"}])
def test_search_with_a_mistyped_parameter_lists_the_searched_ones(changes):
    with pytest.raises(
        ValueError, match=r"searched parameters, got .* \['lr', 'optimizer__weight_decay', 'batch"
    ):
        search_display(**changes)


def test_search_of_several_metrics_or_without_a_score():
    several = CANDIDATES.rename(columns={"mean_test_score": "mean_test_accuracy"})
    with pytest.raises(ValueError, match=r"got \['mean_test_accuracy', 'std_test_score'\]"):
        SearchDisplay.from_results(several, x="lr", y="batch_size")
    with pytest.raises(ValueError, match="got NaN only: every fit failed"):
        SearchDisplay.from_results(CANDIDATES.assign(mean_test_score=NAN), x="lr", y="batch_size")


def test_search_draws_on_given_axes():
    _, axes = plt.subplots(1, 2)
    assert list(search_display().plot(ax=axes).ax_) == list(axes)
    with pytest.raises(ValueError, match=r"`ax` must hold 2 axes, one a panel, got 1"):
        search_display().plot(ax=axes[0])


def test_search_with_five_panels_takes_two_rows():
    results = pd.concat([CANDIDATES.assign(param_fold=fold) for fold in range(5)])
    display = SearchDisplay.from_results(results, x="lr", y="batch_size", by="fold").plot()
    assert len(display.ax_) == 5
    assert len(display.figure_.axes) == 6  # with the colour bar


# Comparison by class


@pytest.fixture
def comparison():
    return pd.DataFrame(
        {
            "recall_difference": [0.1, -0.2, 0.05, -0.1, NAN],
            "recall_low": [0.05, -0.3, -0.05, -0.25, NAN],
            "recall_high": [0.15, -0.1, 0.2, 0, NAN],
        },
        index=pd.Index(["Bag", "Coat", "Dress", "Sandal", "Shirt"], name="class"),
    )


def test_comparison_goes_from_loss_to_gain(comparison):
    frame = ComparisonDisplay.from_frame(comparison).frame()
    assert frame["class"].tolist() == ["Coat", "Sandal", "Dress", "Bag", "Shirt"]
    np.testing.assert_array_equal(
        frame[["difference", "low", "high"]],
        [
            [-0.2, -0.3, -0.1],
            [-0.1, -0.25, 0],
            [0.05, -0.05, 0.2],
            [0.1, 0.05, 0.15],
            [NAN, NAN, NAN],
        ],
    )


def test_comparison_draws_points_intervals_and_verdicts(comparison):
    display = ComparisonDisplay.from_frame(comparison, names=("SimpleCNN", "LeNet5"))
    assert display.plot() is display
    ax = display.ax_
    assert texts(ax.get_yticklabels()) == ["Coat", "Sandal", "Dress", "Bag", "Shirt"]
    assert ax.get_ylim() == (4.5, -0.5)  # the first row on top
    worse, better, undecided, zero = ax.lines
    np.testing.assert_allclose(worse.get_xydata(), [[-20, 0]])
    np.testing.assert_allclose(better.get_xydata(), [[10, 3]])
    np.testing.assert_allclose(undecided.get_xydata(), [[-10, 1], [5, 2], [NAN, 4]])
    assert undecided.get_markerfacecolor() == "white"
    assert set(zero.get_xdata()) == {0}
    assert texts(ax.get_legend().get_texts()) == [
        "SimpleCNN worse",
        "SimpleCNN better",
        "undecided",
    ]
    bars = [
        bar[:, 0].tolist() for group in ax.collections for bar in group.get_segments() if len(bar)
    ]
    np.testing.assert_allclose(bars, [[-30, -10], [5, 15], [-25, 0], [-5, 20]])
    assert ax.get_xlabel().startswith("recall of SimpleCNN minus recall of LeNet5")


def test_comparison_of_a_report():
    codes, proba_a = answers(skill=2.0)
    report = compare_per_class(
        codes, proba_a, answers(skill=1.0)[1], [0, 1, 2], class_names=CLASSES
    )
    frame = ComparisonDisplay.from_frame(report).frame().set_index("class")
    np.testing.assert_array_equal(frame["difference"][CLASSES], report["recall_difference"])
    np.testing.assert_array_equal(frame["low"][CLASSES], report["recall_low"])


def test_comparison_with_a_missing_column(comparison):
    with pytest.raises(ValueError, match=r"got none called \['recall_high', 'recall_low'\]"):
        ComparisonDisplay.from_frame(comparison[["recall_difference"]])
