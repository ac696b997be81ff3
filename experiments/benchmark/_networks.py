"""What `experiments.benchmark networks` does."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision
from torch.nn.functional import adaptive_avg_pool2d

from fmcam.classifiers import CNNClassifier
from fmcam.cli._run import Run
from fmcam.explain import GradCAM
from fmcam.explain._layout import first_tensor
from fmcam.explain._survey import survey_of

NAMES = Path(__file__).with_name("networks.txt")  # a source and a name in each line
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
VERDICTS = ["right", "refused", "wrong"]


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
    X = rng.normal(size=(8, 3, side, side)).astype(np.float32)
    try:
        clf = CNNClassifier.from_module(net.eval(), classes=range(CLASSES))
        cam = GradCAM(net)
        maps = cam.explain(X[:2], [0, 5])
        (layer,), (layout,) = zip(*cam.layers_for(clf, torch.as_tensor(X)).items(), strict=True)
    except ValueError as error:
        return {"verdict": "refused", "reason": str(error)}
    row = {"layer": layer, "axes": layout.axes}
    activation = layout.maps(output_of(net, layer, torch.as_tensor(X[:1])).detach())
    row["cells"] = "x".join(map(str, activation.shape[2:]))
    row["home"] = home_contrast(net, layer, layout, X)
    faults = {
        "not finite": not np.isfinite(maps).all(),
        "not the image's size": maps.shape != (2, side, side),
        "not the image's proportions": activation.shape[2] != activation.shape[3],
        "the patch embedding": layer == patch_embedding(net, clf, X),
        "corners look elsewhere": not row["home"] > 1,
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


def home_contrast(net, layer, layout, images):
    """By how much more a corner's cell depends on its own quarter than on any other, at the least.

    What it depends on is the share of each quarter in the energy of the gradient, by the pixels, of
    a random projection of the cell. Image by image the corners take turns; their shares are means.
    """
    pixels = torch.as_tensor(images).requires_grad_()
    maps = layout.maps(output_of(net, layer, pixels))
    weights = torch.randn(maps.shape[:2], generator=torch.Generator().manual_seed(0))
    corners = torch.tensor([0, -1])
    cells = maps[:, :, corners[:, None], corners].flatten(2)  # (n, c, 4)
    own = torch.arange(len(images)) % 4
    score = (cells[range(len(images)), :, own] * weights).sum()
    (gradient,) = torch.autograd.grad(score, pixels)
    shares = adaptive_avg_pool2d(gradient.double().square().sum(dim=1), 2).flatten(1)
    shares = shares / shares.sum(dim=1, keepdim=True)
    shares = torch.stack([shares[own == corner].mean(dim=0) for corner in range(4)])
    home = torch.eye(4, dtype=torch.bool)
    contrast = shares[home] / shares.masked_fill(home, 0).amax(dim=1)
    return float(f"{contrast.min():.3g}")


def tried(source, name, build):
    """The row of a network in the table."""
    torch.manual_seed(0)
    net, side = build()
    start = time.perf_counter()
    try:
        verdict = judge(net, side)
    except Exception as error:  # any other error is what a stranger must not meet
        verdict = {"verdict": "wrong", "reason": f"{type(error).__name__}: {error}"}
    seconds = round(time.perf_counter() - start, 2)
    return {"source": source, "network": name, "side": side, **verdict, "seconds": seconds}


def main(config):
    """Build, explain, judge, write."""
    wanted = config.only or ("",)
    networks = [one for one in all_networks() if any(part in one[1] for part in wanted)]
    if not networks:
        raise SystemExit(f"--only: no network has {' or '.join(config.only)} in its name.")
    run = Run(config, "benchmark networks")
    table = run.folder / "rows.csv"
    rows = pd.read_csv(table).to_dict("records") if config.resume and table.exists() else []
    finished = {(row["source"], row["network"]) for row in rows}
    for source, name, build in networks:
        if (source, name) in finished:
            continue
        rows.append(tried(source, name, build))
        print(*rows[-1].values(), flush=True)
        run.write_table("rows.csv", pd.DataFrame(rows))
    counts = pd.DataFrame(rows).groupby(["source", "verdict"]).size().unstack()
    counts = counts.reindex(columns=VERDICTS).fillna(0).astype(int)
    run.write_table("summary.csv", counts)
    print(counts.to_string())
    run.finish()
