"""Networks that people bring: run as they are, or refused with the reason."""

import copy
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Freezer, Initializer
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import prune

from fmcam._memory_format import channels_last_is_safe, memory_format_of
from fmcam.classifiers import CNNClassifier, Frozen, LeNet5Classifier
from fmcam.model_selection import GridSearchCV
from fmcam.models import CNN_CAM, LeNet5, Standardize, StandardizedNet
from tests.tiny_cnn import TinyCNN

X = np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype(np.float32)
LABELS = np.arange(8) % 2


class Flattens(nn.Module):
    """Flattens its maps by `view`, as tutorials do: impossible for maps in channels last."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4 * 36, n_classes)

    def forward(self, images):
        return self.fc(self.second(self.first(images)).view(images.size(0), -1))


class Pooled(nn.Module):
    def __init__(self, num_classes=2, in_chans=1):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(in_chans, 4, 3), nn.Linear(4, num_classes)

    def forward(self, images):
        return self.fc(self.conv(images).relu().mean(dim=(2, 3)))


class Raises(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.fc, self.error = nn.Linear(64, 2), error

    def forward(self, images):
        raise self.error


# Layouts ------------------------------------------------------------------------------------------


def test_a_network_that_flattens_by_view_is_trained_and_predicts():
    clf = CNNClassifier(Flattens, max_epochs=1, verbose=0).fit(X, LABELS)
    assert clf.module_.net.first.weight.is_contiguous()
    net = Flattens()
    clf = CNNClassifier.from_module(net)
    last = np.empty((8, 8, 8, 1), np.float32).transpose(0, 3, 1, 2)  # in memory
    last[:] = X
    assert last.strides != X.strides
    np.testing.assert_array_equal(clf.predict_proba(last), clf.predict_proba(X))
    assert net.second.weight.is_contiguous()


def test_a_network_that_runs_in_channels_last_is_trained_in_it():
    clf = CNNClassifier(CNN_CAM(2), max_epochs=1, verbose=0).fit(X, LABELS)
    kernel = clf.module_.net.features[1][0].weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)


class StridesCount(Pooled):
    """Reads its maps in the order of memory, so a layout changes what it gives, and raises not."""

    def forward(self, images):
        maps = self.conv(images)
        flat = maps.as_strided((len(maps), maps[0].numel()), (maps[0].numel(), 1))
        return self.fc(flat[:, :144].reshape(len(maps), 4, 36).amax(dim=2))


class OnlyInTraining(Flattens):
    """Flattens by `view` in training alone."""

    def forward(self, images):
        maps = self.second(self.first(images))
        return self.fc(maps.view(len(maps), -1) if self.training else maps.flatten(1))


@pytest.mark.parametrize(
    ("net", "explains", "trains"),
    [
        (Flattens(), False, False),
        (StridesCount(), False, False),
        (OnlyInTraining(), True, False),
        (Pooled(), True, True),
        (Pooled().bfloat16(), True, True),
    ],
    ids=["view", "strides", "view in training", "pooled", "bfloat16"],
)
def test_channels_last_is_used_where_it_changes_nothing(net, explains, trains):
    net.train()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    images = torch.as_tensor(X)
    formats = {True: torch.channels_last, False: torch.contiguous_format}
    whole = StandardizedNet(net, Standardize(1, mean=[100.0], std=[50.0]))
    assert memory_format_of(whole, images) is formats[explains]
    assert channels_last_is_safe(whole, (1, 8, 8)) is trains
    assert net.training
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())


class Counts(Pooled):
    calls = 0

    def forward(self, images):
        self.calls += 1
        return super().forward(images)


def test_a_layout_is_tried_once_for_a_size():
    net = Counts()
    memory_format_of(StandardizedNet(net, Standardize(1)), torch.as_tensor(X))
    memory_format_of(StandardizedNet(net, Standardize(1)), torch.as_tensor(X[:2]))
    assert net.calls == 2
    memory_format_of(StandardizedNet(net, Standardize(1)), torch.zeros(1, 1, 9, 9))
    assert net.calls == 4


def test_hooks_see_no_noise_and_stay():
    net, seen = Pooled(), []
    net.conv.register_forward_hook(lambda module, args, maps: seen.append(maps.shape))
    net.fc.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    clf = CNNClassifier.from_module(net)
    memory_format_of(clf.module_, torch.as_tensor(X))
    assert not seen
    clf.predict(X)
    assert seen == [(8, 4, 6, 6), (8, 4)]


# Number types -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_network_runs_in_its_own_number_type(dtype):
    net = Pooled(3).to(dtype)
    clf = CNNClassifier.from_module(net)
    images = torch.as_tensor(X)
    with torch.no_grad():
        expected = net(images.to(dtype))
        outputs = clf.raw_outputs(images)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert outputs.dtype == wide
    assert torch.equal(outputs, expected.to(wide))
    found = clf.predict_proba(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found, expected.double().softmax(dim=1), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_is_trained_in_its_own_number_type(dtype):
    clf = CNNClassifier(Pooled().to(dtype), lr=0.1, max_epochs=1, verbose=0, random_state=0)
    clf.fit(X, LABELS)
    assert {weight.dtype for weight in clf.module_.net.parameters()} == {dtype}
    assert not torch.equal(clf.module_.net.fc.weight, clf.module.fc.weight)


# Names --------------------------------------------------------------------------------------------


def lenet(**params):
    return LeNet5Classifier(max_epochs=1, verbose=0, random_state=0, **params).fit(
        np.zeros((4, 28, 28)), [0, 1, 0, 1]
    )


def test_parameter_groups_are_named_as_in_the_network():
    groups = [("head.*", {"lr": 0.0}), ("*.bias", {"lr": 1.0})]
    found = lenet(optimizer__param_groups=groups).optimizer_.param_groups
    # three linear layers; two convolutions, of which the biases
    assert [(group["lr"], len(group["params"])) for group in found] == [(0, 6), (1, 2), (0.001, 2)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [("net.head.*", {})],
            r"like 'net.head.\*'. Did you mean 'head.\*'.*The names are features",
        ),
        ([("fc.*", {"lr": 1})], r"none of those left has a name like 'fc.\*'"),
        ([("head.*", {}), ("head.6.*", {})], r"'head.6.\*'. The names are features"),
        ([{"params": "head.*"}], r"list of pairs.*got {'params': 'head.\*'} in it"),
    ],
    ids=["prefix", "other name", "taken", "torch's way"],
)
def test_a_parameter_group_that_matches_nothing(groups, message):
    with pytest.raises(ValueError, match=f"`optimizer__param_groups` must .*{message}"):
        lenet(optimizer__param_groups=groups)


def test_callbacks_of_skorch_find_parameters_by_the_networks_own_names():
    clf = lenet(
        callbacks=[Freezer("features.*"), Initializer("head.6.*", fn=nn.init.zeros_)], lr=0.0
    )
    trained = [n for n, weight in clf.module_.net.named_parameters() if weight.requires_grad]
    assert all(name.startswith("head.") for name in trained)
    assert len(trained) == 6
    assert not clf.module_.net.head[6].weight.any()


@pytest.mark.parametrize("callback", [Freezer, Frozen])
def test_a_callback_whose_pattern_matches_nothing(callback):
    with pytest.raises(ValueError, match=r"patterns` must match.*Did you mean 'features\.\*'"):
        lenet(callbacks=[callback(["head.*", "net.features.*"])])
    with pytest.raises(ValueError, match=r"patterns` must match.*<lambda>"):
        lenet(callbacks=[callback(lambda name: name == "features")])


# Unwrapped, or refused ----------------------------------------------------------------------------


def test_the_network_inside_a_wrapper_is_taken():
    net = Pooled()
    compiled = torch.compile(net)
    for wrapped in (nn.DataParallel(net), compiled, nn.DataParallel(compiled)):
        clf = CNNClassifier.from_module(wrapped)
        assert clf.module_.net is net
        assert clf.module is net


def test_a_network_compiled_in_place_runs_as_it_was():
    net = Pooled()
    expected = CNNClassifier.from_module(copy.deepcopy(net)).predict_proba(X)
    net.compile(backend=lambda *_: pytest.fail("was compiled"))
    clf = CNNClassifier.from_module(net)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    assert clf.module_.net.conv is net.conv
    assert net._compiled_call_impl is not None


def test_a_wrapped_instance_is_trained_without_the_wrapper():
    clf = CNNClassifier(nn.DataParallel(Pooled()), max_epochs=1, verbose=0).fit(X, LABELS)
    assert type(clf.module_.net) is Pooled


def quantized():
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: torch.jit.trace(Pooled(), torch.zeros(1, 1, 8, 8)),
            "is TorchScript, whose layers",
        ),
        (lambda: torch.jit.script(Pooled()), "is TorchScript, whose layers"),
        (lambda: torch.export.export(Pooled(), (torch.as_tensor(X),)), "a program of torch.export"),
        (
            lambda: torch.export.export(Pooled(), (torch.as_tensor(X),)).module(),
            "GraphModule was made by torch.export",
        ),
        (quantized, "Sequential is quantized: it holds a Linear.*Pass the floating-point network"),
        (lambda: Pooled().to("meta"), "weights on the device 'meta'"),
        (lambda: nn.Sequential(nn.LazyConv2d(2, 3)), "'0.weight' is lazy"),
    ],
    ids=["traced", "scripted", "exported", "exported module", "quantized", "meta", "lazy"],
)
def test_networks_that_cannot_be_explained_are_refused(make, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of old ways
        net = make()
    with pytest.raises(ValueError, match=message):
        CNNClassifier.from_module(net)


@pytest.mark.parametrize("as_instance", [False, True])
def test_lazy_layers_are_made_for_the_images_of_a_training(as_instance):
    def make():
        return nn.Sequential(nn.LazyConv2d(2, 3), nn.Flatten(), nn.LazyLinear(2))

    net = make()
    clf = CNNClassifier(net if as_instance else make, max_epochs=1, verbose=0).fit(X, LABELS)
    assert [tuple(w.shape) for w in clf.module_.net.parameters()][::2] == [(2, 1, 3, 3), (2, 72)]
    assert isinstance(net[0].weight, UninitializedParameter)


@pytest.mark.parametrize("as_instance", [False, True])
def test_pruned_networks_cannot_be_copied(as_instance):
    def make():
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
        prune.l1_unstructured(net[0], "weight", 0.5)
        net(torch.zeros(1, 1, 8, 8))
        return net

    clf = CNNClassifier(make() if as_instance else make, max_epochs=1, verbose=0)
    if as_instance:
        with pytest.raises(ValueError, match=r"Sequential cannot be copied.*prune.remove"):
            clf.fit(X, LABELS)
    else:
        weight = clf.fit(X, LABELS).module_.net[0].weight
        assert (weight == 0).sum() == 9


def test_an_optimizer_that_flattens_weights():
    clf = CNNClassifier(
        CNN_CAM, optimizer=torch.optim.LBFGS, lr=0.1, max_epochs=1, random_state=0, verbose=0
    )
    assert np.isfinite(clf.fit(X, LABELS).history[-1, "train_loss"])


def test_a_network_on_several_devices_is_refused():
    net = Pooled()
    net.fc.to("meta")
    with pytest.raises(ValueError, match="'meta'"):
        CNNClassifier.from_module(net)


def test_a_network_without_a_head_is_refused():
    net = Pooled()
    net.num_classes = 0
    with pytest.raises(ValueError, match="Pooled has no head: its num_classes is 0"):
        CNNClassifier.from_module(net)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (LeNet5, r"got the class LeNet5. Pass a trained instance of it: LeNet5\(\.\.\.\)"),
        (lambda images: images, "got function. Wrap"),
        ("resnet18", "got str. For a network by its name see fmcam.models"),
        (LeNet5().state_dict(), r"got OrderedDict. Load a state dict"),
        (
            CNNClassifier.from_module(LeNet5()),
            "It is a classifier already; its network is `net.mod",
        ),
        (None, "got NoneType"),
    ],
    ids=["class", "function", "name", "state dict", "classifier", "None"],
)
def test_what_is_no_network(net, message):
    with pytest.raises(TypeError, match=f"`net` must be an instance of nn.Module, .*{message}"):
        CNNClassifier.from_module(net)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("resnet18", "or a function that builds one, got str. For a network by its name"),
        (None, "got NoneType"),
        (dict, "got the class dict"),
        (lambda n_classes: 5, "`module` must be an instance of nn.Module, got int"),
    ],
    ids=["name", "None", "class", "function"],
)
def test_a_module_that_builds_no_network(module, message):
    with pytest.raises(TypeError, match=message):
        CNNClassifier(module, verbose=0).fit(X, LABELS)


def test_numbers_of_classes_and_channels_go_by_several_names():
    colour = np.repeat(X, 3, axis=1)
    clf = CNNClassifier(Pooled, max_epochs=1, verbose=0).fit(colour, np.arange(8) % 4)
    assert (clf.module_.net.fc.out_features, clf.module_.net.conv.in_channels) == (4, 3)

    def factory(**kwargs):  # as torchvision's
        return Pooled(in_chans=3, **kwargs)

    clf = CNNClassifier(factory, max_epochs=1, verbose=0).fit(colour, np.arange(8) % 4)
    assert clf.module_.net.fc.out_features == 4


# NaN ----------------------------------------------------------------------------------------------


def test_weights_that_are_nan_are_named():
    net = CNN_CAM(2)
    net.features[0][0].weight.data[0, 0, 0, 0] = float("nan")
    net.head[2].bias.data[0] = float("inf")
    net.features[1][1].running_mean[0] = float("nan")
    names = r"features.0.0.weight, head.2.bias, features.1.1.running_mean, so it cannot predict"
    with pytest.raises(ValueError, match=f"CNN_CAM has NaN or infinite weights in {names}"):
        CNNClassifier.from_module(net)


class Divides(Pooled):
    """NaN for dark images."""

    def forward(self, images):
        return (
            super().forward(images)
            * (images.amax(dim=(1, 2, 3)) / images.amax(dim=(1, 2, 3)))[:, None]
        )


def test_outputs_that_are_nan_are_counted():
    clf = CNNClassifier.from_module(Divides())
    images = np.ones((5, 8, 8))
    images[[1, 3]] = 0
    with pytest.raises(ValueError, match="Divides gives NaN or infinite outputs for 2 of 5 images"):
        clf.predict(images)


@pytest.mark.filterwarnings("ignore:The training loss became NaN")
def test_a_search_scores_a_network_that_diverged_with_nan():
    clf = CNNClassifier(Pooled, optimizer=torch.optim.SGD, max_epochs=3, random_state=0, verbose=0)
    search = GridSearchCV(clf, {"lr": [0.01, 1e38]}, cv=2)
    with pytest.warns(UserWarning, match="NaN|non-finite|Scoring failed") as noted:
        search.fit(X, LABELS)
    assert np.isnan(search.cv_results_["mean_test_score"][1])
    assert search.best_params_ == {"lr": 0.01}
    assert any("for 4 of 4 images" in str(warning.message) for warning in noted)


def test_a_loss_that_becomes_nan_is_said_once():
    clf = CNNClassifier(
        Pooled, optimizer=torch.optim.SGD, lr=1e38, max_epochs=4, random_state=0, verbose=0
    )
    with pytest.warns(UserWarning, match=r"NaN or infinite in epoch 2, with lr=1e\+38") as noted:
        clf.fit(X, LABELS)
    assert len([w for w in noted if "training loss" in str(w.message)]) == 1


# Images that a network cannot take ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "shape", "message"),
    [
        (3, (2, 1, 8, 8), "takes 3 channels, the images have 1.*np.repeat"),
        (3, (3, 8, 8), "If `X` is one image of shape .c, h, w., pass `X.None.`"),
        (3, (2, 5, 7, 3), r"If `X` has shape \(n, h, w, c\), pass `X.transpose\(0, 3, 1, 2\)`"),
        (1, (2, 3, 8, 8), "takes 1 channels, the images have 3"),
        (
            1,
            (2, 2, 2),
            r"Pooled cannot take images of shape \(c, h, w\) = \(1, 2, 2\): .*[Kk]ernel",
        ),
        (3, (2, 28, 28, 3), r"looks like \(n, h, w, c\). Pass `X.transpose\(0, 3, 1, 2\)`"),
        (1, (2, 28, 28, 1), r"looks like \(n, h, w, c\). Pass `X.transpose\(0, 3, 1, 2\)`"),
        (3, (28, 20, 3), r"one image \(h, w, c\). Pass `X.transpose\(2, 0, 1\)\[None\]`"),
    ],
    ids=["grey", "one", "last", "colour", "small", "colour last", "grey last", "one colour last"],
)
def test_images_of_another_kind(channels, shape, message):
    clf = CNNClassifier.from_module(Pooled(in_chans=channels))
    with pytest.raises(ValueError, match=message):
        clf.predict(np.zeros(shape))


def test_images_that_are_narrow_or_of_many_channels_are_taken():
    for shape in ((2, 12, 100, 1), (2, 16, 4, 4), (5, 8, 8), (2, 3, 28, 4), (3, 28, 28)):
        net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))
        net(torch.zeros(shape if len(shape) == 4 else (1, 1, 8, 8)))
        assert len(CNNClassifier.from_module(net).predict(np.zeros(shape))) == shape[0]


@pytest.mark.parametrize(
    "error",
    [
        *(
            RuntimeError,
            ValueError,
            TypeError,
            IndexError,
            KeyError,
            AssertionError,
            AttributeError,
        ),
        NotImplementedError,
    ],
)
def test_what_a_network_raises_is_one_error_with_its_own_words(error):
    clf = CNNClassifier.from_module(Raises(error("my own words")))
    with pytest.raises(
        ValueError, match=r"Raises cannot take.*\(1, 8, 8\): .*my own words"
    ) as told:
        clf.predict(X)
    assert type(told.value.__cause__) is error
    with pytest.raises(ValueError, match=r"Raises cannot take.*\(1, 8, 8\): .*my own words"):
        CNNClassifier(Raises(error("my own words")), verbose=0).fit(X, LABELS)


def test_what_is_not_the_networks_fault_goes_through():
    for error in (
        KeyboardInterrupt(),
        torch.OutOfMemoryError("short of memory"),
        ZeroDivisionError(),
    ):
        with pytest.raises(type(error)):
            CNNClassifier.from_module(Raises(error)).predict(X)


def test_a_trial_leaves_the_statistics_of_batches_as_they_are():
    clf = CNNClassifier(TinyCNN, max_epochs=1, verbose=0).fit(X, LABELS)
    assert clf.module_.net.features[1].num_batches_tracked > 0
    clf.initialize()  # which tries the new network on a blank image
    assert clf.module_.net.features[1].num_batches_tracked == 0
