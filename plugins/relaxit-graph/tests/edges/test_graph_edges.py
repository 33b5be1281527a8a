"""Independent edges against closed forms for each edge."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence
from torch.nn.functional import logsigmoid

import relaxit
from relaxit import DomainError, Unsupported
from relaxit.errors import OptionsError
from relaxit.testing import parametrize_with_checks
from relaxit_graph.edges.edges import Edges

INF = torch.inf
DIRECTED = pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])


@parametrize_with_checks([Edges(nodes=3), Edges(nodes=3, directed=True)])
def test_edges(check):
    check()


def params_of(n, dtype=torch.float64):
    generator = torch.Generator().manual_seed(n)
    params = 3 * torch.randn(5, n, n, generator=generator, dtype=torch.float64)
    params[1] -= 12
    params[2, 0, 1] = -INF
    params[3] *= 20
    return params.to(dtype)


def logits_of(params, directed):
    """Logits of the edges, with the mask of entries that stand for them."""
    n = params.shape[-1]
    if directed:
        return params, ~torch.eye(n, dtype=torch.bool)
    return (params + params.mT) / 2, torch.ones(n, n).triu(1) > 0


@DIRECTED
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_quantities_are_sums_over_edges(directed, dtype, tolerance):
    graph, params = Edges(nodes=4, directed=directed), params_of(4, dtype)
    logits, counted = logits_of(params.double(), directed)
    off = ~torch.eye(4, dtype=torch.bool)
    q = graph(params).discrete
    assert (q.mean.double() - logits.sigmoid() * off).abs().max() < tolerance
    p = logits.sigmoid()
    assert (q.variance.double() - p * (1 - p) * off).abs().max() < tolerance
    entropy = torch.where(counted, torch.special.entr(p) + torch.special.entr(1 - p), 0.0)
    assert (q.entropy().double() - entropy.sum((-2, -1))).abs().max() < 10 * tolerance
    value = q.sample((20,)).double()
    mass = torch.where(counted, logsigmoid(torch.where(value > 0, logits, -logits)), 0.0)
    got = q.log_prob(value.to(dtype)).double()
    assert torch.allclose(got, mass.sum((-2, -1)), rtol=tolerance, atol=tolerance)
    assert torch.equal(q.mode.double(), ((logits > 0) & off).double())
    count = int(counted.sum())
    assert math.isclose(graph.log_cardinality, count * math.log(2))


@DIRECTED
def test_divergences_are_sums_over_edges(directed):
    graph, params = Edges(nodes=4, directed=directed), params_of(4)[[0, 1]]
    other = params.flip(0) / 2
    got = kl_divergence(graph(params).discrete, graph(other).discrete)
    (p, counted), (q, _) = logits_of(params, directed), logits_of(other, directed)
    each = kl_divergence(Bernoulli(logits=p), Bernoulli(logits=q))
    assert torch.allclose(got, torch.where(counted, each, 0.0).sum((-2, -1)), rtol=1e-10)


@DIRECTED
def test_density_is_the_product_of_binary_concrete_ones(directed):
    graph, params = Edges(nodes=3, directed=directed), params_of(3)[0]
    q = graph(params, temperature=0.7)
    soft = q.rsample((10,))
    logits, counted = logits_of(params, directed)
    binary = relaxit.get("binary")(logits, temperature=0.7)
    each = binary.log_prob(torch.where(counted, soft, 0.5))
    want = torch.where(counted, each, 0.0).sum((-2, -1))
    assert torch.allclose(q.log_prob(soft), want, rtol=1e-12)
    assert torch.equal(soft, soft.mT) != directed


@DIRECTED
def test_logits_of_edges_expand(directed):
    params, temperature = params_of(3)[:2], torch.tensor([0.3, 2.0], dtype=torch.float64)
    of_logits = Edges(nodes=3, directed=directed)(params, temperature).log_space
    expanded = of_logits.expand((4, 2))
    drawn = expanded.rsample((5,))
    assert drawn.shape == (5, 4, 2, 6 if directed else 3)
    assert torch.equal(expanded.log_prob(drawn), of_logits.log_prob(drawn))


def test_statistics_give_the_score():
    for directed in (False, True):
        graph, params = Edges(nodes=4, directed=directed), params_of(4)[0]
        logits, counted = logits_of(params, directed)
        value = graph(params).sample_hard((7,))
        score = (params * graph.statistics(value)).sum((-2, -1))
        assert torch.allclose(score, (torch.where(counted, logits, 0.0) * value).sum((-2, -1)))
        assert torch.equal(graph.from_statistics(graph.statistics(value)), value)
        assert graph.noised(params).shape == graph.noise_shape


def test_forced_and_removed_edges():
    params = torch.zeros(3, 3)
    params[0, 1] = params[1, 0] = INF
    params[0, 2] = -INF  # the mean with any number
    value = Edges(nodes=3)(params).sample_hard((100,))
    assert (value[:, 0, 1] == 1).all()
    assert (value[:, 0, 2] == 0).all()
    assert 0 < value[:, 1, 2].mean() < 1


def test_bad_input():
    contradiction = torch.zeros(3, 3)
    contradiction[0, 1], contradiction[1, 0] = INF, -INF
    for params in (
        contradiction,
        torch.full((3, 3), torch.nan),
        torch.diag(torch.full((3,), torch.nan)),
    ):
        with pytest.raises(DomainError, match="NaN, or -inf and \\+inf for one edge") as error:
            Edges(nodes=3)(params)
        assert "\n" not in str(error.value)
    assert Edges(nodes=3, directed=True)(contradiction).sample_hard()[0, 1] == 1
    with pytest.raises(OptionsError):
        Edges(nodes=0)
    with pytest.raises(Unsupported, match=r"2\^21 graphs are too many"):
        Edges(nodes=7).enumerate_vertices()


def test_one_node_has_no_edges():
    q = Edges(nodes=1)(torch.zeros(2, 1, 1))
    assert torch.equal(q.sample_hard(), torch.zeros(2, 1, 1))
    assert torch.equal(q.discrete.entropy(), torch.zeros(2))
