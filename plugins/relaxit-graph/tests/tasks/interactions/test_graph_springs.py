"""The data set `springs`: the simulator conserves what it must, and the same data each time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relaxit.errors import OptionsError
from relaxit_graph.tasks.interactions import Springs, SpringSystem, random_graphs


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def initial(count=8, nodes=4, kind="independent"):
    """Graphs, positions and velocities in float64."""
    graphs = random_graphs(kind, count, nodes, 2, rng(1)).double()
    x, v = torch.randn(2, count, nodes, 2, generator=rng(), dtype=torch.float64)
    return graphs, x, v


# --- physics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.0, 1.0])
@pytest.mark.parametrize("confinement", [0.0, 0.5])
def test_energy_is_conserved(length, confinement):
    system = SpringSystem(length=length, confinement=confinement)
    graphs, x, v = initial()
    moved = system.simulate(graphs, x, v, 100, 0.1)
    before = system.energy(graphs, x, v)
    after = system.energy(graphs, *moved[:, -1].split(2, -1))
    # Leapfrog errs by the square of the step, 0.02, and does not drift.
    torch.testing.assert_close(after, before, rtol=2e-3, atol=2e-3)
    assert float((moved[:, -1] - moved[:, 0]).abs().mean()) > 0.3  # it moved


def test_the_force_is_the_slope_of_the_energy():
    system, (graphs, x, v) = SpringSystem(1.3, 0.7, 0.2), initial()
    x.requires_grad_()
    (slope,) = torch.autograd.grad(system.energy(graphs, x, v).sum(), x)
    torch.testing.assert_close(system.forces(graphs, x.detach()), -slope)


def test_half_the_step_errs_by_a_quarter():
    graphs, x, v = initial()
    system, ends = SpringSystem(), []
    for interval, frames in ((0.02, 101), (0.01, 201), (0.005, 401)):  # one step per frame
        ends.append(system.simulate(graphs, x, v, frames, interval)[:, -1])
    first, second = ((ends[i] - ends[i + 1]).norm() for i in (0, 1))
    assert 3 < float(first / second) < 5


def test_springs_alone_keep_momentum():
    graphs, x, v = initial()
    moved = SpringSystem(confinement=0.0).simulate(graphs, x, v, 30, 0.2)
    momentum = moved[..., 2:].sum(-2)  # [S, T, 2]
    torch.testing.assert_close(momentum, momentum[:, :1].expand_as(momentum))
    assert float((moved[:, -1, :, 2:] - v).abs().max()) > 0.5  # which that of each node is not


def test_nodes_without_a_spring_do_not_feel_each_other():
    _, x, v = initial(nodes=2)
    elsewhere = x.clone()
    elsewhere[:, 1] += 0.5
    for joined in (False, True):
        pair = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64) * joined
        paths = [
            SpringSystem().simulate(pair.expand(8, 2, 2), start, v, 20, 0.2)[:, :, 0]
            for start in (x, elsewhere)
        ]
        assert torch.equal(*paths) is not joined


def test_the_order_of_nodes_and_the_point_of_view_change_nothing():
    graphs, x, v = initial()
    system, order = SpringSystem(), torch.tensor([2, 0, 3, 1])
    moved = system.simulate(graphs, x, v, 20, 0.2)
    permuted = system.simulate(graphs[:, order][:, :, order], x[:, order], v[:, order], 20, 0.2)
    torch.testing.assert_close(permuted, moved[:, :, order])
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    turned = system.simulate(graphs, x @ turn, v @ turn, 20, 0.2)
    torch.testing.assert_close(turned.unflatten(-1, (2, 2)) @ turn.T, moved.unflatten(-1, (2, 2)))


# --- data set ---------------------------------------------------------------------------------


def test_is_always_the_same_and_disturbs_no_generator():
    before = torch.get_rng_state()
    first, again, other = (Springs(train=20, test=10, seed=seed).load(Path()) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("inputs", "adjacency"):
        assert torch.equal(first.train[name], again.train[name])
        assert torch.equal(first.test[name], again.test[name])
        assert not torch.equal(first.train[name], other.train[name])


@pytest.mark.parametrize(("graph", "edges"), [("tree", 5), ("k-edges", 3), ("independent", None)])
def test_columns(graph, edges):
    data = Springs(nodes=6, graph=graph, edges=3, frames=7, train=30, test=10).load(Path())
    assert data.train.inputs.shape == (30, 7, 6, 4)
    assert data.train.inputs.dtype == torch.float32
    assert data.test["adjacency"].shape == (10, 6, 6)
    assert data.test["adjacency"].dtype == torch.uint8
    if edges:
        assert (data.train["adjacency"].sum((1, 2)) == 2 * edges).all()
    assert float(data.train.inputs.abs().max()) < 20


def test_velocities_are_those_of_the_positions():
    x = Springs(train=20, test=1, frames=40, interval=0.02).load(Path()).train.inputs.double()
    slope = (x[:, 2:, :, :2] - x[:, :-2, :, :2]) / 0.04
    torch.testing.assert_close(slope, x[:, 1:-1, :, 2:], rtol=5e-3, atol=5e-3)


def test_noise_has_its_deviation():
    exact, noisy = (Springs(train=200, test=1, noise=n).load(Path()).train for n in (0.0, 0.3))
    rest = (noisy.inputs - exact.inputs).double()
    # 80 000 numbers: five standard errors, a false alarm in 10^6 seeds.
    assert float(rest.square().mean()) == pytest.approx(0.09, rel=5 * (2 / rest.numel()) ** 0.5)
    assert torch.equal(exact["adjacency"], noisy["adjacency"])


def test_too_many_edges_are_rejected():
    with pytest.raises(OptionsError, match="edges = 7 exceeds the 6 pairs of 4 nodes"):
        Springs(nodes=4, graph="k-edges", edges=7)
