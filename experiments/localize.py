"""CNN_CAM on canvases: train it, show where it looks, and measure how well that localizes.

The classifier learns from labels alone. Thresholds that turn heatmaps into boxes are fitted on
canvases of held-out training images and frozen. A run scores the test canvases once; but those of
the committed results were met by earlier recipes as well, the blank ones twice and the cluttered
ones three times in all, and each recipe was written down knowing what the one before it had scored.
"""

from dataclasses import dataclass

from fmcam.cli._checks import check_folder, check_least, check_threshold
from fmcam.cli._config import option
from fmcam.cli._script import run_script
from fmcam.cli._settings import OPTIMIZERS

EXPLAINED = ("true", "predicted")
BOXES = ("tight", "paste")


@dataclass(frozen=True)
class Config:
    """Settings of a localization."""

    dataset: str = option("fashion-mnist", "items on the canvases", ("fashion-mnist", "shapes"))
    canvas: int = option(128, "height and width of the canvases")
    feature_canvas: int = option(
        40, "of the canvases that features are learned on; as CANVAS: no fit of the head after"
    )
    item_size: int | None = option(
        None, "height and width that items are resized to; None: they keep theirs, 28"
    )
    clutter: int = option(0, "pieces of other items on a canvas")
    feature_clutter: int = option(0, "pieces on a canvas that features are learned on")
    noise: float = option(0.0, "standard deviation of noise, of 255")
    optimizer: str = option("adam", "adam, or sgd with momentum and smoothed labels", OPTIMIZERS)
    lr: float = option(1e-3, "peak learning rate")
    batch_size: int = option(64, "images in a batch of the training")
    eval_batch_size: int = option(64, "canvases that are classified or explained at once")
    epochs: int = option(25, "passes over the training images")
    rows: int | None = option(None, "training images used; None: all")
    precision: str = option("bfloat16", "float32 or bfloat16", ("float32", "bfloat16"))
    seeds: tuple[int, ...] = option((42,), "random states, one training each")
    images: int = option(2000, "test canvases to localize on")
    validation: int = option(1000, "held-out canvases that the thresholds are fitted on")
    explain: str = option(
        "true", "class whose heatmaps are made: the true or the predicted one", EXPLAINED
    )
    boxes: str = option(
        "tight", "boxes to find: tight around the item, or of its whole image, pasted", BOXES
    )
    threshold: float | None = option(
        None, "value in [0, 1] from which on a pixel is hot; None: fitted for each method"
    )
    visualize: int = option(4, "test canvases to draw with their heatmaps")
    out: str = option("runs/localize", "folder of the results")
    resume: bool = option(False, "keep the finished trainings that the folder holds")


def check(config):
    """End with a message if a setting is out of its range."""
    least, item = min(config.canvas, config.feature_canvas), config.item_size
    if config.threshold is not None:
        check_threshold(config.threshold)
    check_least(config, epochs=1, batch_size=1, eval_batch_size=1, visualize=0)
    if item is not None and not 1 <= item <= least:
        raise SystemExit(
            f"--item-size must be from 1 to {least}, the smaller of --canvas and --feature-canvas, "
            f"got {item}."
        )
    check_folder(config.out)


def main(config):
    """Check the settings before torch is imported; then train, score, explain, write."""
    check(config)
    from experiments import _localize

    _localize.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.localize", __doc__)
