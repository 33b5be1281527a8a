"""The contract, on relaxations defined here: nothing in core knows them.

``Rows`` has a matrix of parameters and one choice a row, and only says what its argmax is and how
it is smoothed. ``Cube`` rounds each coordinate and offers the bare minimum.
"""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from pydantic import Field
from torch.distributions import kl_divergence

from relaxit import (
    Capabilities,
    Options,
    PerturbAndRelax,
    Relaxation,
    RelaxedDistribution,
    constraints,
    noise,
)
from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, DomainError, ShapeError, Unsupported
from tests.helpers import DTYPES, seed

BARE = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)


class RowsOptions(Options):
    rows: int = Field(default=2, ge=1, description="rows")
    columns: int = Field(default=3, ge=2, description="columns")
    scale: float = Field(default=1.0, gt=0, description="scale of the noise")


class Rows(PerturbAndRelax):
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


class AllOrNone(Rows):
    """Has one answer for the whole batch, expanded."""

    name = "test-all-or-none"

    def valid_params(self, params):
        return (params.sum() >= 0).expand(params.shape[:-2])


@pytest.mark.parametrize("batch", [(), (0,), (1,), (4,), (2, 3)], ids=str)
def test_an_expanded_answer_about_params_counts(batch):
    params = torch.ones(*batch, 2, 3)
    assert AllOrNone()(params).batch_shape == batch
    number = math.prod(batch)
    if number:
        with pytest.raises(DomainError, match=f"{number} of {number} parameter sets"):
            AllOrNone()(-params)


class Cube(Relaxation):
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


def distribution(relaxation, *batch, temperature=1.0):
    return relaxation(torch.randn((*batch, *relaxation.param_shape)), temperature)


@pytest.fixture(params=[Rows(), Cube()], ids=["rows", "cube"])
def relaxation(request):
    return request.param


@pytest.mark.parametrize("sample", [(), (0,), (3,), (2, 1), 5])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (0,), (2, 3)])
def test_shapes(relaxation, batch, sample):
    q = distribution(relaxation, *batch)
    lead = (sample,) if isinstance(sample, int) else sample
    want = torch.Size([*lead, *batch, *relaxation.event_shape])
    soft, hard = q.draw(sample)
    assert q.batch_shape == torch.Size(batch)
    assert q.event_shape == relaxation.event_shape
    assert q.rsample(sample).shape == q.sample(sample).shape == want
    assert soft.shape == hard.shape == q.hard(soft).shape == q.sample_hard(sample).shape == want
    assert bool(q.support.check(soft).all())
    assert bool(relaxation.vertices.check(hard).all())


@pytest.mark.parametrize("given", [(3,), (2, 1), (1, 3), (2, 3), (1,), (1, 1)])
def test_temperature_per_row_equals_the_loop(relaxation, given):
    # Three columns against a batch of three: the temperature must meet the batch, not the event.
    params = torch.randn(2, 3, *relaxation.param_shape)
    temperature = torch.rand(given, generator=seed(0)) + 0.1
    got = relaxation(params, temperature).rsample((5,), seed(1))
    full = temperature.expand(2, 3)
    for i in range(2):
        for j in range(3):
            one = relaxation(params, float(full[i, j])).rsample((5,), seed(1))
            torch.testing.assert_close(got[:, i, j], one[:, i, j])


@pytest.mark.parametrize("temperature", [0.5, 2, torch.tensor(0.5), torch.tensor(2)])
def test_scalar_temperature_in_each_guise(relaxation, temperature):
    params = torch.randn(3, *relaxation.param_shape)
    got = relaxation(params, temperature).rsample((), seed(0))
    assert torch.equal(got, relaxation(params, float(temperature)).rsample((), seed(0)))


@pytest.mark.parametrize("given", [(2,), (4,), (1, 1), (3, 1), (2, 3)])
def test_temperature_that_would_enlarge_the_batch_is_refused(relaxation, given):
    with pytest.raises(ShapeError, match=relaxation.name):
        relaxation(torch.zeros(3, *relaxation.param_shape), torch.ones(given))


