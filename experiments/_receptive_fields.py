"""Where in the image a layer's cells really look, beside where its geometry puts them."""

import pandas as pd
import torch

from fmcam.explain._geometry import half_pixel_grid, layer_grid

__all__ = ["effective_centres"]


def effective_centres(clf, images, layers):
    """How far the centre of what moves a layer's middle cell lies from its receptive field's.

    The centre is that of the squared gradient of the cell's squared values by the pixels. Strided
    layers with padding look from ``start + stride * cell``, but what they have learned may lean to
    one side.

    Parameters
    ----------
    clf : CNNClassifier
    images : ndarray of shape (n, c, h, w)
    layers : list of str

    Returns
    -------
    DataFrame
        One row a layer: layer, n, stride, offset_y and offset_x (means over the images) with
        offset_y_std and offset_x_std, and half_pixel_offset, that of an image divided evenly into
        the layer's cells; in pixels.
    """
    rows = [_offsets(clf.module_.eval(), torch.tensor(images).float(), layer) for layer in layers]
    return pd.DataFrame(rows)


def _offsets(module, pixels, layer):
    found = []
    part = module.net.get_submodule(layer)
    handle = part.register_forward_hook(lambda part, given, maps: found.append(maps))
    try:
        module(pixels.requires_grad_())
    finally:
        handle.remove()
    (maps,) = found
    y, x = (side // 2 for side in maps.shape[2:])
    (gradient,) = torch.autograd.grad(maps[:, :, y, x].square().sum(), pixels)
    weight = gradient.square().sum(dim=1)
    weight = weight / weight.sum(dim=(1, 2), keepdim=True)
    grid = layer_grid(module, part, pixels[:1].detach())
    evenly = half_pixel_grid(pixels.shape[2:], maps.shape[2:])
    row = {"layer": layer, "n": len(pixels), "stride": grid.stride[0]}
    for axis, cell, start, sums in zip("yx", (y, x), grid.start, (2, 1), strict=True):
        marginal = weight.sum(dim=sums)
        centre = marginal @ torch.arange(marginal.shape[1], dtype=marginal.dtype)
        offset = centre - (start + grid.stride[0] * cell)
        row |= {f"offset_{axis}": offset.mean().item(), f"offset_{axis}_std": offset.std().item()}
    return {**row, "half_pixel_offset": evenly.start[0] - grid.start[0]}
