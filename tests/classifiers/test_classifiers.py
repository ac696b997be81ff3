"""CNNClassifier as a scikit-learn classifier: labels, images, reproducibility, errors."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from skorch.dataset import Dataset as ArrayDataset
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional

from fmcam.classifiers import (
    CNNCAMClassifier,
    CNNClassifier,
    FlipAndShift,
    LeNet5Classifier,
    ResNet18Classifier,
    SimpleCNNClassifier,
)
from fmcam.models import CNN_CAM, LeNet5


def not_of_minibatches(estimator):
    reason = "each batch is divided by its own weights, and repeated rows make other batches"
    kinds = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in kinds}


@parametrize_with_checks(
    [
        LeNet5Classifier(image_shape="pad", lr=0.02, max_epochs=5),
        SimpleCNNClassifier(image_shape="pad", lr=0.02, max_epochs=5),
    ],
    expected_failed_checks=not_of_minibatches,
)
@pytest.mark.filterwarnings("ignore:.*occurred during set_params of param")
@pytest.mark.filterwarnings("ignore:Estimator's parameters changed after set_params raised")
def test_all_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def squares():
    """Images of 16x16 pixels: class 0 has a bright square on the left, 1 on the right, 2 none."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 60, (90, 1, 16, 16), dtype=np.uint8)
    y = np.arange(90) % 3
    X[y == 0, :, 4:12, 1:7] = 200
    X[y == 1, :, 4:12, 9:15] = 200
    return X, y


def small(**params):
    return LeNet5Classifier(**{"max_epochs": 8, "lr": 0.005, "random_state": 0, **params})


@pytest.fixture(scope="module")
def fitted(squares):
    return small().fit(*squares)


def weights_of(clf):
    return torch.cat([p.detach().flatten() for p in clf.module_.state_dict().values()])


# Labels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [["cat", "dog", "eel"], [0, 1, 5], [-2.0, 0.0, 7.0], [False, True]], ids=str
)
def test_labels_of_any_kind_come_back(squares, labels):
    X, y = squares
    keep = y < len(labels)
    X, y = X[keep], np.array(labels)[y[keep]]
    clf = small().fit(X, y)
    assert clf.classes_.tolist() == labels
    assert clf.classes_.dtype == y.dtype
    assert clf.score(X, y) == 1.0
    proba = clf.predict_proba(X)
    assert (clf.classes_[proba.argmax(axis=1)] == clf.predict(X)).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_classes_name_labels_that_y_lacks(squares):
    X, y = squares
    clf = small(classes=[0, 1, 2, 9], max_epochs=1).fit(X, y)
    assert clf.predict_proba(X[:4]).shape == (4, 4)
    assert clf.classes_.tolist() == [0, 1, 2, 9]


def test_classes_without_a_label_of_y(squares):
    with pytest.raises(ValueError, match=r"`y` holds labels \[2\] that are not in \[0, 1\]"):
        small(classes=[0, 1]).fit(*squares)


# Images -------------------------------------------------------------------------------------------


def test_all_forms_of_the_same_images_give_the_same_fit(squares, fitted):
    X, y = squares
    forms = [X[:, 0], X.reshape(len(X), -1), torch.as_tensor(X), X.astype(np.float64), X.tolist()]
    for form in forms:
        clf = small().fit(form, y)
        assert torch.equal(weights_of(clf), weights_of(fitted))
        assert clf.image_shape_ == (1, 16, 16)
        assert clf.n_features_in_ == 256


def test_images_may_be_scaled_as_one_likes(squares, fitted):
    X, y = squares
    clf = small().fit(X / 255.0, y)
    np.testing.assert_allclose(clf.predict_proba(X / 255.0), fitted.predict_proba(X), atol=1e-3)


