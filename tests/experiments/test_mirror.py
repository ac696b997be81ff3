"""Where cells look, by mirror images: maps made of values at known places."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from experiments import mirror
from experiments._cell_places import first_cell, mirror_products
from experiments._mirror import compare
from fmcam.classifiers import CNNCAMClassifier, CNNClassifier, save_classifier
from fmcam.explain._geometry import Grid
from tests.small_data import draw_pets


def photographs(n, width, smooth=6.0):
    """Smooth noise of shape (n, 9, width), which is like no mirror image of itself."""
    noise = np.random.default_rng(0).normal(size=(n, 9, width))
    return gaussian_filter(noise, (0, 0, smooth))


def looking_at(images, start, stride, n_cells):
    """The value at each cell's place, read between pixels."""
    places = start + stride * np.arange(n_cells)
    pixels = np.arange(images.shape[2])
    return np.array([[np.interp(places, pixels, row) for row in image] for image in images])


@pytest.mark.parametrize(
    ("width", "stride", "start", "n_cells"),
    [
        (64, 8, 3.5, 8),  # an even division
        (64, 8, 0.0, 8),  # behind padded convolutions of stride 2
        (65, 8, 0.0, 9),  # there too, where both ends are alike
        (60, 8, 6.0, 6),
        (64, 8, 1.75, 8),  # between both
    ],
)
def test_the_place_of_the_first_cell(width, stride, start, n_cells):
    """Whatever the geometry says, the first cell is found where it looks."""
    images = photographs(80, width)
    maps, mirrored = (
        looking_at(some, start, stride, n_cells) for some in (images, images[..., ::-1])
    )
    for geometric in (start, start + 3, start - 2.5):
        found = first_cell(maps, mirrored, width, Grid((0.0, geometric), (8.0, float(stride))))
        assert found["start"] == pytest.approx(start, abs=0.26)
        assert found["start_low"] <= found["start"] <= found["start_high"]
        assert found["start_high"] - found["start_low"] < 1
        assert found["correlation"] > 0.8


def test_what_all_maps_share_tells_nothing():
    """A border that is the same in each map, or a level of each map, is no place."""
    images = photographs(80, 64)
    maps, mirrored = (looking_at(some, 0, 8, 8) for some in (images, images[..., ::-1]))
    border, levels = 20 * np.linspace(1, 0, 8), np.linspace(0, 99, 80)[:, None, None]
    grid = Grid((0.0, 0.0), (8.0, 8.0))
    told = first_cell(maps, mirrored, 64, grid)
    for same in (border, levels):
        assert first_cell(maps + same, mirrored + same, 64, grid) == pytest.approx(told)


def test_products_by_hand():
    """Cells at 0 and 2 of three pixels give 2, 3, 4, and for the mirror image 8, 6, 4."""
    maps = np.array([[[2.0, 4.0]], [[-2.0, -4.0]]])
    mirrored = np.array([[[8.0, 4.0]], [[-8.0, -4.0]]])
    products = mirror_products(maps, mirrored, 3, 2, [0.0])
    np.testing.assert_allclose(products, [[[4, 2, 8]]] * 2)  # of -1, 0, 1 and -2, 0, 2


def test_a_shifted_picture_shifts_the_place():
    """What lies further left than a mirror image has it is seen as by a cell further right."""
    wide, grid = photographs(80, 70), Grid((0.0, 3.5), (8.0, 8.0))
    starts = []
    for left in (3, 6):  # in the middle, and 3 pixels right of it
        crops = (some[..., left : left + 64] for some in (wide, wide[..., ::-1]))
        maps, mirrored = (looking_at(some, 3.5, 8, 8) for some in crops)
        starts.append(first_cell(maps, mirrored, 64, grid)["start"])
    assert starts == pytest.approx([3.5, 6.5], abs=0.5)


def test_noise_has_no_place():
    maps, mirrored = torch.randn(2, 80, 5, 8, generator=torch.Generator().manual_seed(0)).numpy()
    found = first_cell(maps, mirrored, 64, Grid((0.0, 3.5), (8.0, 8.0)))
    assert found["start_high"] - found["start_low"] > 4
    assert abs(found["correlation"]) < 0.3


class LooksLeft(nn.Module):
    """Cells of stride 8 that see the pixels 8 i - 1 to 8 i + 1, and of these the first one."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 2, 3, stride=8, padding=1)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.features.weight.zero_()[:, :, 1, 0] = 1
            self.features.bias.zero_()
            self.head.weight.copy_(torch.tensor([[2.0, 1.0], [-2.0, -1.0]]))
            self.head.bias.copy_(torch.tensor([1e3, 0.0]))

    def forward(self, x):
        return self.head(self.features(x).mean(dim=(2, 3)))


def test_a_network_that_looks_left_of_its_centres():
    """Its first cell is found at -1, where its geometric centre is 0; of shifted images at -5."""
    images = photographs(80, 64)[:, None].astype(np.float32)
    clf = CNNClassifier.from_module(LooksLeft(), device="cpu")
    found = pd.DataFrame(compare(clf, images, "features", mirror.Config(seed=0, batch_size=32)))
    assert found[["geometric", "evenly", "stride"]].drop_duplicates().values.tolist() == [
        [0, 3.5, 8]
    ]
    places = found.set_index(["case", "method"])[["shift", "start"]].round(0)
    for method in ("Grad-CAM", "Eigen-CAM"):
        assert places.loc["trained", method].tolist() == [0, -1]
        assert places.loc["shifted", method].tolist() == [4, -5]
    assert (found.query("case == 'random weights'")["shift"] == 0).all()


def test_rows_of_a_file_and_pets(tmp_path, cache):
    draw_pets(tmp_path / "data", {"test": 4})
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    clf = CNNCAMClassifier(max_epochs=1, random_state=0, verbose=0).fit(images, [0, 1, 2] * 2)
    save_classifier(clf, tmp_path / "net.safetensors")
    mirror.main(
        mirror.Config(
            networks=(str(tmp_path / "net.safetensors"),),
            image_size=32,
            images=6,
            data_dir=str(tmp_path / "data"),
            out=str(tmp_path / "mirror"),
        )
    )
    rows = pd.read_csv(tmp_path / "mirror" / "rows.csv")
    cases = [
        (case, method)
        for case in ("trained", "random weights", "shifted")
        for method in ("Grad-CAM", "Eigen-CAM")
    ]
    assert list(zip(rows["case"], rows["method"], strict=True)) == cases
    assert rows[["network", "n", "width"]].drop_duplicates().values.tolist() == [["net", 6, 32]]
