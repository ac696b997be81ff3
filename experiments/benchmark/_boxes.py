"""What `experiments.benchmark boxes` does."""

import functools
import time

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from experiments.benchmark._timing import in_turns, ratios
from fmcam.cli._run import Run
from fmcam.localize import boxes_from_heatmaps
from fmcam.metrics import paired_box_iou

SIZE = 128
THRESHOLDS = np.linspace(0.02, 0.98, 50)


def make_maps(kind, n):
    """Maps of shape (n, 128, 128), float32 in [0, 1]."""
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.random((n, SIZE, SIZE), dtype=np.float32)
    small = torch.from_numpy(rng.random((n, 1, 16, 16), dtype=np.float32))
    return functional.interpolate(small, (SIZE, SIZE), mode="bilinear")[:, 0].numpy()


def opencv_boxes(maps):
    """Boxes of shape (t, n, 4) by one call of OpenCV for each map and threshold."""
    import cv2

    boxes = np.full((len(THRESHOLDS), len(maps), 4), np.nan)
    for level, threshold in enumerate(THRESHOLDS.astype(maps.dtype)):
        for number, found in enumerate(maps):
            hot = (found >= threshold).astype(np.uint8)
            n_regions, _, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
            if n_regions > 1:
                x, y, w, h, _ = stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()]
                boxes[level, number] = x, y, x + w, y + h
    return boxes


def same_boxes(ours, theirs):
    """Share of boxes that are equal; regions of as many pixels may be told apart differently."""
    return np.nanmean(paired_box_iou(ours.reshape(-1, 4), theirs.reshape(-1, 4)) == 1)


def main(config):
    """Time, compare, write."""
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    run = Run(config, "python -m experiments.benchmark boxes")
    seconds, tables = {}, {}
    for kind, n in {"smooth": config.smooth, "noise": config.noise}.items():
        maps = make_maps(kind, n)
        ways = {
            "fmcam": functools.partial(boxes_from_heatmaps, maps, THRESHOLDS),
            "OpenCV": functools.partial(opencv_boxes, maps),
        }
        few = maps[:100]
        share = same_boxes(boxes_from_heatmaps(few, THRESHOLDS), opencv_boxes(few))
        seconds[kind] = in_turns(ways, config.repeats, time.process_time)
        tables[kind] = ratios(seconds[kind], "fmcam").assign(maps=n, same_boxes=share)
    run.write_table("rows.csv", pd.concat(seconds, names=["maps", "turn"]))
    summary = pd.concat(tables, names=["kind"]).droplevel(-1)
    run.write_table("summary.csv", summary)
    print(summary.round(3).to_string())
    run.finish()
