"""Networks that nobody here wrote, explained untouched: right, refused with a reason, or wrong.

Each has random weights and is asked for Grad-CAM of its default layer. Right is a finite map of the
image's size, from a layer with the image's proportions, not the patch embedding, whose corner cells
depend most, by gradient, on the quarter of the image around their own corner. What a map shows is
not judged: weights are random.
"""

import time
from dataclasses import dataclass

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

TORCHVISION = (
    "alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 "
    "maxvit_t mnasnet0_5 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large regnet_x_400mf "
    "regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x1_0 squeezenet1_0 "
    "squeezenet1_1 swin_t swin_v2_t vgg11 vgg11_bn vit_b_16 vit_b_32 wide_resnet50_2"
).split()  # noqa: SIM905
TIMM = (
    "test_byobnet test_convnext test_convnext2 test_convnext3 test_efficientnet "
    "test_efficientnet_evos test_efficientnet_gn test_efficientnet_ln test_mambaout test_nfnet "
    "test_resnet test_vit test_vit2 test_vit3 test_vit4 "
    "beit_base_patch16_224 botnet26t_256 cait_xxs24_224 caformer_s18 coat_tiny coatnet_nano_rw_224 "
    "convformer_s18 convit_tiny convmixer_768_32 convnextv2_atto crossvit_9_240 cspresnet50 "
    "davit_tiny deit3_small_patch16_224 deit_tiny_distilled_patch16_224 dla34 dpn68 "
    "edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientvit_b0 efficientvit_m0 "
    "ese_vovnet19b_dw eva02_tiny_patch14_224 fastvit_t8 fbnetc_100 focalnet_tiny_srf gcvit_xxtiny "
    "gernet_s ghostnet_100 gmixer_24_224 gmlp_s16_224 halonet26t hgnetv2_b0 hiera_tiny_224 "
    "hrnet_w18_small inception_next_tiny lambda_resnet26t lcnet_050 levit_128s maxvit_nano_rw_256 "
    "mixer_s32_224 mobilenetv4_conv_small mobileone_s0 mobilevit_xxs mobilevitv2_050 mvitv2_tiny "
    "nest_tiny nextvit_small nf_resnet50 pit_ti_224 poolformer_s12 pvt_v2_b0 rdnet_tiny "
    "regnetx_002 repvgg_a0 repvit_m0_9 res2net50_26w_4s resmlp_12_224 resnest14d resnetv2_50 "
    "rexnet_100 selecsls42b sequencer2d_s skresnet18 starnet_s1 swiftformer_xs "
    "swin_tiny_patch4_window7_224 swinv2_cr_tiny_ns_224 swinv2_tiny_window8_256 "
    "tf_efficientnet_lite0 tiny_vit_5m_224 tnt_s_patch16_224 tresnet_m twins_pcpvt_small "
    "twins_svt_small visformer_tiny vit_base_patch16_siglip_gap_224 "
    "vit_little_patch16_reg4_gap_256 vit_relpos_small_patch16_224 vit_small_r26_s32_224 "
    "vit_tiny_patch16_224 vit_tiny_r_s16_p8_224 volo_d1_224 xception41 xcit_nano_12_p16_224"
).split()  # noqa: SIM905
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
    for name in TORCHVISION:
        yield "torchvision", name, lambda name=name: build_torchvision(name)
    for name in TIMM:
        yield "timm", name, lambda name=name: build_timm(name)
    for name in HUGGING_FACE:
        yield "hf", name, lambda name=name: build_hugging_face(name)


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
        "corners look elsewhere": not corners_look_home(net, layer, layout, X[:1]),
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


def corners_look_home(net, layer, layout, image):
    """Whether each corner cell depends most on the image's quarter around its own corner."""
    pixels = torch.as_tensor(image).requires_grad_()
    maps = layout.maps(output_of(net, layer, pixels))
    weights = torch.randn(maps.shape[1], generator=torch.Generator().manual_seed(0))
    half = image.shape[2] // 2
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        cell = (maps[0, :, row, column] * weights).sum()
        (gradient,) = torch.autograd.grad(cell, pixels, retain_graph=True)
        energy = gradient[0].square().sum(dim=0)
        quarters = energy.unflatten(1, (2, half)).unflatten(0, (2, half)).sum(dim=(1, 3))
        if quarters[row, column] < quarters.max():
            return False
    return True


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
