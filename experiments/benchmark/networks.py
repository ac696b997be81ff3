"""Networks that nobody here wrote, explained untouched: right, refused with a reason, or wrong.

Each has random weights and is asked for Grad-CAM of its default layer. Right is a finite map of the
image's size, from a layer with the image's proportions, not the patch embedding, where each quarter
of the image means most, by gradient, to the cell in its own corner. What a map shows is not judged:
weights are random.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision

from fmcam.classifiers import CNNClassifier
from fmcam.cli._config import option
from fmcam.cli._run import Run
from fmcam.explain import GradCAM
from fmcam.explain._layout import first_tensor
from fmcam.explain._survey import survey_of

NAMES = Path(__file__).with_suffix(".txt")  # a source and a name in each line
HUGGING_FACE = {
    "ViT": {"num_hidden_layers": 3},
    "DeiT": {"num_hidden_layers": 3},
    "Dinov2": {"num_hidden_layers": 3, "image_size": 224, "patch_size": 14},
    "Dinov2WithRegisters": {"num_hidden_layers": 3, "image_size": 224, "patch_size": 14},
    "Beit": {"num_hidden_layers": 3},
    "Swin": {"depths": [1, 1, 2, 1]},
    "Swinv2": {"depths": [1, 1, 2, 1], "image_size": 256, "window_size": 8},
    "ConvNext": {"depths": [1, 1, 2, 1]},
    "ResNet": {"depths": [1, 1, 1, 1], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]},
    "Segformer": {"depths": [1, 1, 1, 1]},
    "MobileViT": {},
    "PoolFormer": {},
}
CLASSES = 7


@dataclass(frozen=True)
class Config:
    """Settings of the sweep."""

    only: tuple[str, ...] = option((), "parts of names; all networks without it")
    out: str = option("runs/benchmark/networks", "folder of the results")


def all_networks():
    """Every network as (source, name, function that builds it)."""
    builders = {"torchvision": build_torchvision, "timm": build_timm}
    for line in NAMES.read_text().splitlines():
        source, name = line.split()
        yield source, name, partial(builders[source], name)
    for name in HUGGING_FACE:
        yield "hf", name, partial(build_hugging_face, name)


def build_torchvision(name):
    """A network of torchvision and the side of its images."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    extra = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    net = torchvision.models.get_model(name, num_classes=CLASSES, **extra)
    return net, weights.transforms().crop_size[0]


def build_timm(name):
    """A network of timm and the side of its images."""
    import timm

    net = timm.create_model(name, num_classes=CLASSES)
    return net, net.default_cfg["input_size"][-1]


def build_hugging_face(name):
    """A small network of Hugging Face's and the side of its images."""
    import transformers

    config = getattr(transformers, f"{name}Config")(num_labels=CLASSES, **HUGGING_FACE[name])
    net = getattr(transformers, f"{name}ForImageClassification")(config)
    return net, getattr(config, "image_size", 224)


def judge(net, side):
    """The verdict on Grad-CAM of a network, and what it stands on."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2, 3, side, side)).astype(np.float32)
    try:
        clf = CNNClassifier.from_module(net.eval(), classes=range(CLASSES))
        cam = GradCAM(net)
        maps = cam.explain(X, [0, 5])
        (layer,), (layout,) = zip(*cam.layers_for(clf, torch.as_tensor(X)).items(), strict=True)
    except ValueError as error:
        return {"verdict": "refused", "reason": str(error)}
    row = {"layer": layer, "axes": layout.axes}
    activation = layout.maps(output_of(net, layer, torch.as_tensor(X[:1])).detach())
    row["cells"] = "x".join(map(str, activation.shape[2:]))
    faults = {
        "not finite": not np.isfinite(maps).all(),
        "not the image's size": maps.shape != (2, side, side),
        "not the image's proportions": activation.shape[2] != activation.shape[3],
        "the patch embedding": layer == patch_embedding(net, clf, X),
        "corners look elsewhere": not corners_look_home(net, layer, layout, X),
    }
    wrong = [name for name, found in faults.items() if found]
    return {**row, "verdict": "wrong" if wrong else "right", "reason": ", ".join(wrong)}


def output_of(net, layer, images):
    """What a layer gives for images."""
    found = []
    hook = net.get_submodule(layer).register_forward_hook(
        lambda module, args, output: found.append(first_tensor(output))
    )
    try:
        net(images)
    finally:
        hook.remove()
    return found[0]


def patch_embedding(net, clf, X):
    """The first layer with maps of a network that then works on tokens; else None."""
    survey = survey_of(clf, torch.as_tensor(X))
    axes = [survey.layout(name).axes for name in survey.layers]
    return survey.layers[0] if "ntd" in axes else None


def corners_look_home(net, layer, layout, images):
    """Whether each quarter of the image means most to the cell in its own corner.

    By the quarter's share in the energy of the gradients by the pixels. Attention over all of a
    random network's cells may leave each with a share of about a quarter of everything.
    """
    pixels = torch.as_tensor(images).requires_grad_()
    maps = layout.maps(output_of(net, layer, pixels))
    weights = torch.randn(maps.shape[:2], generator=torch.Generator().manual_seed(0))
    shares = []
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        score = (maps[:, :, row, column] * weights).sum()
        (gradient,) = torch.autograd.grad(score, pixels, retain_graph=True)
        energy = gradient.square().sum(dim=(0, 1))
        half = energy.shape[0] // 2
        quarters = (
            energy[rows, columns].sum()
            for rows in (slice(half), slice(-half, None))
            for columns in (slice(half), slice(-half, None))
        )
        shares.append(torch.stack(list(quarters)) / energy.sum())
    return torch.stack(shares).argmax(dim=0).tolist() == [0, 1, 2, 3]


def main(config):
    """Build, explain, judge, write."""
    run = Run(config, "benchmark networks")
    rows = []
    for source, name, build in all_networks():
        if config.only and not any(part in name for part in config.only):
            continue
        torch.manual_seed(0)
        net, side = build()
        start = time.perf_counter()
        try:
            verdict = judge(net, side)
        except Exception as error:  # any other error is what a stranger must not meet
            verdict = {"verdict": "wrong", "reason": f"{type(error).__name__}: {error}"}
        seconds = round(time.perf_counter() - start, 2)
        row = {"source": source, "network": name, "side": side, **verdict, "seconds": seconds}
        rows.append(row)
        print(*rows[-1].values(), flush=True)
        run.write_table("rows.csv", pd.DataFrame(rows))
    counts = pd.DataFrame(rows).groupby(["source", "verdict"]).size().unstack(fill_value=0)
    run.write_table("summary.csv", counts)
    print(counts.to_string())
    run.finish()
