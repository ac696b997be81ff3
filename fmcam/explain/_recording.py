"""One forward through a network that keeps the maps and gradients that CAMs need."""

import contextlib
import difflib
from weakref import WeakKeyDictionary

import torch
from torch import nn

from fmcam.classifiers._nets import modes_kept

__all__ = ["Recording", "default_layer", "fast_layout", "undisturbed"]

_TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
_spatial_layers: WeakKeyDictionary = WeakKeyDictionary()


class Recording:
    """The feature maps of some layers, the logits, and the gradients between them.

    The part of the network before the first of the layers runs without a graph; only the part
    after it is differentiated, and not even that where the logits are a linear layer of the
    averaged maps.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted. Its network is left as it was: modes, gradients, hooks, random numbers.
    images : tensor of shape (n, c, h, w)
        Raw, on the classifier's device.
    layers : sequence of str
        Dotted names of modules of the classifier's network; may be empty.

    Attributes
    ----------
    logits : tensor of shape (n, k), float32
    activations : dict of str to tensor of shape (n, c', h', w')
        The maps of each layer, detached, in the precision the network ran in.

    Raises
    ------
    ValueError
        For a layer that does not exist, does not run, runs several times, or has no maps.
    """

    def __init__(self, clf, images, layers):
        self._net = clf.module_.net
        self._nodes: dict[str, torch.Tensor] = {}
        modules = {name: _module(clf, name, images) for name in layers}
        with undisturbed(clf), contextlib.ExitStack() as hooks:
            for name, module in modules.items():
                handle = module.register_forward_hook(self._hook(name))
                hooks.callback(handle.remove)
            logits = clf.infer(images.to(memory_format=fast_layout(images)))
        for name in layers:
            self._check(name, clf, images)
        self._logits = logits
        self.logits = logits.detach()
        self.activations = {name: node.detach() for name, node in self._nodes.items()}
        self._heads, self._columns, self._gradients = {}, None, {}

    def _hook(self, name):
        def record(module, args, output):
            if name in self._nodes:
                raise ValueError(
                    f"Layer {name!r} runs more than once in a forward, so its maps are not one "
                    "thing. Choose the layer around it or a convolution before it."
                )
            if not _is_maps(output):
                self._nodes[name] = output
                return None
            torch.set_grad_enabled(True)  # until `undisturbed` puts the mode back
            if not output.requires_grad:
                output = output.detach().requires_grad_()
            self._nodes[name] = output
            return output.clone()  # what follows may change its input in place

        return record

    def _check(self, name, clf, images):
        node = self._nodes.get(name)
        if not _is_maps(node):
            shape = tuple(node.shape[1:]) if isinstance(node, torch.Tensor) else type(node).__name__
            found = "did not run" if node is None else f"gives {shape} for an image"
            raise ValueError(
                f"`layer` must give maps of shape (c, h, w) larger than 1x1, but {name!r} {found}. "
                f"Layers that do: {_listed(clf, images)}."
            )

    def head_weights(self, layer):
        """Weights (k, c') of the linear layer that follows a global average pooling, or None.

        The network may spell this in any way: what counts is that its logits on these images are
        the linear layer of the averaged maps.
        """
        if layer not in self._heads:
            self._heads[layer] = self._find_head_weights(layer)
        return self._heads[layer]

    def _find_head_weights(self, layer):
        activations = self.activations[layer].float()
        n_classes, n_maps = self.logits.shape[1], activations.shape[1]
        heads = [m for m in self._net.modules() if isinstance(m, nn.Linear)]
        if not heads or heads[-1].weight.shape != (n_classes, n_maps):
            return None
        weight = heads[-1].weight.detach().float()
        bias = 0 if heads[-1].bias is None else heads[-1].bias.detach().float()
        pooled = activations.mean(dim=(2, 3))
        error = (pooled @ weight.T + bias - self.logits).abs()
        size = (pooled.abs() @ weight.abs().T).amax()  # rounding grows with the terms of the sum
        tolerance = _TOLERANCES[self.activations[layer].dtype]
        return weight if error.amax() <= tolerance * size else None

    def gradient(self, layer, columns):
        """Gradient of one logit of each image by the maps of a layer.

        Parameters
        ----------
        layer : str
        columns : tensor of shape (n,), int64
            The logit of each image.

        Returns
        -------
        tensor of shape (n, c', h', w'), float32
            Zeros where the logits do not depend on the layer.
        """
        maps = self.activations[layer]
        weights = self.head_weights(layer)
        if weights is not None:
            per_cell = weights[columns] / (maps.shape[2] * maps.shape[3])
            return per_cell[:, :, None, None].expand(maps.shape)
        if self._columns is not columns:
            with torch.enable_grad():
                score = self._logits.gather(1, columns[:, None]).sum()
            gradients = torch.autograd.grad(
                score, list(self._nodes.values()), retain_graph=True, materialize_grads=True
            )
            self._columns = columns
            self._gradients = dict(zip(self._nodes, gradients, strict=True))
        return self._gradients[layer].float()

    def curvature(self, layer, columns):
        """Hessian of one logit of each image by the maps of a layer, times these maps.

        Parameters
        ----------
        layer : str
        columns : tensor of shape (n,), int64
            The logit of each image.

        Returns
        -------
        tensor of shape (n, c', h', w'), float32
        """
        node, maps = self._nodes[layer], self.activations[layer]
        if self.head_weights(layer) is not None:
            return torch.zeros_like(maps, dtype=torch.float32)
        with torch.enable_grad():
            score = self._logits.gather(1, columns[:, None]).sum()
            (gradient,) = torch.autograd.grad(
                score, node, create_graph=True, materialize_grads=True
            )
        if not gradient.requires_grad:
            return torch.zeros_like(maps, dtype=torch.float32)
        (product,) = torch.autograd.grad(
            gradient, node, maps, retain_graph=True, materialize_grads=True
        )
        return product.float()


