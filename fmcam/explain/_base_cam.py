"""What class activation maps share: layers, alignment, the ReLU, and for most a gradient."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from fmcam._typing import Target
from fmcam.classifiers import CNNClassifier
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._geometry import Grid, half_pixel_grid, upsample
from fmcam.explain._layout import Layout
from fmcam.explain._survey import survey_of
from fmcam.explain._together import Batch, normalized

__all__ = ["BaseCAM", "BaseGradientCAM", "aligned_grid"]


class BaseCAM(BaseExplainer):
    """Maps made from a layer's feature maps; a kind of CAM writes `raw_map`.

    Parameters
    ----------
    layer : str, list of str or None, default=None
        Dotted name of a module of the network. None: the last one that all of the image passes
        through and whose maps, larger than 1x1, the outputs depend on, but none whose cells
        attention has spread over the image. Of several, the map is the mean of their maps, each
        normalized.
    layout : {"nchw", "nhwc", "ntd"}, callable or None, default=None
        Where the layer's output keeps its maps: (n, c, h, w), (n, h, w, c), tokens (n, t, d) among
        which class and register tokens may stand first or last, or a function that makes
        (n, c, h, w) of the output by selecting and reordering. None: as the cells follow the image.
    target : "logit" or callable, default="logit"
        The number to explain: the output of the class, or ``target(outputs, class_indices)``, of
        shape (n,), from the outputs of shape (n, k) and the class indices of shape (n,).
    rectify : bool, default=True
        Whether the sum of maps passes a ReLU, as Grad-CAM has it. False: it keeps its sign, as CAM
        has it; below zero is what speaks against the class. Maps are rectified before they are
        upsampled. What cuts maps at a threshold, boxes and their scores, refuses those with a
        sign; ``maps.clip(0)`` is their positive part.
    normalize : "minmax" or None, default="minmax"
        "minmax" stretches each map to [0, 1]; a flat one becomes zeros. A map with its sign is
        divided by its largest magnitude, to [-1, 1], so that 0 stays 0. None leaves raw values.
    upsample : bool, default=True
        Bilinear to the size of the images. False: the layer's own resolution.
    align : bool, default=True
        Draw each cell at the geometric centre of its receptive field. False: as if the maps covered
        the image evenly, as most libraries draw them, which shifts maps behind a padded 3x3
        convolution of stride s by (s - 1) / 2 pixels. Where the cells of a trained network look
        is another question: `fmcam.report.evaluate_localization` asks it on held-out images.
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        layer: str | Sequence[str] | None = None,
        layout: str | Callable[[torch.Tensor], torch.Tensor] | None = None,
        target: Target = "logit",
        rectify: bool = True,
        normalize: Literal["minmax"] | None = "minmax",
        upsample: bool = True,
        align: bool = True,
        batch_size: int = 128,
    ) -> None:
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.layer = layer
        self.layout = layout
        self.target = target
        self.rectify = rectify
        self.upsample = upsample
        self.align = align

    @property
    def signed(self) -> bool:
        """Whether maps have negative values: where they are not rectified."""
        return not self.rectify

    def layers_for(self, clf: CNNClassifier, images: torch.Tensor) -> dict[str, Layout]:
        """The layers and how they keep their maps, the default one looked up."""
        survey = survey_of(clf, images, default=self.layer is None)
        if self.layer is None:
            layers = [survey.default_layer(clf)]
        else:
            layers = _named(self.layer, clf.module_.net)
        if not layers:
            raise ValueError("`layer` must name at least one layer, got an empty list.")
        return {layer: survey.layout(layer, self.layout) for layer in layers}

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """Maps, rectified or not, upsampled, and for several layers their mean."""
        layers = list(self.layers_for(batch.clf, batch.images))
        maps = [self._map_of_layer(batch, layer, class_indices) for layer in layers]
        if len(maps) == 1:
            return maps[0]
        if len({one.shape for one in maps}) > 1:
            raise ValueError(
                f"Maps of {layers} differ in size, {[tuple(m.shape[1:]) for m in maps]}, and "
                "cannot be fused. Set `upsample=True`, or choose layers of one size."
            )
        return torch.stack([normalized(one, self.signed) for one in maps]).mean(dim=0)

    def _map_of_layer(self, batch, layer, class_indices):
        maps = self.raw_map(batch, layer, class_indices)
        maps = maps.relu() if self.rectify else maps
        if not self.upsample:
            return maps
        return upsample(maps, batch.images.shape[2:], self.grid_of(batch, layer))

    def grid_of(self, batch: Batch, layer: str | Sequence[str] | None) -> Grid:
        """Where the cells of a layer are drawn.

        Parameters
        ----------
        batch : Batch
            Images and what the network makes of them.
        layer : str
            Dotted name of a module.

        Returns
        -------
        Grid
        """
        if self.align:
            return aligned_grid(batch, layer)
        maps = batch.recording.activations[layer]
        return half_pixel_grid(batch.images.shape[2:], maps.shape[2:])

    @abstractmethod
    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """Maps of shape (n, h', w') of one layer, before the ReLU.

        Parameters
        ----------
        batch : Batch
            Images and what the network makes of them.
        layer : str
            Dotted name of a module.
        class_indices : tensor of shape (n,), int64
            The logit to explain for each image.

        Returns
        -------
        tensor of shape (n, h', w')
        """


def _named(layer, net):
    """The names of one layer or several."""
    layers = list(layer) if isinstance(layer, list | tuple) else [layer]
    for one in layers:
        if not isinstance(one, str):
            names = [name for name, module in net.named_modules() if module is one]
            hint = f" This one is called {names[0]!r}." if names else ""
            raise TypeError(
                "`layer` must be the dotted name of a module, as in `net.named_modules()`, or a "
                f"list of names, got a {type(one).__name__}.{hint}"
            )
    return layers


def aligned_grid(batch, layer):
    """The geometric centres of a layer's receptive fields."""
    found = None
    if batch.layers[layer].axes == "nchw":
        found = survey_of(batch.clf, batch.images).grid(layer)
    if found is not None:
        return found
    return half_pixel_grid(batch.images.shape[2:], batch.recording.activations[layer].shape[2:])


class BaseGradientCAM(BaseCAM):
    """A CAM that is one formula of a layer's maps and their gradients."""

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The formula on this batch."""
        gradients = batch.recording.gradient(layer, class_indices, self.target)
        return self.combine(batch.recording.activations[layer], gradients)

    @abstractmethod
    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """The formula of one kind of CAM, before the ReLU.

        Parameters
        ----------
        activations : tensor of shape (n, k, h', w')
            The layer's maps A.
        gradients : tensor of shape (n, k, h', w')
            The gradients G of the logit by the maps.

        Returns
        -------
        tensor of shape (n, h', w')
        """
