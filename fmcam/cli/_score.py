"""What `fmcam score` does."""

import contextlib
import time
from functools import partial
from textwrap import fill

import pandas as pd

from fmcam.cli._localization_pictures import CORNERS, write_pictures
from fmcam.cli._report._write import write_report
from fmcam.cli._run import Run
from fmcam.cli._score_heatmaps import score_heatmaps
from fmcam.cli._score_network import score_network
from fmcam.cli._script import mistakes_named
from fmcam.plot import LocalizationCurveDisplay
from fmcam.report import bootstrap_difference, summarize

_FLAGS = {  # what the library calls settings of the command
    " of `read_boxes`": "",
    "`inclusive=True`": "--inclusive",
    "`inclusive=False`": "--no-inclusive",
    "`images`": "--images",
    "`boxes`": "--boxes",
}
REFERENCE = "centre box"
MOST_SHOWN = 4  # methods in a picture
FITTED = ["threshold", "region", "align"]
ORIGINAL = [f"original_{corner}" for corner in CORNERS]
FIRST = ["id", "file", "label", "y", "predicted", "probability", "correct", "rank"]
FIRST += ["method", *FITTED, *CORNERS, *ORIGINAL, "iou", "error_type"]
PRINTED = ["mean_iou", "mean_iou_low", "mean_iou_high", "box_accuracy_0.5", "pointing_game"]
PRINTED += ["pixel_average_precision", "iou_difference"]


def complete(scored):
    """The rows with files and with boxes in pixels of the photographs, without what is unknown."""
    rows, test = scored.rows, scored.test
    corners = [
        test.placements[id_].boxes_in_original([box])[0]
        for id_, box in zip(rows["id"], rows[CORNERS].to_numpy(), strict=True)
    ]
    original = pd.DataFrame(corners, columns=ORIGINAL, index=rows.index)
    rows = rows.assign(file=test.filenames[rows["id"]], **original).dropna(axis=1, how="all")
    rows = rows.loc[:, (rows != "").any()]
    order = [name for name in FIRST if name in rows]
    return rows[[*order, *rows.columns.difference(order, sort=False)]]


def summary_of(scored):
    """One row a method: what `summarize` gives, the pooled scores, what was fitted; all known."""
    rows = scored.rows.assign(file=scored.test.filenames[scored.rows["id"]])
    of_method = rows.drop_duplicates("method").set_index("method")
    summary = summarize(rows, reference=REFERENCE, image="file").dropna(axis=1, how="all")
    return summary.join([scored.pooled, of_method[of_method.columns.intersection(FITTED)]])


def differences(scored):
    """One row a method and reference: the difference of their mean IoU, and its interval."""
    iou = scored.rows.pivot(index="id", columns="method", values="iou").dropna()
    images = scored.test.filenames[iou.index]
    names = scored.rows["method"].unique()
    references = [name for name in names if name not in scored.methods]
    return pd.DataFrame(
        {
            "method": method,
            "reference": reference,
            "n": len(iou),
            **bootstrap_difference(
                iou[method], iou[reference], groups=images, random_state=0
            )._asdict(),
        }
        for method in scored.methods
        for reference in references
    )


def metrics_summary(config, scored, summary):
    """The numbers in words."""
    n_fit, n_test = (len({*part.filenames}) for part in (scored.fit, scored.test))
    lines = [f"{config.boxes}: {n_fit} images to fit on, {n_test} to score"]
    if len(scored.left_out):
        lines.append(f"{len(scored.left_out)} pictures are left out; left_out.csv says why.")
    if scored.note:
        lines.append(fill(scored.note, 100))
    if scored.rows["correct"].notna().all():
        right = scored.rows.drop_duplicates("id")["correct"]
        lines.append(f"The network predicts {right.mean():.1%} of {len(right)} labels.")
    table = summary[[name for name in PRINTED if name in summary]].round(3)
    return "\n".join([*lines, "", table.to_string(), ""])


@contextlib.contextmanager
def flags_named():
    """Errors of the library name the flags of the command."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for name, flag in _FLAGS.items():
            message = message.replace(name, flag)
        raise ValueError(message) from error


def main(config, network):
    """Score, and write tables, pictures and the page."""
    started = time.perf_counter()
    with mistakes_named(), flags_named():
        scored = score_heatmaps(config) if network is None else score_network(config, *network)
    run = Run(config, "fmcam score", started=started)
    rows = complete(scored).round(4)
    run.write_table("rows.csv", rows)
    summary = summary_of(scored)
    run.write_table("summary.csv", summary)
    run.write_table("differences.csv", differences(scored))
    errors = rows["error_type"].replace("", "no true box")
    run.write_table("errors.csv", pd.crosstab(rows["method"], errors))
    run.write_table("left_out.csv", scored.left_out)
    boxed = scored.rows.dropna(subset="iou")
    run.write_figure("box_accuracy.png", LocalizationCurveDisplay.from_rows(boxed))
    of = "" if config.heatmaps else f" of the {config.explained or 'true'} class"
    shown = scored.methods[:MOST_SHOWN]
    write_pictures(
        *(run, rows, shown, scored.test, partial(scored.maps_of, shown), config.gallery),
        title=f"heatmap{of}",
        facts=["label"],
    )
    text = metrics_summary(config, scored, summary)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
    print(f"  {write_report(run.folder)}")
