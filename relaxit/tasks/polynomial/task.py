"""Polynomial programming as a task: only parameters, and a cost whose expectation is known.

All examples share the parameters theta of L variables, which should approach given numbers c:

    minimise over theta   E_{z ~ q(theta)} [ 1/L sum |z - c|^p ].

The cost is a sum over the variables, so its expectation under the discrete distribution is a sum
over the few values of each, and the best theta puts all mass on the best value. The result of an
estimator shows its bias: straight-through stops where its expected gradient, not the exact one, is
zero.

Reference: the test problem of Tucker et al., "REBAR", arXiv:1703.07370, section 5.1 (one bit,
p = 2, c = 0.45), over 128 bits and at other p as in Liu et al., arXiv:2304.08612.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit.data import Examples, Format, Requirement
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.options import Options
from relaxit.training import Display, Setup, Step, Task, Terms

__all__ = ["Parameters", "Polynomial", "PolynomialOptions", "expected_cost"]

_SPREAD = 0.01
_MOST_VALUES = 1 << 14


class PolynomialOptions(Options):
    """Options of :class:`Polynomial`."""

    p: float = Field(2.0, gt=0, description="power of the distance to the given numbers")


class Parameters(nn.Module):
    """Parameters ``[latents, *param_shape]``, initially uniform in [-0.01, 0.01].

    Example:
        >>> Parameters(torch.Size([3, 2])).params.abs().amax() <= 0.01
        tensor(True)
    """

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.params = nn.Parameter(torch.empty(shape).uniform_(-_SPREAD, _SPREAD))


class Polynomial(Task):
    """Bring discrete variables close to the numbers of a data set: ``sum |z - c|^p / latents``.

    A row of the data set holds c for all entries of the values of all variables. Metrics of
    held-out rows: ``cost`` of hard samples, and ``expected_cost``, its exact expectation, where the
    values of the discrete distribution can be enumerated.

    Example:
        >>> import relaxit
        >>> bits, pathwise = relaxit.get("binary"), relaxit.estimator("pathwise")
        >>> Polynomial(p=1.5).statement(Setup(bits, pathwise, latents=128))
        'mean of |z - c|^1.5 over 128 variables, of soft samples z'
    """

    api = 2
    name = "polynomial"
    summary = "discrete variables approach given numbers: the optimum is known"
    Options = PolynomialOptions
    references = ("arXiv:1703.07370, section 5.1", "arXiv:2304.08612")
    defaults = {
        "relaxation": {"name": "binary"},
        "estimator": {"name": "reinmax"},
        "latents": 128,
        "epochs": 40,
        "batch_size": 64,
        "data": {"name": "constant"},
    }
    display = Display(
        bar="cost {train_loss:.5f}",
        line="cost {train_loss:.5f}, exact expectation {test_expected_cost:.5f}",
        title="cost {train_loss:.5f} of the training sample",
        columns={"cost": "cost of hard samples", "expected_cost": "its expectation"},
        unit="cost per variable",
        decimals=5,
    )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": Requirement("float")}

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        return (
            f"mean of |z - c|^{self.options.p:g} over {setup.latents} variables, "
            f"of {kind} samples z"
        )

    def build(self, setup: Setup, format: Format) -> Parameters:
        entries, given = setup.relaxation.event_shape.numel(), format.inputs.entries
        if setup.latents * entries != given:
            fitting, rest = divmod(given, entries)
            remedy = f"set --latents {fitting}" if not rest else "choose another --dataset"
            raise ConfigurationError(
                f"task {self.name!r}: {setup.latents} variables of {entries} entries, but "
                f"{given} numbers to approach; {remedy}"
            )
        return Parameters(setup.params_shape)

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        c = self._numbers(setup, batch)
        params = _params(model)
        q = setup.distribution(params.expand(len(c), *params.shape), step.temperature)

        def cost(z: Tensor) -> Tensor:  # [..., B, L, *event] -> [..., B]
            return self._cost(z, c, setup.latents)

        return Terms(setup.surrogate(model, q, cost, step.generator))

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        generator = torch.Generator(part.device).manual_seed(seed)
        c, params = self._numbers(setup, part.read(generator)), _params(model)
        hard = setup.distribution(params.expand(len(c), *params.shape)).sample_hard((), generator)
        metrics = {"cost": float(self._cost(hard, c, setup.latents).mean())}
        with contextlib.suppress(Unsupported):  # then there is only the sampled cost
            metrics["expected_cost"] = float(expected_cost(setup, params, c, self.options.p))
        return metrics

    def _numbers(self, setup: Setup, part: Examples) -> Tensor:  # [B, L, *event]
        return part.inputs.reshape(len(part), setup.latents, *setup.relaxation.event_shape)

    def _cost(self, z: Tensor, c: Tensor, latents: int) -> Tensor:
        powers = (z - c).abs().pow(self.options.p)
        return powers.flatten(1 - c.dim()).sum(-1) / latents


def expected_cost(setup: Setup, params: Tensor, c: Tensor, p: float) -> Tensor:
    """Return the exact expectation of the cost under the discrete distribution, 0-dim.

    It is the mean over the rows of ``c``.

    Args:
        setup: setup with the relaxation and the number of variables L.
        params: parameters, ``[L, *param_shape]``.
        c: given numbers, ``[B, L, *event_shape]``.
        p: power of the distance.

    Raises:
        Unsupported: if the relaxation has no discrete distribution or does not enumerate its
            values, or if there are more than 16384 of them.
    """
    values = setup.relaxation.enumerate_vertices().to(params)  # [N, *event]
    if len(values) > _MOST_VALUES:
        raise Unsupported(f"{len(values)} values are too many to enumerate")
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
    assert isinstance(model, Parameters)  # made by build()
    return model.params
