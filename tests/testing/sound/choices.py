"""Sound relaxations of one choice out of a few, for the broken ones to inherit from.

All but one claim no ``compiles``, which spares each broken one two seconds of compilation.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field

from relaxit import Capabilities, Options, PerturbAndRelax, constraints
from relaxit.categorical.categorical import Categorical
from relaxit.categorical.distributions import LogConcrete, OneHot, one_hot
from relaxit.derivative import derivative
from relaxit.dtypes import compute_dtype
from relaxit.temperature import divide_by_temperature


class ChoiceOptions(Options):
    size: int = Field(default=3, ge=2, description="number of choices")


class Choice(PerturbAndRelax):
    """One of a few: samples and a discrete distribution, without a density."""

    api = 1
    name = "choice"
    Options = ChoiceOptions
    capabilities = Capabilities(
        density=False, discrete_distribution=True, exact_rounding=True, compiles=False
    )
    support = constraints.simplex
    vertices = constraints.one_hot

    @property
    def event_shape(self):
        return torch.Size((self.options.size,))

    @property
    def param_shape(self):
        return torch.Size((self.options.size,))

    @classmethod
    def examples(cls):
        return [cls(size=2), cls(size=3)]

    def relax(self, scores, temperature):
        return divide_by_temperature(scores, temperature).softmax(-1)

    def argmax(self, scores):
        return one_hot(scores.argmax(-1), self.options.size, scores.dtype)

    def discrete(self, params):
        return OneHot(self, params)


class MaskedChoice(Choice):
    """The same with masked choices."""

    name = "masked-choice"
    capabilities = Capabilities(
        density=False, discrete_distribution=True, exact_rounding=True, compiles=False, masks=True
    )

    def valid_params(self, params):
        return params.amax(-1).isfinite()


class GivenChoice(MaskedChoice):
    """The same with perturbed scores given the choice, its params being logits."""

    name = "given-choice"
    capabilities = replace(MaskedChoice.capabilities, conditional=True, logits="category")
    perturb_given = Categorical.perturb_given


class Concrete(Categorical):
    """The built-in relaxation, all of its claims but ``compiles``."""

    name = "concrete"
    capabilities = Capabilities(
        density=True,
        log_space=True,
        discrete_distribution=True,
        exact_rounding=True,
        masks=True,
        compiles=False,
    )

    perturb_given = PerturbAndRelax.perturb_given

    @classmethod
    def examples(cls):
        return [cls(categories=3)]


class Density(Concrete):
    """The same without ``log_space`` and masks: a density alone."""

    name = "density"
    capabilities = Capabilities(
        density=True, discrete_distribution=True, exact_rounding=True, compiles=False
    )

    def valid_params(self, params):
        return params.isfinite().all(-1)

    def log_prob(self, params, temperature, value):
        return concrete_density(params, temperature, value)

    def log_space(self, params, temperature):
        raise self.unsupported("log_space")


def concrete_density(params, temperature, value):
    """Log-density of the Concrete distribution, without masks."""
    log_value = value.to(compute_dtype(params.dtype)).log()
    return LogConcrete(params, temperature).log_prob(log_value) - log_value.sum(-1)


class OneHotByDerivative(OneHot):
    """The same distribution, with an entropy whose marginals are a derivative of the log-sum."""

    def entropy(self):
        log_z = self.scores.logsumexp(-1)
        marginals = derivative(lambda scores: scores.logsumexp(-1), self.scores, event_dim=1)
        return log_z - (marginals * self.scores).sum(-1)


class Differentiated(Choice):
    """Differentiates inside, and takes another path for its soft values on a GPU."""

    name = "differentiated"
    capabilities = replace(Choice.capabilities, compiles=True)

    def relax(self, scores, temperature):
        if scores.device.type == "cuda":
            with torch.cuda.device(scores.device):  # as kernels of one's own need it
                return super().relax(scores, temperature)
        return super().relax(scores, temperature)

    def discrete(self, params):
        return OneHotByDerivative(self, params)


SOUND = [
    Choice(),
    MaskedChoice(),
    GivenChoice(),
    Concrete(categories=3),
    Density(categories=3),
    Differentiated(),
]
