"""Codebooks: vectors, distances, usage and perplexity, against sums over codes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import relaxit
from relaxit import ConfigurationError, DomainError, ShapeError, UnknownName, Unsupported
from relaxit.nn import Codebook

DIMS = pytest.mark.parametrize(
    ("size", "dim"), [((7,), -1), ((3, 7), -1), ((2, 7, 4, 5), 1), ((7, 3), 0), ((2, 7, 4), -2)]
)
ESTIMATORS = pytest.mark.parametrize(
    "estimator", ["pathwise", "st-gumbel", "straight-through", "reinmax"]
)


@DIMS
@ESTIMATORS
def test_training_weights_the_vectors_by_a_sample(size, dim, estimator):
    codebook = Codebook(7, 3, 0.5, estimator, dim=dim)
    logits = torch.randn(size, requires_grad=True)
    torch.manual_seed(1)
    got = codebook(logits)
    torch.manual_seed(1)
    q = relaxit.get("categorical", categories=7)(logits.movedim(dim, -1), codebook.temperature)
    sample = relaxit.estimator(estimator).sample(q)
    want = sum(sample[..., k, None] * codebook.weight[k] for k in range(7))
    torch.testing.assert_close(got, want.movedim(-1, dim))
    assert got.shape == tuple(3 if d == dim % len(size) else s for d, s in enumerate(size))
    upstream = torch.randn_like(got)
    inputs = (logits, codebook.weight)
    got_slopes = torch.autograd.grad(got, inputs, upstream)
    want_slopes = torch.autograd.grad(want.movedim(-1, dim), inputs, upstream)
    torch.testing.assert_close(got_slopes, want_slopes)
    assert all(bool(slope.any()) for slope in got_slopes)


@DIMS
def test_evaluation_looks_up_the_best_code(size, dim):
    codebook = Codebook(7, 3, dim=dim).eval()
    logits = torch.randn(size, requires_grad=True)
    codes = codebook.codes_of(logits)
    assert torch.equal(codes, logits.argmax(dim))
    got = codebook(logits)
    one_hot = torch.nn.functional.one_hot(codes, 7).float()
    torch.testing.assert_close(got, (one_hot @ codebook.weight).movedim(-1, dim))
    assert torch.equal(got, codebook(logits))
    rows = got.movedim(dim, -1).reshape(-1, 3)
    assert all(bool((row == codebook.weight).all(-1).any()) for row in rows)  # exactly
    got.sum().backward()
    assert logits.grad is None
    assert bool(codebook.weight.grad.any())


@pytest.mark.parametrize("training", [True, False])
def test_masked_codes_are_not_chosen(training):
    codebook = Codebook(7, 3, 0.5, "st-gumbel").train(training)
    mask = torch.tensor([False, True, False, True, False, False, True])
    vectors = codebook(torch.randn(200, 7), mask)
    allowed = codebook.weight[mask]
    near = (vectors.unsqueeze(1) - allowed).abs().amax(-1) < 1e-6
    assert bool((near.sum(-1) == 1).all())
    assert bool(near.any(0).all())


# --- distances --------------------------------------------------------------------------------


@DIMS
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_logits_are_negative_squared_distances(size, dim, scale):
    codebook = Codebook(5, 7, dim=dim, scale=scale).double()
    x = torch.randn(size, dtype=torch.float64, requires_grad=True)
    got = codebook.logits_of(x)
    rows = x.movedim(dim, -1)
    want = -torch.stack([(rows - code).square().sum(-1) for code in codebook.weight], -1) / scale
    torch.testing.assert_close(got, want.movedim(-1, dim))
    codebook.eval()
    nearest = codebook(got).movedim(dim, -1)
    least = (rows - nearest).square().sum(-1)
    torch.testing.assert_close(least, -want.amax(-1) * scale)
    codebook.double()
    assert torch.autograd.gradcheck(codebook.logits_of, x)


def test_vector_quantisation_finds_its_own_codes():
    codebook = Codebook(64, 8).eval()
    x = codebook.weight.detach()
    assert torch.equal(codebook.codes_of(codebook.logits_of(x)), torch.arange(64))
    assert torch.equal(codebook(codebook.logits_of(x)), x)


# --- usage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_usage_is_a_running_frequency(decay):
    codebook = Codebook(4, 3, decay=decay)
    assert float(codebook.perplexity()) == pytest.approx(4)
    want = torch.full((4,), 0.25)
    for codes in ([0, 0, 1, 3], [2, 2, 2, 2, 2], [1]):
        codebook(200.0 * torch.nn.functional.one_hot(torch.tensor(codes), 4).float())
        share = torch.tensor([codes.count(k) / len(codes) for k in range(4)])
        want = decay * want + (1 - decay) * share
        torch.testing.assert_close(codebook.usage, want)
        entropy = -sum(p * math.log(p) for p in want.tolist() if p)
        assert float(codebook.perplexity()) == pytest.approx(math.exp(entropy), rel=1e-5)


def test_usage_changes_in_training_only():
    codebook = Codebook(4, 3)
    before = codebook.usage.clone()
    codebook.eval()(torch.randn(50, 4))
    codebook.logits_of(torch.randn(50, 3))
    codebook.train()(torch.randn(0, 4))  # an empty batch has no frequencies
    assert torch.equal(codebook.usage, before)
    codebook(torch.randn(50, 4)).sum().backward()
    assert not torch.equal(codebook.usage, before)
    assert not codebook.usage.requires_grad
    assert set(codebook.state_dict()) == {"weight", "usage", "relax.fixed_temperature"}


def test_samples_and_not_the_best_codes_are_counted():
    codebook = Codebook(2, 3, decay=0.0)
    codebook(torch.tensor([0.0, 1.0]).expand(20_000, 2))
    # A frequency of 20 000 draws is off by .015 with probability 2e-5 at most.
    assert abs(float(codebook.usage[1]) - float(torch.tensor(1.0).sigmoid())) < 0.015


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"codes": 0}, ConfigurationError, "codes must be an integer >= 1, got 0"),
        ({"features": 0}, ConfigurationError, "features must be an integer >= 1, got 0"),
        ({"scale": 0.0}, ConfigurationError, "scale .* got 0.0"),
        ({"scale": math.nan}, ConfigurationError, "scale"),
        ({"decay": 1.5}, ConfigurationError, "decay .* got 1.5"),
        ({"temperature": -1.0}, DomainError, "temperature"),
        ({"estimator": "pathwize"}, UnknownName, "pathwise"),
        ({"estimator": "rloo"}, Unsupported, "rloo"),
    ],
)
def test_illegal_settings(settings, error, said):
    with pytest.raises(error, match=said) as found:
        Codebook(**{"codes": 7, "features": 3, **settings})
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(), (3,), (7, 3)])
def test_wrong_sizes(size, training):
    codebook = Codebook(7, 2).train(training)
    for call in (codebook, codebook.codes_of, codebook.logits_of):
        with pytest.raises(ShapeError, match=r"must have size [27] at dimension -1"):
            call(torch.zeros(size))


def test_integers_are_rejected():
    for call in (Codebook(7, 2), Codebook(7, 2).codes_of):
        with pytest.raises(TypeError, match="int64"):
            call(torch.zeros(7, dtype=torch.int64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("length", [1.0, 100.0])
def test_the_nearest_code_is_found_in_every_dtype(dtype, length):
    codebook = Codebook(512, 64).to(dtype)
    x = (length * torch.randn(200, 64) / 8).to(dtype)
    logits = codebook.logits_of(x)
    assert logits.dtype == torch.float32
    exact = torch.cdist(x.double(), codebook.weight.double())
    chosen = exact.gather(-1, codebook.codes_of(logits).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(chosen, exact.min(-1).values, rtol=1e-5, atol=0)


def test_distances_between_dtypes():
    codebook, x = Codebook(5, 3).double(), torch.randn(4, 3)
    want = -torch.cdist(x.double(), codebook.weight).square()
    torch.testing.assert_close(codebook.logits_of(x), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_illegal_logits_are_rejected_in_both_modes(training, bad):
    codebook = Codebook(4, 3).train(training)
    with pytest.raises(DomainError, match="illegal params"):
        codebook(torch.full((2, 4), bad))
    with pytest.raises(DomainError, match="illegal params"):
        codebook(torch.zeros(2, 4), torch.zeros(4, dtype=torch.bool))


def test_usage_is_exact_in_a_half_precision_model():
    codebook = Codebook(64, 4, decay=0.999).bfloat16()
    assert codebook.usage.dtype == torch.float32
    logits = torch.full((40, 64), -1e4)
    logits[torch.arange(40), torch.arange(40) % 4] = 1e4
    for _ in range(500):
        codebook(logits.bfloat16())
    start = torch.full((64,), 0.999**500 / 64)
    want = start + (1 - 0.999**500) * torch.tensor([0.25] * 4 + [0.0] * 60)
    torch.testing.assert_close(codebook.usage, want, rtol=1e-3, atol=0)


def test_a_checkpoint_counts_a_batch_once():
    logits, used = torch.randn(6, 4, requires_grad=True), []
    for recompute in (False, True):
        codebook = Codebook(4, 3, decay=0.5)
        torch.manual_seed(1)
        value = checkpoint(codebook, logits, use_reentrant=False) if recompute else codebook(logits)
        value.sum().backward()
        used.append(codebook.usage)
    assert torch.equal(*used)
