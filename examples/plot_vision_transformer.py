"""
A vision transformer
====================

Transformers are explained untouched: where a layer keeps its tokens, and which of them belong to
the image, is found out. Attention rollout and LeGrad are made for them, and the methods for
convolutions work, too.
"""

# %%
# A transformer as small as can be learns drawn garments in some seconds.

from functools import partial

from sklearn.frozen import FrozenEstimator
from torchvision.models import VisionTransformer

from fmcam.classifiers import CNNClassifier
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import AttentionRollout, GradCAM, LeGrad
from fmcam.plot import HeatmapDisplay

shapes, others = (make_fashion_shapes(n, random_state=n) for n in (1000, 100))
images, new = (part.images.repeat(3, axis=1) for part in (shapes, others))
TinyViT = partial(
    VisionTransformer, 28, patch_size=4, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64
)
clf = CNNClassifier(TinyViT, lr=3e-3, batch_size=64, max_epochs=8, random_state=0, verbose=0)
clf.fit(images, shapes.target)
print(f"{clf.score(new, others.target):.0%} of new garments are told apart")

# %%
net = FrozenEstimator(clf)
methods = {
    "attention rollout": AttentionRollout(net),
    "LeGrad": LeGrad(net),
    "Grad-CAM": GradCAM(net),
}
HeatmapDisplay.from_estimator(methods, new[:4], others.target[:4]).plot()

# %%
# Rollout knows no class: it shows what the network attends to, whatever it is asked.
