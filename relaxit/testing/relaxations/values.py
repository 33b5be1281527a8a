"""Checks of where soft and hard samples lie, and that they belong together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.testing.case import RelaxationCase, countable, varies
from relaxit.testing.check import relaxation_check, require
from relaxit.testing.relaxations.randomness import random_state
from relaxit.testing.relaxations.support import require_in_support

__all__ = [
    "draw_shares_its_noise",
    "excess_distance",
    "hard_carries_no_gradient",
    "hard_in_vertices",
    "hard_is_a_function",
    "hard_is_the_nearest_vertex",
    "hard_of_hard_is_itself",
    "have_equally_many_ones",
    "low_temperature_gives_hard_values",
    "soft_in_support",
    "squared_distance",
    "support_ends_at_the_vertices",
    "ties_give_a_vertex",
    "vertex_divergence",
    "vertices_takes_no_other",
]

TEMPERATURES = (0.01, 0.1, 1.0, 10.0)


@relaxation_check()
def soft_in_support(case: RelaxationCase) -> None:
    """Soft samples lie in `support`, in every claimed dtype, at temperatures from 0.01 to 10. Why:
    a decoder that gets a row with sum 1.003 learns from the error."""
    for dtype in case.dtypes:
        for temperature in TEMPERATURES:
            q = case.relaxation(3 * case.params(50, dtype=dtype), temperature)
            for soft in (q.rsample((20,)), q.draw((20,))[0]):
                require_in_support(case, soft, where=f"{dtype}, temperature {temperature}")


@relaxation_check()
def hard_in_vertices(case: RelaxationCase) -> None:
    """Hard samples lie in `vertices`, to the last bit, in every claimed dtype. Why: users read them
    with `z == 1` and `z.argmax()`."""
    for dtype in case.dtypes:
        for temperature in TEMPERATURES:
            q = case.relaxation(3 * case.params(50, dtype=dtype), temperature)
            soft, hard = q.draw((20,))
            for method, value in {
                "draw": hard,
                "hard(soft)": q.hard(soft),
                "sample_hard": q.sample_hard((20,)),
            }.items():
                inside = bool(case.relaxation.vertices.check(value).all())
                require(inside, f"{method} of {dtype} params is not a vertex")


@relaxation_check()
def hard_of_hard_is_itself(case: RelaxationCase) -> None:
    """`hard` of a hard sample is that sample. Why: `hard` is a projection onto the vertices."""
    hard = case.relaxation(case.params(50)).sample_hard((20,))
    again = case.relaxation.hard(hard)
    require(torch.equal(hard, again), "hard of a hard sample differs from the sample")


@relaxation_check()
def hard_is_a_function(case: RelaxationCase) -> None:
    """`hard` of a soft sample is the same in each call and uses no random number. Why: a fresh draw
    would not belong to the soft sample."""
    soft = case.relaxation(case.params(50), 1.0).sample((20,))
    before = random_state(case.device)
    first = case.relaxation.hard(soft)
    require(torch.equal(before, random_state(case.device)), "hard uses the random generator")
    torch.manual_seed(99)
    require(torch.equal(first, case.relaxation.hard(soft)), "hard differs from call to call")


@relaxation_check(absent=countable())
def hard_is_the_nearest_vertex(case: RelaxationCase) -> None:
    """No vertex is nearer to a soft sample than its `hard` vertex, in Euclidean distance or, where
    all vertices have the same number of ones, in KL divergence. Why: rounding to another vertex
    gives hard samples of another distribution."""
    soft = case.relaxation(case.params(30), 1.0).sample((50,)).flatten(0, 1)
    hard = case.relaxation.hard(soft)
    excess = excess_distance(soft, hard, case.vertices, squared_distance)
    if excess >= 1e-5 and have_equally_many_ones(case.vertices):
        excess = min(excess, excess_distance(soft, hard, case.vertices, vertex_divergence))
    require(excess < 1e-5, f"a vertex is nearer to a soft sample than hard(soft), by {excess:.3g}")


def excess_distance(
    soft: Tensor, hard: Tensor, vertices: Tensor, measure: Callable[[Tensor, Tensor], Tensor]
) -> float:
    """Return how much farther than the nearest vertex a hard sample is from its soft sample.

    Args:
        soft: soft samples, ``[M, *event]``.
        hard: their hard samples, ``[M, *event]``.
        vertices: all vertices, ``[N, *event]``.
        measure: distance of each soft sample from a vertex, ``[M]``.

    Returns:
        The greatest excess; 0 if every hard sample is a nearest vertex.
    """
    distances = torch.stack([measure(soft, vertex) for vertex in vertices])
    return float((measure(soft, hard) - distances.amin(0)).max())


def squared_distance(rows: Tensor, vertex: Tensor) -> Tensor:
    """Return the squared Euclidean distance of each soft sample from a vertex."""
    square = (rows - vertex).square()
    return square.flatten(1).sum(-1) if square.dim() > 1 else square


def vertex_divergence(rows: Tensor, vertex: Tensor) -> Tensor:
    """Return the KL divergence of a vertex of zeros and ones from each soft sample."""
    bits = -vertex * rows.clamp_min(torch.finfo(rows.dtype).tiny).log()
    return bits.flatten(1).sum(-1) if bits.dim() > 1 else bits


def have_equally_many_ones(vertices: Tensor) -> bool:
    """Whether the vertices consist of zeros and a fixed number of ones."""
    ones = vertices.flatten(1).sum(-1) if vertices.dim() > 1 else vertices
    return bool(((vertices == 0) | (vertices == 1)).all() & (ones == ones[0]).all())


@relaxation_check()
def hard_carries_no_gradient(case: RelaxationCase) -> None:
    """Hard samples do not require a gradient, even if params do. Why: whether a gradient passes is
    the choice of the estimator, not of the structure."""
    params = case.params(3).requires_grad_()
    q = case.relaxation(params, 0.7)
    soft, hard = q.draw()
    require(soft.requires_grad, "the soft sample of draw carries no gradient")
    values = {"draw": hard, "hard": q.hard(soft), "sample_hard": q.sample_hard()}
    if case.relaxation.capabilities.discrete_distribution:
        values["discrete.sample"] = q.discrete.sample()
    for name, value in values.items():
        require(not value.requires_grad, f"the hard sample of {name} carries a gradient")
    require(not q.sample().requires_grad, "sample() carries a gradient")


@relaxation_check(absent=varies(), needs=("hard_of_hard_is_itself",))
def low_temperature_gives_hard_values(case: RelaxationCase) -> None:
    """As the temperature falls from 1 to 0.01, soft samples approach their hard ones, and above 1
    the temperature still has an effect. Why: if it is ignored, a model is trained on other samples
    than those it is used with."""
    params = case.params(200)
    soft = {
        temperature: case.relaxation(params, temperature).sample((5,), case.generator(1))
        for temperature in (10.0, 4.0, 1.0, 0.1, 0.03, 0.01)
    }
    gaps = [float((soft[t] - case.relaxation.hard(soft[t])).abs().mean()) for t in (1, 0.1, 0.01)]
    shown = ", ".join(f"{gap:.3g}" for gap in gaps)
    falls = gaps[0] > gaps[1] > gaps[2] or gaps[0] < 1e-6
    require(falls, f"the mean distance at temperatures 1, 0.1, 0.01 does not fall: {shown}")
    require(
        gaps[2] <= 0.3 * gaps[0],
        f"the mean distance hardly falls at temperatures 1, 0.1, 0.01: {shown}",
    )
    for higher, lower in ((10.0, 4.0), (0.03, 0.01)):
        same = torch.allclose(soft[higher], soft[lower], rtol=1e-3, atol=case.tolerance)
        require(
            not same or gaps[2] < 1e-3 * gaps[0],
            f"temperatures {higher} and {lower} give the same samples",
        )


@relaxation_check(needs=("hard_in_vertices", "low_temperature_gives_hard_values"))
def draw_shares_its_noise(case: RelaxationCase) -> None:
    """At a low temperature the soft and the hard sample of one `draw` belong together. Why: a
    straight-through gradient with other noise is the gradient of another sample."""
    q = case.relaxation(case.params(2, 100), 0.01)
    soft, hard = q.draw((5,))
    near = case.relaxation.hard(soft)
    same = (near == hard).flatten(3).all(-1) if hard.dim() > 3 else near == hard
    share = float(same.double().mean())
    require(share > 0.95, f"hard(soft) equals the hard sample in only {share:.0%} of draws")


@relaxation_check(absent=countable())
def ties_give_a_vertex(case: RelaxationCase) -> None:
    """`hard` of a point between vertices, where scores tie, is a vertex. Why: half precision
    produces ties, and a matrix with a repeated column is not a permutation."""
    vertices = case.vertices[:50]
    centre = case.vertices.mean(0, keepdim=True)
    pairs = (vertices.unsqueeze(0) + vertices.unsqueeze(1)).flatten(0, 1) / 2
    for dtype in case.dtypes:
        for points in (centre, pairs):
            hard = case.relaxation.hard(points.to(dtype))
            inside = bool(case.relaxation.vertices.check(hard).all())
            require(inside, f"hard of a tie in {dtype} is not a vertex")


@relaxation_check(absent=countable())
def vertices_takes_no_other(case: RelaxationCase) -> None:
    """`vertices` accepts every enumerated value, and rejects points between two of them, soft
    samples and values with one entry changed. Why: a discrete distribution would otherwise give
    mass to points that are not values."""
    listed, accepts = case.vertices.unique(dim=0)[:100], case.relaxation.vertices.check
    require(bool(accepts(listed).all()), "an enumerated value is rejected")
    soft = case.relaxation(case.params(50), 1.0).sample()
    inner = (soft != case.relaxation.hard(soft)).reshape(50, -1).any(-1)
    not_values = {
        "a soft sample": soft[inner],
        "the middle of two values": (listed[:1] + listed[1:]) / 2,
    }
    rows = listed.reshape(len(listed), -1)
    for entry in range(min(rows.shape[1], 20)):
        changed = rows.clone()
        changed[:, entry] = rows.amin() + rows.amax() - rows[:, entry]
        known = case.vertices.reshape(1, len(case.vertices), -1)
        new = (changed.unsqueeze(1) != known).any(-1).all(1)
        if bool(new.any()):
            points = changed[new].reshape(-1, *case.relaxation.event_shape)
            not_values[f"a value with entry {entry} changed"] = points
    for name, points in not_values.items():
        require(not bool(accepts(points).any()), f"{name} is accepted as a value")


@relaxation_check(absent=countable())
def support_ends_at_the_vertices(case: RelaxationCase) -> None:
    """`support` accepts every value and the mean of all values, and no point beyond the outermost
    values. Why: it is used to detect wrong soft samples, and densities are integrated over it."""
    listed, accepts = case.vertices[:100], case.relaxation.support.check
    centre = case.vertices.mean(0)
    require(bool(accepts(listed).all()), "a value is rejected")
    require(bool(accepts(centre.unsqueeze(0)).all()), "the mean of the values is rejected")
    away = (listed - centre).reshape(len(listed), -1).square().sum(-1)
    # Corners only: another value may lie between two of them.
    outer = listed[away > 0.999 * away.max()]
    beyond = accepts(centre + 2 * (outer - centre))
    require(
        not bool(beyond.any()),
        f"{int(beyond.sum())} of {len(beyond)} points beyond a value are accepted",
    )
