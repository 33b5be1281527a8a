"""Draws under ``torch.utils.checkpoint``: the same numbers again, or an error."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)
from torch.utils.flop_counter import FlopCounterMode

import relaxit
from relaxit import Unsupported, noise, tracing
from relaxit.noise import Handle, Streams
from relaxit.noise.sfc64 import LEAST

SIZES = pytest.mark.parametrize("rows", [3, LEAST], ids=["torch.rand", "sfc64"])
REENTRANT = pytest.mark.parametrize("reentrant", [True, False])
CATEGORICAL = relaxit.get("categorical", categories=4)
SEGMENTS = {
    "rsample": lambda logits, source: CATEGORICAL(logits, 0.5).rsample((), source),
    "straight-through": lambda logits, source: relaxit.estimator("st-gumbel").sample(
        CATEGORICAL(logits, 0.5), generator=source
    ),
    # Without gradient inside, but another sample in the recomputation would change the rest.
    "hard": lambda logits, source: logits * CATEGORICAL(logits).sample_hard((), source),
    "binary": lambda logits, source: relaxit.get("binary")(logits, 0.5).rsample((), source),
    "variates": lambda logits, source: logits * noise.gumbel(logits.shape, generator=source),
}
ANY = pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS)


def logits_of(rows: int) -> torch.Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(rows)).requires_grad_()


def slope(run, logits: torch.Tensor) -> torch.Tensor:
    """The gradient through two segments, from one state of the global generator."""
    torch.manual_seed(7)
    value = run(run(logits).exp())
    weights = torch.linspace(-1, 1, value.numel()).view(value.shape)
    logits.grad = None
    (value * weights).sum().backward()
    assert logits.grad is not None
    return logits.grad


@ANY
@SIZES
@REENTRANT
def test_the_global_generator_gives_the_same_sample_again(segment, rows, reentrant):
    logits = logits_of(rows)

    def run(x):
        return checkpoint(segment, x, None, use_reentrant=reentrant)

    assert torch.equal(slope(run, logits), slope(lambda x: segment(x, None), logits))


@SIZES
@pytest.mark.parametrize("early", [True, False])
def test_so_it_does_with_and_without_early_stop(rows, early):
    logits, segment = logits_of(rows), SEGMENTS["rsample"]

    def run(x):
        with set_checkpoint_early_stop(early):
            return checkpoint(segment, x, None, use_reentrant=False)

    assert torch.equal(slope(run, logits), slope(lambda x: segment(x, None), logits))


@SIZES
def test_so_it_does_in_selective_checkpointing(rows):
    logits, products = logits_of(rows), torch.ops.aten.mm.default

    def contexts():
        return create_selective_checkpoint_contexts(
            lambda _, operator, *args, **kwargs: (
                CheckpointPolicy.MUST_SAVE
                if operator == products
                else CheckpointPolicy.MUST_RECOMPUTE
            )
        )

    def segment(x):  # an operation is observed, so numbers of any size come from torch.rand
        return x @ torch.ones(4, 4) * noise.uniform(x.shape) + SEGMENTS["rsample"](x, None)

    def run(x):
        return checkpoint(segment, x, use_reentrant=False, context_fn=contexts)

    def plain(x):
        with FlopCounterMode(display=False):
            return segment(x)

    torch.testing.assert_close(slope(run, logits), slope(plain, logits))


def sources() -> dict[str, object]:
    generator = torch.Generator().manual_seed(3)
    return {
        "generator": generator,
        "handle": Handle.of(generator),
        "streams": Streams([generator], torch.zeros((), dtype=torch.int64)),
    }


@ANY
@REENTRANT
@SIZES
def test_another_generator_is_an_error_in_the_recomputation(segment, rows, reentrant):
    """It would go on with other numbers, and the gradient would be that of another sample."""
    source = torch.Generator().manual_seed(3)
    value = checkpoint(segment, logits_of(rows), source, use_reentrant=reentrant)
    with pytest.raises(Unsupported, match=r"torch\.utils\.checkpoint.*generator=None") as caught:
        value.sum().backward()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["handle", "streams"])
def test_so_is_what_stands_for_one(kind):
    held = sources()
    logits, segment = logits_of(3), SEGMENTS["variates"]
    value = checkpoint(segment, logits, held[kind], use_reentrant=False)
    with pytest.raises(Unsupported, match="generator=None"):
        value.sum().backward()


def test_so_is_a_generator_of_gammas():
    def segment(x):
        return x * tracing.standard_gamma(torch.ones(3), torch.Generator().manual_seed(0))

    value = checkpoint(segment, torch.ones(3, requires_grad=True), use_reentrant=False)
    with pytest.raises(Unsupported, match="generator=None"):
        value.sum().backward()


def test_compiled_code_that_is_called_again_is_an_error_too():
    handle = Handle.of(torch.Generator().manual_seed(3))
    torch.compiler.reset()
    draw = torch.compile(lambda x: x * noise.uniform((3,), generator=handle), backend="aot_eager")
    value = checkpoint(draw, torch.ones(3, requires_grad=True), use_reentrant=False)
    with pytest.raises(Unsupported, match="generator=None"):
        value.sum().backward()


@ANY
def test_the_generator_can_be_used_outside_of_the_segment(segment):
    source, logits = torch.Generator().manual_seed(3), logits_of(3)
    value = segment(logits, source)
    kept = checkpoint(torch.exp, value, use_reentrant=False)
    kept.sum().backward()
    assert logits.grad.isfinite().all()
    assert segment(logits, source).isfinite().all()


def test_a_generator_in_a_hook_is_an_error():
    x = torch.ones(3, requires_grad=True)
    x.register_hook(lambda grad: grad + noise.uniform((3,), generator=torch.Generator()))
    with pytest.raises(Unsupported, match="backward pass"):
        x.sum().backward()


@REENTRANT
def test_the_recomputation_is_seen_without_the_private_name(monkeypatch, reentrant):
    monkeypatch.setattr(tracing, "torch_backward_number", None)
    segment, source = SEGMENTS["rsample"], torch.Generator()
    logits = logits_of(3)
    assert not tracing.in_backward()
    value = checkpoint(segment, logits, source, use_reentrant=reentrant)
    with pytest.raises(Unsupported, match="generator=None"):
        value.sum().backward()
    again = checkpoint(segment, logits, None, use_reentrant=reentrant)
    again.sum().backward()
    assert logits.grad.isfinite().all()


def test_transforms_that_run_a_backward_pass_inside_may_draw():
    """Nested differentiation calls the function in the forward pass only."""
    source = torch.Generator().manual_seed(0)

    def cost(logits):
        return CATEGORICAL(logits, 0.5).rsample((), source).square().sum()

    logits = torch.randn(4, generator=torch.Generator().manual_seed(1))
    assert torch.func.jacrev(torch.func.grad(cost))(logits).isfinite().all()
    hessian = torch.autograd.functional.hessian(cost, logits)
    assert hessian.isfinite().all()
