"""What a relaxation claims to support."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

__all__ = ["Capabilities"]


_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Capabilities:
    """What a relaxation claims to support. Every claim, and every denial, is tested.

    Attributes:
        density: ``log_prob`` of the soft sample exists.
        log_space: the distribution of the log of the soft sample exists.
        discrete_distribution: the discrete distribution exists, with mass and entropy.
        exact_rounding: the hard sample of a draw follows the discrete distribution exactly.
        masks: ``-inf`` parameters are allowed and exclude a choice.
        conditional: perturbed scores can be drawn given their hard sample, see
            :meth:`relaxit.PerturbAndRelax.perturb_given`. The discrete distribution is then that of
            the hard sample of a draw.
        logits: what params are the logits of: the ``category`` of a one-hot value, or independent
            ``bits``, one per param; empty if params are not logits.
        exponential_family: the mass of a value is proportional to the exponential of its score, see
            :meth:`relaxit.Relaxation.statistics`.
        compiles: ``torch.compile(fullgraph=True)`` works.
        dtypes: supported dtypes of the parameters.
    """

    density: bool
    discrete_distribution: bool
    exact_rounding: bool
    log_space: bool = False
    masks: bool = False
    conditional: bool = False
    logits: Literal["", "category", "bits"] = ""
    exponential_family: bool = False
    compiles: bool = True
    dtypes: tuple[torch.dtype, ...] = _FLOATS
