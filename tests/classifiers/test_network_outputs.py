"""What networks give: which tensor holds the logits, how many there are, which class each is."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from skorch.callbacks import EpochScoring
from torch import nn

from fmcam.classifiers import CNNClassifier
from fmcam.explain import GradCAM
from fmcam.models import Standardize, StandardizedNet

X = np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype(np.float32)
LABELS = np.array(["cat", "dog"])[np.arange(6) % 2]
WithAux = namedtuple("WithAux", "logits aux")


@dataclass
class Output:
    logits: torch.Tensor
    features: torch.Tensor


class Returns(nn.Module):
    """A small network; `what(logits, maps)` is what it returns."""

    def __init__(self, what=lambda logits, maps: logits, n_classes=3):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, n_classes)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator)
        self.what = what

    def forward(self, images):
        maps = self.conv(images)
        return self.what(self.fc(maps.mean(dim=(2, 3))), maps)


def logits_of(net):
    """The logits before they are packed, float64."""
    plain = Returns(n_classes=net.fc.out_features)
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        return plain(torch.as_tensor(X)).numpy().astype(float)


# The tensor that holds the logits -----------------------------------------------------------------

PACKED = {
    "tuple": lambda logits, maps: (logits, maps),
    "reversed": lambda logits, maps: (maps, logits),
    "list": lambda logits, maps: [logits],
    "nested": lambda logits, maps: ((logits, (maps,)),),
    "dict": lambda logits, maps: {"out": logits, "features": maps},
    "dict with logits": lambda logits, maps: {"aux": 2 * logits, "logits": logits},
    "namedtuple": lambda logits, maps: WithAux(logits, 2 * logits),
    "dataclass": Output,
    "maps of 1x1": lambda logits, maps: logits[..., None, None],
    "beside a loss": lambda logits, maps: (logits.mean(), logits),
    "beside a prediction": lambda logits, maps: (logits, logits.argmax(dim=1)),
    "under two names": lambda logits, maps: {"a": logits, "b": logits},
}


@pytest.mark.parametrize("what", PACKED.values(), ids=PACKED)
def test_the_logits_are_found_in_what_a_network_returns(what):
    net = Returns(what)
    clf = CNNClassifier.from_module(net)
    assert clf.classes_.tolist() == [0, 1, 2]
    expected = softmax(logits_of(net), axis=1)
    np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-6)
    np.testing.assert_allclose(clf.predict_proba(X[:1]), expected[:1], atol=1e-6)


@pytest.mark.parametrize("name", ["tuple", "dict", "namedtuple", "dataclass"])
def test_a_network_that_returns_more_than_logits_is_trained_as_one_that_does_not(name):
    fits = [
        CNNClassifier(Returns(what, 2), max_epochs=2, verbose=0, random_state=0).fit(X, LABELS)
        for what in (PACKED[name], lambda logits, maps: logits)
    ]
    assert fits[0].history[:, "train_loss"] == fits[1].history[:, "train_loss"]


def test_auxiliary_logits_that_come_in_training_alone():
    class Inception(Returns):
        def forward(self, images):
            logits = super().forward(images)
            return WithAux(logits, logits + 1) if self.training else logits

    clf = CNNClassifier(Inception(n_classes=2), max_epochs=1, verbose=0).fit(X, LABELS)
    assert np.isfinite(clf.history[-1, "train_loss"])


def test_the_number_of_classes_tells_logits_from_features():
    net = Returns(lambda logits, maps: (maps.mean(dim=(2, 3)), logits))
    with pytest.raises(
        ValueError, match=r"\[0\]\(2, 4\), \[1\]\(2, 3\), of which 2 can be.*classes"
    ):
        CNNClassifier.from_module(net)
    clf = CNNClassifier.from_module(net, classes=["a", "b", "c"])
    np.testing.assert_allclose(clf.predict_proba(X), softmax(logits_of(net), axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("what", "came"),
    [
        (
            lambda logits, maps: (logits, 2 * logits),
            r"\[0\]\(2, 3\), \[1\]\(2, 3\), of which 2 can",
        ),
        (lambda logits, maps: maps, r"\(2, 4, \d+, \d+\), of which none can"),
        (lambda logits, maps: None, "NoneType, of which none can"),
        (lambda logits, maps: logits.argmax(dim=1), r"\(2,\), of which none can"),
        (
            lambda logits, maps: {"last_hidden_state": maps, "pooler_output": logits},
            r"\['last_hidden_state'\]\(2, 4, .*\['pooler_output'\]\(2, 3\), of which none can",
        ),
    ],
    ids=["two logits", "maps", "None", "labels", "no head"],
)
def test_outputs_that_cannot_be_told_are_refused(what, came):
    with pytest.raises(ValueError, match=f"{came} be the logits.*wrap the network"):
        CNNClassifier.from_module(Returns(what))


# How many there are -------------------------------------------------------------------------------


class Projects(Returns):
    """A head for contrastive training is registered after the one that classifies."""

    def __init__(self):
        super().__init__(n_classes=5)
        self.project = nn.Linear(4, 32)


def test_the_last_linear_layer_need_not_be_the_head():
    clf = CNNClassifier.from_module(Projects())
    assert clf.classes_.tolist() == [0, 1, 2, 3, 4]
    assert CNNClassifier.from_module(Projects(), classes=list("abcde")).predict_proba(X).shape == (
        6,
        5,
    )
    with pytest.raises(ValueError, match="each of the 5 outputs of Projects, got 32"):
        CNNClassifier.from_module(Projects(), classes=range(32))


@pytest.mark.parametrize("side", [5, 28, 33, 50, 224])
def test_outputs_are_counted_at_the_size_that_a_flattening_head_fits(side):
    cells = (side - 3) // 2 + 1
    flat = nn.Linear(2 * cells**2, 4)
    net = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.Flatten(), flat, nn.Linear(4, 7))
    assert len(CNNClassifier.from_module(net).classes_) == 7


def test_a_size_that_noise_did_not_find_is_learned_from_the_first_images():
    class Strange(Returns):
        def forward(self, images):
            assert images.shape[2:] == (8, 70), "made for 8x70"
            return super().forward(images)[:, :2]

    net = Strange()
    clf = CNNClassifier.from_module(net)
    assert clf.classes_.tolist() == [0, 1, 2]  # the width of its last layer
    images = np.zeros((2, 1, 8, 70))
    assert clf.predict_proba(images).shape == (2, 2)
    assert clf.classes_.tolist() == [0, 1]
    four = CNNClassifier.from_module(net, classes=list("abcd"))
    with pytest.raises(ValueError, match=r"shape \(n, 4\).*'a'.*for n = 2 it gave \(2, 2\)"):
        four.predict(images)


def test_counting_leaves_no_trace():
    class Counts(Returns):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images):
            self.calls += 1
            return self.drop(super().forward(images)) + torch.rand(1)

    net = Counts().train()
    net.drop.eval()
    before = torch.get_rng_state()
    CNNClassifier.from_module(net)
    assert net.calls.item() == 0
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training
    assert not net.drop.training
    assert all(weight.grad is None and weight.requires_grad for weight in net.parameters())


# Which class each is ------------------------------------------------------------------------------


def test_classes_in_the_order_of_the_outputs():
    net = Returns()
    clf = CNNClassifier.from_module(net, classes=["T-shirt", "Trouser", "Dress"])
    expected = softmax(logits_of(net), axis=1)
    assert clf.classes_.tolist() == ["Dress", "T-shirt", "Trouser"]
    assert clf.module_.order.tolist() == [2, 0, 1]
    np.testing.assert_allclose(clf.predict_proba(X), expected[:, [2, 0, 1]], atol=1e-6)
    names = np.array(["T-shirt", "Trouser", "Dress"])
    assert clf.predict(X).tolist() == names[expected.argmax(axis=1)].tolist()
    with torch.no_grad():
        columns = clf.module_(torch.as_tensor(X)).numpy()
    np.testing.assert_allclose(columns, logits_of(net)[:, [2, 0, 1]], rtol=1e-5)


def test_a_reordered_network_goes_on_training_and_is_adopted_again():
    net = Returns(n_classes=2)
    clf = CNNClassifier.from_module(net, classes=["dog", "cat"], lr=0.0, max_epochs=1, verbose=0)
    before = clf.predict_proba(X)
    clf.partial_fit(X, clf.predict(X))
    assert clf.history[-1, "train_acc"] == 1
    clf.adopt(clf.module_, clf.classes_)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    clf.adopt(clf.module_, clf.classes_[::-1])  # names of columns, not of outputs
    np.testing.assert_array_equal(clf.predict_proba(X), before[:, ::-1])
    assert clf.module_.order is None


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 0, 1], r"without repeats, got \[0\]"),
        ([0, 1], "each of the 3 outputs of Returns, got 2"),
        ({0: "a", 1: "b", 2: "c"}, "must be a sequence of one label"),
        ("abc", "must be a sequence of one label"),
    ],
    ids=["repeats", "too few", "mapping", "text"],
)
def test_classes_that_name_no_outputs(classes, message):
    with pytest.raises(ValueError, match=message):
        CNNClassifier.from_module(Returns(), classes=classes)


# One logit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["(n, 1)", "(n,)", "squeezed"])
def test_one_logit_is_a_binary_classifier(shape):
    shapes = {"(n, 1)": (-1, 1), "(n,)": (-1,)}
    net = Returns(
        lambda logits, maps: logits.reshape(shapes[shape]) if shape in shapes else logits.squeeze(),
        n_classes=1,
    )
    clf = CNNClassifier.from_module(net)
    positive = expit(logits_of(net)[:, 0])
    assert clf.classes_.tolist() == [0, 1]
    expected = np.stack([1 - positive, positive], axis=1)
    np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-6)
    np.testing.assert_allclose(clf.predict_proba(X[:1]), expected[:1], atol=1e-6)
    assert clf.raw_outputs(torch.as_tensor(X)).shape == (6, 1)


@pytest.mark.parametrize("classes", [["cat", "dog"], ["dog", "cat"]])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_one_output_speaks_for_the_second_label_given(classes, outputs):
    sigmoid = outputs == "probabilities"
    what = (lambda logits, maps: logits.sigmoid()) if sigmoid else (lambda logits, maps: logits)
    net = Returns(what, n_classes=1)
    clf = CNNClassifier.from_module(net, classes=classes, outputs=outputs)
    column = clf.classes_.tolist().index(classes[1])
    found = clf.predict_proba(X)[:, column]
    np.testing.assert_allclose(found, expit(logits_of(net)[:, 0]), atol=1e-6)


def test_layers_may_multiply_the_rows():
    """As AblationCAM does, which runs the first part of a network once for many."""
    for n_outputs, what in ((3, lambda z, _: z), (1, lambda z, _: z[:, 0])):
        net = Returns(what, n_outputs)
        clf = CNNClassifier.from_module(net)
        hook = net.conv.register_forward_hook(lambda module, args, maps: maps.repeat(2, 1, 1, 1))
        with torch.no_grad():
            found = clf.raw_outputs(torch.as_tensor(X[:1]), n_copies=2).numpy()
        hook.remove()
        np.testing.assert_allclose(found, np.repeat(logits_of(net)[:1], 2, axis=0), rtol=1e-5)


@pytest.mark.parametrize("rows", [lambda z, _: z[:1], lambda z, _: z.repeat(2, 1)])
def test_a_network_that_gives_no_row_for_each_image(rows):
    net = Returns(rows)
    message = r"Returns must give a row of logits for each image; for \d images it gave \(\d+, 3\)"
    with pytest.raises(ValueError, match=message):
        CNNClassifier.from_module(net).predict(X[:3])
    with pytest.raises(ValueError, match=message):
        GradCAM(net).explain(X[:3], [0, 1, 2])


def test_one_output_has_two_labels():
    with pytest.raises(ValueError, match="two labels for the single output of Returns, got 3"):
        CNNClassifier.from_module(Returns(n_classes=1), classes=[0, 1, 2])


def test_a_network_with_one_logit_is_trained_by_binary_cross_entropy():
    net = Returns(n_classes=1)
    losses = [
        CNNClassifier(net, lr=0.01, max_epochs=3, random_state=0, verbose=0, **criterion)
        .fit(X, LABELS)
        .history[:, "train_loss"]
        for criterion in ({}, {"criterion": nn.BCEWithLogitsLoss})
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    clf = CNNClassifier(net, lr=0.0, max_epochs=1, verbose=0).fit(X, LABELS)
    with torch.no_grad():
        z = net((torch.as_tensor(X) - X.mean()) / X.std())[:, 0]
    right = nn.functional.binary_cross_entropy_with_logits(z, torch.tensor([0.0, 1.0] * 3))
    assert clf.history[-1, "train_loss"] == pytest.approx(right.item(), rel=1e-5)
    assert clf.history[-1, "train_acc"] == ((z > 0).numpy() == (LABELS == "dog")).mean()


def test_weights_of_the_positive_class():
    weight = torch.tensor([3.0])
    clf = CNNClassifier(
        Returns(n_classes=1),
        criterion=nn.BCEWithLogitsLoss,
        criterion__pos_weight=weight,
        lr=0.0,
        max_epochs=1,
        verbose=0,
    ).fit(X, LABELS)
    with torch.no_grad():
        z = clf.raw_outputs(torch.as_tensor(X))[:, 0]
    loss = nn.BCEWithLogitsLoss(pos_weight=weight)(z, torch.tensor([0.0, 1.0] * 3))
    assert clf.history[-1, "train_loss"] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (nn.BCEWithLogitsLoss, "is for two classes, got 3"),
        (nn.BCELoss, "take logits, as nn.BCEWithLogitsLoss does, got nn.BCELoss"),
    ],
)
def test_losses_that_do_not_fit(criterion, message):
    clf = CNNClassifier(Returns(), criterion=criterion, max_epochs=1, verbose=0)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, np.arange(6) % 3)


def test_scores_in_an_epoch_of_a_network_with_one_logit():
    accuracy = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="score")
    clf = CNNClassifier(
        Returns(n_classes=1), lr=0.0, max_epochs=1, verbose=0, callbacks=[accuracy]
    ).fit(X, np.arange(6) % 2)
    assert clf.history[-1, "score"] == clf.history[-1, "train_acc"]


# Probabilities ------------------------------------------------------------------------------------


def test_probabilities_are_taken_as_they_are():
    net = Returns(lambda logits, maps: logits.softmax(dim=1))
    clf = CNNClassifier.from_module(net, outputs="probabilities")
    np.testing.assert_allclose(clf.predict_proba(X), softmax(logits_of(net), axis=1), atol=1e-6)
    assert torch.equal(clf.raw_outputs(torch.as_tensor(X)), net(torch.as_tensor(X)))


def test_a_probability_of_zero_is_no_reason_for_nan():
    net = Returns(lambda logits, maps: (1000 * logits).softmax(dim=1))
    found = CNNClassifier.from_module(net, outputs="probabilities").predict_proba(X)
    np.testing.assert_allclose(found, np.eye(3)[logits_of(net).argmax(axis=1)], atol=1e-6)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_network_that_ends_in_probabilities_is_trained_as_one_with_logits(n_outputs):
    squash = (lambda z, _: z.sigmoid()) if n_outputs == 1 else (lambda z, _: z.softmax(dim=1))
    params = {"lr": 0.01, "max_epochs": 3, "random_state": 0, "verbose": 0}
    squashed = CNNClassifier(Returns(squash, n_outputs), outputs="probabilities", **params)
    plain = CNNClassifier(Returns(n_classes=n_outputs), **params)
    losses = [clf.fit(X, LABELS).history[:, "train_loss"] for clf in (squashed, plain)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("what", "n_outputs"),
    [(lambda z, _: z.softmax(dim=1), 2), (lambda z, _: z.sigmoid()[:, 0], 1)],
    ids=["softmax", "sigmoid"],
)
def test_probabilities_taken_as_logits_are_said_once(what, n_outputs, recwarn):
    clf = CNNClassifier.from_module(Returns(what, n_outputs))
    with pytest.warns(UserWarning, match="Returns seems to give probabilities.*outputs='prob"):
        clf.predict_proba(X)
    clf.predict_proba(X)
    with pytest.warns(UserWarning, match="Returns seems to give probabilities"):
        CNNClassifier(Returns(what, n_outputs), max_epochs=2, verbose=0).fit(X, LABELS)
    assert not recwarn.list


def test_log_probabilities_and_one_logit_between_0_and_1_are_logits():
    for what, n in ((lambda z, _: z.log_softmax(dim=1), 3), (lambda z, _: 0 * z + 0.5, 1)):
        net = Returns(what, n)
        expected = softmax(logits_of(net), axis=1) if n == 3 else expit([[-0.5, 0.5]] * 6)
        found = CNNClassifier.from_module(net).predict_proba(X)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_logits_said_to_be_probabilities_are_refused():
    for n, wanted in ((3, "non-negative rows that sum to one"), (1, r"lie in \[0, 1\]")):
        clf = CNNClassifier.from_module(Returns(n_classes=n), outputs="probabilities")
        with pytest.raises(
            ValueError, match=f"outputs='probabilities'.*{wanted}.*outputs='logits'"
        ):
            clf.predict_proba(X)
    with pytest.raises(ValueError, match=r"`outputs` must be one of \['logits', 'probabilities'\]"):
        CNNClassifier.from_module(Returns(), outputs="softmax")


def test_the_wrapper_gives_one_tensor_whatever_the_network_returns():
    net = Returns(lambda logits, maps: {"maps": maps, "scores": logits})
    whole = StandardizedNet(
        net, Standardize(1, mean=[1.0], std=[2.0]), n_classes=3, order=[1, 2, 0]
    )
    with torch.no_grad():
        expected = net((torch.as_tensor(X) - 1) / 2)["scores"][:, [1, 2, 0]]
        assert torch.equal(whole(torch.as_tensor(X)), expected)
    assert "order=[1, 2, 0]" in repr(whole)
