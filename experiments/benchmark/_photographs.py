"""What `experiments.benchmark photographs` does."""

import functools
import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from experiments.benchmark._timing import NearlyFree, in_turns, ratios
from fmcam.classifiers import CNNClassifier, RandomResizedCrop
from fmcam.cli._run import Run
from fmcam.datasets import fetch_imagenette, get_data_home
from fmcam.models import ResNet18

OPTIMIZER = {"lr": 0.05, "momentum": 0.9, "nesterov": True}
SCALE = (0.35, 1.0)
NETS = {"nearly free": NearlyFree, "resnet18": ResNet18}


def our_epoch(net, images, labels, config, precision="float32"):
    """One epoch of the classifier."""
    clf = CNNClassifier(
        net,
        optimizer=torch.optim.SGD,
        lr=OPTIMIZER["lr"],
        optimizer__momentum=OPTIMIZER["momentum"],
        optimizer__nesterov=OPTIMIZER["nesterov"],
        augment=RandomResizedCrop(config.size, scale=SCALE),
        max_epochs=1,
        batch_size=config.batch_size,
        precision=precision,
        random_state=0,
    )
    clf.fit(images, labels)


def plain_epoch(net, folder, rows, config, workers, fast=False):
    """One epoch as torchvision's own examples do it; `fast` is bfloat16 and channels last."""
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(config.size, scale=SCALE),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    loader = DataLoader(
        Subset(ImageFolder(folder, transform), rows),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=workers,
    )
    layout = torch.channels_last if fast else torch.contiguous_format
    module = net(n_classes=10, in_channels=3).to(memory_format=layout).train()
    optimizer = torch.optim.SGD(module.parameters(), **OPTIMIZER)
    criterion = nn.CrossEntropyLoss()
    for images, labels in loader:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            logits = module(images.to(memory_format=layout))
        criterion(logits.float(), labels).backward()
        optimizer.step()


def decode(config, folder):
    """Decode all training photographs into an empty cache."""
    with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder)}):
        fetch_imagenette(config.data_dir)


def main(config):
    """Time and write."""
    run = Run(config, "python -m experiments.benchmark photographs")
    with tempfile.TemporaryDirectory() as cache:
        decoded = in_turns({"decode": functools.partial(decode, config, Path(cache))}, 1)
    data = fetch_imagenette(config.data_dir)
    folder = get_data_home(config.data_dir) / "imagenette2-160" / "train"
    rows = np.random.default_rng(0).permutation(len(data.target))[: config.images]
    images, labels = data.images[rows], data.target[rows]
    seconds, tables = {}, {}
    for name, net in NETS.items():
        print(name, flush=True)
        ours = functools.partial(our_epoch, net, images, labels, config)
        plain = functools.partial(plain_epoch, net, folder, rows, config)
        ways = {
            "fmcam": ours,
            "fmcam bfloat16": functools.partial(ours, "bfloat16"),
            "ImageFolder": functools.partial(plain, 0),
            f"ImageFolder, {config.workers} workers": functools.partial(plain, config.workers),
            f"ImageFolder, {config.workers} workers, bfloat16, channels last": functools.partial(
                plain, config.workers, fast=True
            ),
        }
        seconds[name] = in_turns(ways, config.repeats)
        for way in ("fmcam", "fmcam bfloat16"):
            tables[name, way] = ratios(seconds[name], way)
    run.write_table("rows.csv", pd.concat(seconds, names=["net", "turn"]))
    summary = pd.concat(tables, names=["net", "ours"]).droplevel(-1)
    summary = summary[~summary["rival"].str.startswith("fmcam")]
    for side in ("rival", "ours"):
        summary[f"images_per_second_{side}"] = config.images / summary[f"seconds_{side}"]
    run.write_table("summary.csv", summary)
    run.write_table("decode.csv", decoded.assign(images=len(data.target)))
    print(summary.round(2).to_string())
    run.finish()
