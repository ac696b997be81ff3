"""Random changes of training batches."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional
from torchvision import transforms
from torchvision.transforms.functional import adjust_brightness, adjust_contrast

from fmcam.classifiers import FlipAndShift, RandomResizedCrop

# Flips and shifts ---------------------------------------------------------------------------------


def moved(image, dx, dy, mirrored):
    image = image[..., ::-1] if mirrored else image
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
    return padded[:, 2 - dy : 2 - dy + image.shape[1], 2 - dx : 2 - dx + image.shape[2]]


def test_flip_and_shift_gives_mirrored_and_moved_images_all_kinds_equally_often():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 255, (2, 5, 6), dtype=np.uint8)
    out = FlipAndShift(2)(
        torch.as_tensor(np.repeat(image[None], 5000, axis=0)), torch.Generator().manual_seed(0)
    )
    kinds = {
        moved(image, dx, dy, mirrored).tobytes(): 0
        for dx in range(-2, 3)
        for dy in range(-2, 3)
        for mirrored in (False, True)
    }
    assert len(kinds) == 50
    for changed in out.numpy():
        kinds[changed.tobytes()] += 1
    assert min(kinds.values()) > 60
    assert max(kinds.values()) < 145


def test_flip_and_shift_can_do_nothing_and_leaves_the_batch_alone():
    images = torch.rand(4, 3, 5, 5)
    before = images.clone()
    assert torch.equal(FlipAndShift(0, flip=False)(images), images)
    FlipAndShift(2)(images)
    assert torch.equal(images, before)


# Random resized crops -----------------------------------------------------------------------------


def generator():
    return torch.Generator().manual_seed(0)


def ramps(n, side):
    """Images whose first channel is the column and whose second is the row of each pixel."""
    x = torch.arange(side).expand(side, side)
    return torch.stack([x, x.T]).expand(n, -1, -1, -1)


def boxes_of(crops, size):
    """x, y, width and height of the crops from ramps, and whether they are mirrored."""
    before, after = size // 2 - 1, size // 2  # at the border pixels are smoothed to one side
    low, high = crops[:, :, before, before], crops[:, :, after, after]
    steps = (high - low).T
    width, height = steps.abs() * size
    centre = (low + high) / 2 + 0.5  # of half-pixel centres
    return centre[:, 0] - width / 2, centre[:, 1] - height / 2, width, height, steps[0] < 0


@pytest.mark.parametrize(("side", "size"), [(160, 128), (160, 96), (5, 8), (7, 7)])
def test_the_whole_image_is_a_plain_resize(side, size):
    images = torch.randint(256, (3, 3, side, side), generator=generator(), dtype=torch.uint8)
    crops = RandomResizedCrop(size, scale=(1, 1), ratio=(1, 1), flip=False)(images)
    expected = functional.interpolate(
        images.float(), size=(size, size), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(crops, expected, atol=0.01, rtol=0)


def test_half_of_a_ramp_by_hand():
    # a quarter of the area of 4 x 4 pixels is 2 x 2 pixels: neighbours differ by one pixel
    crops = RandomResizedCrop(2, scale=(0.25, 0.25), ratio=(1, 1), flip=False)(
        ramps(500, 4), generator()
    )
    torch.testing.assert_close(crops[:, 0, :, 1] - crops[:, 0, :, 0], torch.ones(500, 2))
    torch.testing.assert_close(crops[:, 1, 1] - crops[:, 1, 0], torch.ones(500, 2))
    first = crops[:, :, 0, 0]  # the centre of the first pixel, anywhere from 0 to 2
    assert (first.min(), first.max()) == (pytest.approx(0, abs=0.02), pytest.approx(2, abs=0.02))
    assert stats.kstest(first[:, 0] / 2, "uniform").pvalue > 0.01
    assert stats.kstest(first[:, 1] / 2, "uniform").pvalue > 0.01


def test_half_of_the_crops_are_mirrored_left_to_right():
    crop = RandomResizedCrop(32, scale=(1, 1), ratio=(1, 1))
    images = ramps(1000, 32)
    crops = crop(images, generator())
    mirrored = crops[:, 0, 0, 0] > 16
    assert 440 < mirrored.sum() < 560
    torch.testing.assert_close(crops[mirrored], images[mirrored].flip(3).float())
    torch.testing.assert_close(crops[~mirrored], images[~mirrored].float())


def test_crops_are_drawn_as_by_torchvision():
    scale, ratio = (0.35, 0.7), (3 / 4, 4 / 3)  # none is wider or higher than the image
    crops = RandomResizedCrop(8, scale, ratio)(ramps(1000, 400), generator())
    x, y, width, height, _ = boxes_of(crops, 8)
    torch.manual_seed(0)
    image = torch.zeros(1, 400, 400)
    theirs = np.array(
        [
            transforms.RandomResizedCrop.get_params(image, list(scale), list(ratio))
            for _ in range(1000)
        ]
    )
    top, left, their_height, their_width = theirs.T
    for ours, their in (
        (width * height, their_width * their_height),
        (width / height, their_width / their_height),
        (x, left),
        (y, top),
    ):
        assert stats.ks_2samp(ours, their).pvalue > 0.01
    assert stats.kstest((width * height / 400**2 - 0.35) / 0.35, "uniform").pvalue > 0.01


def test_crops_lie_inside_the_image_and_within_the_bounds():
    crops = RandomResizedCrop(64)(ramps(2000, 64), generator())  # enlarged, so not smoothed
    x, y, width, height, mirrored = boxes_of(crops, 64)
    assert min(x.min(), y.min()) > -1e-3
    assert max((x + width).max(), (y + height).max()) < 64 + 1e-3
    assert (width * height / 64**2).min() > 0.35 - 1e-4
    assert (width / height).min() > 3 / 4 - 1e-4
    assert (width / height).max() < 4 / 3 + 1e-4
    assert 0.4 < mirrored.float().mean() < 0.6


def test_images_that_are_not_square():
    images = ramps(200, 64)[:, :, :32]
    x, y, width, height, _ = boxes_of(RandomResizedCrop(64, (0.2, 0.3))(images, generator()), 64)
    share = width * height / (32 * 64)
    assert 0.2 - 1e-4 < share.min() < 0.21
    assert 0.29 < share.max() < 0.3 + 1e-4
    assert (y + height).max() < 32 + 1e-3
    assert (x + width).max() > 60


def test_a_crop_wider_than_the_image_is_cut_to_it():
    crops = RandomResizedCrop(8, scale=(1, 1), ratio=(4, 4))(ramps(3, 64), generator())
    columns, rows = crops[:, 0, 3, 3:5], crops[:, 1, 3:5, 3]
    # 64 pixels wide, so pixels 3 and 4 of 8 are centred at 28 and 36, and 32 high
    torch.testing.assert_close(columns.sort(dim=1).values, torch.tensor([[27.5, 35.5]] * 3))
    torch.testing.assert_close(rows[:, 1] - rows[:, 0], torch.tensor([4.0] * 3))


def test_crops_are_seeded_drawn_one_by_one_and_leave_the_batch_alone():
    images = torch.rand(1, 3, 20, 20).repeat(6, 1, 1, 1)
    before = images.clone()
    crop = RandomResizedCrop(16)
    crops = crop(images, generator())
    assert torch.equal(crop(images, generator()), crops)
    assert len({tuple(part.flatten().tolist()) for part in crops}) == 6
    assert torch.equal(images, before)
    assert crop(images.to(torch.uint8)).dtype == torch.float32


def whole(images, color):
    """Images with other colours, not cropped, and the factors drawn for them."""
    crop = RandomResizedCrop(images.shape[-1], (1, 1), (1, 1), flip=False, color=color)
    changed = crop(images, generator())
    drawn = generator()
    torch.rand(5, len(images), generator=drawn)
    return changed, 1 + color * (2 * torch.rand(3, len(images), generator=drawn) - 1)


def test_brightness_and_contrast_as_in_torchvision():
    grey = torch.rand(6, 1, 8, 8, generator=generator()).expand(6, 3, 8, 8) / 4 + 0.3
    changed, (brightness, contrast, _) = whole(grey, color=0.2)
    for image, b, c, found in zip(grey, brightness, contrast, changed, strict=True):
        expected = adjust_brightness(adjust_contrast(image, c), b)
        torch.testing.assert_close(found, expected)


def test_saturation_by_hand():
    pixel = torch.tensor([30.0, 60.0, 90.0]).reshape(1, 3, 1, 1).repeat(2000, 1, 1, 1)
    changed, (brightness, contrast, saturation) = whole(pixel, color=0.4)
    red, green, blue = changed[..., 0, 0].T
    torch.testing.assert_close(green, 60 * brightness)
    torch.testing.assert_close(blue - red, 60 * brightness * contrast * saturation)
    for factors in (brightness, saturation):
        assert 0.6 <= factors.min() < 0.61
        assert 1.39 < factors.max() <= 1.4


def test_colours_stay_by_default():
    pixel = torch.tensor([30.0, 60.0, 90.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(RandomResizedCrop(1)(pixel, generator()), pixel)
