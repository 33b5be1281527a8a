"""Directed trees with a root: dependency trees."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import Capabilities, PerturbAndRelax, constraints
from relaxit.dtypes import longest_dtype
from relaxit_graph.arborescences.distribution import DirectedTrees
from relaxit_graph.arborescences.edmonds import maximum_arborescence
from relaxit_graph.arborescences.partition import has_tree, partition
from relaxit_graph.arborescences.vertices import arborescence, arborescences, arcs_of
from relaxit_graph.edges.absent_nodes import WithAbsentNodes
from relaxit_graph.edges.on_nodes import GraphOptions
from relaxit_graph.trees.log_partition import MOST_RANGE
from relaxit_graph.trees.temperature import divided

__all__ = ["Arborescence", "ArborescenceOptions"]


class ArborescenceOptions(GraphOptions):
    """Options of :class:`Arborescence`."""

    roots: Literal["single", "multiple"] = Field(
        default="single", description="whether a tree has one root, or any positive number"
    )


class Arborescence(WithAbsentNodes, PerturbAndRelax):
    r"""Directed trees, with probability proportional to the exponential of the sum of their scores.

    Params and values are ``[*batch, n, n]``: entry i, j is the arc from head i to child j, and the
    diagonal entry j, j says that j is a root. So each column of a value has a single one. In the
    language of dependency parsing, j, j is the arc from an implicit root to j, and ``roots`` says
    whether a single node hangs on it or any positive number.

    Mass, marginals, entropy, KL divergences and samples are exact. Sums over trees eliminate nodes
    without a subtraction (:mod:`relaxit_graph.trees.elimination`), in float64, so no weight is too
    small: nothing is added to weights. The best tree is found by the algorithm of Chu, Liu and
    Edmonds for a whole batch (:mod:`relaxit_graph.arborescences.edmonds`), also for a single root.

    The soft sample is the matrix of marginals at ``(theta + G) / temperature``, with Gumbel noise G
    for each arc and each root. The hard sample of ``draw`` is the best tree of ``theta + G``, which
    follows another distribution than ``q.discrete``, so ``exact_rounding`` is False. There is no
    density.

    Where the scores of a graph range over more than 2^27 times the temperature, arcs that no tree
    needs, such as those with a score of -1e9, are left out of soft samples. If trees need them, the
    temperature acts as if it were the range times 2^-27: soft samples are trees there already,
    unless two scores differ by less than rounding errors.

    A param of ``-inf`` excludes an arc or a root. For graphs of different sizes in a batch, leave
    for each node that is not there a single arc, from a node that is, with score 0, and exclude it
    as a root: masses, entropies and divergences are then those of the smaller tree.

    Example:
        >>> import torch
        >>> from relaxit_graph.arborescences.arborescence import Arborescence
        >>> trees = Arborescence(nodes=3)
        >>> q = trees(torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
        >>> q.discrete.mode  # 0 is the root, 1 its child, and 2 the child of 1
        tensor([[1., 1., 0.],
                [0., 0., 1.],
                [0., 0., 0.]])
        >>> q.discrete.mean.sum(0), q.discrete.mean.trace()
        (tensor([1., 1., 1.]), tensor(1.))
        >>> q.sample_hard((100,)).sum((-1, -2)).unique()
        tensor([3.])
    """

    api = 1
    name = "arborescence"
    aliases = ("dependency-tree", "directed-tree")
    summary = "directed trees: matrix-tree theorem, Chu-Liu-Edmonds"
    references = (
        "Koo, Globerson, Carreras, Collins, EMNLP 2007 (single root)",
        "Smith, Smith, EMNLP 2007 (matrix-tree theorem of dependency trees)",
        "Edmonds, J. Res. Nat. Bur. Standards 71B (1967) (best tree)",
        "arXiv:2006.08063 (relaxation)",
    )
    Options = ArborescenceOptions
    options: ArborescenceOptions
    capabilities = Capabilities(
        density=False,
        discrete_distribution=True,
        exact_rounding=False,
        masks=True,
        exponential_family=True,
    )

    @classmethod
    def examples(cls) -> list[Arborescence]:
        return [cls(nodes=3), cls(nodes=4), cls(nodes=3, roots="multiple")]

    @property
    def single_root(self) -> bool:
        """Whether a tree has exactly one root."""
        return self.options.roots == "single"

    @property
    def support(self) -> Constraint:
        """The convex hull of the trees, see :class:`relaxit.constraints.hull_by`."""
        return constraints.hull_by(self.argmax, 2)

    @property
    def vertices(self) -> Constraint:
        return arborescence(self.single_root)

    @property
    def log_cardinality(self) -> float:
        # Trees with labels: n^(n - 2), each with n roots; n + 1 nodes if the root is one of them.
        n = self.options.nodes
        return (n - 1) * math.log(n if self.single_root else n + 1)

    def valid_params(self, params: Tensor) -> Tensor:
        """Whether there is no NaN and no ``+inf``, and what is not masked contains a tree.

        Each of its arcs has a score less than 1e12 below the greatest into the same node, which
        sums over trees in float64 can tell.
        """
        legal = (params < torch.inf).flatten(-2).all(-1)
        near = params >= params.amax(-2, keepdim=True) - MOST_RANGE
        return legal & has_tree((params > -torch.inf) & near, self.single_root)

    @property
    def illegal_params(self) -> str:
        one = "with one root " if self.single_root else ""
        return (
            f"NaN, +inf, or masks that leave no tree {one}over all {self.options.nodes} nodes, as "
            "scores 1e12 below the greatest into a node do"
        )

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        cold = _cooled(scores, temperature, self.single_root)
        return partition(cold, self.single_root, scores.dtype)[1]

    def argmax(self, scores: Tensor) -> Tensor:
        roots = scores.diagonal(dim1=-2, dim2=-1)
        heads = maximum_arborescence(scores, roots, self.single_root)
        return arcs_of(heads, scores.dtype)

    def enumerate_vertices(self) -> Tensor:
        return arborescences(self.options.nodes, self.single_root)

    def discrete(self, params: Tensor) -> DirectedTrees:
        return DirectedTrees(self, params)


def _cooled(scores: Tensor, temperature: float | Tensor, single_root: bool) -> Tensor:
    """Return scores over the temperature in float64, up to a shift of each column.

    Each tree has one entry of each column, so the greatest entry of a column is subtracted first.
    """
    wide = scores.to(longest_dtype(scores.device))
    centred = wide - wide.detach().amax(-2, keepdim=True)
    return divided(centred, temperature, lambda arcs: has_tree(arcs, single_root))