@contextlib.contextmanager
def undisturbed(clf):
    """Evaluation mode without a graph, and the network's own modes back on leaving.

    It also leaves torch's inference mode for the time, whose tensors no gradient can pass.
    """
    with torch.inference_mode(False), torch.no_grad(), modes_kept(clf.module_):
        clf.module_.eval()
        yield


def fast_layout(images):
    """The memory format to run images in: on the CPU channels last saves a fifth to a third."""
    return torch.channels_last if images.device.type == "cpu" else torch.preserve_format


def default_layer(clf, images):
    """Name of the last layer that gives maps larger than 1x1, poolings left out."""
    layers = _layers_with_maps(clf, images)
    if not layers:
        raise ValueError(
            f"{type(clf.module_.net).__name__} has no layer that gives maps of shape (c, h, w) "
            f"larger than 1x1 for images of shape {tuple(images.shape[1:])}."
        )
    return layers[-1]


def _layers_with_maps(clf, images):
    """Names of the layers that give maps and run once, in the order they finish."""
    net = clf.module_.net
    known = _spatial_layers.setdefault(net, {})
    shape = tuple(images.shape[1:])
    if shape not in known:
        finished = []

        def note(name):
            return lambda module, args, output: finished.append((name, module, output))

        with undisturbed(clf), contextlib.ExitStack() as hooks:
            for name, module in net.named_modules():
                if name:
                    hooks.callback(module.register_forward_hook(note(name)).remove)
            clf.infer(images[:1])
        names = [name for name, _, _ in finished]
        known[shape] = [
            name
            for name, module, output in finished
            if _is_maps(output)
            and not isinstance(module, nn.AdaptiveAvgPool2d)
            and names.count(name) == 1
        ]
    return known[shape]


def _is_maps(output):
    """Whether a layer's output is maps of shape (n, c, h, w) larger than 1x1."""
    return (
        isinstance(output, torch.Tensor)
        and output.ndim == 4
        and output.shape[2] * output.shape[3] > 1
    )


def _module(clf, name, images):
    try:
        return clf.module_.net.get_submodule(name)
    except AttributeError:
        near = difflib.get_close_matches(name, _layers_with_maps(clf, images), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{type(clf.module_.net).__name__} has no layer {name!r}.{hint} "
            f"Layers that give maps: {_listed(clf, images)}."
        ) from None


def _listed(clf, images, most=12):
    names = _layers_with_maps(clf, images)
    return ", ".join(names if len(names) <= most else ["...", *names[-most:]])
