"""What `experiments.benchmark wsol` does."""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from fmcam._boxes import masks_of_boxes
from fmcam.cli._run import Run
from fmcam.metrics import MaxBoxAccuracy, PixelAveragePrecision

SIZE = 224
IOU_THRESHOLDS = (0.3, 0.5, 0.7)


def make_batch(number, n):
    """Maps (n, 224, 224), float64 in [0, 1], and a list of n arrays of boxes (k, 4)."""
    rng = np.random.default_rng(number)
    small = torch.from_numpy(rng.random((n, 1, 14, 14)))
    maps = functional.interpolate(small, (SIZE, SIZE), mode="bicubic")[:, 0].numpy()
    maps -= maps.min(axis=(1, 2), keepdims=True)
    maps /= maps.max(axis=(1, 2), keepdims=True)
    corners = [np.sort(rng.integers(0, SIZE, (rng.integers(1, 5), 2, 2)), axis=1) for _ in maps]
    return maps, [pair.reshape(-1, 4) for pair in corners]


class Rival:
    """The evaluators of wsolevaluation for images that are named by their number."""

    def __init__(self, folder, boxes):
        vars(np).update(float=float, int=int)  # the names that NumPy dropped
        sys.path.insert(0, str(folder))
        import evaluation

        self._masks = {}
        # Masks from memory in place of files.
        evaluation.get_mask = lambda _, names, __: self._masks.pop(names[0])
        common = {
            "cam_threshold_list": list(np.arange(0, 1, 0.001)),
            "iou_threshold_list": [int(100 * least) for least in IOU_THRESHOLDS],
            "multi_contour_eval": True,
            "mask_root": None,
            "split": "test",
        }
        with tempfile.TemporaryDirectory() as place:
            metadata = evaluation.configure_metadata(place)
            names = [str(number) for number in range(len(boxes))]
            Path(metadata.image_ids).write_text("\n".join(names))
            Path(metadata.image_sizes).write_text("\n".join(f"{n},{SIZE},{SIZE}" for n in names))
            lines = [
                ",".join([name, *map(str, box)])
                for name, of_image in zip(names, boxes, strict=True)
                for box in of_image
            ]
            Path(metadata.localization).write_text("\n".join(lines))
            self.boxes = evaluation.BoxEvaluator(metadata=metadata, dataset_name="ILSVRC", **common)
            Path(metadata.localization).write_text("\n".join(f"{n},{n},none" for n in names))
            self.pixels = evaluation.MaskEvaluator(
                metadata=metadata, dataset_name="OpenImages", **common
            )

    def update(self, first, maps, masks):
        """Take the images from number `first` on; return the seconds for boxes and pixels."""
        seconds = []
        for evaluator in (self.boxes, self.pixels):
            start = time.process_time()
            for number, (heatmap, mask) in enumerate(zip(maps, masks, strict=True), first):
                self._masks[str(number)] = mask
                evaluator.accumulate(heatmap, str(number))
            seconds.append(time.process_time() - start)
        return seconds

    def right(self):
        """How many images are right, of shape (IoU thresholds, 1000)."""
        return np.array(list(self.boxes.num_correct.values()))


def beside(config):
    """One row a batch: seconds of both, and at how many thresholds they differ."""
    n_batches = config.maps // config.batch
    batches = (make_batch(number, config.batch) for number in range(n_batches))
    all_boxes = [box for _, boxes in batches for box in boxes]
    rival = Rival(Path(config.rival).resolve(), all_boxes)
    accuracy = MaxBoxAccuracy(convention="wsol", iou_thresholds=IOU_THRESHOLDS)
    precision = PixelAveragePrecision()
    rows = []
    for number in range(n_batches):
        maps, boxes = make_batch(number, config.batch)
        padded = np.full((len(boxes), 4, 4), np.nan)
        for row, of_image in zip(padded, boxes, strict=True):
            row[: len(of_image)] = of_image
        masks = masks_of_boxes(padded, (SIZE, SIZE))
        row = {}
        row["boxes_rival"], row["pixels_rival"] = rival.update(number * config.batch, maps, masks)
        for name, metric, truth in [("boxes", accuracy, boxes), ("pixels", precision, masks)]:
            start = time.process_time()
            metric.update(truth, maps)
            row[f"{name}_ours"] = time.process_time() - start
        row["differences"] = int((accuracy._sums["hits"] != rival.right()).sum())
        rows.append(row)
        print(number, row, flush=True)
    scores = {
        "max_box_accuracy_v2_ours": accuracy.compute(),
        "max_box_accuracy_v2_rival": np.mean(rival.boxes.compute()) / 100,
        "pixel_average_precision_ours": precision.compute(),
        "pixel_average_precision_rival": rival.pixels.compute() / 100,
    }
    return pd.DataFrame(rows), scores


def alone(config):
    """One row for each 100 maps: seconds so far without those of making them, and peak memory."""
    accuracy, seconds, rows = MaxBoxAccuracy(convention="wsol"), 0.0, []
    for number in range(config.alone // config.batch):
        maps, boxes = make_batch(number, config.batch)
        start = time.process_time()
        accuracy.update(boxes, maps)
        seconds += time.process_time() - start
        if accuracy.n % 100 == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append({"maps": accuracy.n, "seconds": seconds, "peak_mb": peak})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main(config):
    """Stream, compare, write."""
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    run = Run(config, "python -m experiments.benchmark wsol")
    run.write_table("memory.csv", alone(config))
    rows, scores = beside(config)
    run.write_table("rows.csv", rows)
    summary = {
        "maps": config.maps,
        "thresholds": 1000,
        "differences": rows["differences"].sum(),
        **scores,
    }
    for name in ("boxes", "pixels"):
        ours, theirs = rows[f"{name}_ours"], rows[f"{name}_rival"]
        summary |= {
            f"{name}_seconds_ours": ours.sum(),
            f"{name}_seconds_rival": theirs.sum(),
            f"{name}_times_faster": theirs.sum() / ours.sum(),
        }
    run.write_table("summary.csv", pd.DataFrame([summary]))
    print(pd.Series(summary).to_string())
    run.finish()
