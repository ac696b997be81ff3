"""ResNet-18 of any number of channels and classes, with torchvision's weights."""

from collections import OrderedDict
from pathlib import Path

from torch import nn

from fmcam._typing import FilePath
from fmcam._weight_files import read_weight_file
from fmcam._weights import network_for
from fmcam.models._base import FeaturesThenHead
from fmcam.models._download import downloading


class ResNet18(FeaturesThenHead):
    """The ResNet-18 [1]_ of torchvision for any number of input channels and classes.

    `features` ends before the global average pooling (stride 32, 512 maps). State dicts with
    torchvision's own keys (``conv1.weight``, ``layer1.0...``, ``fc.weight``) load as they are.

    Parameters
    ----------
    in_channels : int, default=3
        With pretrained weights and another number than 3, the first convolution's weights are
        averaged over the colours and scaled by 3 / `in_channels`, so a grey image repeated over
        the channels gives the same maps.
    weights : str, path or None, default=None
        None: random. A name of ``torchvision.models.ResNet18_Weights`` such as "IMAGENET1K_V1" or
        "DEFAULT": downloaded by torchvision. Any other string: the path of a safetensors file or
        of a state dict saved with `torch.save`. A last layer for another number of classes is left
        random.

    References
    ----------
    .. [1] He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import ResNet18
    >>> ResNet18(n_classes=10, in_channels=1).features(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 512, 2, 2])
    """

    _FEATURES = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")

    def __init__(
        self, n_classes: int = 1000, in_channels: int = 3, weights: FilePath | None = None
    ) -> None:
        import torchvision  # takes two seconds, which all other networks do without

        super().__init__()
        net = torchvision.models.resnet18(num_classes=n_classes)
        if in_channels != 3:
            net.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.features = nn.Sequential(
            OrderedDict((name, getattr(net, name)) for name in self._FEATURES)
        )
        self.head = nn.Sequential(OrderedDict(avgpool=net.avgpool, flatten=nn.Flatten(), fc=net.fc))
        self.register_load_state_dict_pre_hook(self._accept_torchvision_keys)
        if weights is not None:
            sizes = {"n_classes": n_classes, "in_channels": in_channels}
            trained, _ = network_for(ResNet18, _read_weights(weights), weights, **sizes)
            self.load_state_dict(trained.state_dict())

    @classmethod
    def own_key(cls, key: str) -> str:
        """The name here of a tensor of torchvision's ResNet-18.

        Parameters
        ----------
        key : str
            Its name there, such as "fc.weight".

        Returns
        -------
        str
            Such as "head.fc.weight".
        """
        stage = key.partition(".")[0]
        return ("features." if stage in cls._FEATURES else "head." if stage == "fc" else "") + key

    @classmethod
    def _accept_torchvision_keys(cls, module, state_dict, prefix, *_):
        for key in [key for key in state_dict if key.startswith(prefix)]:
            state_dict[prefix + cls.own_key(key.removeprefix(prefix))] = state_dict.pop(key)


def _read_weights(weights):
    import torchvision

    names = torchvision.models.ResNet18_Weights
    if str(weights) in names.__members__:
        chosen = names[str(weights)]
        with downloading("ResNet18", str(weights), chosen.url):
            return chosen.get_state_dict(progress=True, check_hash=True)
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f"`weights` must be one of {list(names.__members__)} or the path of a state dict, "
            f"got {str(weights)!r}, which is neither."
        )
    return read_weight_file(weights)[0]
