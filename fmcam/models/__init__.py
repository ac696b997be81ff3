"""The networks: each an `nn.Module` that maps images to logits through `features` and `head`.

`features` holds the convolutions and gives the feature maps of shape (n, k, h', w') that explainers
look at; `head` turns them into logits of shape (n, n_classes). Max-pooling stands before the ReLU:
both orders compute the same function, and this one runs the ReLU on a quarter of the values.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
