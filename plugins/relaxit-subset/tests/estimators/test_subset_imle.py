"""The estimator `imle` against its definition, and the distribution of its noise."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from subset_helpers import close, normal, seed
from torch.fx.experimental.proxy_tensor import make_fx

import relaxit
from relaxit import PerturbAndRelax, Relaxation
from relaxit.errors import Unsupported
from relaxit.plugins.registry import default_registry
from relaxit.testing import wrong_distribution
from relaxit.testing.toys import SamplesOnly
from relaxit_subset.estimators import imle
from relaxit_subset.estimators.imle import Imle, sum_of_gammas


def top(scores, k):
    """The k largest, by sorting."""
    rank = scores.argsort(-1, descending=True).argsort(-1)
    return (rank < k).to(scores.dtype)


@pytest.mark.parametrize("lam", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
def test_imle_is_a_difference_of_two_modes(lam, scale, monkeypatch):
    params, noise = normal(50, 6).requires_grad_(), normal(4, 50, 6, number=2)
    monkeypatch.setattr(imle, "sum_of_gammas", lambda *_, **__: noise)
    estimator = Imle(lam=lam, scale=scale, noise="sum-of-gammas")
    z = estimator.sample(relaxit.get("subset", n=6, k=2)(params), (4,))
    scores = params.detach() + scale * noise
    assert torch.equal(z, top(scores, 2))
    upstream = normal(4, 50, 6, number=3)
    (got,) = torch.autograd.grad(z, params, upstream)
    want = (top(scores, 2) - top(scores - lam * upstream, 2)) / lam
    close(got, want.sum(0), 1e-12)
    assert float(want.abs().sum()) > 0


def test_scale_zero_is_the_mode():
    params = normal(50, 6)
    q = relaxit.get("subset", n=6, k=2)(params)
    assert torch.equal(Imle(scale=0.0).sample(q), q.discrete.mode)


def test_noise_is_the_own_one_by_default():
    assert Imle().options.noise == "own"


@pytest.fixture
def used(monkeypatch):
    """Which k the sum of Gammas was asked for."""
    asked = []
    right = sum_of_gammas
    monkeypatch.setattr(
        imle, "sum_of_gammas", lambda shape, k, *a, **b: asked.append(k) or right(shape, k, *a, **b)
    )
    return asked


@pytest.mark.parametrize("noise", ["auto", "own", "sum-of-gammas"])
@pytest.mark.parametrize(
    ("name", "options", "same"),
    [
        ("subset", {"n": 5, "k": 2}, 2),
        ("subset-plackett-luce", {"n": 4, "k": 3}, 3),
        ("subset", {"n": 4, "k": 1}, 1),
        ("categorical", {"categories": 4}, 1),
        ("binary", {}, 0),
    ],
)
def test_choice_of_noise(name, options, same, noise, used):
    structure = relaxit.get(name, **options)
    q = structure(normal(3, *structure.param_shape))
    if noise == "sum-of-gammas" and not same:
        with pytest.raises(Unsupported, match=r"imle.*same sum.*Binary\(\).*noise=own"):
            Imle(noise=noise).sample(q)
        return
    z = Imle(noise=noise).sample(q, (2,), seed(1))
    assert bool(structure.vertices.check(z).all())
    assert used == ([] if noise == "own" or not same else [same])
    if not used:  # the relaxation's own
        own = structure.perturb(q.params, torch.Size([2]), seed(1))
        assert torch.equal(z, structure.argmax(own))


def is_linear(structure):
    try:
        return structure.statistics(torch.zeros(structure.event_shape)) is not None
    except Unsupported:
        return False


@pytest.mark.parametrize("noise", ["auto", "own"])
def test_imle_takes_whatever_perturbs_linear_scores(noise):
    taken = set()
    for name, cls in default_registry().items("relaxation").items():
        for structure in cls.examples():
            if not (isinstance(structure, PerturbAndRelax) and is_linear(structure)):
                with pytest.raises(Unsupported, match=rf"imle.*{name}.*try 'straight-through'"):
                    Imle(noise=noise).check(structure)
                continue
            taken.add(name)
            params = normal(20, *structure.param_shape).requires_grad_()
            z = Imle(noise=noise).sample(structure(params), (2,))
            assert bool(structure.vertices.check(z).all())
            (slope,) = torch.autograd.grad(z, params, normal(*z.shape, number=1))
            assert bool(slope.isfinite().all())
            assert float(slope.abs().sum()) > 0
    assert {"subset", "subset-plackett-luce", "categorical", "binary"} <= taken


class Unperturbed(Relaxation):
    """Samples that come from somewhere else than perturbed scores."""

    api = 1
    name = "unperturbed"
    capabilities = SamplesOnly.capabilities
    event_shape = param_shape = torch.Size((3,))
    support, vertices = SamplesOnly.support, SamplesOnly.vertices

    def rsample(self, params, temperature, shape, generator=None):
        raise NotImplementedError

    def hard(self, soft):
        raise NotImplementedError


class Paired(SamplesOnly):
    """Params of another shape than the values."""

    name = "paired"
    param_shape = torch.Size((3, 2))


@pytest.mark.parametrize("structure", [Unperturbed(), Paired()], ids=lambda r: r.name)
def test_imle_rejects_what_has_no_such_argmax(structure):
    message = rf"imle.*argmax.*{structure.name}.*try 'straight-through'"
    for noise in ("auto", "own", "sum-of-gammas"):
        with pytest.raises(Unsupported, match=message):
            Imle(noise=noise).check(structure)
    with pytest.raises(Unsupported, match=message):
        Imle().sample(structure(torch.zeros(structure.param_shape)))


def test_imle_works_with_samples_only():
    assert (
        SamplesOnly.vertices.check(Imle().sample(SamplesOnly()(torch.zeros(4, 3)))).tolist()
        == [True] * 4
    )


@pytest.mark.filterwarnings("ignore")  # torch's own: deprecation, sizes as constants
@pytest.mark.parametrize("name", ["subset", "subset-plackett-luce", "categorical"])
def test_imle_is_recorded_only_without_a_gradient(name):
    options = {"categories": 5} if name == "categorical" else {"n": 5, "k": 2}
    structure = relaxit.get(name, **options)

    class Sampler(torch.nn.Module):
        def forward(self, params):
            return Imle().sample(structure(params))

    params = normal(3, 5).requires_grad_()
    recorders = (
        lambda: torch.jit.trace(Sampler(), params, check_trace=False),
        lambda: torch.export.export(Sampler(), (params,), strict=False).module(),
        lambda: make_fx(Sampler())(params),
    )
    for record in recorders:
        with pytest.raises(Unsupported, match=r"'imle' .* cannot be exported or traced; .*no_grad"):
            record()
        with torch.no_grad():
            z = record()(params)
        assert bool(structure.vertices.check(z).all())


# --- sums of Gammas, alpha = 2e-5 -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("k", "terms"), [(2, 1), (2, 10), (5, 10), (20, 3)])
def test_sums_of_finitely_many_terms(k, terms, dtype):
    # A sum of E_i / i over exponentials is the largest of them: (1 - e^{-x}) ** s, less log s.
    noise = sum_of_gammas(torch.Size([20_000, k]), k, terms, dtype=dtype, generator=seed(1))
    assert noise.dtype == dtype
    total = noise.sum(-1)

    def distribution(x, s=terms):
        return (1 - stats.expon.sf(x + torch.tensor(float(s)).log().item())) ** s

    assert not wrong_distribution(total, distribution)
    assert wrong_distribution(total, lambda x: distribution(x, 1 if terms > 1 else 2))
    assert wrong_distribution(total + 0.1, distribution)


@pytest.mark.parametrize("k", [2, 3])
def test_sums_of_many_terms_are_gumbel(k):
    noise = sum_of_gammas(torch.Size([10_000, k]), k, 300, generator=seed(2))
    assert not wrong_distribution(noise.sum(-1), "gumbel_r")
    assert wrong_distribution(noise.sum(-1) * 1.1, "gumbel_r")
    few = sum_of_gammas(torch.Size([10_000, k]), k, 1, generator=seed(2))
    assert wrong_distribution(few.sum(-1), "gumbel_r")


def test_one_entry_is_gumbel():
    for terms in (1, 10):
        noise = sum_of_gammas(torch.Size([20_000]), 1, terms, generator=seed(1))
        assert not wrong_distribution(noise, "gumbel_r")


def test_generator_decides_the_noise():
    before = torch.get_rng_state()
    one, same, other = (sum_of_gammas(torch.Size([9]), 3, generator=seed(i)) for i in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
