"""Networks that nobody here wrote, judged as the benchmark `networks` judges them."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from experiments.benchmark import _networks, networks
from fmcam.explain._layout import Layout

NETWORKS = {name: build for _, name, build in _networks.all_networks()}
QUICK = [
    *("mobilenet_v3_small", "shufflenet_v2_x1_0", "ResNet"),
    *("test_convnext", "test_efficientnet", "test_mambaout", "test_vit"),
]  # and test_vit2 and test_resnet, which the sweep below judges
SLOW = [
    *("resnet18", "squeezenet1_1", "regnet_x_400mf", "swin_t", "maxvit_t"),
    *("mixer_s32_224", "visformer_tiny", "xcit_nano_12_p16_224"),
    *("deit_tiny_distilled_patch16_224", "test_vit3", "ViT"),
]


def verdict_on(name):
    pytest.importorskip("transformers" if name in _networks.HUGGING_FACE else "timm")
    torch.manual_seed(0)
    return _networks.judge(*NETWORKS[name]())


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_is_explained_right(name):
    found = verdict_on(name)
    assert found["verdict"] == "right", found


class Patches(nn.Module):
    """Features of the quarters of an image, given to the cells in some order."""

    def __init__(self, order=(0, 1, 2, 3), everywhere=0.0):
        super().__init__()
        self.order, self.everywhere = list(order), everywhere
        self.stem, self.maps = nn.Conv2d(3, 8, 4, stride=4), nn.Identity()
        self.head = nn.Linear(8, _networks.CLASSES)

    def forward(self, images):
        maps = self.stem(images).flatten(2)[:, :, self.order]
        maps = maps + self.everywhere * maps.sum(dim=2, keepdim=True)
        return self.head(self.maps(maps.unflatten(2, (2, 2))).mean(dim=(2, 3)))


class TestJudge:
    IMAGES = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)

    @pytest.mark.parametrize(
        ("net", "contrast"),
        [
            (Patches(), np.inf),
            (Patches(everywhere=1.0), 4),  # gradients 2 and 1: energies 4 and 1
            (Patches((0, 1, 3, 2)), 0),
        ],
    )
    def test_contrast_by_hand(self, net, contrast):
        found = _networks.home_contrast(net, "maps", Layout("nchw", (2, 2)), self.IMAGES)
        assert found == contrast

    def test_a_cell_that_depends_most_on_another_quarter_is_wrong(self):
        """Even if it depends more on its own than other cells do."""
        net = Patches()
        net.maps = Tilted()
        found = _networks.judge(net, 8)
        assert (found["layer"], found["verdict"]) == ("maps", "wrong")
        assert found["reason"] == "corners look elsewhere"
        assert found["home"] == pytest.approx(0.444, abs=1e-3)

    def test_what_has_no_maps_is_refused(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, _networks.CLASSES))
        found = _networks.judge(net, 8)
        assert found["verdict"] == "refused"
        assert "no layer that gives maps" in found["reason"]


class Tilted(nn.Module):
    """Adds the first cell three times to each, so that 2 and 3: energies 4 and 9 elsewhere."""

    def forward(self, maps):
        return 2 * maps + 3 * maps[:, :, :1, :1]


def test_a_stopped_sweep_resumes(tmp_path):
    pytest.importorskip("timm")
    config = {"out": str(tmp_path)}
    networks.main(networks.Config(only=("test_vit2",), **config))
    first = pd.read_csv(tmp_path / "rows.csv")
    networks.main(networks.Config(only=("test_vit2", "test_resnet"), resume=True, **config))
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows["network"].tolist() == ["test_vit2", "test_resnet"]
    assert rows["seconds"][0] == first["seconds"][0]
    (summary,) = pd.read_csv(tmp_path / "summary.csv").to_dict("records")
    assert summary == {"source": "timm", "right": 2, "refused": 0, "wrong": 0}


def test_no_network_of_that_name(tmp_path):
    with pytest.raises(SystemExit, match=r"--only: no network has resnot or vitt in its name\."):
        networks.main(networks.Config(only=("resnot", "vitt"), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
