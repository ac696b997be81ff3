"""The lines of Python that make the picture of a page."""

import inspect
from pathlib import Path

from fmcam.cli._app._look import DPI
from fmcam.cli._drawing import grid_of, n_panels

__all__ = ["python_lines"]

_MAPS = """\
explainers = {{
{explainers}
}}
maps = explain_together(explainers, images, [{label!r}])  # {name}
boxes = {{name: boxes_from_heatmaps(found, {threshold!r}) for name, found in maps.items()}}
"""
_PICTURE = """\
display = HeatmapDisplay.from_heatmaps(
    images,
    maps,
    y_pred=[{predicted!r}],
    probability=clf.predict_proba(images).max(axis=1),
    boxes_pred=boxes,
    title={title!r},
)
figure, axes = subplots({rows}, {columns}, figsize={size}, layout='compressed', squeeze=False)
for unused in axes.flat[{n}:]:
    unused.remove()
display.plot(ax=axes.flat[:{n}])
figure.savefig('heatmaps.png', dpi={dpi}, bbox_inches='tight')
"""
_IMPORTED = {
    "FrozenEstimator": "sklearn.frozen",
    "HeatmapDisplay": "fmcam.plot",
    "boxes_from_heatmaps": "fmcam.localize",
    "explain_together": "fmcam.explain",
    "load_image": "fmcam.datasets",
    "subplots": "matplotlib.pyplot",
}


def python_lines(seen, threshold):
    """A script that makes the maps and the picture of a page with the library alone.

    Parameters
    ----------
    seen : Look
        With a heatmap at least. The script reads the photograph from the folder it is run in.
    threshold : float in [0, 1]

    Returns
    -------
    str
    """
    names = dict(_IMPORTED)
    lines = [*_network(seen, names), *_images(seen, names)]
    maps = _MAPS.format(
        explainers="\n".join(f"    {one.title!r}: {_made(one, names)}," for one in seen.heatmaps),
        label=seen.network.clf.classes_[seen.column].item(),
        name=" ".join(seen.network.names[seen.column].split()),
        threshold=threshold,
    )
    n = n_panels(seen.heatmaps)
    rows, columns, size = grid_of(n)
    picture = _PICTURE.format(
        predicted=seen.network.names[int(seen.proba.argmax())],
        title=f"heatmap of {seen.network.names[seen.column]}",
        rows=rows,
        columns=columns,
        size=size,
        n=n,
        dpi=DPI,
    )
    return "\n".join([*_imports(names), "", *lines, maps + picture])


def _imports(names):
    modules: dict[str, list[str]] = {}
    for name, module in sorted(names.items()):
        modules.setdefault(module, []).append(name)
    lines = [f"from {module} import {', '.join(of)}" for module, of in sorted(modules.items())]
    ours = [line for line in lines if line.startswith("from fmcam")]
    return [*(line for line in lines if line not in ours), "", *ours]


def _network(seen, names):
    """Lines that open the network, and draw random weights where they are shown."""
    lines = [*_classifier(seen.network, names), "net = FrozenEstimator(clf)"]
    if any(heatmap.weights == "random" for heatmap in seen.heatmaps):
        names["randomized"] = "fmcam.explain"
        lines.append("random = FrozenEstimator(randomized(clf, random_state=0))")
    return lines


def _classifier(network, names):
    """Lines that open it; what the command line adds to a file is written out."""
    clf, model, arch = network.clf, network.model, network.arch
    if model is None or not Path(model).is_file():
        names |= {"CNNClassifier": "fmcam.classifiers", "get_model": "fmcam.models"}
        made = f"get_model(name, weights={model!r})"
        return [f"name = {arch!r}", f"clf = CNNClassifier.from_module({made}, preprocessing=name)"]
    names["load_classifier"] = "fmcam.classifiers"
    module = "" if arch is None else f", module={arch!r}"
    lines = [f"clf = load_classifier({str(Path(model).resolve())!r}{module})"]
    (given, shape), used = network.in_file, clf.module_.standardize
    if not (used.mean.equal(given.mean) and used.std.equal(given.std)):
        names["Standardize"] = "fmcam.models"
        numbers = f"{used.mean.flatten().tolist()}, {used.std.flatten().tolist()}"
        lines.append(f"standardize = Standardize({used.mean.numel()}, {numbers})")
        lines.append("clf.module_.standardize = standardize.to(clf.device)")
    if shape not in (None, clf.image_shape_):
        lines.append(f"clf.adopt(clf.module_, clf.classes_, {clf.image_shape_})")
    return lines


def _images(seen, names):
    """Lines that read the photograph."""
    channels, size, _ = seen.network.clf.image_shape_
    fit = "" if seen.network.fit == "crop" else f", fit={seen.network.fit!r}"
    read = f"load_image({seen.picture.file!r}, size={size}{fit})"
    if channels != 1:
        return [f"images = {read}[None]"]
    names |= {"asarray": "numpy", "fromarray": "PIL.Image"}
    return [
        f"grey = fromarray({read}.transpose(1, 2, 0)).convert('L')",
        "images = asarray(grey)[None, None]",
    ]


def _made(heatmap, names):
    """The call that makes an explainer: of its parameters those that are not usual."""
    kind = type(heatmap.explainer)
    names[kind.__name__] = "fmcam.explain"
    usual = inspect.signature(kind).parameters
    arguments = ["net" if heatmap.weights == "trained" else "random"]
    arguments += [
        f"{name}={value!r}"
        for name, value in heatmap.explainer.get_params(deep=False).items()
        if name not in ("estimator", "batch_size") and value != usual[name].default
    ]
    return f"{kind.__name__}({', '.join(arguments)})"
