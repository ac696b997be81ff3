"""What `experiments.benchmark heatmaps` does."""

import copy
import functools
import gc
import multiprocessing
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator
from torch.nn import functional

from experiments.benchmark._timing import in_turns, ratios
from fmcam.classifiers import CNNClassifier
from fmcam.cli._run import Run
from fmcam.explain import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, explain_together
from fmcam.models import CNN_CAM, ResNet18

CASES = {"resnet18": (ResNet18, 3, 160), "cnn_cam": (CNN_CAM, 1, 128)}
N_CLASSES = 10
FAST = "fmcam bfloat16, channels last"


def make_case(name, n_images):
    """A network with random weights, and images."""
    torch.manual_seed(0)
    kind, channels, size = CASES[name]
    net = kind(n_classes=N_CLASSES, in_channels=channels).eval()
    images = np.random.default_rng(0).normal(size=(n_images, channels, size, size))
    return net, images.astype(np.float32)


def network_for(way, net):
    """The network in the memory layout that a way is meant for: set once, not in each call."""
    if way == FAST:
        return copy.deepcopy(net).to(memory_format=torch.channels_last)
    return net


def fmcam_maps(net, images, precision="float32"):
    """Grad-CAM of the predicted class."""
    clf = FrozenEstimator(CNNClassifier.from_module(net, precision=precision))
    return GradCAM(clf, layer="features").transform(images)


def torchcam_maps(net, images):
    """Grad-CAM by torch-cam, upsampled by hand, as its README does image by image."""
    from torchcam.methods import GradCAM as Rival

    with Rival(net, target_layer="features", input_shape=images.shape[1:]) as cam:
        logits = net(torch.as_tensor(images))
        (maps,) = cam(logits.argmax(dim=1).tolist(), logits)
    return _upsampled(maps, images)


def captum_maps(net, images):
    """Grad-CAM by captum, which asks for the classes, so a forward comes first."""
    from captum.attr import LayerGradCam

    tensor = torch.as_tensor(images)
    with torch.no_grad():
        columns = net(tensor).argmax(dim=1)
    maps = LayerGradCam(net, net.features).attribute(tensor, columns, relu_attributions=True)
    return _upsampled(_stretched(maps.detach()[:, 0]), images)


def grad_cam_maps(net, images):
    """Grad-CAM by pytorch-grad-cam, which upsamples itself."""
    from pytorch_grad_cam import GradCAM as Rival

    with Rival(model=net, target_layers=[net.features]) as cam:
        return cam(input_tensor=torch.as_tensor(images), targets=None)


def fmcam_many(net, images, precision="float32"):
    """Four methods of every class."""
    clf = FrozenEstimator(CNNClassifier.from_module(net, precision=precision))
    kinds = (GradCAM, GradCAMPlusPlus, LayerCAM, HiResCAM)
    y = np.tile(np.arange(N_CLASSES), (len(images), 1))
    return explain_together(
        {kind.__name__: kind(clf, layer="features") for kind in kinds}, images, y
    )


def torchcam_many(net, images):
    """Three methods of every class (torch-cam has no HiResCAM)."""
    from torchcam.methods import GradCAM as Grad
    from torchcam.methods import GradCAMpp
    from torchcam.methods import LayerCAM as Layer

    found = []
    for kind in (Grad, GradCAMpp, Layer):
        with kind(net, target_layer="features", input_shape=images.shape[1:]) as cam:
            logits = net(torch.as_tensor(images))
            for column in range(N_CLASSES):
                (maps,) = cam(column, logits, retain_graph=True)
                found.append(_upsampled(maps, images))
    return found


def captum_many(net, images):
    """Grad-CAM of every class."""
    from captum.attr import LayerGradCam

    tensor, cam = torch.as_tensor(images), LayerGradCam(net, net.features)
    found = []
    for column in range(N_CLASSES):
        maps = cam.attribute(tensor, column, relu_attributions=True).detach()
        found.append(_upsampled(_stretched(maps[:, 0]), images))
    return found


