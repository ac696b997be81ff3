"""
Maps of a data set larger than memory
=====================================

Images come from a file that is mapped into memory, heatmaps go into another one, shard by shard. A
call that is killed goes on with the shards that are missing.
"""

# %%
# A file of images, written part by part. Two thousand of them here, as many as the disk holds
# elsewhere.

import tempfile
from pathlib import Path

import numpy as np

from fmcam.datasets import make_fashion_shapes
from fmcam.explain import GradCAM, explain_in_shards
from fmcam.models import LeNet5
from fmcam.plot import HeatmapDisplay

folder = Path(tempfile.mkdtemp())
shape = (2000, 1, 28, 28)
images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
for part in range(4):
    images[500 * part : 500 * (part + 1)] = make_fashion_shapes(500, random_state=part).images
images.flush()

# %%
# The heatmaps are a memory map, too. The network has random weights, as this is about files alone.

images = np.load(folder / "images.npy", mmap_mode="r")
gradcam = GradCAM(LeNet5())
maps = explain_in_shards(gradcam, images, folder=folder / "maps", rows_per_shard=500)
print(type(maps).__name__, maps.shape, maps.dtype)
print(sorted(path.name for path in (folder / "maps").iterdir()))

# %%
HeatmapDisplay.from_heatmaps(images[:3], {"Grad-CAM": maps[:3]}).plot()
