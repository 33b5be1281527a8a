"""Polynomial programming as a task: parameters alone, and a cost whose expectation is known.

All examples share the parameters theta of L variables, which are to come near given numbers c:

    minimise over theta   E_{z ~ q(theta)} [ 1/L sum |z - c|^p ].

The cost is a sum over the variables, so that its expectation under the discrete law is one over the
few values of each, and the best theta is certain of the best value. What an estimator makes of it
shows its bias: straight-through stops where its expected gradient, not the exact one, is zero.

Reference: the test problem of Tucker et al., "REBAR", arXiv:1703.07370, section 5.1 (one bit,
p = 2, c = 0.45), over 128 bits and at other p as in Liu et al., arXiv:2304.08612.
"""

from __future__ import annotations

import contextlib

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit.data import Format, Part
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.options import Options
from relaxit.training import Display, Setup, Step, Task, Terms

__all__ = ["Parameters", "Polynomial", "PolynomialOptions", "expected_cost"]

_SPREAD = 0.01
_MOST_VALUES = 1 << 14


class PolynomialOptions(Options):
    """Options of :class:`Polynomial`."""

    p: float = Field(2.0, gt=0, description="power of the distance from the given numbers")


class Parameters(nn.Module):
    """Parameters ``[latents, *param_shape]``, uniform in [-0.01, 0.01] at first.

    Example:
        >>> Parameters(torch.Size([3, 2])).params.abs().amax() <= 0.01
        tensor(True)
    """

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.params = nn.Parameter(torch.empty(shape).uniform_(-_SPREAD, _SPREAD))


class Polynomial(Task):
    """Bring discrete variables near the numbers of a data set: ``sum |z - c|^p / latents``.

    A row of the data set holds c for all entries of the values of all variables. Metrics of
    held-out rows: ``cost`` of hard values, and ``expected_cost``, its exact expectation, where the
    discrete law lists its values.

    Example:
        >>> import relaxit
        >>> bits, pathwise = relaxit.get("binary"), relaxit.estimator("pathwise")
        >>> Polynomial(p=1.5).statement(Setup(bits, pathwise, latents=128))
        'mean of |z - c|^1.5 over 128 variables, of soft values z'
    """

    api = 1
    name = "polynomial"
    summary = "discrete variables are brought near given numbers: the optimum is known"
    Options = PolynomialOptions
    references = ("arXiv:1703.07370, section 5.1", "arXiv:2304.08612")
    display = Display(
        bar="cost {train_loss:.5f}",
        line="cost {train_loss:.5f}, exact expectation {test_expected_cost:.5f}",
        title="cost {train_loss:.5f} of the sample that is trained through",
        columns={"cost": "cost of hard values", "expected_cost": "its expectation"},
        unit="cost a variable",
        decimals=5,
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        if setup.binarise != "none":
            raise ConfigurationError(
                f"task {self.name!r}: numbers made 0 or 1 are another problem; leave "
                "data.binarise (--binarise) out"
            )

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        return (
            f"mean of |z - c|^{self.options.p:g} over {setup.latents} variables, of {kind} values z"
        )

    def build(self, setup: Setup, images: Format) -> Parameters:
        entries = setup.relaxation.event_shape.numel()
        if setup.latents * entries != images.pixels:
            fitting, rest = divmod(images.pixels, entries)
            remedy = f"set --latents {fitting}" if not rest else "choose another --dataset"
            raise ConfigurationError(
                f"task {self.name!r}: {setup.latents} variables of {entries} entries, but "
                f"{images.pixels} numbers to come near; {remedy}"
            )
        return Parameters(setup.params_shape)

    def terms(self, setup: Setup, model: nn.Module, batch: Part, step: Step) -> Terms:
        c = self._numbers(setup, batch)
        params = _params(model)
        q = setup.distribution(params.expand(len(c), *params.shape), step.temperature)

        def cost(z: Tensor) -> Tensor:  # [..., B, L, *event] -> [..., B]
            return self._cost(z, c, setup.latents)

        return Terms(setup.surrogate(model, q, cost, step.generator))

    def evaluate(self, setup: Setup, model: nn.Module, part: Part, seed: int) -> dict[str, float]:
        generator = torch.Generator(part.images.device).manual_seed(seed)
        c, params = self._numbers(setup, part), _params(model)
        hard = setup.distribution(params.expand(len(c), *params.shape)).sample_hard((), generator)
        found = {"cost": float(self._cost(hard, c, setup.latents).mean())}
        with contextlib.suppress(Unsupported):  # the sampled cost must do
            found["expected_cost"] = float(expected_cost(setup, params, c, self.options.p))
        return found

    def _numbers(self, setup: Setup, part: Part) -> Tensor:  # [B, L, *event]
        return setup.read(part).unflatten(-1, (setup.latents, *setup.relaxation.event_shape))

    def _cost(self, z: Tensor, c: Tensor, latents: int) -> Tensor:
        powers = (z - c).abs().pow(self.options.p)
        return powers.flatten(1 - c.dim()).sum(-1) / latents


def expected_cost(setup: Setup, params: Tensor, c: Tensor, p: float) -> Tensor:
    """Exact expectation of the cost under the discrete law, its mean over rows, 0-dim.

    Args:
        setup: the structure and the number of variables L.
        params: ``[L, *param_shape]``.
        c: the numbers, ``[B, L, *event_shape]``.
        p: the power.

    Raises:
        Unsupported: if the structure has no discrete law, or does not list its values, or they are
            more than 16384.
    """
    values = setup.relaxation.enumerate_vertices().to(params)  # [N, *event]
    if len(values) > _MOST_VALUES:
        raise Unsupported(f"{len(values)} values are too many to be listed")
    distribution = setup.relaxation.discrete(params)
    mass = distribution.log_prob(
        values.unsqueeze(1).expand(-1, setup.latents, *values.shape[1:])
    ).exp()
    costs = torch.zeros_like(mass)  # [N, L]
    for row in c:
        apart = (values.unsqueeze(1) - row).abs().pow(p)
        costs += apart.flatten(2).sum(-1) if apart.dim() > 2 else apart
    return (mass * costs).sum() / (len(c) * setup.latents)


def _params(model: nn.Module) -> Tensor:
    assert isinstance(model, Parameters)  # of our own making, in build()
    return model.params
