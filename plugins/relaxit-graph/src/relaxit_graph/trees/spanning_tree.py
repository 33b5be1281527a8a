r"""Undirected spanning trees of a graph.

**Distribution.** With the weight w_ij = exp(theta_ij) of each edge, a tree has probability
prod w_ij / Z. By Kirchhoff's matrix-tree theorem Z is a minor of the Laplacian of w; it is computed
by eliminating nodes, see :mod:`relaxit_graph.trees.elimination`. The marginal of an edge, its
probability to be in the tree, is the derivative of log Z with respect to its score.

**Soft samples** are the marginals at (theta + G) / temperature with one Gumbel number G per edge,
points of the spanning tree polytope. **Hard samples** are the trees of the greatest total score
theta + G, found by Prim's algorithm. They do *not* follow the distribution above: taking edges in
the order of perturbed scores, unless they close a cycle, is another distribution. Samples of
``discrete`` are exact.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import Capabilities, PerturbAndRelax, constraints
from relaxit.dtypes import compute_dtype, longest_dtype
from relaxit_graph.edges.absent_nodes import WithAbsentNodes
from relaxit_graph.edges.on_nodes import GraphOptions
from relaxit_graph.edges.vectors import adjacency, edge_vector, symmetric
from relaxit_graph.trees import polytope
from relaxit_graph.trees.arithmetic import all_trees
from relaxit_graph.trees.distribution import SpanningTreeDistribution, centred
from relaxit_graph.trees.log_partition import MOST_RANGE, log_partition
from relaxit_graph.trees.paths import connected
from relaxit_graph.trees.prim import best_tree
from relaxit_graph.trees.temperature import divided

__all__ = ["SpanningTree"]


class SpanningTree(WithAbsentNodes, PerturbAndRelax):
    """A tree that joins all n nodes of a graph.

    Params and values are ``[*batch, n, n]``. A value is the adjacency matrix of a tree: symmetric,
    zeros and ones, zero diagonal, 2 (n - 1) ones. The score of an edge is the mean of its two
    params, theta_ij and theta_ji, so for symmetric params it is the param itself, and
    ``statistics(v)`` is ``v / 2``. The diagonal has no effect. A soft sample holds the
    probabilities of the edges: symmetric, with the sum 2 (n - 1).

    A param of ``-inf`` excludes an edge, in both directions; what is left has to be connected. For
    a graph with fewer nodes, exclude all edges of a node but one and give that one a score of 0:
    masses, entropies and divergences are then those of the other nodes.

    Mass, marginals, entropy, KL divergence and samples are exact and have gradients of every order
    (samples have none). No digits are lost where weights differ by hundreds of orders of magnitude,
    as they do at low temperatures. All graphs of a batch are processed at once.

    Where the scores of a graph range over more than 2^27 times the temperature, edges that no tree
    needs, such as those with a score of -1e9, are left out of soft samples. If trees need them, the
    temperature acts as if it were the range times 2^-27: soft samples are trees there already,
    unless two scores differ by less than rounding errors.

    Example:
        >>> import torch, relaxit
        >>> trees = relaxit.get("spanning-tree", nodes=4)
        >>> q = trees(torch.zeros(32, 4, 4), temperature=0.5)
        >>> soft, hard = q.draw()
        >>> hard.shape, hard.sum((-2, -1)).unique()
        (torch.Size([32, 4, 4]), tensor([6.]))
        >>> q.discrete.mean[0, 0]  # 3 of 6 edges
        tensor([0.0000, 0.5000, 0.5000, 0.5000])
        >>> q.discrete.entropy()[0].exp()  # 16 trees
        tensor(16.)
    """

    api = 1
    name = "spanning-tree"
    aliases = ("tree", "undirected-tree")
    summary = "trees that join all nodes of a graph: matrix-tree theorem, Prim's algorithm"
    references = (
        "Kirchhoff 1847; Chaiken, SIAM J. Algebr. Discrete Methods 3 (1982) (matrix-tree theorem)",
        "Grassmann, Taksar, Heyman, Oper. Res. 33 (1985) (elimination without subtraction)",
        "Wilson, STOC 1996 (random spanning trees)",
        "arXiv:2006.08063 (relaxation)",
    )
    Options = GraphOptions
    symmetric = True
    capabilities = Capabilities(
        density=False,
        discrete_distribution=True,
        exact_rounding=False,
        masks=True,
        exponential_family=True,
    )

    @classmethod
    def examples(cls) -> list[SpanningTree]:
        return [cls(nodes=4), cls(nodes=3)]

    @property
    def noise_shape(self) -> torch.Size:
        """One number per edge, ``[n (n - 1) / 2]``: (0, 1), (0, 2), ..., (1, 2), ..."""
        return torch.Size((math.comb(self.options.nodes, 2),))

    def add_noise(self, params: Tensor, noise: Tensor) -> Tensor:
        return params + adjacency(noise)

    def noised(self, params: Tensor) -> Tensor:
        return edge_vector(params)

    def statistics(self, value: Tensor) -> Tensor:
        return value / 2

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return statistics + statistics.mT

    @property
    def support(self) -> Constraint:
        """The spanning tree polytope, the convex hull of all trees."""
        return constraints.hull_by(self.argmax, event_dim=2)

    @property
    def vertices(self) -> Constraint:
        return polytope.spanning_tree

    @property
    def log_cardinality(self) -> float:
        n = self.options.nodes
        return max(0, n - 2) * math.log(n)  # Cayley

    def valid_params(self, params: Tensor) -> Tensor:
        """Whether params are numbers or ``-inf``, and masks symmetric, with a tree left.

        Its edges have scores less than 1e12 apart, which sums over trees in float64 can tell.
        """
        diagonal = torch.eye(self.options.nodes, dtype=torch.bool, device=params.device)
        known = params < torch.inf  # not for NaN
        allowed = (params > -torch.inf) | diagonal
        legal = (known & (allowed == allowed.mT)).flatten(-2).all(-1)
        scores = symmetric(params).masked_fill(diagonal, -torch.inf)
        near = scores >= scores.amax((-2, -1), keepdim=True) - MOST_RANGE
        return legal & connected(allowed & near)

    @property
    def illegal_params(self) -> str:
        return (
            "NaN, +inf, an edge masked in one direction only, or masks that disconnect the graph, "
            "as scores 1e12 below the greatest do"
        )

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        wide = symmetric(scores).to(longest_dtype(scores.device))
        cold = divided(centred(wide), temperature, connected)
        _, marginals = log_partition(cold, all_trees(scores.dtype))
        return marginals + marginals.mT

    def argmax(self, scores: Tensor) -> Tensor:
        wide = symmetric(scores.detach().to(compute_dtype(scores.dtype)))
        return best_tree(wide).to(scores.dtype)

    def discrete(self, params: Tensor) -> SpanningTreeDistribution:
        return SpanningTreeDistribution(self, params)
