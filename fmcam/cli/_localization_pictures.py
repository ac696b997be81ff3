"""The images that a method localizes worst and best, and a gallery of all degrees."""

from pathlib import PurePosixPath

import pandas as pd

from fmcam._boxes import check_true_boxes
from fmcam._overlap import best_iou
from fmcam._regions import THRESHOLDS
from fmcam.cli._gallery import brightened, overlay, spread, write_gallery
from fmcam.localize import boxes_from_heatmaps
from fmcam.plot import HeatmapDisplay

__all__ = ["CORNERS", "write_pictures"]

CORNERS = ["x0", "y0", "x1", "y1"]
_PICTURED = 4
_SHOWN = ["method", "error_type", "iou", "threshold", "region"]


def write_pictures(run, rows, methods, data, maps_of, n_gallery, *, title, facts=()):
    """Write `figures/worst.png`, `figures/best.png`, and a gallery from the worst to the best.

    Parameters
    ----------
    run : Run
    rows : DataFrame
        As of `evaluate_localization`, with classes by name and the `file` of each image. Without
        `y` or `predicted` these are not known.
    methods : sequence of str
        Those to show; images are sorted by the IoU of the first.
    data : Bunch
        images (n, c, h, w) and boxes (n, 4) or (n, k, 4), by the `id` of the rows.
    maps_of : callable
        ``maps_of(ids)`` gives the heatmaps of some images (m, h, w), {str: ndarray} by method.
    n_gallery : int
    title : str
        What the heatmaps are.
    facts : sequence of str
        More columns of `rows` that the gallery shows.
    """
    by_method = {name: rows[rows["method"] == name].set_index("id") for name in methods}
    iou = by_method[methods[0]]["iou"].dropna().sort_values(kind="stable")
    for name, ids in (("worst", iou.index[:_PICTURED]), ("best", iou.index[: -_PICTURED - 1 : -1])):
        run.write_figure(f"{name}.png", _display(by_method, data, maps_of(ids), ids, title))
    ids = iou.index[spread(iou, n_gallery)]
    pictures = _gallery(by_method, data, maps_of(ids), ids, facts) if n_gallery else ()
    write_gallery(run, pictures)


def _display(by_method, data, maps, ids, title):
    some = next(iter(by_method.values())).loc[ids]
    answers = {"y_true": "y", "y_pred": "predicted"}
    return HeatmapDisplay.from_heatmaps(
        data.images[ids],
        brightened(maps),
        **{name: some[column] for name, column in answers.items() if column in some},
        boxes_true=data.boxes[ids],
        boxes_pred={name: rows.loc[ids, CORNERS] for name, rows in by_method.items()},
        title=title,
    )


def _gallery(by_method, data, maps, ids, facts):
    """Yield what is known about a picture, the picture, and its boxes, method by method."""
    for name, shown in brightened(maps).items():
        rows = by_method[name].loc[ids]
        boxes, iou = _at_all_thresholds(maps[name], data.boxes[ids], rows["region"].iloc[0])
        for place, row in enumerate(rows.to_dict("records")):
            known = {"y_true": row.get("y", ""), "y_pred": row.get("predicted", "")}
            known |= {key: row[key] for key in (*_SHOWN, *facts) if key in row}
            known |= {"photograph": PurePosixPath(row["file"]).name}
            picture = overlay(data.images[ids[place]], shown[place], data.boxes[ids[place]])
            in_picture = boxes[:, place] + [picture.width // 2, 0] * 2  # the map is on the right
            frame = pd.DataFrame(in_picture, columns=CORNERS, dtype="Int64")
            frame.insert(0, "threshold", THRESHOLDS)
            yield known, picture, frame.assign(iou=iou[:, place])


def _at_all_thresholds(maps, boxes_true, region):
    """The boxes of maps at each of the thresholds (t, n, 4), and their IoU (t, n)."""
    boxes = boxes_from_heatmaps(maps, THRESHOLDS, region=region)
    return boxes, best_iou(check_true_boxes(boxes_true), boxes)
