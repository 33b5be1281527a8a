"""A data set in which routing pays: each region of the inputs has its own pair of functions."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options
from relaxit.data import Dataset, Examples, Splits

__all__ = ["FUNCTIONS", "PAIRS", "MixtureOfFunctions", "functions_of", "nearest"]

FUNCTIONS = 8
"""Number of functions."""

PAIRS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 0),
         (0, 4), (1, 5), (2, 6), (3, 7))  # fmt: skip
"""The functions of each region. Each function is in three regions, no two of which are equal."""

_TRAIN, _TEST = 8000, 4000
_INPUTS, _OUTPUTS, _HIDDEN = 8, 4, 16


class MixtureOfFunctionsOptions(Options):
    """Options of :class:`MixtureOfFunctions`."""

    noise: float = Field(0.2, ge=0, description="standard deviation of the noise of the targets")


class MixtureOfFunctions(Dataset):
    """Targets ``[4]`` that are the mean of two of eight functions of the inputs ``[8]``, and noise.

    The inputs are normally distributed around twelve centres, and their region, the column
    ``regions``, is that of the nearest centre. It decides which two functions it is. As it is a
    function of the input, and the noise is independent of it, the least squared error that any
    prediction can have is the variance of the noise, 0.04 by default. The targets vary by about 1
    about their mean. The functions are random networks with one hidden layer of 16 units.

    Example:
        >>> data = MixtureOfFunctions().load(Path())
        >>> data.train.inputs.shape, data.train.targets.shape, data.format["regions"].classes
        (torch.Size([8000, 8]), torch.Size([8000, 4]), 12)
    """

    api = 2
    name = "mixture-of-functions"
    summary = "12 000 inputs in twelve regions, with two of eight functions each; no download"
    Options = MixtureOfFunctionsOptions

    def load(self, directory: Path, download: bool = False) -> Splits:
        del directory, download
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        centres = 1.5 * normal(len(PAIRS), _INPUTS)
        weights = [normal(FUNCTIONS, _INPUTS, _HIDDEN) / 3, normal(FUNCTIONS, _HIDDEN, _OUTPUTS)]
        count = _TRAIN + _TEST
        around = torch.randint(len(PAIRS), (count,), generator=generator)
        x = centres[around] + normal(count, _INPUTS)
        regions = nearest(x, centres)
        mean = functions_of(x, *weights)[torch.arange(count)[:, None], torch.tensor(PAIRS)[regions]]
        y = mean.mean(1) + self.options.noise * normal(count, _OUTPUTS)
        examples = Examples.of(inputs=x, targets=y, regions=regions)
        order = torch.arange(count)
        return Splits(examples.take(order[:_TRAIN]), test=examples.take(order[_TRAIN:]))


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """Return the index ``[N]`` of the centre ``[R, D]`` nearest to each input ``[N, D]``."""
    return torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)


def functions_of(x: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the values ``[N, F, O]`` of F networks of weights ``[F, D, H]``, ``[F, H, O]``."""
    hidden = torch.einsum("nd,fdh->nfh", x, first).tanh()
    return torch.einsum("nfh,fho->nfo", hidden, last) / 2
