"""What `experiments.benchmark score_cam` does."""

import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator

from experiments.benchmark._timing import in_turns, ratios
from fmcam._parallel import torch_threads
from fmcam.classifiers import CNNClassifier
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset
from fmcam.explain import ScoreCAM
from fmcam.models import get_model

NET, LAYER = "timm/tf_efficientnet_lite0", "bn2"
ALL = "fmcam"
RIVALS = ["torch-cam", "pytorch-grad-cam"]


def ways_of(clf, images, config, found):
    """The ways to explain the images; each leaves its maps in `found`."""
    ways = {
        ALL: partial(fmcam_maps, clf, images, config.batch_size),
        "torch-cam": partial(torchcam_maps, clf, images, config.batch_size),
        "pytorch-grad-cam": partial(grad_cam_maps, clf, images, config.batch_size),
    }
    for n in config.channels:
        ways[few(n)] = partial(fmcam_maps, clf, images, config.batch_size, max_channels=n)

    def run(name, explain):
        found[name] = explain()

    return {name: partial(run, name, explain) for name, explain in ways.items()}


def few(n):
    """Name of the way that looks through `n` maps."""
    return f"fmcam, {n} channels"


def fmcam_maps(clf, images, batch_size, max_channels=None):
    """Score-CAM of the likeliest class."""
    explainer = ScoreCAM(
        FrozenEstimator(clf), layer=LAYER, max_channels=max_channels, batch_size=batch_size
    )
    return explainer.transform(images)


def torchcam_maps(clf, images, batch_size):
    """Score-CAM by torch-cam, whose maps are as large as the layer's."""
    from torchcam.methods import ScoreCAM as Rival

    net, pixels = clf.module_, torch.as_tensor(images).float()
    with Rival(net, f"net.{LAYER}", batch_size=batch_size, input_shape=images.shape[1:]) as cam:
        with torch.inference_mode():
            logits = net(pixels)
        (maps,) = cam(logits.argmax(dim=1).tolist(), logits)
    return maps.numpy()


def grad_cam_maps(clf, images, batch_size):
    """Score-CAM by pytorch-grad-cam."""
    from pytorch_grad_cam import ScoreCAM as Rival

    net = clf.module_
    with Rival(model=net, target_layers=[net.net.get_submodule(LAYER)]) as cam:
        cam.batch_size = batch_size
        return cam(input_tensor=torch.as_tensor(images).float(), targets=None)


def agreement(found, config):
    """Correlation of the maps of few channels with those of all, a row a photograph."""
    everything = found[ALL].reshape(config.images, -1)
    rows = [
        {"channels": n, "correlation": np.corrcoef(one, other)[0, 1]}
        for n in config.channels
        for one, other in zip(everything, found[few(n)].reshape(config.images, -1), strict=True)
    ]
    return pd.DataFrame(rows)


def main(config):
    """Time, compare, write."""
    run = Run(config, "python -m experiments.benchmark score_cam")
    photographs = get_dataset(
        "imagenette", "test", size=config.image_size, data_home=config.data_dir
    ).images
    clf = CNNClassifier.from_module(get_model(NET, weights="DEFAULT"), preprocessing=NET)
    drawn = np.random.default_rng(config.seed).choice(
        len(photographs), (config.repeats, config.images), replace=False
    )
    seconds, correlations = [], []
    with torch_threads(1):
        for ours in ways_of(clf, photographs[:1], config, {}).values():
            ours()
        for chosen in drawn:
            found = {}
            ways = ways_of(clf, photographs[np.sort(chosen)], config, found)
            seconds.append(in_turns(ways, 1, time.process_time))
            correlations.append(agreement(found, config))
    seconds = pd.concat(seconds, keys=range(config.repeats), names=["turn", "row"]).droplevel("row")
    run.write_table("rows.csv", seconds)
    tables = {way: ratios(seconds[[way, *RIVALS]], way) for way in seconds.drop(columns=RIVALS)}
    summary = pd.concat(tables, names=["ours", "row"]).droplevel("row")
    run.write_table("summary.csv", summary)
    correlations = pd.concat(correlations).groupby("channels")["correlation"]
    correlations = correlations.agg(["median", "min", "count"])
    run.write_table("correlation.csv", correlations)
    print(summary.round(2).to_string(), correlations.round(3).to_string(), sep="\n")
    run.finish()
