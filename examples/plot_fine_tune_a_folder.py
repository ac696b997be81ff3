"""
Fine-tune a folder
==================

A folder of photographs, a subfolder for each class: a network that knows ImageNet learns to tell
them apart, and shows where it looks. On the command line this is `fmcam finetune --folder photos`.
"""

# %%
# A folder with two classes: squares cut out of the two photographs of scikit-learn.

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from fmcam.classifiers import CNNClassifier, Frozen
from fmcam.datasets import load_image_folder
from fmcam.explain import GradCAM
from fmcam.models import get_model
from fmcam.plot import HeatmapDisplay

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
for name, pixels in zip(["china", "flower"], load_sample_images().images, strict=True):
    (folder / name).mkdir()
    for number in range(40):
        x, y = rng.integers(0, [640 - 200, 427 - 200]).tolist()
        Image.fromarray(pixels).crop((x, y, x + 200, y + 200)).save(folder / name / f"{number}.png")

# %%
# Files that are no pictures would be named in a table.

photos = load_image_folder(folder, size=160)
print(photos.images.shape, photos.target_names, len(photos.unreadable), "unreadable")

# %%
# The network keeps what it knows: only its new last layer learns.

net = get_model("timm/tf_efficientnet_lite0", weights="DEFAULT", n_classes=2)
train, test, y_train, y_test = train_test_split(
    photos.images, photos.target, stratify=photos.target, random_state=0
)
everything_else = [name for name, _ in net.named_parameters() if "classifier" not in name]
clf = CNNClassifier(
    net,
    lr=0.01,
    max_epochs=5,
    batch_size=16,
    callbacks=[("frozen", Frozen(everything_else))],
    random_state=0,
    verbose=0,
)
clf.fit(train, y_train)
print(f"{clf.score(test, y_test):.0%} of the test photographs are told apart")

# %%
HeatmapDisplay.from_estimator(
    GradCAM(FrozenEstimator(clf)), test[:3], y_test[:3], class_names=photos.target_names
).plot()
