"""One forward through a network that keeps the maps and gradients that CAMs need."""

import torch
from torch import nn

from fmcam._memory_format import memory_format_of
from fmcam._network_state import hooked
from fmcam.explain._layout import first_tensor
from fmcam.explain._survey import undisturbed
from fmcam.explain._target import class_scores, scores

__all__ = ["Recording", "run", "with_first"]

_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
_LOW_PRECISION = 3e-2


class Recording:
    """The feature maps of some layers, the outputs, and the gradients between them.

    The part of the network before the first of the layers runs without a graph; only the part
    after it is differentiated, and not even that where the outputs are a linear layer of the
    averaged maps.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted. Its network is left as it was: modes, gradients, hooks, random numbers.
    images : tensor of shape (n, c, h, w)
        Raw, on the classifier's device.
    layouts : mapping of str to Layout
        Of the layers to record, by dotted names of modules of the network; may be empty.

    Attributes
    ----------
    outputs : tensor of shape (n, k), or (n, 1) for a network with one output for two classes
        Detached.
    activations : dict of str to tensor of shape (n, c', h', w')
        The maps of each layer, detached, float32, or float64 for a network in float64.
    """

    def __init__(self, clf, images, layouts):
        self._clf = clf
        self._layouts = layouts
        self._nodes: dict[str, torch.Tensor] = {}
        with hooked(clf.module_.net, {name: self._hook(name) for name in layouts}):
            self._outputs = run(clf, images)
            if layouts and not self._outputs.requires_grad:  # behind the network's own `no_grad`
                self._nodes.clear()
                self._outputs = run(clf, images, grad=True)
        self.outputs = self._outputs.detach()
        _check_numbers(clf.module_.net, self.outputs)
        self.activations = {
            name: _at_least_float32(layouts[name].maps(node.detach()))
            for name, node in self._nodes.items()
        }
        self._heads, self._key, self._gradients = {}, None, {}

    def _hook(self, name):
        def record(module, args, output):
            tensor = first_tensor(output)
            torch.set_grad_enabled(True)  # until `undisturbed` puts the mode back
            if not tensor.requires_grad:
                tensor = tensor.detach().requires_grad_()
            self._nodes[name] = tensor
            return with_first(output, tensor.clone())  # what follows may change it in place

        return record

    @property
    def predicted(self):
        """The class index of the likeliest class of each image, (n,) int64."""
        return self._clf.as_logits(self.outputs).argmax(dim=1)

    @property
    def probabilities(self):
        """The probabilities of the classes, (n, k), two for a network with one output."""
        return self._clf.as_logits(self.outputs).softmax(dim=1).float()

    @property
    def class_scores(self):
        """Scores of all classes, (n, k), two for a network with one output."""
        return class_scores(self.outputs)

    def head_weights(self, layer):
        """Weights (k, c') of the linear layer that follows a global average pooling, or None.

        The network may spell this in any way: what counts is that its outputs on these images are
        the linear layer of the averaged maps. A row for each class, also of two with one output.
        """
        if layer not in self._heads:
            self._heads[layer] = self._find_head_weights(layer)
        return self._heads[layer]

    def _find_head_weights(self, layer):
        activations = self.activations[layer]
        pooled = activations.mean(dim=(2, 3)).to(self.outputs.dtype)
        shape = (self.outputs.shape[1], pooled.shape[1])
        order = self._clf.module_.order
        tolerance = _TOLERANCES.get(self._nodes[layer].dtype, _LOW_PRECISION)
        for module in self._clf.module_.net.modules():
            if not isinstance(module, nn.Linear) or module.weight.shape != shape:
                continue
            weight = module.weight.detach().to(pooled)
            bias = pooled.new_zeros(1) if module.bias is None else module.bias.detach().to(pooled)
            found = pooled @ weight.T + bias
            found = found if order is None else found[:, order]
            error = (found - self.outputs).abs()
            size = (pooled.abs() @ weight.abs().T).amax()  # rounding grows with the terms
            rounding = 4 * torch.finfo(bias.dtype).eps * bias.abs().amax()
            if error.amax() <= tolerance * size + rounding:
                weight = weight if order is None else weight[order]
                return torch.cat([-weight, weight]) if len(weight) == 1 else weight
        return None

    def gradient(self, layer, class_indices, target="logit"):
        """Gradient of the score of each image by the maps of a layer.

        Parameters
        ----------
        layer : str
        class_indices : tensor of shape (n,), int64
            The class of each image.
        target : "logit" or callable, default="logit"
            As in `scores`.

        Returns
        -------
        tensor of shape (n, c', h', w'), float32, or float64 for a network in float64
            Zeros where the score does not depend on the layer.
        """
        maps = self.activations[layer]
        weights = self.head_weights(layer) if target == "logit" else None
        if weights is not None:
            per_cell = weights[class_indices] / (maps.shape[2] * maps.shape[3])
            return per_cell[:, :, None, None].expand(maps.shape).to(maps.dtype)
        if self._key is None or self._key[0] is not class_indices or self._key[1] is not target:
            self._gradients = self._differentiate(class_indices, target)
            self._key = class_indices, target
        return _at_least_float32(self._layouts[layer].maps(self._gradients[layer]))

    def _differentiate(self, class_indices, target):
        with torch.enable_grad():
            score = scores(self._outputs, class_indices, target).sum()
        if not score.requires_grad:
            return {name: torch.zeros_like(node) for name, node in self._nodes.items()}
        gradients = torch.autograd.grad(
            score, list(self._nodes.values()), retain_graph=True, materialize_grads=True
        )
        return dict(zip(self._nodes, gradients, strict=True))

    def curvature(self, layer, class_indices, target="logit"):
        """Hessian of the score of each image by the maps of a layer, times these maps.

        Parameters
        ----------
        layer, class_indices, target
            As in :meth:`gradient`.

        Returns
        -------
        tensor of shape (n, c', h', w'), float32, or float64 for a network in float64
        """
        node, maps = self._nodes[layer], self.activations[layer]
        if target == "logit" and self.head_weights(layer) is not None:
            return torch.zeros_like(maps)
        with torch.enable_grad():
            score = scores(self._outputs, class_indices, target).sum()
            (gradient,) = torch.autograd.grad(
                score, node, create_graph=True, materialize_grads=True
            )
            product = (self._layouts[layer].maps(gradient) * maps).sum()
        if not product.requires_grad:
            return torch.zeros_like(maps)
        (found,) = torch.autograd.grad(product, node, retain_graph=True, materialize_grads=True)
        return _at_least_float32(self._layouts[layer].maps(found))


def _check_numbers(net, outputs):
    """Raise ValueError for outputs without a meaning; -inf says that a class cannot be."""
    bad = (outputs.isnan() | outputs.isposinf()).any(dim=1)
    if bad.any():
        raise ValueError(
            f"{type(net).__name__} gives NaN or infinite outputs for {int(bad.sum())} of "
            f"{len(outputs)} images, which nothing explains. Did its training diverge, or are "
            "values too large for float16?"
        )


def run(clf, images, *, grad=False, n_copies=1):
    """The outputs for raw images, in evaluation mode and in the fastest layout that serves."""
    with undisturbed(clf), torch.set_grad_enabled(grad):
        layout = memory_format_of(clf.module_, images)
        return clf.raw_outputs(images.to(memory_format=layout), n_copies=n_copies)


def with_first(output, tensor):
    """A tensor in place of a layer's output, or of its first element."""
    if isinstance(output, torch.Tensor):
        return tensor
    rest = [tensor, *output[1:]]
    return type(output)(*rest) if hasattr(output, "_fields") else type(output)(rest)


def _at_least_float32(tensor):
    return tensor if tensor.dtype == torch.float64 else tensor.float()
