"""Relaxations that implement the contract and nothing more."""

from __future__ import annotations

import pytest
import torch
from pydantic import Field

from relaxit import Capabilities, Options, PerturbAndRelax, Relaxation, constraints, noise

BARE = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)


class RowsOptions(Options):
    rows: int = Field(default=2, ge=1, description="rows")
    columns: int = Field(default=3, ge=2, description="columns")
    scale: float = Field(default=1.0, gt=0, description="scale of the noise")


class Rows(PerturbAndRelax):
    """A matrix of scores with one choice in each row: an argmax and how it is smoothed."""

    api = 1
    name = "test-rows"
    Options = RowsOptions
    capabilities = BARE
    support = constraints.simplex
    vertices = constraints.one_hot

    @property
    def event_shape(self):
        return torch.Size((self.options.rows, self.options.columns))

    @property
    def param_shape(self):
        return self.event_shape

    def relax(self, scores, temperature):
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores):
        return torch.eye(scores.shape[-1], dtype=scores.dtype)[scores.argmax(-1)]


class Cube(Relaxation):
    """Rounds each coordinate, and offers the bare minimum."""

    api = 1
    name = "test-cube"
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=True, dtypes=(torch.float32,)
    )
    event_shape = torch.Size([4])
    param_shape = torch.Size([4])
    support = constraints.unit_interval
    vertices = constraints.boolean

    def rsample(self, params, temperature, shape, generator=None):
        ell = noise.logistic(shape + params.shape, generator=generator)
        return torch.sigmoid((params + ell) / temperature)

    def hard(self, soft):
        return (soft > 0.5).to(soft.dtype)


class Plain(Relaxation):
    """A point of the simplex that is not a smoothed argmax of scores."""

    api, name = 1, "plain"
    capabilities = BARE
    event_shape = param_shape = torch.Size((3,))
    support, vertices = constraints.simplex, constraints.one_hot

    def rsample(self, params, temperature, shape, generator=None):
        return params.softmax(-1).expand(shape + params.shape)

    def hard(self, soft):
        return soft.round()


EACH = pytest.mark.parametrize("relaxation", [Rows(), Cube()], ids=["rows", "cube"])


def distribution(relaxation, *batch, temperature=1.0):
    """The distribution of random params."""
    return relaxation(torch.randn((*batch, *relaxation.param_shape)), temperature)
