"""Spanning trees: every quantity against enumeration, masks, padding, extremes and bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import kl_divergence
from tree_oracles import INF, MASKS, enumerate_trees, even, mask, normal, undirected

import relaxit
from relaxit import DomainError, Unsupported
from relaxit_graph.trees.spanning_tree import SpanningTree

FLOATS = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def tolerance(dtype):
    return 1e-12 if dtype == torch.float64 else 1e-6


@FLOATS
@pytest.mark.parametrize("scale", [0.0, 1.0, 20.0, 50.0])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_every_quantity_is_that_of_enumeration(n, scale, dtype):
    params = torch.cat([scale * normal(3, n, n), normal(1, n, n) - 12]).to(dtype)
    other = normal(4, n, n, number=1).to(dtype)
    q, p = SpanningTree(nodes=n)(params).discrete, SpanningTree(nodes=n)(other).discrete
    trees, eps = undirected(n), tolerance(dtype)
    listed, second = (enumerate_trees(even(x.double()) / 2, trees) for x in (params, other))
    size = 1 + float(even(params).abs().max())
    close = torch.testing.assert_close
    close(q.mean.double(), listed.mean, rtol=0, atol=eps)
    close(q.entropy().double(), listed.entropy, rtol=0, atol=eps * size)
    log_prob = q.log_prob(trees.to(dtype).unsqueeze(1))
    score = torch.einsum("nij,bij->nb", trees, even(params.double())) / 2 - listed.log_z
    close(log_prob.double(), score, rtol=eps, atol=eps * size)
    ratio = (listed.mass * (score - second.mass.log())).sum(0)
    close(kl_divergence(q, p).double(), ratio, rtol=eps, atol=eps * size)
    best = q.log_prob(q.mode)
    close(best, log_prob.amax(0))


def test_params_of_both_directions_count_half():
    params = normal(3, 5, 5)
    q, symmetric = SpanningTree(nodes=5)(params), SpanningTree(nodes=5)(even(params))
    torch.testing.assert_close(q.discrete.mean, symmetric.discrete.mean)
    trees = SpanningTree(nodes=5)
    tree = trees.enumerate_vertices()[7]
    score = (trees.statistics(tree) * params).sum((-2, -1))
    torch.testing.assert_close(score, (tree * even(params)).sum((-2, -1)) / 2)
    assert torch.equal(trees.from_statistics(trees.statistics(tree)), tree)


@pytest.mark.parametrize("row", range(len(MASKS)))
def test_masked_graphs(row):
    params = even(normal(4, 5, 5)) + MASKS[row]
    q = SpanningTree(nodes=5)(params, 0.5)
    listed = enumerate_trees(params / 2, undirected(5))
    torch.testing.assert_close(q.discrete.mean, listed.mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(q.discrete.entropy(), listed.entropy, rtol=0, atol=1e-12)
    excluded = params == -INF
    for value in (*q.draw((50,)), q.sample_hard((50,))):
        assert not value[excluded.expand_as(value)].any()
    torch.testing.assert_close(kl_divergence(q.discrete, q.discrete), torch.zeros(4).double())


@pytest.mark.parametrize("row", [0, 1])
def test_masked_derivatives_are_those_of_finite_differences(row):
    trees, free = SpanningTree(nodes=5), (MASKS[row] == 0) & ~torch.eye(5, dtype=torch.bool)

    def params(entries):
        zeros = torch.zeros(5, 5, dtype=torch.float64)
        return torch.where(free, zeros.masked_scatter(free, entries), MASKS[row])

    def quantities(entries):
        q = trees(params(entries), 0.7).discrete
        soft = trees.rsample(params(entries), 0.7, torch.Size(), torch.Generator().manual_seed(0))
        return soft, q.entropy(), q.mean, kl_divergence(q, trees(params(entries.flip(0))).discrete)

    entries = normal(int(free.sum())).requires_grad_()
    assert torch.autograd.gradcheck(quantities, (entries,))
    assert torch.autograd.gradgradcheck(lambda x: quantities(x)[:2], (entries,))
    x, temperature = params(entries).detach().requires_grad_(), torch.ones(()).requires_grad_()
    for value in (trees(x, temperature).rsample(), trees(x).discrete.entropy()):
        weights = normal(*value.shape)
        slopes = torch.autograd.grad(
            (value * weights).sum(), (x, temperature), allow_unused=True, materialize_grads=True
        )
        assert all(slope.isfinite().all() for slope in slopes)
        assert not slopes[0].diagonal().any()


@FLOATS
def test_padding_changes_nothing(dtype):
    small, params = even(2 * normal(3, 4, 4)).to(dtype), torch.full((3, 6, 6), -INF, dtype=dtype)
    params[:, :4, :4] = small
    params[:, 4:, 0] = params[:, 0, 4:] = 0.0
    q, p = SpanningTree(nodes=6)(params), SpanningTree(nodes=4)(small)
    torch.testing.assert_close(q.discrete.mean[:, :4, :4], p.discrete.mean)
    torch.testing.assert_close(q.discrete.entropy(), p.discrete.entropy())
    hard = p.sample_hard()
    padded = torch.zeros(3, 6, 6, dtype=dtype)
    padded[:, :4, :4], padded[:, 4:, 0], padded[:, 0, 4:] = hard, 1.0, 1.0
    torch.testing.assert_close(q.discrete.log_prob(padded), p.discrete.log_prob(hard))


@FLOATS
@pytest.mark.parametrize("temperature", [1e-3, 1e-10, 1e-18, 1e-30])
@pytest.mark.parametrize("kind", [float, torch.tensor], ids=["number", "tensor"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cold_samples_are_the_best_tree(scale, kind, temperature, dtype):
    trees = SpanningTree(nodes=7)
    scores = (scale * normal(40, 7, 7)).to(dtype).requires_grad_()
    soft = trees.relax(scores, kind(temperature))
    near = 50 * max(temperature, 1e-8 * scale)  # trees of nearly the same score share the mass
    best = trees.argmax(scores)
    second = [trees.argmax(scores.detach().masked_fill(edge, -1e9)) for edge in _edges_of(best)]
    gaps = torch.stack([((best - other) * even(scores)).sum((-2, -1)) / 2 for other in second])
    clear = gaps.amin(0) > near
    assert clear.float().mean() > 0.3
    torch.testing.assert_close(soft[clear], best[clear].double(), rtol=0, atol=1e-6)
    assert trees.vertices.check(trees.hard(soft)).all()
    (slope,) = torch.autograd.grad((soft * normal(*soft.shape)).sum(), scores)
    assert slope.isfinite().all()


def _edges_of(trees):
    """Masks of the first edge, the second edge, ... of each tree."""
    edges = trees.triu().flatten(1).nonzero()[:, 1].view(len(trees), -1)
    flat = torch.nn.functional.one_hot(edges.mT, trees[0].numel()).bool()
    one_way = flat.view(-1, *trees.shape)
    return one_way | one_way.mT


def test_few_nodes():
    one, two = SpanningTree(nodes=1), SpanningTree(nodes=2)
    q = one(torch.zeros(3, 1, 1, requires_grad=True))
    assert torch.equal(q.rsample(), torch.zeros(3, 1, 1))
    assert one.log_cardinality == 0
    assert torch.equal(q.discrete.entropy(), torch.zeros(3))
    assert torch.equal(q.discrete.log_prob(torch.zeros(3, 1, 1)), torch.zeros(3))
    assert len(one.enumerate_vertices()) == 1
    assert q.sample_hard().shape == (3, 1, 1)
    (slope,) = torch.autograd.grad(q.rsample().sum(), q.params)
    assert not slope.any()
    edge = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert torch.equal(two(normal(2, 2).float()).rsample(), edge)
    assert two.log_cardinality == 0


def test_numbers_of_trees():
    nx = pytest.importorskip("networkx")
    assert SpanningTree(nodes=10).log_cardinality == pytest.approx(8 * math.log(10))
    generator = torch.Generator().manual_seed(0)
    for row in torch.rand(10, 9, 9, generator=generator) < 0.6:
        allowed = row | row.mT
        allowed[0, 1:] = allowed[1:, 0] = True
        params = torch.where(allowed, 0.0, -INF).double()
        entropy = SpanningTree(nodes=9)(params).discrete.entropy()
        graph = nx.from_numpy_array((allowed & ~torch.eye(9, dtype=torch.bool)).numpy().astype(int))
        assert float(entropy.exp()) == pytest.approx(nx.number_of_spanning_trees(graph), rel=1e-9)


@pytest.mark.parametrize(
    "params",
    [
        torch.full((3, 3), torch.nan),
        torch.zeros(3, 3).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(INF)),
        torch.zeros(3, 3).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(-INF)),
        mask(3, (0, 1), (1, 2)).float(),
    ],
    ids=["nan", "inf", "one way", "disconnected"],
)
def test_illegal_params_are_named(params):
    with pytest.raises(DomainError, match="disconnect the graph") as error:
        SpanningTree(nodes=3)(params)
    assert "\n" not in str(error.value)


def test_bad_options_and_shapes():
    with pytest.raises(relaxit.ConfigurationError, match="nodes"):
        SpanningTree(nodes=0)
    with pytest.raises(relaxit.ShapeError):
        SpanningTree(nodes=3)(torch.zeros(3, 4))
    q = SpanningTree(nodes=7)(torch.zeros(7, 7))
    assert not q.discrete.has_enumerate_support
    with pytest.raises(Unsupported, match="at most 6 nodes"):
        q.discrete.enumerate_support()


def test_the_structure_is_found_by_name_and_size():
    for name in ("spanning-tree", "tree", "undirected-tree"):
        assert relaxit.get(name, nodes=4) == SpanningTree(nodes=4)
    assert SpanningTree.sizes(torch.Size([2, 5, 5])) == {"nodes": 5}
    assert SpanningTree.sizes(torch.Size([5])) == {}


def test_noise_belongs_to_edges():
    trees = SpanningTree(nodes=4)
    scores = trees.perturb(torch.zeros(100, 4, 4), torch.Size([3]))
    assert trees.noise_shape == (6,)
    assert torch.equal(scores, scores.mT)
    edges = trees.noised(scores)
    assert edges.shape == (3, 100, 6)
    torch.testing.assert_close(trees.add_noise(torch.zeros(4, 4), edges), scores)
