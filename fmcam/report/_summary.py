"""How well methods localize: one row for each method, with intervals."""

import numpy as np
import pandas as pd

from fmcam._typing import Seed
from fmcam.report._paired import bootstrap_difference
from fmcam.report._wilson import effective_number, wilson_interval

_IOU_THRESHOLDS = (0.3, 0.5, 0.7)


def summarize(
    rows: pd.DataFrame,
    *,
    reference: str | None = None,
    oracle: str = "resolution oracle",
    image: str | None = None,
    random_state: Seed = 0,
) -> pd.DataFrame:
    """Return how well each method localizes, with 95 % intervals.

    Parameters
    ----------
    rows : DataFrame
        From `evaluate_localization` or `localization_frame`, or several concatenated; one row
        for each image and method. To summarize several training seeds, call it for each.
    reference : str, optional
        The method that each other one is compared with, on the images of both.
    oracle : str, default="resolution oracle"
        The method whose maps are the best the layer allows, see `fmcam.explain.oracle_heatmaps`.
    image : str, optional
        The column of `rows` that says which image a row is of, where one has a row for each of its
        labels. Such rows are alike, so intervals are of images drawn whole: without it they would
        be too narrow.
    random_state : int, Generator or None, default=0
        For the bootstrap.

    Returns
    -------
    frame : DataFrame of one row a method, index "method"
        n
            Number of images.
        n_iou, mean_iou
            Number of images with a true box, and mean IoU over them.
        box_accuracy_0.3, box_accuracy_0.5, box_accuracy_0.7
            Share of these whose IoU is at least 0.3, 0.5 or 0.7.
        box_accuracy_v2
            Mean of the three. MaxBoxAccV2 is that at the best threshold for each, see
            `PooledScores`.
        top1_localization
            Share of these where the predicted class is right and the IoU at least 0.5; NaN where
            no class was predicted.
        top5_localization
            Share of these where the true class is among the five most probable ones and the IoU at
            least 0.5; NaN where `rows` have no rank.
        n_hit, pointing_game
            Number of images with a mask, or without masks with a true box, and share of those whose
            hottest pixel is on the object, or in a box.
        n_energy, energy
            Number of images with a true box and a map that is not empty, and their mean energy.
        empty_maps, no_boxes
            Shares of the n images whose map is all zeros, and whose map has no box.
        n_mask_iou, mask_iou
            Number of images with a mask that holds an object, and mean IoU of masks over them; only
            if it is in `rows`.
        iou_difference
            Mean IoU minus that of `reference` on the same images; only with `reference`.
        share_of_oracle
            Mean IoU divided by that of `oracle` on the same images; only if it is in `rows`.

        Each of mean_iou, box_accuracy_0.*, top*_localization, pointing_game, energy, mask_iou and
        iou_difference is followed by the ends of its interval, as in mean_iou_low and
        mean_iou_high: Wilson's for shares, a bootstrap over images for means, paired for the
        difference; with `image` Wilson's of as many trials as the rows count for. What is undefined
        is NaN.

    Raises
    ------
    ValueError
        If an image and method have several rows, `reference` is none of the methods, or `image` no
        column that says for each row which image it is of.

    See Also
    --------
    wilson_interval, bootstrap_difference : The intervals.

    Examples
    --------
    >>> import numpy as np
    >>> heatmaps = np.array([[[0.1, 0.8, 0.6, 0.0]], [[0.9, 0.8, 0.6, 0.0]]])
    >>> from fmcam.report import localization_frame
    >>> rows = localization_frame({"CAM": heatmaps}, ["bag", "coat"], [[0.4, 0.6], [0.3, 0.7]],
    ...                           ["bag", "coat"], boxes=[[1, 0, 2, 1], [0, 0, 3, 1]],
    ...                           thresholds=0.5)
    >>> frame = summarize(rows)
    >>> columns = ["n", "mean_iou", "box_accuracy_0.7", "top1_localization"]
    >>> frame[columns]  # doctest: +NORMALIZE_WHITESPACE
            n  mean_iou  box_accuracy_0.7  top1_localization
    method
    CAM     2      0.75               0.5                0.5
    """
    _check_rows(rows, reference, image)
    rows = rows.reset_index(drop=True)  # an index may repeat where tables were concatenated
    rng, images = np.random.default_rng(random_state), None if image is None else rows[image]
    of_id = None
    if image is not None:
        of_id = rows.drop_duplicates("id").set_index("id", drop=False)[image]
    iou = rows.pivot(index="id", columns="method", values="iou")
    table = {}
    for method, of_method in rows.groupby("method", sort=False):
        table[method] = _summarize_method(of_method, rng, images)
        if reference is not None:
            differences = (iou[method] - iou[reference]).dropna()
            table[method] |= mean_with_interval("iou_difference", differences, rng, of_id)
        if oracle in iou:
            both = iou[method].notna() & iou[oracle].notna()
            share = iou.loc[both, method].mean() / iou.loc[both, oracle].mean()
            table[method]["share_of_oracle"] = share
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("method")