def test_flat_rows_of_colour_images_need_their_shape(squares):
    X, y = squares
    colour = np.concatenate([X, X // 2, X], axis=1)
    clf = small(image_shape=(3, 16, 16), max_epochs=2).fit(colour.reshape(len(X), -1), y)
    expected = small(max_epochs=2).fit(colour, y)
    assert torch.equal(weights_of(clf), weights_of(expected))
    with pytest.raises(ValueError, match=r"Rows of 768 pixels make no square.*image_shape='pad'"):
        small().fit(colour.reshape(len(X), -1), y)


def test_standardizing_is_learned_on_the_training_rows(squares):
    X, y = squares
    clf = small(max_epochs=1).fit(np.concatenate([X, X // 4], axis=1)[:60], y[:60])
    pixels = np.stack([X[:60, 0], X[:60, 0] // 4]).reshape(2, -1).astype(float)
    standardize = clf.module_.standardize
    np.testing.assert_allclose(standardize.mean.flatten(), pixels.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(standardize.std.flatten(), pixels.std(axis=1), rtol=1e-6)


def test_standardizing_leaves_out_the_validation_rows(squares):
    X, y = squares

    def last_third(dataset, y=None, **_):
        return (
            torch.utils.data.Subset(dataset, range(60)),
            torch.utils.data.Subset(dataset, range(60, 90)),
        )

    clf = small(max_epochs=1, train_split=last_third).fit(X, y)
    assert clf.module_.standardize.mean.item() == pytest.approx(X[:60].mean(), rel=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_any_unit_will_do(squares, unit):
    X, y = squares
    assert small().fit(X * unit, y).score(X * unit, y) == 1.0


def test_mirrored_views_are_images_too(squares, fitted):
    X, _ = squares
    np.testing.assert_array_equal(fitted.predict(X[::-1]), fitted.predict(X)[::-1])
    mirrored = fitted.predict_proba(X[..., ::-1])
    np.testing.assert_array_equal(mirrored, fitted.predict_proba(X[..., ::-1].copy()))


def test_a_constant_channel_is_not_blown_up(squares):
    X, y = squares
    constant = np.concatenate([X, np.full_like(X, 7)], axis=1)
    clf = small(max_epochs=1).fit(constant, y)
    assert clf.module_.standardize.std.flatten()[1] == 1


# Reproducibility ----------------------------------------------------------------------------------


def test_random_state_makes_two_fits_equal_bit_for_bit(squares, fitted):
    torch.manual_seed(123)
    assert torch.equal(weights_of(small().fit(*squares)), weights_of(fitted))
    assert not torch.equal(weights_of(small(random_state=1).fit(*squares)), weights_of(fitted))


def test_fit_leaves_torch_random_state_alone(squares):
    before = torch.get_rng_state()
    small(max_epochs=1).fit(*squares)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_seeded_too(squares):
    class Dropping(nn.Sequential):
        def __init__(self, n_classes, in_channels):
            super().__init__(
                nn.Flatten(),
                nn.Linear(in_channels * 256, 32),
                nn.Dropout(),
                nn.Linear(32, n_classes),
            )

    a, b = (CNNClassifier(Dropping, max_epochs=2, random_state=0).fit(*squares) for _ in range(2))
    assert torch.equal(weights_of(a), weights_of(b))


def test_row_order_and_batch_size_do_not_change_predictions(squares, fitted):
    X, _ = squares
    order = np.random.default_rng(0).permutation(len(X))
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(fitted.predict_proba(X[order]), proba[order], atol=1e-6)
    one_by_one = np.concatenate([fitted.predict_proba(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(one_by_one, proba, atol=1e-6)


def test_clone_and_pickle(squares, fitted):
    X, _ = squares
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.get_params()["device"] == "auto"
    fresh = clone(fitted)
    assert fresh.get_params().keys() == fitted.get_params().keys()
    with pytest.raises(NotFittedError):
        fresh.predict(X)


def test_fit_does_not_train_the_given_instance(squares):
    net = LeNet5(n_classes=3)
    before = net.head[-1].weight.clone()
    CNNClassifier(net, max_epochs=1).fit(*squares)
    assert torch.equal(net.head[-1].weight, before)


def test_partial_fit_goes_on_and_warm_start_too(squares):
    X, y = squares
    clf = small(max_epochs=2).partial_fit(X[:30], y[:30], classes=[0, 1, 2, 3])
    first = weights_of(clf)
    clf.partial_fit(X, y)
    assert len(clf.history) == 4
    assert not torch.equal(weights_of(clf), first)
    assert torch.equal(weights_of(clf)[:2], first[:2])  # mean and std stay as they were learned
    warm = small(max_epochs=2, warm_start=True).fit(X, y)
    assert len(warm.fit(X, y).history) == 4


# skorch -------------------------------------------------------------------------------------------


def test_history_schedules_and_early_stopping_are_those_of_skorch(squares):
    X, y = squares
    clf = small(
        max_epochs=30,
        train_split=ValidSplit(0.2, stratified=True, random_state=0),
        callbacks=[
            ("stop", EarlyStopping(patience=2, threshold=0.5, threshold_mode="abs", sink=str)),
            ("schedule", LRScheduler("StepLR", step_size=1, gamma=0.5)),
        ],
    ).fit(X, y)
    assert 3 <= len(clf.history) < 30
    row = clf.history[-1]
    assert {"train_loss", "train_acc", "valid_loss", "valid_acc", "dur"} <= set(row)
    assert clf.optimizer_.param_groups[0]["lr"] < 0.005
    held_out = [r["valid_acc"] for r in clf.history]
    assert all(0 <= accuracy <= 1 for accuracy in held_out)


def test_checkpoints_of_skorch_bring_the_best_epoch_back(squares, tmp_path):
    X, y = squares
    keeper = Checkpoint(monitor="valid_acc_best", dirname=tmp_path, f_criterion=None)
    split = ValidSplit(0.3, stratified=True, random_state=0)
    clf = small(callbacks=[keeper], train_split=split).fit(X, y)
    last = weights_of(clf)
    clf.partial_fit(X, np.random.default_rng(0).permutation(y))
    assert not torch.equal(weights_of(clf), last)
    clf.load_params(checkpoint=keeper)
    assert clf.score(X, y) == 1.0
    stopper = EarlyStopping(patience=1, load_best=True, monitor="valid_loss", sink=str)
    best = small(max_epochs=30, lr=0.02, callbacks=[stopper], train_split=split).fit(X, y)
    losses = best.history[:, "valid_loss"]
    assert stopper.best_epoch_ < len(losses)
    rows = split(best.get_dataset(X, y), y)[1].indices
    proba = best.predict_proba(X[rows])
    assert log_loss(y[rows], proba) == pytest.approx(min(losses), rel=1e-4)


def test_recorded_training_accuracy_is_that_of_the_batches(squares):
    X, y = squares
    clf = small(max_epochs=1, lr=0.0, batch_size=40).fit(X, y)
    with torch.no_grad():
        columns = clf.module_.train()(torch.as_tensor(X)).argmax(dim=1).numpy()
    assert clf.history[-1, "train_acc"] == pytest.approx((columns == y).mean())


def test_silent_in_a_pipe(squares, capsys):
    clf = small(max_epochs=1, verbose=1).fit(*squares)
    clf.fit(*squares).set_params(module__n_classes=3, criterion__label_smoothing=0.1)
    CNNClassifier.from_module(LeNet5(n_classes=3), max_epochs=1).partial_fit(*squares)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "")


def test_a_line_an_epoch_on_a_terminal(squares, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    small(max_epochs=2, verbose=1).fit(*squares)
    assert "train_loss" in capsys.readouterr().out


def interrupt(*_, **__):
    raise KeyboardInterrupt


class Saving(Callback):
    def on_epoch_end(self, net, **kwargs):
        interrupt()


@pytest.mark.parametrize(
    "params", [{"augment": interrupt}, {"callbacks": [Saving()]}], ids=["augment", "callback"]
)
def test_an_interrupt_is_not_swallowed(squares, params):
    with pytest.raises(KeyboardInterrupt):
        small(**params).fit(*squares)


def test_a_net_built_anew_by_set_params_keeps_its_standardizing(squares):
    X, y = squares
    clf = small(max_epochs=1).fit(X, y)
    mean = clf.module_.standardize.mean.clone()
    clf.set_params(module__in_channels=1)
    assert torch.equal(clf.module_.standardize.mean, mean)


@pytest.mark.parametrize("criterion", [nn.MultiMarginLoss, nn.CrossEntropyLoss])
def test_probabilities_sum_to_one_for_any_loss(squares, criterion):
    clf = small(criterion=criterion, max_epochs=1).fit(*squares)
    np.testing.assert_allclose(clf.predict_proba(squares[0]).sum(axis=1), 1, atol=1e-6)


def test_labels_are_encoded_once_for_a_data_set_class_of_ones_own(squares):
    class Rows(ArrayDataset):
        pass

    X, y = squares
    labels = np.array(["left", "none", "right"])[y]
    assert small(dataset=Rows).fit(X, labels).score(X, labels) == 1.0


def test_bfloat16_is_close_to_float32_and_keeps_float32_weights(squares, fitted):
    X, y = squares
    clf = small(precision="bfloat16").fit(X, y)
    assert clf.score(X, y) == fitted.score(X, y) == 1.0
    assert all(p.dtype == torch.float32 for p in clf.module_.parameters())
    assert clf.predict_proba(X).dtype == np.float32
    assert not torch.equal(weights_of(clf), weights_of(fitted))


# Searches of scikit-learn -------------------------------------------------------------------------


def test_grid_random_and_halving_search(squares):
    X, y = squares
    grid = {"lr": [1e-6, 0.005], "batch_size": [30], "optimizer__weight_decay": [0.0]}
    for search in (
        GridSearchCV(small(), grid, cv=3),
        RandomizedSearchCV(small(), grid, n_iter=2, cv=3, random_state=0),
        HalvingGridSearchCV(
            small(), grid, cv=3, resource="max_epochs", max_resources=8, factor=2, random_state=0
        ),
    ):
        assert search.fit(X, y).best_params_["lr"] == 0.005
        assert search.best_estimator_.predict(X).shape == (90,)


# What is wrong is said ----------------------------------------------------------------------------

GOOD = np.zeros((6, 1, 16, 16), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]


def with_nan():
    X = GOOD.astype(float)
    X[2, 0, 3, 3] = np.nan
    return X


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((2, 3, 1, 16, 16)), [0, 1], r"\(n, c, h, w\) or \(n, h, w\), got \(2, 3, 1"),
        (with_nan(), LABELS, "contains NaN or infinity in 1 of 6 images"),
        (GOOD[:0], [], r"0 sample\(s\).*minimum of 1 is required"),
        (GOOD, [4] * 6, r"at least two classes, got one class: \[4\]"),
        (GOOD, LABELS[:5], r"inconsistent numbers of samples: \[6, 5\]"),
        (GOOD, None, "requires y to be passed, but the target y is None"),
        (GOOD, np.linspace(0, 1, 6), "Unknown label type: continuous"),
        (GOOD[:, :, :8, :8], LABELS, r"cannot take images of shape \(c, h, w\) = \(1, 8, 8\)"),
    ],
    ids=["rank", "nan", "empty", "one class", "short y", "no y", "continuous", "small"],
)
def test_bad_data(X, y, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, y)


def test_images_that_are_no_numbers():
    with pytest.raises(TypeError, match="real numbers, got an array of dtype"):
        small().fit(GOOD.astype(str), LABELS)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3, 16, 16)), r"\(3, 16, 16\), but .* was fitted on \(1, 16, 16\)"),
        (np.zeros((2, 28, 28)), r"\(1, 28, 28\), but LeNet5Classifier was fitted on"),
        (np.zeros((2, 255)), "X has 255 features, but LeNet5Classifier is expecting 256"),
    ],
    ids=["channels", "size", "row"],
)
def test_images_unlike_those_of_fit(fitted, X, message):
    with pytest.raises(ValueError, match=message):
        fitted.predict(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learning_rate": 0.1}, "Invalid parameter 'learning_rate' for LeNet5Classifier"),
        ({"batchsize": 4}, "Did you mean 'batch_size'"),
        ({"optimizer__wieght_decay": 0.1}, "Did you mean 'optimizer__weight_decay'"),
        ({"optimiser__weight_decay": 0.1}, "Did you mean 'optimizer__weight_decay'"),
        ({"criterion__label_smooting": 0.1}, "Did you mean 'criterion__label_smoothing'"),
        ({"module__channels": 3}, "Did you mean 'module__in_channels'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistyped_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        small(**params).fit(GOOD, LABELS)
    with pytest.raises(ValueError, match=message):
        small().set_params(**params)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"criterion": nn.NLLLoss}, ValueError, "`criterion` must take logits.*nn.NLLLoss"),
        ({"precision": "bf16"}, ValueError, r"one of \['float32', 'bfloat16'\], got 'bf16'"),
        ({"device": "gpu"}, ValueError, "`device` must be 'auto' or a torch device.*got 'gpu'"),
        ({"device": "cuda:7"}, ValueError, "`device` must be 'auto' or a torch device.*'cuda:7'"),
        ({"image_shape": (1, 9, 9)}, ValueError, r"`image_shape` is \(1, 9, 9\)"),
        ({"criterion": nn.MSELoss}, ValueError, "nn.MSELoss, which compares numbers with numbers"),
        ({"criterion": functional.cross_entropy}, TypeError, "`criterion` must be a class"),
        ({"optimizer": "adam"}, TypeError, "`optimizer` must be a class .* got 'adam'"),
        (
            {"optimizer": torch.optim.Adam(nn.Linear(1, 1).parameters())},
            TypeError,
            r"(?s)`optimizer` must be a class such as torch.optim.Adam, got Adam .*`optimizer__",
        ),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, .* got 0"),
        ({"batch_size": 2.5}, ValueError, "`batch_size` must be .* got 2.5"),
        ({"precision": ["bfloat16"]}, ValueError, r"`precision` must be one of .* \['bfloat16'\]"),
        ({"augment": FlipAndShift}, TypeError, "`augment` must be a function .*FlipAndShift'>"),
        ({"augment": nn.Identity()}, TypeError, r"`augment` must be a function .*Identity\(\)"),
        ({"augment": lambda X, _: X[1:]}, ValueError, r"as many images as came, 6, got \(5, "),
        ({"augment": lambda X, _: None}, ValueError, "as came, 6, got NoneType"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings(params, error, message):
    with pytest.raises(error, match=message):
        small(**params).fit(GOOD, LABELS)


def test_a_net_with_another_number_of_outputs():
    with pytest.raises(ValueError, match=r"logits of shape \(n, 3\).*it gave \(1, 10\)"):
        CNNClassifier(LeNet5(n_classes=10)).fit(GOOD, LABELS)


# from_module --------------------------------------------------------------------------------------


def test_from_module_is_fitted_and_shares_the_net():
    net = CNN_CAM(n_classes=3).train()
    clf = CNNClassifier.from_module(net, classes=["a", "b", "c"])
    images = np.random.default_rng(0).random((5, 1, 20, 20), dtype=np.float32)
    proba = clf.predict_proba(images)
    assert net.training
    assert all(part.training for part in net.modules())
    with torch.no_grad():
        expected = net.eval()(torch.as_tensor(images)).softmax(dim=1).numpy()
    np.testing.assert_allclose(proba, expected, atol=1e-6)
    assert clf.module_.net is net
    assert set(clf.predict(images)) <= {"a", "b", "c"}


def test_from_module_counts_the_classes_and_can_go_on_training(squares):
    X, y = squares
    clf = CNNClassifier.from_module(LeNet5(n_classes=3), lr=0.005, max_epochs=8, random_state=0)
    assert clf.classes_.tolist() == [0, 1, 2]
    scaled = X / 100.0
    assert clf.partial_fit(scaled, y).score(scaled, y) > 0.9


def test_training_on_from_module_does_not_standardize_anew(squares):
    X, y = squares
    trained = small().fit(X / 100.0, y)
    net = trained.module_
    clf = CNNClassifier.from_module(net, lr=0.0, max_epochs=1, image_shape=(1, 16, 16))
    before = clf.predict_proba(X / 100.0)
    clf.partial_fit(X / 100.0, y)
    np.testing.assert_array_equal(clf.predict_proba(X / 100.0), before)


def test_from_module_errors():
    with pytest.raises(ValueError, match="for each of the 10 outputs of LeNet5, got 2"):
        CNNClassifier.from_module(LeNet5(), classes=[0, 1])
    with pytest.raises(ValueError, match=r"must be without repeats, got \['cat'\] several times"):
        CNNClassifier.from_module(LeNet5(n_classes=2), classes=["cat", "cat"])
    with pytest.raises(ValueError, match="Flatten has no linear or convolution layer"):
        CNNClassifier.from_module(nn.Flatten())


def test_named_classifiers_build_their_nets(squares):
    X, y = squares
    for kind in (SimpleCNNClassifier, CNNCAMClassifier, ResNet18Classifier):
        clf = kind(max_epochs=1, random_state=0).fit(X[:12], y[:12])
        assert type(clf.module_.net) is kind().module
        assert clf.module_.net.features(torch.zeros(1, 1, 16, 16)).ndim == 4


def test_an_epoch_trains_all_parts_whatever_mode_they_were_left_in(squares):
    X, y = squares
    seen = []

    class Modes(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            seen.append({part.training for part in net.module_.modules()})

    clf = LeNet5Classifier(max_epochs=1, callbacks=[Modes()], random_state=0).fit(X, y)
    seen.clear()
    clf.module_.train()
    clf.module_.net.head.eval()
    clf.partial_fit(X, y)
    assert seen
    assert all(modes == {True} for modes in seen)
