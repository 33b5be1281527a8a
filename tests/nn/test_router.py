"""Top-k routing: which experts, their weights, and the losses, against formulas token by token."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch

import relaxit
from relaxit import ConfigurationError, DomainError, ShapeError, UnknownName, Unsupported
from relaxit.nn import TopKRouter
from relaxit.testing import wrong_frequencies

pytest.importorskip("relaxit_subset")

SIZES = pytest.mark.parametrize(("experts", "k"), [(1, 1), (4, 1), (8, 2), (8, 7), (3, 3)])
BATCH = pytest.mark.parametrize("batch", [(), (6,), (2, 5)])


def soft_of(logits, k, temperature=1.0):
    """The soft indicator of the k best, without noise: softmax, or the root by bisection."""
    if k == 1:
        return (logits / temperature).softmax(-1)
    t = logits.double() / temperature
    low, high = t.min(-1, keepdim=True)[0] - 40, t.max(-1, keepdim=True)[0] + 40
    for _ in range(200):
        middle = (low + high) / 2
        many = torch.sigmoid(t - middle).sum(-1, keepdim=True) > k
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    return torch.sigmoid(t - low)


@SIZES
@BATCH
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_evaluation_takes_the_k_best(experts, k, batch, temperature):
    router = TopKRouter(16, experts, k, temperature).eval()
    x = torch.randn(*batch, 16)
    routing = router(x)
    logits = torch.nn.functional.linear(x, router.scores.weight)
    torch.testing.assert_close(routing.logits, logits)
    best = logits.topk(k, -1)
    assert torch.equal(routing.experts, best.indices)
    soft = soft_of(logits.detach(), k, temperature).gather(-1, best.indices).float()
    want = soft / soft.sum(-1, keepdim=True) if k > 1 else soft
    if 1 < k == experts:
        want = torch.full_like(want, 1 / k)
    torch.testing.assert_close(routing.weights.detach(), want)
    again = router(x)
    assert all(torch.equal(a, b) for a, b in zip(routing, again, strict=True))


@SIZES
@BATCH
@pytest.mark.parametrize("training", [True, False])
def test_losses_are_those_of_the_papers(experts, k, batch, training):
    router = TopKRouter(None, experts, k).train(training)
    logits = torch.randn(*batch, experts, requires_grad=True)
    routing = router(logits)
    rows, chosen = logits.detach().view(-1, experts), routing.experts.view(-1, k)
    tokens = len(rows)
    # Switch Transformers, equations 5 and 6, with a share of 1 / k for each choice.
    f = torch.tensor([float((chosen == e).sum()) / (tokens * k) for e in range(experts)])
    p = torch.stack([row.softmax(-1) for row in rows]).mean(0)
    torch.testing.assert_close(routing.load, f)
    torch.testing.assert_close(routing.importance, p)
    torch.testing.assert_close(routing.balance_loss.detach(), experts * (f * p).sum())
    # ST-MoE, equation 5.
    z = sum(float(row.exp().sum().log()) ** 2 for row in rows) / tokens
    assert float(routing.z_loss.detach()) == pytest.approx(z, rel=1e-5)
    assert not routing.load.requires_grad
    assert float(routing.load.sum()) == pytest.approx(1, abs=1e-6)
    assert float(routing.importance.sum()) == pytest.approx(1, abs=1e-6)


def test_balanced_routing_has_loss_one_and_a_single_expert_the_largest():
    router = TopKRouter(None, 4, 1).eval()
    assert float(router(50 * torch.eye(4)).balance_loss) == pytest.approx(1)
    assert float(router(50 * torch.eye(4)[[2] * 8]).balance_loss) == pytest.approx(4)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_weights_have_a_gradient_and_sum_to_one(k):
    router = TopKRouter(16, 8, k)
    routing = router(torch.randn(32, 16))
    if k > 1:
        torch.testing.assert_close(routing.weights.sum(-1), torch.ones(32))
    assert bool((routing.weights.diff(dim=-1) <= 0).all())  # the best one first
    assert bool((routing.experts.sort(-1).values.diff(dim=-1) > 0).all())  # all different
    for value in (routing.weights[:, 0].sum(), routing.balance_loss, routing.z_loss):
        (slope,) = torch.autograd.grad(value, router.scores.weight, retain_graph=True)
        assert bool(slope.isfinite().all())
        assert bool(slope.any())


def test_gradient_of_the_weights_equals_differences():
    router = TopKRouter(None, 5, 2).double().eval()
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.9, 0.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: router(a).weights, logits)
    plain = TopKRouter(None, 5, 2, normalize=False).double().eval()
    assert torch.autograd.gradcheck(lambda a: plain(a).weights, logits)


@pytest.mark.parametrize("k", [1, 2])
def test_training_explores_by_gumbel_top_k(k):
    # alpha = 2e-5. The first expert of Gumbel-top-k follows the softmax.
    router = TopKRouter(None, 4, k, generator=torch.Generator().manual_seed(0))
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5])
    first = router(logits.expand(20_000, 4)).experts[:, 0].bincount(minlength=4)
    assert not wrong_frequencies(first, logits.softmax(-1))
    still = TopKRouter(None, 4, k, noise=False)
    assert torch.equal(still(logits).experts, still.eval()(logits).experts)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("k", [1, 2])
def test_padding_changes_nothing(k, training):
    def router():
        return TopKRouter(None, 5, k, generator=torch.Generator().manual_seed(0)).train(training)

    logits = torch.randn(3, 5, requires_grad=True)
    rows = [math.nan, math.inf, 1e30]
    padded = torch.cat([logits, torch.tensor(rows).unsqueeze(-1).expand(3, 5)])
    real = torch.arange(6) < 3
    got = router()(padded, tokens=real)
    if not training:  # with noise, the numbers that are drawn depend on the length
        want = router()(logits)
        assert torch.equal(got.experts[:3], want.experts)
        torch.testing.assert_close(got.weights[:3], want.weights)
        for field in ("balance_loss", "z_loss", "load", "importance"):
            torch.testing.assert_close(getattr(got, field), getattr(want, field))
    assert not bool(got.weights[3:].any())
    assert float(got.load.sum()) == pytest.approx(1)
    total = got.weights[..., 0].sum() + got.balance_loss + got.z_loss
    (slope,) = torch.autograd.grad(total, logits)
    assert bool(slope.isfinite().all())
    nothing = router()(padded, tokens=torch.zeros(6, dtype=torch.bool))
    assert float(nothing.balance_loss) == float(nothing.z_loss) == float(nothing.load.sum()) == 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("k", [1, 2])
def test_experts_that_are_not_allowed_are_never_chosen(k, training):
    router = TopKRouter(None, 5, k).train(training)
    mask = torch.tensor([[True, True, False, False, True], [False, True, True, False, False]])
    logits = torch.randn(200, 2, 5)
    routing = router(logits, mask)
    assert bool(mask.expand(200, 2, 5).gather(-1, routing.experts).all())
    assert routing.load[3] == routing.importance[3] == 0
    few = torch.tensor([True, False, False, False, False])
    if k > 1:
        with pytest.raises(DomainError, match="fewer than k = 2"):
            router(logits, few)


def test_single_weights_are_probabilities():
    logits = torch.randn(7, 4)
    weights = TopKRouter(None, 4, 1).eval()(logits).weights
    torch.testing.assert_close(weights[:, 0], logits.softmax(-1).amax(-1))


def test_plackett_luce_and_relaxations_of_ones_own():
    for relaxation in (
        relaxit.get("subset-plackett-luce", n=6, k=2),
        relaxit.get("subset", n=6, k=2),
    ):
        assert TopKRouter(8, 6, 2, relaxation=relaxation)(torch.randn(3, 8)).experts.shape == (3, 2)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"k": 9}, ConfigurationError, "k must be an integer from 1 to the 8 experts, got 9"),
        ({"k": 0}, ConfigurationError, "got 0"),
        ({"k": 1, "normalize": True}, ConfigurationError, "constant 1"),
        ({"temperature": 0.0}, DomainError, "temperature"),
        ({"relaxation": relaxit.get("binary")}, Unsupported, "2 of 8"),
        ({"relaxation": relaxit.get("categorical", categories=8)}, Unsupported, "2 of 8"),
        ({"relaxation": relaxit.get("subset", n=7, k=2)}, Unsupported, "2 of 8"),
        ({"relaxation": relaxit.get("subset", n=8, k=3)}, Unsupported, "2 of 8"),
        ({"relaxation": "no-such"}, UnknownName, "no-such"),
    ],
)
def test_illegal_settings(settings, error, said):
    with pytest.raises(error, match=said) as found:
        TopKRouter(16, 8, **settings)
    assert "\n" not in str(found.value)


def test_a_missing_package_is_named():
    code = (
        "from relaxit.nn import TopKRouter; TopKRouter(16, 8, 1)\n"
        "try: TopKRouter(16, 8)\nexcept LookupError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RELAXIT_PLUGINS": "none"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "relaxit-subset" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((torch.zeros(3, 15),), {}, ShapeError, r"x must be \[\*, 16\], got \[3, 15\]"),
        ((torch.zeros(()),), {}, ShapeError, "x must be"),
        ((torch.zeros(3, 16).long(),), {}, TypeError, "int64"),
        (
            (torch.zeros(3, 16),),
            {"tokens": torch.ones(3)},
            TypeError,
            "got torch.float32",
        ),
        ((torch.zeros(3, 16),), {"tokens": torch.ones(4).bool()}, ShapeError, r"tokens .*\[4\]"),
        ((torch.zeros(3, 16),), {"mask": torch.ones(3).bool()}, ShapeError, r"mask .*\[3\]"),
        ((torch.full((3, 16), math.nan),), {}, DomainError, "illegal"),
    ],
)
def test_illegal_input(arguments, options, error, said):
    with pytest.raises(error, match=said) as found:
        TopKRouter(16, 8)(*arguments, **options)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("pad", [float("nan"), float("inf"), -1e30])
def test_padding_of_any_value_does_not_reach_the_weights(pad, masked):
    router = TopKRouter(5, 4, 2, noise=False)
    x, real = torch.randn(6, 5), torch.tensor([True] * 4 + [False] * 2)
    padded = x.masked_fill(~real.unsqueeze(-1), pad)
    mask = torch.tensor([True, True, True, False]) & real.unsqueeze(-1) if masked else None
    slopes = []
    for inputs, more in ((padded, {"tokens": real}), (x[:4], {})):
        allowed = None if mask is None else mask[: len(inputs)]
        out = router(inputs, allowed, **more)
        loss = out.weights[:, 0].sum() + out.balance_loss + out.z_loss
        slopes.append(torch.autograd.grad(loss, router.scores.weight)[0])
    torch.testing.assert_close(*slopes)
    assert bool(slopes[0].any())


def test_a_relaxation_by_name():
    for name, k in (("subset", 2), ("subset-plackett-luce", 2), ("categorical", 1)):
        router = TopKRouter(6, 3, k, relaxation=name)
        assert router.relax.relaxation.name == name
        assert router(torch.randn(4, 6)).experts.shape == (4, k)
    with pytest.raises(Unsupported, match="does not choose 2 of 3"):
        TopKRouter(6, 3, 2, relaxation="categorical")


def test_logits_are_those_before_the_mask_and_importance_has_no_gradient():
    x = torch.randn(5, 4, requires_grad=True)
    out = TopKRouter(None, 4, 1)(x, torch.tensor([True, True, False, True]))
    assert torch.equal(out.logits, x)
    assert not out.importance.requires_grad
