"""What `python -m experiments.leaderboard` does."""

import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from experiments import pets
from experiments._pets_methods import REFERENCE, make_explainers
from fmcam.classifiers import CNNClassifier
from fmcam.cli._report._write import write_report
from fmcam.cli._run import Run
from fmcam.models import ResNet18, get_model
from fmcam.report import bootstrap_difference

ORACLE = "resolution oracle"
MEANS = ["mean_iou", "mean_iou_low", "mean_iou_high"]
CONSTANT = "constant box"
KNOW_NOTHING = (REFERENCE, CONSTANT, "full frame", "edges", "random weights")
NO_CLASS = "none of the network's classes is an item of the canvas, so no heatmap of one means it"
NOT_FITTED = "its rows have the centre box of mean size and no constant box, so no such differences"
SKIPPED = [
    {"network": name, "data": "cluttered canvas", "reason": reason}
    for name, reason in (
        ("ResNet-18 from Imagenette", NO_CLASS),
        ("EfficientNet-Lite0 of ImageNet", NO_CLASS),
        ("CNN_CAM of results/localize", NOT_FITTED),
    )
]
SHOWN = ["rank", "rank_low", "rank_high", "n", *MEANS, "over_centre", "over_constant"]
SHOWN += ["cpu_seconds_per_1000"]


def ranks(iou, n_draws, random_state):
    """The rank of each method by its mean, 1 the best, and how sure it is.

    Parameters
    ----------
    iou : DataFrame of n images x methods
    n_draws : int
        Bootstrap draws of images, for all methods together.
    random_state : int

    Returns
    -------
    DataFrame
        One row a method: rank, rank_low and rank_high, the ends of its 95 % interval, and
        share_best, of the draws in which it was the best.
    """
    rng, n = np.random.default_rng(random_state), len(iou)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_draws)
    means = pd.DataFrame(drawn @ iou.to_numpy() / n, columns=iou.columns)
    found = means.rank(axis=1, ascending=False, method="min")
    low, high = (found.quantile(q, interpolation="nearest") for q in (0.025, 0.975))
    return pd.DataFrame(
        {
            "rank": iou.mean().rank(ascending=False, method="min").astype(int),
            "rank_low": low.astype(int),
            "rank_high": high.astype(int),
            "share_best": (found == 1).mean(),
        }
    )


def board(rows, n_draws, random_state):
    """One row a method, the best first; `rows` are those of one network."""
    iou = rows.pivot(index="id", columns="method", values="iou").dropna()
    table = ranks(iou.drop(columns=ORACLE, errors="ignore"), n_draws, random_state)
    for name in table.index:
        known = {"n": len(iou), **_difference("mean_iou", iou[name], 0 * iou[name])}
        for other, reference in (("centre", REFERENCE), ("constant", CONSTANT)):
            known |= _difference(f"over_{other}", iou[name], iou[reference])
        table.loc[name, list(known)] = known
    table["knows_network"] = ~table.index.str.startswith(KNOW_NOTHING)
    return table.astype({"n": int}).sort_values("rank", kind="stable")


def _difference(name, values, others):
    mean, low, high = bootstrap_difference(values, others, random_state=0)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def seconds(settings, n_images):
    """Processor seconds for 1,000 photographs of each method that needs an image, alone."""
    if settings.arch is None:
        clf = CNNClassifier.from_module(ResNet18(n_classes=3))
    else:
        clf = CNNClassifier.from_module(get_model(settings.arch))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_images, 3, settings.image_size, settings.image_size), np.uint8)
    labels, found = clf.predict(images), {}
    for name, explainer in make_explainers(clf, settings.layers, n_images).items():
        explainer.explain(images[:1], labels[:1])  # finds out about the network, once
        start = time.process_time()
        explainer.explain(images, labels)
        found[name] = (time.process_time() - start) * 1000 / n_images
    return pd.Series(found, name="cpu_seconds_per_1000")


def read_run(folder):
    """The settings of a folder of pets, the name of its network, and its rows."""
    told = json.loads((Path(folder) / "config.json").read_text())
    settings = pets.Config(**{**told, "layers": tuple(told.get("layers", pets.LAYERS))})
    network = "ResNet-18 from Imagenette" if settings.arch is None else settings.arch
    return settings, network, pd.read_csv(Path(folder) / "rows.csv.gz")


class BoardsDisplay:
    """Mean IoU of each method with its interval, a panel a network, the best on top."""

    def __init__(self, boards):
        self.boards = boards

    def plot(self):
        """Draw the panels; those that know nothing of the network are grey."""
        longest = max(map(len, self.boards.values()))
        self.figure_, axes = plt.subplots(
            1, len(self.boards), figsize=(8 * len(self.boards), 0.28 * longest + 1), squeeze=False
        )
        for ax, (network, table) in zip(axes[0], self.boards.items(), strict=True):
            places = np.arange(len(table))
            for knows, colour in ((True, "#0072B2"), (False, "#767676")):
                some = (table["knows_network"] == knows).to_numpy()
                mean, low, high = table.loc[some, MEANS].to_numpy().T
                bars = {"xerr": (mean - low, high - mean), "fmt": "o", "color": colour}
                ax.errorbar(mean, places[some], **bars)
            names = [f"{name}  ({row.rank_low} to {row.rank_high})" for name, row in _rows(table)]
            ax.set_yticks(places, names)
            ax.invert_yaxis()
            ax.set(
                title=f"{network}, pets", xlabel="mean IoU; in brackets the rank; 95 % intervals"
            )
            ax.grid(axis="x", alpha=0.3)
        self.figure_.tight_layout()
        return self


def in_words(table, config):
    """The boards, what their columns are, and what is left out."""
    text = f"""\
Boxes of heatmaps in the pets that `experiments.pets` held out for the test. Thresholds, regions and
the boxes of the references are fitted on other photographs.

rank                  by mean IoU among all but the oracle; from rank_low to rank_high in 95 % of
                      {config.draws:,} bootstrap draws of the n photographs, all methods together
mean_iou              with its 95 % interval over photographs
over_centre           minus that of the centred box that fits best, over_constant: of any one box
random weights        the same method and network, nothing learned
cpu_seconds_per_1000  on {config.timed} photographs, one method at a time, with random weights
"""
    left_out = [
        f"Left out: {row['network']} on the {row['data']}: {row['reason']}" for row in SKIPPED
    ]
    return "\n".join([text, table[SHOWN].round(3).to_string(), "", *left_out, ""])


def _rows(table):
    return zip(table.index, table.itertuples(), strict=True)


def main(config):
    """Rank, time, write."""
    run = Run(config, "python -m experiments.leaderboard")
    torch.set_num_threads(1)
    boards = {}
    for folder in config.runs:
        settings, network, rows = read_run(folder)
        table = board(rows, config.draws, config.seed)
        boards[network] = table.join(seconds(settings, config.timed))
    table = pd.concat(boards, names=["network", "method"])
    run.write_table("leaderboard.csv", table.round(4))
    run.write_table("skipped.csv", pd.DataFrame(SKIPPED))
    run.write_figure("leaderboard.png", BoardsDisplay(boards))
    text = in_words(table, config)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
    print(write_report(config.out))
