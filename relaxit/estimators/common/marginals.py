"""Convert logits to marginals and back, for one category or for independent bits.

The capability ``logits`` of a relaxation tells which of the two its params are.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

__all__ = ["Kind", "logits_of", "marginals"]

Kind = Literal["", "category", "bits"]


def marginals(logits: Tensor, kind: Kind) -> Tensor:
    """Return probabilities ``[..., K]`` of the categories, or ``[...]`` of the value 1.

    Example:
        >>> import torch
        >>> marginals(torch.zeros(4), "category"), marginals(torch.zeros(2), "bits")
        (tensor([0.2500, 0.2500, 0.2500, 0.2500]), tensor([0.5000, 0.5000]))
    """
    return logits.softmax(-1) if kind == "category" else logits.sigmoid()


def logits_of(probabilities: Tensor, kind: Kind) -> Tensor:
    """Return the logits with these marginals; ``-inf`` for a probability of 0.

    Example:
        >>> import torch
        >>> logits_of(torch.tensor([0.5, 0.5]), "bits")
        tensor([0., 0.])
    """
    return probabilities.log() if kind == "category" else probabilities.logit()
