"""
Score a COCO file
=================

Photographs with boxes in COCO's format, and a network that has never seen them. Its heatmaps become
boxes at a threshold fitted on some photographs, and the others are scored, beside boxes that know
nothing.
"""

# %%
# A small data set: parts of the two photographs of scikit-learn, with the box of the flower or the
# temple in each.

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.datasets import load_boxed_images
from fmcam.explain import LayerCAM
from fmcam.models import get_model
from fmcam.report import evaluate_localization, summarize

folder = Path(tempfile.mkdtemp())
objects = {"temple": (60, 90, 560, 330), "flower": (170, 55, 460, 345)}
rng = np.random.default_rng(0)
coco = {"images": [], "annotations": [], "categories": [{"id": 0, "name": "temple"}]}
coco["categories"].append({"id": 1, "name": "flower"})
for number in range(40):
    label = number % 2
    photograph = Image.fromarray(load_sample_images().images[label])
    x0, y0, x1, y1 = objects["flower" if label else "temple"]
    left, top = rng.integers(0, [x0 + 1, y0 + 1]).tolist()
    right, bottom = rng.integers([x1, y1], [641, 428]).tolist()
    name = f"{number:02}.png"
    photograph.crop((left, top, right, bottom)).save(folder / name)
    image = {"id": number, "file_name": name, "width": right - left, "height": bottom - top}
    box = [x0 - left, y0 - top, x1 - x0, y1 - y0]
    coco["images"].append(image)
    coco["annotations"].append(
        {"id": number, "image_id": number, "category_id": label, "bbox": box, "iscrowd": 0}
    )
(folder / "boxes.json").write_text(json.dumps(coco))

# %%
# Such a file and its folder are all that is needed. Labels are those of ImageNet that are nearest.

data = load_boxed_images(folder, folder / "boxes.json")
print(data.images.shape, data.boxes.shape, data.target[:4])

# %%
# None of both is a class of ImageNet, so a class that is near is explained. Maps of several layers,
# fused, are boxed with a threshold from the first twenty photographs and scored on the others.

classes = {"temple": 698, "flower": 985}  # palace and daisy
y = [classes[label] for label in data.target]
name = "timm/tf_efficientnet_lite0"
clf = CNNClassifier.from_module(get_model(name, weights="DEFAULT"), preprocessing=name)
net = FrozenEstimator(clf)
rows = evaluate_localization(
    {"LayerCAM": LayerCAM(net, layer=["blocks.4", "bn2"])},
    fit=(data.images[:20], y[:20], data.boxes[:20]),
    test=(data.images[20:], y[20:], data.boxes[20:]),
)
summarize(rows, reference="centre box")[["mean_iou", "mean_iou_low", "mean_iou_high"]].round(2)

# %%
# Each photograph has a row: its box, its IoU, and what is wrong with it.

rows.loc[rows.method == "LayerCAM", ["id", "iou", "error_type"]].round(2).head()