def grad_cam_many(net, images):
    """Four methods of every class."""
    from pytorch_grad_cam import GradCAM as Grad
    from pytorch_grad_cam import GradCAMPlusPlus as GradPP
    from pytorch_grad_cam import HiResCAM as HiRes
    from pytorch_grad_cam import LayerCAM as Layer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    found = []
    for kind in (Grad, GradPP, Layer, HiRes):
        with kind(model=net, target_layers=[net.features]) as cam:
            for column in range(N_CLASSES):
                targets = [ClassifierOutputTarget(column)] * len(images)
                found.append(cam(input_tensor=torch.as_tensor(images), targets=targets))
    return found


ONE = {
    "fmcam": fmcam_maps,
    FAST: functools.partial(fmcam_maps, precision="bfloat16"),
    "torch-cam": torchcam_maps,
    "captum": captum_maps,
    "pytorch-grad-cam": grad_cam_maps,
}
MANY = {
    "fmcam": fmcam_many,
    FAST: functools.partial(fmcam_many, precision="bfloat16"),
    "torch-cam (3 methods)": torchcam_many,
    "captum (1 method)": captum_many,
    "pytorch-grad-cam": grad_cam_many,
}


def forward_only(net, images):
    """What any explainer needs at least."""
    with torch.no_grad():
        return net(torch.as_tensor(images))


def _stretched(maps):
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def _upsampled(maps, images):
    maps = functional.interpolate(
        maps[:, None], images.shape[2:], mode="bilinear", align_corners=False
    )
    return maps[:, 0].numpy()


def peak_memory(way, explain, name, n_images, threads):
    """Highest resident MiB of one call above what stood before it, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (sender, way, explain, name, n_images, threads)
    process = context.Process(target=_measure_memory, args=arguments)
    process.start()
    found = receiver.recv()
    process.join()
    return found


def _measure_memory(sender, way, explain, name, n_images, threads):
    torch.set_num_threads(threads)
    net, images = make_case(name, n_images)
    net = network_for(way, net)
    explain(net, images[:1])  # imports and first-use buffers
    gc.collect()
    before, highest, done = _resident(), [0.0], threading.Event()

    def watch():
        while not done.is_set():
            highest[0] = max(highest[0], _resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    kept = explain(net, images)
    done.set()
    watcher.join()
    sender.send(highest[0] - before)
    del kept


def _resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main(config):
    """Time, measure memory, write."""
    torch.set_num_threads(config.threads)
    run = Run(config, "python -m experiments.benchmark heatmaps")
    seconds, tables, memory = {}, {}, {}
    for name in config.nets:
        jobs = {
            "predicted class": (config.images, {"forward only": forward_only, **ONE}),
            "four methods, ten classes": (config.many_images, MANY),
        }
        for job, (n_images, ways) in jobs.items():
            print(name, job, flush=True)
            net, images = make_case(name, n_images)
            calls = {
                way: functools.partial(explain, network_for(way, net), images)
                for way, explain in ways.items()
            }
            for call in calls.values():
                call()
            seconds[name, job] = in_turns(calls, config.repeats)
            for ours in (way for way in ways if way.startswith("fmcam")):
                tables[name, job, ours] = ratios(seconds[name, job], ours)
            memory[name, job] = pd.Series(
                {w: peak_memory(w, f, name, n_images, config.threads) for w, f in ways.items()}
            )
    names = ["net", "job"]
    run.write_table("rows.csv", pd.concat(seconds, names=[*names, "turn"]))
    summary = pd.concat(tables, names=[*names, "ours"]).droplevel(-1)
    summary = summary[~summary["rival"].str.startswith("fmcam")]
    run.write_table("summary.csv", summary)
    peak = pd.concat(memory, names=[*names, "way"]).rename("peak_mib")
    run.write_table("memory.csv", peak.to_frame())
    print(summary.round(2).to_string(), peak.round(0).to_string(), sep="\n")
    run.finish()
