"""Small relaxations and estimators that keep every law, for the broken ones to depart from.

They claim no ``compiles``, which spares each broken one two seconds of compilation.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import torch
from pydantic import Field
from torch.distributions.constraints import Constraint, independent

from relaxit import (
    Capabilities,
    DiscreteDistribution,
    DrawEstimator,
    Options,
    PerturbAndRelax,
    SampleEstimator,
    constraints,
    noise,
)
from relaxit.autograd import replace_gradient
from relaxit.categorical.categorical import Categorical
from relaxit.categorical.distributions import LogConcrete, OneHot, one_hot
from relaxit.dtypes import compute_dtype
from relaxit.temperature import divide_by_temperature


class ChoiceOptions(Options):
    size: int = Field(default=3, ge=2, description="number of choices")


class Choice(PerturbAndRelax):
    """One of a few: samples and a discrete law, no density."""

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
    """Log-density of the Concrete law, without masks."""
    log_value = value.to(compute_dtype(params.dtype)).log()
    return LogConcrete(params, temperature).log_prob(log_value) - log_value.sum(-1)


class Order(PerturbAndRelax):
    """An order of three by descending score: Plackett-Luce, relaxed by SoftSort (2006.16038).

    Params are scores ``[*batch, 3]``, values permutation matrices whose rows are ranks.
    """

    api = 1
    name = "order"
    capabilities = Capabilities(
        density=False, discrete_distribution=True, exact_rounding=True, compiles=False
    )
    event_shape = torch.Size((3, 3))
    param_shape = torch.Size((3,))
    support = independent(constraints.simplex, 1)
    log_cardinality = math.log(6)

    @property
    def vertices(self):
        return Permutation()

    def relax(self, scores, temperature):
        cooled = divide_by_temperature(
            scores, temperature
        )  # before there are two dimensions to meet
        ranked = cooled.sort(dim=-1, descending=True, stable=True).values
        return (-(ranked.unsqueeze(-1) - cooled.unsqueeze(-2)).abs()).softmax(-1)

    def argmax(self, scores):
        return one_hot(scores.argsort(dim=-1, descending=True, stable=True), 3, scores.dtype)

    def hard(self, soft):
        listed = permutations(soft)
        best = torch.einsum("...ij,nij->...n", soft.double(), listed.double()).argmax(-1)
        return listed[best]

    def discrete(self, params):
        return PlackettLuce(self, params)


class Permutation(Constraint):
    event_dim = 2
    is_discrete = True

    def check(self, value):
        lines = (value.sum(-1) == 1).all(-1) & (value.sum(-2) == 1).all(-1)
        return lines & ((value == 0) | (value == 1)).flatten(-2).all(-1)


def permutations(like):
    """All six matrices, ``[6, 3, 3]``."""
    rows = torch.tensor(list(itertools.permutations(range(3))), device=like.device)
    return one_hot(rows, 3, like.dtype)


class PlackettLuce(DiscreteDistribution):
    def _log_prob(self, value):
        ranked = (value * self.scores.unsqueeze(-2)).sum(-1)
        rest = ranked.flip(-1).logcumsumexp(-1).flip(-1)
        return (ranked - rest).sum(-1)

    def _masses(self):
        return torch.stack([self._log_prob(p) for p in permutations(self.scores)], -1)

    def _mean(self):
        weighed = self._masses().exp()[..., None, None] * permutations(self.scores)
        return weighed.sum(-3)

    def _mode(self):
        best = self.params.argsort(dim=-1, descending=True, stable=True)
        return one_hot(best, 3, self.params.dtype)

    def entropy(self):
        log = self._masses()
        return -(log.exp() * log).sum(-1)

    def _enumerate_support(self):
        return permutations(self.params)

    def _sample(self, shape, generator=None):
        drawn = noise.gumbel(
            shape + self.scores.shape,
            dtype=self.scores.dtype,
            device=self.scores.device,
            generator=generator,
        )
        order = (self.scores + drawn).argsort(dim=-1, descending=True)
        return one_hot(order, 3, self.params.dtype)


class Unlawful(Order):
    """Orders without a law, but with a list of values and an upper bound of the KL."""

    name = "unlawful"
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=False, compiles=False
    )

    def discrete(self, params):
        raise self.unsupported("discrete")

    def enumerate_vertices(self):
        return permutations(torch.zeros((), dtype=torch.float64))

    def kl_to_uniform(self, params):
        return 0.1 + math.log(6) - PlackettLuce(self, params).entropy()


class Through(SampleEstimator):
    """An exact draw with the gradient of the marginals: straight-through at temperature 1."""

    api = 1
    name = "sound"
    hard = True
    exact_draw = True
    unbiased = "linear"

    def check(self, relaxation):
        self._needs_discrete_distribution(relaxation, instead="pathwise")

    def sample(self, q, sample_shape=(), generator=None):
        value = q.sample_hard(sample_shape, generator)
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


class Drawn(DrawEstimator):
    """The same for a draw that is given, at the law's temperature."""

    api = 1
    name = "drawn"
    unbiased = "linear"

    def given(self, q, hard, generator=None):
        return replace_gradient(hard, self.marginals(q).expand(hard.shape))

    def marginals(self, q):
        return q.relaxation.discrete(q.params / q.aligned_temperature).mean.to(q.params.dtype)


SOUND_RELAXATIONS = [
    Choice(),
    MaskedChoice(),
    GivenChoice(),
    Concrete(categories=3),
    Density(categories=3),
    Order(),
]
SOUND_RELAXATIONS += [Unlawful()]
