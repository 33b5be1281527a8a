"""Integrals over the support of soft samples, for relaxations that have a density.

A density is understood with respect to Lebesgue measure on the *free coordinates*: a maximal set of
entries of the value that are affinely independent on the support, the other entries being affine
functions of them (K - 1 entries of a simplex). On simplices, hypercubes, hypersimplices and the
polytopes of matroids and of doubly stochastic matrices every choice of such a set gives the same
number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor
from torch.distributions import Chi2

from relaxit.testing.case import RelaxationCase
from relaxit.testing.check import require

__all__ = ["Weighted", "free_dimension", "weigh"]

POINTS = 200_000
HEAVY = 5.0  # degrees of freedom of the proposal: heavier tails than those of smooth noise


@dataclass(frozen=True)
class Weighted:
    """Points of the support with importance weights ``density / proposal``.

    Attributes:
        points: ``[M, *event]``.
        weights: ``[M]``; their mean estimates the integral of the density.
    """

    points: Tensor
    weights: Tensor

    @property
    def integral(self) -> tuple[float, float]:
        """The integral of the density and its standard error."""
        return float(self.weights.mean()), float(self.weights.std() / math.sqrt(len(self.weights)))

    def mean(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard error of ``values`` ``[M, D]`` under the normalised density."""
        total = self.weights.mean()
        mean = (self.weights.unsqueeze(-1) * values).mean(0) / total
        spread = self.weights.unsqueeze(-1) * (values - mean) / total
        return mean, spread.std(0) / math.sqrt(len(values))


def _coordinates(rows: Tensor) -> tuple[list[int], Tensor, Tensor]:
    """Return free coordinates of ``rows`` ``[M, D]``, and the affine map to all entries."""
    centred = (rows - rows.mean(0)).cpu().numpy()
    _, r, pivots = linalg.qr(centred, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    free = sorted(int(p) for p in pivots[: int((diagonal > 1e-8 * diagonal[0]).sum())])
    ones = torch.ones(len(rows), 1, dtype=rows.dtype)
    design = torch.cat([rows.cpu()[:, free], ones], 1)
    solution = torch.linalg.lstsq(design, rows.cpu()).solution
    return free, solution[:-1], solution[-1]


def free_dimension(case: RelaxationCase) -> int:
    """Return the number of free coordinates of a soft sample."""
    rows = case.relaxation(case.params(), 1.0).sample((500,), case.generator(0))
    return len(_coordinates(rows.double().reshape(500, -1))[0])


def weigh(case: RelaxationCase, params: Tensor, temperature: float) -> Weighted:
    """Return weighted points over the support, from a Student proposal fitted to samples.

    A fifth of the points is uniform over the bounding box of the samples. A density that does not
    belong to the samples is then also evaluated away from them.
    """
    event = case.relaxation.event_shape
    distribution = case.relaxation(params, temperature, validate_args=False)
    rows = distribution.sample((20_000,), case.generator(0)).double().reshape(20_000, -1).cpu()
    free, matrix, offset = _coordinates(rows)
    x, log_proposal = _propose(rows[:, free])
    points = (x @ matrix + offset).reshape(len(x), *event).to(case.device, case.dtype)
    # `support` tolerates rounding: it may accept a point beyond the boundary, without density.
    centre = rows.mean(0).reshape(event).to(points)
    further = centre + (points - centre) * (1 + 1e-5)
    inside = (case.relaxation.support.check(points) & case.relaxation.support.check(further)).cpu()
    log_density = torch.full_like(log_proposal, -torch.inf)
    log_density[inside] = distribution.log_prob(points[inside.to(points.device)]).double().cpu()
    lost = int(log_density.isnan().sum())
    require(lost == 0, f"log_prob is NaN at {lost} of {int(inside.sum())} points in support")
    weights = (log_density - log_proposal).exp()
    return Weighted(points.double().cpu(), weights)


def _propose(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return points of the proposal ``[M, d]`` in free coordinates, and its log-density there."""
    d, generator = rows.shape[1], torch.Generator().manual_seed(1)
    centre, scale = rows.mean(0), torch.linalg.cholesky(torch.atleast_2d(rows.T.cov()))
    low, high = rows.amin(0), rows.amax(0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    boxed = POINTS // 5
    normal = torch.randn(POINTS - boxed, d, generator=generator, dtype=rows.dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        mixing = (
            Chi2(torch.tensor(HEAVY, dtype=rows.dtype)).sample((len(normal), 1)) / HEAVY
        ).sqrt()
    student = centre + (normal / mixing) @ scale.T
    uniform = low + (high - low) * torch.rand(boxed, d, generator=generator, dtype=rows.dtype)
    x = torch.cat([student, uniform])
    squares = torch.linalg.solve_triangular(scale, (x - centre).T, upper=False).square().sum(0)
    log_student = (
        math.lgamma((HEAVY + d) / 2)
        - math.lgamma(HEAVY / 2)
        - d / 2 * math.log(HEAVY * math.pi)
        - scale.diagonal().log().sum()
        - (HEAVY + d) / 2 * torch.log1p(squares / HEAVY)
    )
    in_box = ((x >= low) & (x <= high)).all(-1)
    log_box = torch.where(in_box, -(high - low).log().sum(), -torch.inf)
    return x, torch.logaddexp(log_student + math.log(0.8), log_box + math.log(0.2))
