"""When the fused draw on CUDA is used, and what happens if Triton fails."""

from __future__ import annotations

import warnings

import pytest
import torch

from relaxit.categorical.fast import cuda
from relaxit.categorical.fast.cuda import concrete, usable
from relaxit.noise import Streams
from tests.categorical.fast.operators import draw, logits, needs_triton, pull
from tests.helpers import seed


@pytest.fixture
def on_cuda():
    """Tensors that say they are on a GPU, and hold nothing."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        yield lambda *shape, **more: torch.empty(*shape, device="cuda", **more)


@needs_triton
def test_taken_on_cuda_only_for_what_it_can_do(on_cuda):
    assert usable(on_cuda(5, 3), 0.5)
    assert usable(on_cuda(5, 3, requires_grad=True, dtype=torch.bfloat16), on_cuda(5, 1))
    assert usable(on_cuda(cuda.MOST), on_cuda(()))
    assert not usable(torch.empty(5, 3), 0.5)
    assert not usable(on_cuda(5, 3, dtype=torch.float64), 0.5)
    assert not usable(on_cuda(5, 1), 0.5)
    assert not usable(on_cuda(cuda.MOST + 1), 0.5)
    assert not usable(on_cuda(5, 3), torch.tensor(0.5))
    assert not usable(on_cuda(5, 3), on_cuda((), requires_grad=True))
    assert not usable(on_cuda(5, 3), 0.5, Streams([], torch.tensor(0)))


@needs_triton
def test_not_taken_under_transforms(on_cuda):
    asked = []

    def cost(a):
        asked.append(usable(a, 0.5))
        return a.sum()

    torch.vmap(cost)(on_cuda(2, 3))
    torch.func.vjp(cost, on_cuda(3))
    assert asked == [False, False]


def test_the_question_is_settled_while_compiling(monkeypatch):
    monkeypatch.setattr(cuda, "uses_triton", lambda tensor: True)

    def tell(a, tau):
        rows = torch.vmap(lambda row: row * (2 if usable(row, 0.5) else 3))(a)
        return rows, a * (2 if usable(a, tau, None) else 3)

    a = torch.ones(2, 3)
    told = torch.compile(tell, fullgraph=True, backend="aot_eager")(a, torch.rand(2, 1))
    assert [float(each[0, 0]) for each in told] == [3.0, 2.0]


@needs_triton
def test_shapes_are_known_without_a_device(on_cuda):
    a = on_cuda(4, 3, requires_grad=True)
    soft, hard = concrete(a, 0.5, torch.Size([2]), hard=True)
    assert soft.shape == hard.shape == (2, 4, 3)
    assert soft.is_cuda
    assert soft.requires_grad
    back = torch.ops.relaxit.concrete_backward(on_cuda(8, 3), on_cuda(8, 3), None, 0.5, 4)
    assert back.shape == (8, 3)


@pytest.mark.parametrize("step", ["forward", "backward"])
def test_a_failing_compiler_gives_the_reference_implementation_and_one_warning(step, monkeypatch):
    a, g = logits(4, 5), torch.randn(4, 5, generator=seed(1))
    soft, hard = draw(a, 0.5)
    asked = []
    monkeypatch.setattr(cuda, "triton_works", True)
    # Nothing here can run a program on the CPU: whatever is raised, with Triton or without.
    monkeypatch.setattr(cuda, "uses_triton", lambda tensor: asked.append(1) or cuda.triton_works)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            if step == "forward":
                found = draw(a, 0.5)
                assert torch.equal(found[0], soft)
                assert torch.equal(found[1], hard)
            else:
                pull(g, soft, 0.5, 4)
    assert len(asked) == 2
    assert sum("Triton failed" in str(each.message) for each in told) == 1
    assert not cuda.triton_works