BAD_TEMPERATURES = [0.0, -0.5, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", [0, *BAD_TEMPERATURES])
def test_bad_temperature(relaxation, bad):
    params = torch.zeros(3, *relaxation.param_shape)
    with pytest.raises(DomainError) as caught:
        relaxation(params, bad)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(DomainError):
        relaxation(params, torch.tensor(bad))
    with pytest.raises(DomainError):
        relaxation(params, torch.tensor([1.0, bad, 1.0]))


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_validate_args(relaxation, bad):
    params = torch.zeros(3, *relaxation.param_shape)
    relaxation(params, torch.tensor(bad), validate_args=False)
    with pytest.raises(DomainError):
        relaxation(params, torch.tensor(bad), validate_args=True)
    # A float costs nothing to look at, nor does a shape.
    with pytest.raises(DomainError):
        relaxation(params, bad, validate_args=False)
    with pytest.raises(ShapeError):
        relaxation(params, torch.ones(2), validate_args=False)
    relaxation(params * torch.nan, validate_args=False)
    with pytest.raises(DomainError, match="3 of 3"):
        relaxation(params * torch.nan)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_default_of_legal_params_is_finite(relaxation, value):
    params = torch.zeros(3, *relaxation.param_shape)
    params[1].view(-1)[-1] = value
    with pytest.raises(
        DomainError, match=f"{relaxation.name}: .* 1 of 3 .*{relaxation.illegal_params}"
    ):
        relaxation(params)


@pytest.mark.parametrize("bad", ["1", None, True, [1.0]])
def test_temperature_of_another_type(relaxation, bad):
    with pytest.raises(TypeError, match="temperature"):
        relaxation(torch.zeros(relaxation.param_shape), bad)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.complex64])
def test_params_must_float(relaxation, dtype):
    with pytest.raises(TypeError, match="floating"):
        relaxation(torch.zeros(relaxation.param_shape, dtype=dtype))


def test_params_must_be_a_tensor(relaxation):
    with pytest.raises(TypeError, match="ndarray"):
        relaxation(np.zeros(relaxation.param_shape))


def test_dtype_outside_the_claim():
    with pytest.raises(Unsupported, match="float64"):
        Cube()(torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(), (3,), (3, 2), (2, 3, 1)])
def test_wrong_shape_is_named(shape):
    with pytest.raises(ShapeError) as caught:
        Rows()(torch.zeros(shape))
    for part in ("test-rows", "params", "[*, 2, 3]", str(list(shape))):
        assert part in str(caught.value)


def test_wrong_value_shape_is_refused():
    q = distribution(Rows(), 5)
    for method in (q.hard, q.log_prob):
        with pytest.raises(ShapeError, match=r"value must be \[\*, 2, 3\], got \[5, 3\]"):
            method(torch.zeros(5, 3))


@pytest.mark.parametrize("temperature", [0.5, torch.tensor(0.5), torch.tensor([0.5, 2.0, 4.0])])
def test_expand(relaxation, temperature):
    params = torch.randn(3, *relaxation.param_shape)
    q = relaxation(params, temperature)
    big = q.expand((2, 3))
    assert isinstance(big, RelaxedDistribution)
    assert big.batch_shape == (2, 3)
    assert big.params.data_ptr() == params.data_ptr()
    # Row i of the large law has the temperature of row i of the small one.
    soft = big.rsample((4,), seed(0))
    again = relaxation(params.expand(2, *params.shape).clone(), temperature).rsample((4,), seed(0))
    assert torch.equal(soft, again)
    with pytest.raises((RuntimeError, ValueError)):
        q.expand((2, 4))


def test_expanded_distribution_checks_as_the_original_does():
    import relaxit

    vertex = torch.eye(3)[0]
    q = relaxit.get("categorical", categories=3)(torch.zeros(2, 3))
    for each in (q, q.expand((4, 2))):
        with pytest.raises(DomainError, match="no density"):
            each.log_prob(vertex)


def test_denied_quantities_are_unsupported(relaxation):
    q = distribution(relaxation, 3)
    for ask in (
        lambda: q.log_prob(q.sample()),
        lambda: q.log_space,
        lambda: q.discrete,
        lambda: q.kl_to_uniform(),
    ):
        with pytest.raises(Unsupported, match=f"{relaxation.name} has no .* It offers: sample"):
            ask()


@pytest.mark.parametrize("name", ["mean", "mode", "variance", "stddev"])
def test_moments_of_the_relaxed_distribution_are_refused(relaxation, name):
    with pytest.raises(Unsupported, match=r"q\.discrete"):
        getattr(distribution(relaxation), name)


@pytest.mark.parametrize("name", ["entropy", "enumerate_support", "cdf", "icdf"])
def test_functions_of_the_relaxed_distribution_are_refused(relaxation, name):
    arguments = [torch.zeros(relaxation.event_shape)] if "cdf" in name else []
    with pytest.raises(Unsupported, match=r"q\.discrete") as caught:
        getattr(distribution(relaxation), name)(*arguments)
    assert isinstance(caught.value, NotImplementedError)


