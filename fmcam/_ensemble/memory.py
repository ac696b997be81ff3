"""As few ensembles as the memory of a CUDA device lets many classifiers be."""

import math

import torch
from sklearn.base import clone

from fmcam._ensemble.training import Ensemble

__all__ = ["trained_ensembles"]


def trained_ensembles(clfs, X, y, rows):
    """Train classifiers in as few ensembles as fit into the memory of a CUDA device.

    An ensemble that runs out of memory is trained again with half as many networks, and those that
    follow hold no more. The processor's memory is not watched.

    Parameters
    ----------
    clfs, X, y, rows
        As for `Ensemble`, but `clfs` are left unfitted.

    Yields
    ------
    places : list of int
        Which of `clfs` the ensemble holds.
    ensemble : Ensemble
        Trained: `ensemble.clfs` are fitted.
    """
    size, places = len(clfs), list(range(len(clfs)))
    while places:
        some = places[:size]
        ensemble = _trained([clone(clfs[i]) for i in some], X, y, [rows[i] for i in some])
        if ensemble is None:
            size = math.ceil(len(some) / 2)
            continue
        yield some, ensemble
        places = places[size:]


def _trained(clfs, X, y, rows):
    # None, not an error, if memory is short: what caught the error would hold on to the tensors
    try:
        ensemble = Ensemble(clfs, X, y, rows)
        ensemble.train()
    except torch.OutOfMemoryError:
        if len(clfs) == 1:
            raise
        return None
    return ensemble
