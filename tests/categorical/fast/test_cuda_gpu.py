"""The fused Concrete draw on a GPU."""

from __future__ import annotations

import itertools

import pytest
import torch

import relaxit
from relaxit.categorical.fast import cuda
from relaxit.categorical.fast.cuda import concrete, usable
from relaxit.testing import wrong_distribution, wrong_frequencies
from tests.categorical.fast.operators import ROWS, SHORT, draw, key, logits, needs_triton, pull
from tests.conftest import needs_cuda
from tests.helpers import seed


@pytest.fixture
def gpu():
    return torch.device("cuda")


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize(
    ("k", "dtype", "copies"), [*itertools.product((2, 10, 1000), SHORT, (1, 3))]
)
def test_gpu_equals_cpu(k, dtype, copies, gpu):
    a, tau = logits(ROWS[k], k, dtype), torch.linspace(0.3, 3, ROWS[k])
    soft, hard = draw(a, tau, copies)
    g = torch.randn(soft.shape, generator=seed(2)).to(dtype)
    found = torch.ops.relaxit.concrete(a.to(gpu), tau.to(gpu), None, key(5).to(gpu), copies, 1, 1)
    back = pull(g.to(gpu), soft.to(gpu), tau.to(gpu), ROWS[k]).cpu()
    assert cuda.triton_works, "Triton failed"
    near = 2 * SHORT[dtype]
    torch.testing.assert_close(found[0].cpu(), soft, rtol=near, atol=near)
    # The device's logarithm is off by a millionth: a tie within that may fall either way.
    assert float((found[1].cpu() != hard).any(-1).float().mean()) < 1e-2
    torch.testing.assert_close(back, pull(g, soft, tau, ROWS[k]), rtol=near, atol=near)


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize("k", [2, 10, 1000, cuda.MOST])
def test_gpu_distribution(k, gpu):
    a = torch.randn(k, generator=seed(3))
    source = seed(4, gpu)
    size = torch.Size([20_000 if k < 1000 else 2000])
    _, hard = concrete(a.to(gpu), 1.0, size, source, soft=False, hard=True)
    groups = torch.arange(k) * 10 // k
    mass = torch.zeros(10).index_add_(0, groups, a.softmax(-1))
    assert bool((hard.sum(-1) == 1).all())
    found = torch.bincount(groups[hard.argmax(-1).cpu()], minlength=10)
    assert not wrong_frequencies(found, mass)
    # The greatest values of the noise, which decide: log-sums of exponentials stay exponential.
    soft, _ = concrete(torch.zeros(40_000, 2, device=gpu), 1.0, generator=source)
    assert not wrong_distribution((soft[:, 0].log() - soft[:, 1].log()).cpu(), "logistic")


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_gpu_compiles_whole(gpu):
    distribution = relaxit.get("categorical", categories=5)

    def cost(a):
        soft, hard = distribution(a, 0.5, validate_args=False).draw()
        return (soft * hard).sum()

    a = logits(40, 5).clamp(-9).to(gpu).requires_grad_()
    torch.compile(cost, fullgraph=True)(a).backward()
    assert bool(a.grad.isfinite().all())


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_gpu_graph_draws_anew(gpu):
    a, number = logits(40, 5).to(gpu), key(5).to(gpu)
    given = (a, None, 0.5, number, 1, True, False)
    torch.ops.relaxit.concrete(*given)  # compiled before it is captured
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        soft, _ = torch.ops.relaxit.concrete(*given)
    graph.replay()
    first = soft.clone()
    graph.replay()
    assert torch.equal(soft, first)
    number.fill_(6)
    graph.replay()
    assert not torch.equal(soft, first)
    torch.testing.assert_close(soft.cpu(), draw(a.cpu(), 0.5, number=6)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_gpu_does_not_wait(gpu):
    a = logits(40, 5).to(gpu).requires_grad_()
    tau = torch.full((40, 1), 0.5, device=gpu)
    assert usable(a, tau)
    concrete(a, tau, torch.Size([2]), hard=True)[0].sum().backward()  # compiled
    torch.cuda.set_sync_debug_mode("error")
    try:
        concrete(a, tau, torch.Size([2]), hard=True)[0].sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
