"""What networks give, as logits of all classes."""

import torch

__all__ = ["as_logits"]


def as_logits(outputs, kind):
    """Logits of shape (n, k), k >= 2, whose softmax is the probabilities of the classes.

    Parameters
    ----------
    outputs : tensor of shape (n, k), or (n, 1) for a network with one output for two classes
    kind : {"logits", "probabilities"}

    Examples
    --------
    >>> import torch
    >>> from fmcam.classifiers._outputs import as_logits
    >>> as_logits(torch.tensor([[2.0]]), "logits")
    tensor([[0., 2.]])
    """
    if outputs.shape[1] == 1:
        rest = torch.zeros_like(outputs) if kind == "logits" else 1 - outputs
        outputs = torch.cat([rest, outputs], dim=1)
    if kind == "logits":
        return outputs
    return outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()
