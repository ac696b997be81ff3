"""Batches out of one tensor, streams, augmentation in training, schedules and frozen layers."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import Dataset as ArrayDataset
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from fmcam._data.batches import ArrayBatches, StreamedBatches, resident_arrays
from fmcam.classifiers import (
    CNNCAMClassifier,
    CNNClassifier,
    Frozen,
    GrowingSize,
    LeNet5Classifier,
    OneCycle,
    RandomResizedCrop,
)
from fmcam.models import CNN_CAM

X = np.arange(10 * 4, dtype=np.uint8).reshape(10, 1, 2, 2)
Y = np.arange(10)


def batches(dataset, **options):
    return [
        (images[:, 0, 0, 0] // 4).tolist()
        for images, _ in ArrayBatches(dataset, device="cpu", **options)
    ]


def test_batches_in_order():
    assert batches(ArrayDataset(X, Y), batch_size=4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches(ArrayDataset(X, Y), batch_size=4, drop_last=True) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches(ArrayDataset(X, Y), batch_size=-1) == [list(range(10))]
    assert ArrayBatches(ArrayDataset(X, Y), "cpu", batch_size=4).n_batches == 3


def test_small_images_come_in_larger_batches_where_asked_for():
    assert batches(ArrayDataset(X, Y), batch_size=2, least_pixels=21)[0] == [0, 1, 2, 3, 4]
    assert batches(ArrayDataset(X, Y), batch_size=6, least_pixels=21)[0] == [0, 1, 2, 3, 4, 5]


def test_prediction_takes_larger_batches_than_training():
    clf = stream_clf(max_epochs=1, batch_size=8).fit(np.zeros((20, 16, 16)), np.arange(20) % 2)
    dataset = clf.get_dataset(np.zeros((5000, 1, 16, 16)), np.zeros(5000, dtype=int))
    assert clf.get_iterator(dataset, training=True).batch_size == 8
    assert clf.get_iterator(dataset).batch_size == 2**18 // 256


def test_a_subset_of_a_subset_gives_its_rows_with_their_labels():
    subset = Subset(Subset(ArrayDataset(X, Y), [9, 7, 5, 3]), [0, 2])
    assert batches(subset, batch_size=2) == [[9, 5]]
    ((_, labels),) = ArrayBatches(subset, device="cpu", batch_size=2)
    assert labels.tolist() == [9, 5]


def test_a_subset_counts_from_the_end_as_torchs_does():
    assert batches(Subset(ArrayDataset(X, Y), [-1, 0]), batch_size=2) == [[9, 0]]


def test_shuffled_epochs_hold_each_row_once_and_differ():
    subset = Subset(ArrayDataset(X, Y), [1, 3, 5, 7, 9])
    loader = ArrayBatches(
        subset, device="cpu", batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    epochs = [[row for _, labels in loader for row in labels.tolist()] for _ in range(6)]
    assert all(sorted(epoch) == [1, 3, 5, 7, 9] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_images_and_labels_stay_together_when_shuffled():
    loader = ArrayBatches(ArrayDataset(X, Y), device="cpu", batch_size=3, shuffle=True)
    for images, labels in loader:
        assert (images[:, 0, 0, 0] // 4).tolist() == labels.tolist()


def test_read_only_arrays_are_taken_without_a_copy_or_a_warning():
    images = X.copy()
    images.flags.writeable = False
    loader = ArrayBatches(ArrayDataset(images, Y), device="cpu", batch_size=3)
    assert loader.images.data_ptr() == images.__array_interface__["data"][0]


def test_other_data_sets_are_not_resident():
    assert resident_arrays(TensorDataset(torch.zeros(3))) is None
    assert resident_arrays(Subset(TensorDataset(torch.zeros(3)), [0])) is None


# Streams ------------------------------------------------------------------------------------------


class Squares(Dataset):
    """Labels 3 and 8, told apart by a bright half."""

    targets = (3, 8)

    def __len__(self):
        return 64

    def __getitem__(self, index):
        image = torch.zeros(1, 16, 16)
        image[:, :, 8 * (index % 2) :][:, :, :8] = 1.0
        return image + index / 1000, (3, 8)[index % 2]


def stream_clf(**params):
    return LeNet5Classifier(**{"max_epochs": 6, "lr": 0.005, "random_state": 0, **params})


def test_a_dataset_and_a_loader_train_as_the_array_does():
    dataset = Squares()
    images = torch.stack([dataset[i][0] for i in range(64)])
    labels = np.array([dataset[i][1] for i in range(64)])
    array = stream_clf().fit(images, labels)
    streamed = stream_clf().fit(dataset)
    loaded = stream_clf().fit(DataLoader(dataset, batch_size=128))
    for clf in (array, streamed, loaded):
        assert clf.classes_.tolist() == [3, 8]
        assert clf.score(images, labels) == 1.0
    standardize = [clf.module_.standardize for clf in (array, streamed, loaded)]
    for other in standardize[1:]:
        torch.testing.assert_close(other.mean, standardize[0].mean)
        torch.testing.assert_close(other.std, standardize[0].std)
    np.testing.assert_allclose(streamed.predict_proba(images), streamed.predict_proba(dataset))
    np.testing.assert_allclose(
        streamed.predict_proba(images),
        streamed.predict_proba(DataLoader(dataset, batch_size=5)),
        atol=1e-6,
    )


def test_a_dataset_can_be_split_for_validation():
    clf = stream_clf(max_epochs=2, train_split=ValidSplit(0.25)).fit(Squares())
    assert "valid_acc" in clf.history[-1]


class Unlabelled(Dataset):
    """Labels that are not known before the rows are read."""

    def __init__(self, labels):
        self.rows = labels

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return torch.zeros(1, 16, 16), self.rows[index]


def test_stream_errors():
    plain = Unlabelled([0, 1, 2, 2])
    with pytest.raises(ValueError, match=r"labels of a Unlabelled are not known.*`classes`"):
        stream_clf().fit(plain)
    with pytest.raises(ValueError, match=r"holds the labels \[2\], which are not in the classes"):
        stream_clf(classes=[0, 1]).fit(plain)
    with pytest.raises(ValueError, match=r"Row .* has the label 8, but `y` says 3"):
        stream_clf().fit(Squares(), [3] * 63 + [8])
    with pytest.raises(ValueError, match="`y` holds 63 labels for the 64 rows"):
        stream_clf().fit(Squares(), [3, 8] * 31 + [3])
    with pytest.raises(ValueError, match="`y` must be None where `X` is a DataLoader"):
        stream_clf().fit(DataLoader(Squares()), [3, 8] * 32)
    with pytest.raises(ValueError, match="`train_split` cannot split a DataLoader"):
        stream_clf(train_split=ValidSplit(0.5)).fit(DataLoader(Squares()))
    with pytest.raises(ValueError, match=r"at least two classes, got one class: \[4\]"):
        stream_clf().fit(Unlabelled([4, 4]), [4, 4])


def test_streamed_batches_by_hand():
    loader = [(torch.zeros(3, 1, 2, 2), torch.tensor([8, 3, 8]))]
    ((_, columns),) = StreamedBatches(loader, np.array([3, 8]))
    assert columns.tolist() == [1, 0, 1]


def squares_of(side):
    """Two classes of (1, side, side) images, a stream and the same as an array."""
    images = torch.zeros(64, 1, side, side)
    images[::2, :, :, : side // 2] = 1.0
    images[1::2, :, :, side // 2 :] = torch.eye(side)[:, side // 2 :]
    return TensorDataset(images, torch.arange(64) % 2), images.numpy()


def test_a_stream_of_another_size_moves_the_classifier_to_that_size():
    small, small_images = squares_of(20)
    large, large_images = squares_of(32)
    clf = CNNCAMClassifier(classes=[0, 1], max_epochs=3, batch_size=16, lr=0.01, random_state=0)
    clf.fit(small)
    with pytest.raises(ValueError, match=r"\(1, 32, 32\), but .* fitted on \(1, 20, 20\)"):
        clf.predict(large_images)
    before = clf.module_.net.features[0][0].weight.clone()
    clf.partial_fit(large)
    assert (clf.image_shape_, clf.n_features_in_) == ((1, 32, 32), 32 * 32)
    assert not torch.equal(clf.module_.net.features[0][0].weight, before)
    assert len(clf.history) == 6
    assert clf.score(large_images, np.arange(64) % 2) == 1.0
    with pytest.raises(ValueError, match=r"\(1, 20, 20\), but .* fitted on \(1, 32, 32\)"):
        clf.predict(small_images)


def test_a_network_of_one_size_stays_at_it():
    net = nn.Sequential(nn.Flatten(), nn.Linear(20 * 20, 2))
    clf = CNNClassifier(net, classes=[0, 1], max_epochs=3, random_state=0).fit(squares_of(20)[0])
    weights = clf.module_.net[1].weight.clone()
    message = r"Sequential cannot take images of shape \(c, h, w\) = \(1, 32, 32\): .*mat1"
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(squares_of(32)[0])
    assert clf.image_shape_ == (1, 20, 20)
    assert torch.equal(clf.module_.net[1].weight, weights)
    assert clf.partial_fit(squares_of(20)[0]).score(squares_of(20)[1], np.arange(64) % 2) == 1.0


def test_channels_must_stay_the_same():
    clf = CNNCAMClassifier(classes=[0, 1], max_epochs=1, random_state=0).fit(squares_of(20)[0])
    coloured = TensorDataset(torch.zeros(4, 3, 20, 20), torch.arange(4) % 2)
    with pytest.raises(ValueError, match=r"CNN_CAM cannot take images of .* \(3, 20, 20\)"):
        clf.partial_fit(coloured)


def test_a_network_for_any_size_stays_so_when_it_is_trained_on_a_stream():
    clf = CNNClassifier.from_module(CNN_CAM(2), max_epochs=1).partial_fit(squares_of(20)[0])
    assert clf.image_shape_ is None
    assert clf.predict(squares_of(32)[1]).shape == (64,)


def test_prediction_from_a_stream_needs_no_labels():
    dataset = Squares()
    clf = stream_clf().fit(dataset)
    images = torch.stack([dataset[i][0] for i in range(64)])
    expected = clf.predict_proba(images)
    unseen = TensorDataset(images, torch.full((64,), 77))
    for stream in (TensorDataset(images), unseen, DataLoader(images, batch_size=10)):
        np.testing.assert_allclose(clf.predict_proba(stream), expected, atol=1e-6)


def test_a_stream_without_a_length():
    class Endless(IterableDataset):
        def __iter__(self):
            return (Squares()[index] for index in range(64))

    clf = stream_clf(classes=[3, 8]).fit(Endless())
    assert clf.score(torch.stack([Squares()[i][0] for i in range(64)]), [3, 8] * 32) == 1.0
    with pytest.raises(ValueError, match="OneCycle needs to know how many batches"):
        stream_clf(classes=[3, 8], callbacks=[OneCycle()]).fit(Endless())


def test_streams_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    stream_clf(max_epochs=1).fit(DataLoader(Squares(), shuffle=True, batch_size=8))
    assert torch.equal(torch.get_rng_state(), before)


def test_options_of_a_data_loader_bring_a_data_loader(monkeypatch):
    images = torch.stack([Squares()[i][0] for i in range(64)]).numpy()
    labels = np.array(["three", "eight"] * 32)
    made = []

    class Loader(DataLoader):
        def __init__(self, *args, **kwargs):
            made.append(kwargs)
            super().__init__(*args, **kwargs)

    clf = stream_clf(iterator_train=Loader, iterator_train__timeout=0).fit(images, labels)
    assert made[-1]["timeout"] == 0
    assert made[-1]["shuffle"]
    assert clf.score(images, labels) == 1.0


# Augmentation -------------------------------------------------------------------------------------


def test_augmentation_is_for_training_only_and_seeded():
    data = ArrayDataset(np.random.default_rng(0).integers(0, 255, (40, 1, 16, 16), dtype=np.uint8))
    y = np.arange(40) % 2
    seen = []

    def spy(images, generator):
        seen.append(torch.rand(1, generator=generator).item())
        return images

    clf = stream_clf(max_epochs=2, augment=spy, batch_size=20).fit(data.X, y)
    assert len(seen) == 4
    clf.predict(data.X)
    assert len(seen) == 4
    stream_clf(max_epochs=2, augment=spy, batch_size=20).fit(data.X, y)
    assert seen[4:] == seen[:4]


# One cycle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["array", "loader", "own batch size"])
def test_one_cycle_peaks_at_lr_and_ends_at_zero(form):
    data = np.random.default_rng(0).integers(0, 255, (50, 1, 16, 16), dtype=np.uint8)
    y = np.arange(50) % 2
    rates = []

    class Rates(OneCycle):
        def on_batch_begin(self, net, training=None, **kwargs):
            super().on_batch_begin(net, training=training, **kwargs)
            rates.append(net.optimizer_.param_groups[0]["lr"])

    clf = stream_clf(max_epochs=4, lr=0.01, batch_size=10, callbacks=[Rates()], classes=[0, 1])
    if form == "own batch size":
        clf.set_params(batch_size=50, iterator_train__batch_size=10)
    if form == "loader":
        pairs = TensorDataset(torch.as_tensor(data), torch.as_tensor(y))
        data, y = DataLoader(pairs, batch_size=10), None
    clf.fit(data, y)
    assert len(rates) == 20
    assert rates[0] == pytest.approx(0.0004)
    assert rates[5] == max(rates) == pytest.approx(0.01)
    assert rates[-1] < 0.0002
    assert rates[:6] == sorted(rates[:6])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert clf.history[-1, "lr"] == rates[-1]


def test_one_cycle_halfway_down_by_hand():
    # progress .625 is half of the fall: (1 + cos(pi / 2)) / 2
    assert OneCycle(warmup=0.25).factor(0.625) == pytest.approx(0.5)
    # half of the rise from .04 to 1
    assert OneCycle(warmup=0.25, start=0.04).factor(0.125) == pytest.approx(0.52)


def test_a_group_with_a_rate_of_its_own_rises_to_that():
    seen = []

    class Rates(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            seen.append([group["lr"] for group in net.optimizer_.param_groups])

    X, y = squares_of(16)[1], np.arange(64) % 2
    clf = stream_clf(max_epochs=4, lr=0.01, batch_size=32, callbacks=[OneCycle(), Rates()])
    groups = [("head.*", {"lr": 0.02}), ("*.bias", {})]
    clf.set_params(optimizer__param_groups=groups).fit(X, y)
    clf.partial_fit(X, y)
    # half of the rise from .04 to 1 after one of two batches
    assert len(seen) == 16
    assert [row[1] for row in seen] == [row[2] for row in seen]
    np.testing.assert_allclose([row[0] for row in seen], [2 * row[1] for row in seen])
    assert seen[0] == pytest.approx([0.0008, 0.0004, 0.0004])
    assert seen[1] == pytest.approx([0.0104, 0.0052, 0.0052])
    assert max(seen) == pytest.approx([0.02, 0.01, 0.01])
    assert seen[8:] == seen[:8]


# Growing sizes ------------------------------------------------------------------------------------


def test_sizes_grow_and_the_parameter_stays():
    images = np.random.default_rng(0).integers(0, 255, (12, 3, 100, 100), dtype=np.uint8)
    seen = []

    class Sizes(Callback):
        def on_batch_end(self, net, batch=None, training=None, **kwargs):
            seen.append((len(net.history), training, tuple(batch[0].shape[-2:])))

    augment = RandomResizedCrop(96)
    clf = CNNCAMClassifier(
        max_epochs=5,
        batch_size=6,
        augment=augment,
        train_split=ValidSplit(2),
        callbacks=[GrowingSize(32, until=0.6), Sizes()],
        random_state=0,
    ).fit(images, np.arange(12) % 2)
    # shares 0, .2, .4, .6, .8 of the training: 0, 2/3, 4/3, 2 steps of 32, and no more
    assert clf.history[:, "size"] == [32, 32, 64, 96, 96]
    assert (augment.size, clf.augment is augment) == (96, True)
    assert {shape for _, training, shape in seen if not training} == {(100, 100)}
    assert clf.predict(images).shape == (12,)
    again = clone(clf).fit(images, np.arange(12) % 2)
    assert again.history[:, "train_loss"] == clf.history[:, "train_loss"]


def test_the_images_of_a_growing_training_have_the_size_that_the_history_says():
    images = np.zeros((8, 1, 64, 64), dtype=np.uint8)
    seen = []

    class Net(CNN_CAM):
        def forward(self, images):
            if self.training:
                seen.append(images.shape[-1])
            return super().forward(images)

    CNNClassifier(
        Net,
        max_epochs=4,
        augment=RandomResizedCrop(64),
        callbacks=[GrowingSize(32, until=0.5)],
        random_state=0,
    ).fit(images, np.arange(8) % 2)
    assert seen[-4:] == [32, 32, 64, 64]  # before, a copy was tried in channels last


@pytest.mark.parametrize(
    ("augment", "first", "message"),
    [
        (None, 32, r"needs an `augment` with a `size`, such as RandomResizedCrop\(128\), got None"),
        (RandomResizedCrop(100), 32, "multiples of 32.*got 32 and 100"),
        (RandomResizedCrop(64), 40, "multiples of 32.*got 40 and 64"),
        (RandomResizedCrop(64), 96, "not the larger, got 96 and 64"),
        (RandomResizedCrop(64), 0, "got 0 and 64"),
    ],
)
def test_sizes_that_cannot_grow(augment, first, message):
    clf = CNNCAMClassifier(max_epochs=1, augment=augment, callbacks=[GrowingSize(first)])
    with pytest.raises(ValueError, match=message):
        clf.fit(squares_of(64)[1], np.arange(64) % 2)


# Frozen layers ------------------------------------------------------------------------------------


def frozen_clf(patterns, **params):
    params = {"max_epochs": 2, "batch_size": 16, "lr": 0.01, "random_state": 0, **params}
    return CNNCAMClassifier(callbacks=[("frozen", Frozen(patterns))], **params)


def state_of(clf, prefix):
    state = clf.module_.state_dict()
    return {name: value.clone() for name, value in state.items() if name.startswith(prefix)}


def test_frozen_layers_and_their_statistics_stay_and_the_rest_learns():
    X, y = squares_of(16)[1], np.arange(64) % 2
    clf = frozen_clf("features.[01].*", train_split=ValidSplit(4)).fit(X, y)
    untrained = frozen_clf("features.*", max_epochs=0).fit(X, y)
    for name, value in state_of(untrained, "net").items():
        is_frozen = name.startswith(("net.features.0", "net.features.1"))
        assert torch.equal(value, clf.module_.state_dict()[name]) == is_frozen, name


def test_frozen_layers_are_trainable_afterwards():
    X, y = squares_of(16)[1], np.arange(64) % 2
    clf = frozen_clf(["features.*"]).fit(X, y)
    assert all(weight.requires_grad for weight in clf.module_.parameters())
    before = state_of(clf, "net.features.0")
    clf.set_params(callbacks__frozen__patterns=[]).partial_fit(X, y)
    assert all(not torch.equal(v, before[n]) for n, v in state_of(clf, "net.features.0").items())


def test_layers_are_trainable_after_an_interrupt():
    def interrupt(images, generator):
        raise KeyboardInterrupt

    clf = frozen_clf("features.*", augment=interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(squares_of(16)[1], np.arange(64) % 2)
    assert all(weight.requires_grad for weight in clf.module_.parameters())


def test_a_pattern_that_no_parameter_has():
    with pytest.raises(ValueError, match=r"like 'net\.features\.\*'. Did you mean 'features\.\*'"):
        frozen_clf(["head.*", "net.features.*"]).fit(squares_of(16)[1], np.arange(64) % 2)