def _check_rows(rows, reference, image):
    if rows.duplicated(["id", "method"]).any():
        raise ValueError(
            "`rows` must have one row for each image and method, got several for some. "
            "Summarize each seed or data set by itself: rows.groupby('seed')."
        )
    methods = rows["method"].unique().tolist()
    if reference is not None and reference not in methods:
        raise ValueError(f"`reference` must be one of the methods {methods}, got {reference!r}.")
    if image is not None and (image not in rows or rows[image].isna().any()):
        raise ValueError(
            f"`image` must be a column of `rows` that names an image in each, got {image!r}. "
            f"Columns are {', '.join(map(repr, rows.columns))}."
        )


def _summarize_method(rows, rng, images):
    iou, hit, energy = (rows[name].dropna() for name in ("iou", "hit", "energy"))
    with_box = rows[rows["iou"].notna()]
    in_box = with_box["iou"] >= 0.5
    correct = with_box["correct"].dropna().astype(bool)
    rank = with_box.get("rank", pd.Series()).dropna()  # rows of earlier versions have none
    row = {"n": len(rows), "n_iou": len(iou), **mean_with_interval("mean_iou", iou, rng, images)}
    for least in _IOU_THRESHOLDS:
        row |= _rate(f"box_accuracy_{least}", iou >= least, images)
    row["box_accuracy_v2"] = np.mean([(iou >= least).mean() for least in _IOU_THRESHOLDS])
    row |= (
        _rate("top1_localization", correct & in_box[correct.index], images)
        | _rate("top5_localization", (rank <= 5) & in_box[rank.index], images)
        | {"n_hit": len(hit), **_rate("pointing_game", hit == 1, images)}
        | {"n_energy": len(energy), **mean_with_interval("energy", energy, rng, images)}
        | {"empty_maps": rows["empty_map"].mean(), "no_boxes": rows["no_box"].mean()}
    )
    if "mask_iou" in rows:
        of_masks = rows["mask_iou"].dropna()
        row["n_mask_iou"] = len(of_masks)
        row |= mean_with_interval("mask_iou", of_masks, rng, images)
    return row


def _rate(name, hits, images):
    n = len(hits)
    n_effective = n if images is None else effective_number(hits, images[hits.index])
    low, high = wilson_interval(hits.sum() * n_effective / n if n else 0, n_effective)
    return {name: hits.mean(), f"{name}_low": float(low), f"{name}_high": float(high)}


def mean_with_interval(name, values, rng, images=None):
    """The mean of values and the ends of its 95 % interval, by name; NaN where undefined.

    `images` are those of the values, by their index, where values are not one an image.
    """
    low = high = np.nan
    groups = None if images is None else images[values.index]
    if len(values if groups is None else groups.unique()) > 1:
        # A mean is a difference from zero.
        zeros = np.zeros(len(values))
        _, low, high = bootstrap_difference(values, zeros, groups=groups, random_state=rng)
    mean = values.mean() if len(values) else np.nan
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
