"""Particles joined by springs: simulated trajectories whose interaction graph is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from relaxit import Options
from relaxit.data import Dataset, Examples, Splits
from relaxit_graph.tasks.interactions.graphs import Kind, random_graphs

__all__ = ["SpringSystem", "Springs"]

_STEP = 0.02  # time of an integration step, about
_SOFTENING = 0.3  # keeps the force smooth where two particles meet


@dataclass(frozen=True)
class SpringSystem:
    r"""Particles of unit mass in a plane, some of them joined by springs, in a potential well.

    The potential energy of positions :math:`x` is, with :math:`d_{ij}^2 = |x_i - x_j|^2 + s^2` and
    a small softening :math:`s`,

    .. math:: \sum_{i < j} \tfrac{1}{2} A_{ij} k (d_{ij} - l)^2 + \sum_i \tfrac{1}{2} c |x_i|^2.

    Attributes:
        stiffness: k, of the springs.
        length: l, at which a spring is at rest.
        confinement: c, of the well, which keeps particles together that no spring joins.
    """

    stiffness: float = 1.0
    length: float = 1.0
    confinement: float = 0.1

    def forces(self, adjacency: Tensor, positions: Tensor) -> Tensor:
        """Return the forces ``[S, N, 2]`` at positions ``[S, N, 2]`` of graphs ``[S, N, N]``."""
        apart, distance = self._apart(positions)
        pull = self.stiffness * adjacency * (1 - self.length / distance)
        return (pull.unsqueeze(-1) * apart).sum(-2) - self.confinement * positions

    def energy(self, adjacency: Tensor, positions: Tensor, velocities: Tensor) -> Tensor:
        """Return the potential and kinetic energy ``[S]``, which the motion conserves."""
        _, distance = self._apart(positions)
        springs = adjacency * (distance - self.length).square()  # each is counted twice
        well = self.confinement * positions.square().sum((-1, -2))
        kinetic = velocities.square().sum((-1, -2))
        return self.stiffness * springs.sum((-1, -2)) / 4 + well / 2 + kinetic / 2

    def simulate(
        self, adjacency: Tensor, positions: Tensor, velocities: Tensor, frames: int, interval: float
    ) -> Tensor:
        """Integrate the equations of motion by the leapfrog method.

        Args:
            adjacency: graphs ``[S, N, N]`` of zeros and ones.
            positions: positions ``[S, N, 2]`` in the first frame.
            velocities: velocities ``[S, N, 2]`` in the first frame.
            frames: number of frames T.
            interval: time between two frames.

        Returns:
            Positions and velocities, ``[S, T, N, 4]``.

        Example:
            >>> pair = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
            >>> x = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]])  # a stretched spring
            >>> found = SpringSystem().simulate(pair, x, torch.zeros(1, 2, 2), 3, 0.1)
            >>> found.shape, bool(found[0, 1, 0, 0] > -1)
            (torch.Size([1, 3, 2, 4]), True)
        """
        substeps = max(1, round(interval / _STEP))
        h = interval / substeps
        force = self.forces(adjacency, positions)
        seen = [torch.cat([positions, velocities], -1)]
        for _ in range(frames - 1):
            for _ in range(substeps):
                velocities = velocities + h / 2 * force
                positions = positions + h * velocities
                force = self.forces(adjacency, positions)
                velocities = velocities + h / 2 * force
            seen.append(torch.cat([positions, velocities], -1))
        return torch.stack(seen, 1)

    def _apart(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return differences ``[S, N, N, 2]``, from i to j, and softened distances."""
        apart = positions.unsqueeze(-3) - positions.unsqueeze(-2)
        return apart, (apart.square().sum(-1) + _SOFTENING**2).sqrt()


class SpringsOptions(Options):
    """Options of :class:`Springs`."""

    nodes: int = Field(5, ge=2, description="number of particles")
    graph: Kind = Field(
        "tree",
        description="how the graphs are drawn: a uniformly random spanning tree, k random edges, "
        "or each edge with probability 1/2",
    )
    edges: int = Field(4, ge=0, description="number of edges of graph k-edges")
    frames: int = Field(20, ge=2, description="number of frames of a trajectory")
    interval: float = Field(0.2, gt=0, description="time between two frames")
    noise: float = Field(
        0.0, ge=0, description="standard deviation of noise on all positions and velocities"
    )
    length: float = Field(1.0, ge=0, description="length of a spring at rest")
    train: int = Field(2000, ge=1, description="number of training simulations")
    test: int = Field(500, ge=1, description="number of test simulations")
    seed: int = Field(0, ge=0, description="seed of graphs, initial states and noise")

    @model_validator(mode="after")
    def _edges_fit(self) -> Self:
        pairs = self.nodes * (self.nodes - 1) // 2
        if self.graph == "k-edges" and self.edges > pairs:
            raise ValueError(
                f"edges = {self.edges} exceeds the {pairs} pairs of {self.nodes} nodes"
            )
        return self


class Springs(Dataset):
    """Trajectories of particles in a plane, some pairs of which are joined by springs.

    The column ``inputs`` has the positions and velocities of the particles, ``[T, N, 4]``; the
    column ``adjacency`` ``[N, N]`` is 1 where a spring joins two particles. Initial positions and
    velocities are normally distributed. The motion is integrated in float64, see
    :class:`SpringSystem`, and is the same each time.

    Example:
        >>> data = Springs(train=50, test=20).load(Path())
        >>> data.train.inputs.shape, data.test["adjacency"].shape
        (torch.Size([50, 20, 5, 4]), torch.Size([20, 5, 5]))

    Reference: Kipf, Fetaya, Wang, Welling, Zemel, "Neural Relational Inference for Interacting
    Systems", arXiv:1802.04687, section 5.1, where springs have no length at rest and walls take the
    place of the well.
    """

    api = 2
    name = "springs"
    summary = "trajectories of particles joined by springs, simulated: no download"
    references = ("arXiv:1802.04687, section 5.1",)
    noun = "simulations"
    Options = SpringsOptions
    options: SpringsOptions

    def load(self, directory: Path, download: bool = False) -> Splits:
        del directory, download
        options, generator = self.options, torch.Generator().manual_seed(self.options.seed)
        count = options.train + options.test

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        graphs = random_graphs(options.graph, count, options.nodes, options.edges, generator)
        positions, velocities = normal(2, count, options.nodes, 2)
        system = SpringSystem(length=options.length)
        moved = system.simulate(
            graphs.double(), positions, velocities / 2, options.frames, options.interval
        )
        moved = moved + options.noise * normal(*moved.shape)
        examples = Examples.of(inputs=moved.float(), adjacency=graphs)
        rows = torch.arange(count)
        return Splits(
            examples.take(rows[: options.train]), test=examples.take(rows[options.train :])
        )
