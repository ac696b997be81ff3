"""What explainers refuse alike, and what they forget of networks that change."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset, TensorDataset

from fmcam.classifiers import CNNClassifier
from fmcam.explain import AblationCAM, GradCAM, Occlusion, ScoreCAM, SmoothedExplainer
from fmcam.models import CNN_CAM, LeNet5


def random_images(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.fixture
def lenet():
    torch.manual_seed(0)
    return LeNet5()


class Changed(nn.Module):
    """A convolution, a function of its maps, and a linear layer of what that gives."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.head, self.function = nn.Conv2d(1, 4, 3), nn.Linear(4, 3), function

    def forward(self, images):
        return self.head(self.function(self.conv(images)).tanh().mean(dim=(2, 3)))


class TestNumbersWithoutMeaning:
    X = random_images((4, 1, 12, 12))

    @pytest.mark.parametrize("kind", [GradCAM, Occlusion])
    def test_images(self, kind):
        images = torch.as_tensor(self.X.copy())
        images[2, 0, 3, 3] = np.nan
        stream = TensorDataset(images, torch.zeros(4))
        with pytest.raises(ValueError, match=r"NaN or infinity in the images 2\.\.3"):
            kind(Changed(torch.relu), batch_size=2).explain(stream, [0, 1, 2, 0])

    @pytest.mark.parametrize("kind", [GradCAM, ScoreCAM, Occlusion, AblationCAM])
    def test_outputs(self, kind):
        net = Changed(lambda maps: (maps - 1e3).log())
        with pytest.raises(ValueError, match=r"Changed gives NaN .* outputs for 4 of 4 images"):
            kind(net).explain(self.X, [0, 1, 2, 0])

    def test_gradients(self):
        net = Changed(lambda maps: (maps * 0).sqrt() + maps)  # infinity times zero
        with pytest.raises(ValueError, match="maps of 'maps' are NaN or infinite"):
            GradCAM(net).explain(self.X, [0, 1, 2, 0])

    def test_a_class_that_cannot_be_is_fine(self):
        net = Changed(torch.relu)
        net.head.bias.data[1] = -torch.inf
        clf = CNNClassifier.from_module(Changed(torch.relu))
        clf.module_.net.load_state_dict(net.state_dict())
        assert np.isfinite(GradCAM(FrozenEstimator(clf)).explain(self.X, [0, 2, 2, 0])).all()


def test_one_hot_rows_are_no_labels(lenet):
    X, y = random_images((3, 1, 28, 28)), np.array([4, 0, 9])
    with pytest.raises(ValueError, match=r"one-hot labels are. Pass `clf.classes_\[y.argmax"):
        GradCAM(lenet).explain(X, np.eye(10)[y])
    found = GradCAM(lenet).explain(X, torch.as_tensor(y))
    np.testing.assert_array_equal(found, GradCAM(lenet).explain(X, y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"upsample": (10, 10)}, r"`upsample` must be True or False, got \(10, 10\)"),
        ({"align": "even"}, "`align` must be True or False, got 'even'"),
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, "`batch_size` must be an integer of at least 1, got 2.5"),
    ],
)
def test_parameters_without_a_meaning(lenet, params, message):
    with pytest.raises(ValueError, match=message):
        GradCAM(lenet, **params).transform(random_images((2, 1, 28, 28)))


@pytest.mark.parametrize("params", [{"n_samples": 0}, {"noise": -0.1}])
def test_no_noisy_copies(lenet, params):
    with pytest.raises(ValueError, match="`n_samples` must be at least 1 and `noise` not negative"):
        SmoothedExplainer(GradCAM(lenet), **params).transform(random_images((2, 1, 28, 28)))


def test_parts_of_a_pixel_are_no_patches(lenet):
    with pytest.raises(ValueError, match=r"whole numbers of pixels, got 2.5"):
        Occlusion(lenet, size=2.5).transform(random_images((2, 1, 28, 28)))


def test_a_file_that_cannot_be_written_is_told_before_any_work(lenet, tmp_path):
    class Unread(Dataset):
        def __len__(self):
            return 3

    for path, error in ((tmp_path, IsADirectoryError), (tmp_path / "no" / "x.npy", OSError)):
        with pytest.raises(error, match=r"is a folder|There is no folder"):
            GradCAM(lenet).explain(Unread(), out=path)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_checkpoints_that_hide_the_gradient():
    def checkpointed(maps):
        return checkpoint(torch.relu, maps, use_reentrant=True)

    with pytest.raises(ValueError, match="checkpointing off, or to use_reentrant=False"):
        GradCAM(Changed(checkpointed)).explain(random_images((2, 1, 12, 12)), [0, 1])
    X = random_images((2, 1, 12, 12))
    torch.manual_seed(0)
    net = Changed(lambda maps: checkpoint(torch.relu, maps, use_reentrant=False))
    found = GradCAM(net).explain(X, [0, 1])
    net.function = torch.relu
    np.testing.assert_allclose(found, GradCAM(net).explain(X, [0, 1]), atol=1e-6)


def test_what_was_known_of_a_network_is_forgotten_with_its_parts():
    """Its layers, where their cells lie and how many classes there are."""
    torch.manual_seed(0)
    X = random_images((2, 1, 28, 28))

    def other():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(1, 56, 5, stride=4), nn.Tanh()), nn.Linear(56, 5)

    net = CNN_CAM(n_classes=3).eval()
    cam = GradCAM(net, normalize=None)
    cam.explain(X, [0, 2])
    net.features, net.head[-1] = other()
    fresh = CNN_CAM(n_classes=3).eval()
    fresh.features, fresh.head[-1] = other()
    expected = GradCAM(fresh, normalize=None).explain(X, [4, 3])
    assert expected.max() > 0
    np.testing.assert_allclose(cam.explain(X, [4, 3]), expected, rtol=1e-6)
