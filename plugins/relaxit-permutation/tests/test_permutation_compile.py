"""Compiled in one graph, and under vmap, it is the same; and on a device that is not there."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo.testing
from permutation_helpers import close, gumbel, normal
from torch._subclasses.fake_tensor import FakeTensorMode

import relaxit
from relaxit_permutation.matrices.assignment import assign, matchable
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sorting.ranking import soft_permutation

STRUCTURES = pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("permutation", {"n": 5}, (5, 5)),
        ("matching", {"rows": 3, "columns": 5}, (3, 5)),
        ("partial-matching", {"rows": 4, "columns": 3}, (4, 3)),
    ],
)


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=True)


def slope(function, x, *rest):
    leaf = x.clone().requires_grad_()
    value = function(leaf, *rest)
    upstream = normal(*value.shape, number=1).to(value)
    return value.detach(), torch.autograd.grad(value, leaf, upstream)[0]


# --- compiled ---------------------------------------------------------------------------------


@STRUCTURES
def test_one_graph_for_any_batch_and_temperature(name, options, shape):
    structure = relaxit.get(name, **options)

    def step(params, noise, temperature):
        scores = params + noise
        soft = structure.relax(scores, temperature)
        hard = structure.argmax(scores.detach())
        mixed = hard - soft.detach() + soft
        return mixed * soft + structure.kl_to_uniform(params).mean()

    def run(function, batch, value):
        noise = gumbel(batch, *shape, number=batch)
        return slope(function, normal(batch, *shape), noise, torch.tensor(value).double())

    function = compiled(step)
    run(function, 6, 0.5)
    with torch.compiler.set_stance("fail_on_recompile"):
        for batch, value in ((6, 0.1), (9, 1.0), (17, 0.02)):
            got, want = run(function, batch, value), run(step, batch, value)
            for one, other in zip(got, want, strict=True):
                close(one, other, 1e-9)


@STRUCTURES
def test_a_draw(name, options, shape):
    structure = relaxit.get(name, **options)

    def draw(params):
        soft, hard = structure(params, 0.5).draw((2,))
        return soft + hard

    torch.manual_seed(1)
    got = slope(compiled(draw), normal(4, *shape))
    torch.manual_seed(1)
    want = slope(draw, normal(4, *shape))
    for one, other in zip(got, want, strict=True):
        close(one, other, 1e-9)


def test_opcheck():
    x = gumbel(3, 4, 4).requires_grad_()
    torch.library.opcheck(torch.ops.relaxit_permutation.assign, (x.detach(),))
    torch.library.opcheck(torch.ops.relaxit_permutation.matchable, (x.detach() > 0,))
    sums = torch.ones(4).double()
    args = (x.detach(), sums, sums, 200, 40, 1e-13, 1e-4)
    torch.library.opcheck(torch.ops.relaxit_permutation.scale, args)


@pytest.mark.usefixtures("all_converge")
@pytest.mark.parametrize("kind", ["softsort", "neuralsort", "sinkhorn", None])
def test_compiled_for_a_temperature_that_changes(kind):
    def soft(x, t):
        return sinkhorn(x, t) if kind is None else soft_permutation(x, t, kind)

    x = gumbel(3, 4, 4).float() if kind is None else normal(3, 4).float()
    floats = [1.0, 0.9, 0.8, 0.7]
    for values, most in ((floats, 2), ([torch.tensor(t) for t in floats], 1)):
        torch._dynamo.reset()
        counter = torch._dynamo.testing.CompileCounter()
        graph = torch.compile(soft, backend=counter, fullgraph=True)
        for t in values:
            close(graph(x, t), soft(x, t), 1e-6)
        assert counter.frame_count <= most


@pytest.mark.slow
def test_batches_of_any_size_share_a_graph():
    n = 13  # marginals by the integral
    structure = PermutationPlackettLuce(n=n)

    def every(scores):
        soft = structure(scores, 0.5).draw(generator=None)[0]
        kl = structure(scores).kl_to_uniform()
        return structure.discrete(scores).mean + structure.hard(soft) * 0 + kl[..., None, None]

    torch._dynamo.reset()
    graph = torch.compile(every, fullgraph=True, backend="aot_eager")
    for batch in (7, 9):
        close(graph(normal(batch, n)), every(normal(batch, n)), 1e-12)
    with torch.compiler.set_stance("fail_on_recompile"):
        close(graph(normal(11, n)), every(normal(11, n)), 1e-12)


# --- vmap -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n"), [(4, 4), (3, 5)])
def test_vmap(m, n):
    x = gumbel(3, 2, m, n)
    want = sinkhorn(x, 0.3)
    close(torch.vmap(lambda x: sinkhorn(x, 0.3))(x), want, 1e-10)
    close(torch.vmap(lambda x: sinkhorn(x, 0.3), 1, 1)(x), want, 1e-10)
    close(
        torch.vmap(lambda x: sinkhorn(x, 0.3), -1, -1)(x.movedim(0, -1)).movedim(-1, 0), want, 1e-10
    )
    close(torch.vmap(torch.vmap(lambda x: sinkhorn(x, 0.3)))(x), want, 1e-10)
    temperatures = torch.tensor([0.2, 1.0, 5.0]).double()
    got = torch.vmap(sinkhorn)(x, temperatures)
    close(got, sinkhorn(x, temperatures.view(3, 1, 1, 1)), 1e-10)
    got = torch.vmap(sinkhorn, (None, 0))(x[0], temperatures)
    close(got, sinkhorn(x[0], temperatures.view(3, 1, 1, 1)), 1e-10)


@pytest.mark.parametrize(
    ("places", "shapes"),
    [
        ((0, None, None), ((5, 2, 3, 4), (3,), (4,))),
        ((0, 0, 0), ((5, 2, 3, 4), (5, 3), (5, 4))),
        ((None, 0, 0), ((2, 3, 4), (5, 3), (5, 4))),
        ((0, 0, None), ((5, 2, 3, 4), (5, 2, 3), (4,))),
        ((1, 1, 1), ((2, 5, 3, 4), (2, 5, 3), (2, 5, 4))),
    ],
    ids=str,
)
def test_vmap_over_the_sums(places, shapes):
    x = normal(*shapes[0])
    # One total for all, so that any rows fit any columns.
    rows = 12 * normal(*shapes[1], number=1).softmax(-1)
    columns = 12 * normal(*shapes[2], number=2).softmax(-1)

    def only(x, rows, columns):
        return scaled(x, rows, columns)[0]

    got = torch.vmap(only, places)(x, rows, columns)
    for i, one in enumerate(got):
        pick = [
            each if place is None else each.select(place, i)
            for each, place in zip((x, rows, columns), places, strict=True)
        ]
        close(one, only(*pick), 1e-9)


@pytest.mark.parametrize(("m", "n"), [(4, 4), (3, 5)])
def test_vmap_of_the_gradient(m, n):
    x, g = gumbel(6, m, n), normal(6, m, n)

    def loss(x, g):
        return (sinkhorn(x, 0.4) * g).sum()

    got = torch.vmap(torch.func.grad(loss))(x, g)
    want = torch.stack([torch.func.grad(loss)(*each) for each in zip(x, g, strict=True)])
    close(got, want, 1e-9)
    hessian = torch.func.jacrev(torch.func.grad(loss))(x[0], g[0]).view(m * n, m * n)
    close(hessian, hessian.mT, 1e-8)
    rows = torch.func.jacrev(lambda x: sinkhorn(x, 0.4))(x[0]).view(m * n, m * n)
    close(
        rows,
        torch.autograd.functional.jacobian(lambda x: sinkhorn(x, 0.4), x[0]).view_as(rows),
        1e-9,
    )


def test_vmap_of_the_structure():
    structure, params = relaxit.get("permutation", n=4), normal(5, 4, 4)
    close(torch.vmap(structure.kl_to_uniform)(params), structure.kl_to_uniform(params), 1e-9)
    assert torch.equal(torch.vmap(structure.hard)(params.exp()), structure.hard(params.exp()))
    assert torch.equal(torch.vmap(structure.valid_params)(params), structure.valid_params(params))


# --- a device that is not there ---------------------------------------------------------------


def relaxed(x, m, n):
    name, options = ("permutation", {"n": n}) if m == n else ("matching", {"rows": m, "columns": n})
    structure = relaxit.get(name, **options)
    soft, hard = structure(x, 0.5).draw((2,))
    return structure.kl_to_uniform(x).sum() + (soft + hard).sum() + structure.hard(soft).sum()


@pytest.mark.parametrize(("m", "n"), [(4, 4), (3, 5)])
def test_fake_tensors_on_another_device(m, n):
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(2, m, n, device="cuda")
        p = sinkhorn(x, 0.5)
        assert p.shape == x.shape
        assert p.device.type == "cuda"
        for each in scaled(x, x.new_ones(m), x.new_full((n,), m / n)):
            assert each.device.type == "cuda"
        assert relaxed(x, m, n).device.type == "cuda"
        assert assign(x).device.type == "cuda"
        assert matchable(x > 0).device.type == "cuda"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0, 10.0])
@pytest.mark.parametrize(("m", "n"), [(5, 5), (32, 32), (100, 100), (5, 9)])
def test_cuda_equals_the_cpu(m, n, temperature):
    x = gumbel(8, m, n)
    got, want = slope(sinkhorn, x.cuda(), temperature), slope(sinkhorn, x, temperature)
    close(got[0].cpu(), want[0], 1e-4)
    close(got[1].cpu() * temperature, want[1] * temperature, 1e-3)
    assert torch.equal(assign(x.cuda()).cpu(), assign(x))