def test_kl_between_relaxed_distributions_is_unsupported(relaxation):
    with pytest.raises(Unsupported, match=r"kl_divergence\(p\.discrete, q\.discrete\)"):
        kl_divergence(distribution(relaxation), distribution(relaxation))


def test_frozen_hashable_comparable_picklable():
    one, same, other = Rows(rows=4), Rows(rows=4), Rows(rows=5)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != Cube()
    assert one != type("Twin", (Rows,), {})(rows=4)
    assert len({one, same, other}) == 2
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
        assert again == one
        assert type(again) is Rows
    for name in ("options", "anything"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(one, name, 1)
    with pytest.raises(ValueError, match="frozen"):
        one.options.rows = 7
    assert repr(one) == "Rows(rows=4, columns=3, scale=1.0)"


def test_distribution_is_final():
    # Only a type checker enforces it; the mark must be there.
    assert RelaxedDistribution.__final__
    assert Relaxation.__call__.__final__


def test_abstract_until_complete():
    class Half(Relaxation):
        api = 1
        name = "half"
        capabilities = BARE

    with pytest.raises(TypeError, match="abstract"):
        Half()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"row": 3}, ["row", "rows, columns, scale"]),
        ({"rows": 0}, ["rows", "got 0"]),
        ({"rows": "3"}, ["rows", "got '3'"]),
        ({"rows": True}, ["rows", "got True"]),
        ({"rows": 2.0}, ["rows"]),
        ({"scale": math.nan}, ["scale"]),
        ({"scale": math.inf}, ["scale"]),
        ({"rows": 0, "columns": 1}, ["rows", "columns"]),
    ],
)
def test_bad_options(fields, words):
    for build in (lambda: Rows(**fields), lambda: Rows.from_json(fields)):
        if any(isinstance(x, float) and not math.isfinite(x) for x in fields.values()):
            build = lambda: Rows(**fields)  # noqa: E731 - JSON has no such numbers
        with pytest.raises(ConfigurationError) as caught:
            build()
        text = str(caught.value)
        assert "'test-rows'" in text
        assert "\n" not in text
        assert all(word in text for word in words), text


def test_from_json():
    assert Rows.from_json({"rows": 4, "scale": 2}) == Rows(rows=4, scale=2.0)


def test_draw_shares_its_noise(relaxation):
    q = distribution(relaxation, 100)
    soft, hard = q.draw((3,), seed(0))
    assert torch.equal(hard, relaxation.hard(soft))
    # Fresh noise for the vertex would agree in a third or so of the draws only.
    assert not torch.equal(hard, q.draw((3,), seed(1))[1])


def test_default_hard_draw_is_the_vertex_of_a_draw(relaxation):
    q = distribution(relaxation, 10)
    assert torch.equal(q.sample_hard((3,), seed(0)), q.draw((3,), seed(0))[1])


def test_who_carries_a_gradient(relaxation):
    params = torch.randn(3, *relaxation.param_shape, requires_grad=True)
    q = relaxation(params, 0.5)
    soft, hard = q.draw()
    assert soft.requires_grad
    assert not hard.requires_grad
    assert q.rsample().requires_grad
    assert not q.sample().requires_grad
    assert not q.sample_hard().requires_grad
    assert not q.hard(soft).requires_grad


def test_temperature_gets_a_gradient(relaxation):
    temperature = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    q = relaxation(torch.randn(3, *relaxation.param_shape), temperature)
    q.rsample().square().sum().backward()
    assert bool((temperature.grad != 0).all())


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_reach_a_plugin_in_float32_at_least(dtype):
    seen = []

    class Spy(Rows):
        name = "test-spy"

        def relax(self, scores, temperature):
            seen.append(scores.dtype)
            return super().relax(scores, temperature)

    soft, hard = Spy()(torch.zeros(2, 3, dtype=dtype)).draw()
    assert seen == [compute_dtype(dtype)]
    assert soft.dtype == hard.dtype == dtype


def test_hard_of_a_draw_comes_from_the_scores():
    # In bfloat16 at a high temperature the soft values tie; the scores do not.
    q = Rows(columns=8)(torch.zeros(500, 2, 8, dtype=torch.bfloat16), 1e4)
    soft, hard = q.draw()
    assert not torch.equal(hard, q.hard(soft))
    assert bool((hard.float().mean((0, 1)) > 0.05).all())
