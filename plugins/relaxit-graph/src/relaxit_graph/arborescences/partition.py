"""Log-partition function and marginals of directed trees, from matrices of scores of arcs."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit_graph.arborescences.single_root import SINGLE_ROOT
from relaxit_graph.trees.arithmetic import all_trees
from relaxit_graph.trees.log_partition import log_partition
from relaxit_graph.trees.paths import paths

__all__ = ["has_tree", "partition", "to_root"]


def partition(
    params: Tensor, single_root: bool, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return the log of the sum over all directed trees, and the probabilities of their arcs.

    Args:
        params: log-weights ``[*batch, n, n]``: entry i, j of the arc from head i to child j, the
            diagonal of the arcs from the implicit root; ``-inf`` excludes an arc.
        single_root: whether a single node hangs on the implicit root, or any positive number.
        dtype: that of the params before they were converted: no more digits are needed.

    Returns:
        ``[*batch]`` and ``[*batch, n, n]`` in float64, where the device has it, with derivatives of
        every order.

    Example:
        >>> log_z, marginals = partition(torch.zeros(3, 3), single_root=True)
        >>> log_z.exp()  # nine trees of three nodes
        tensor(9.0000, dtype=torch.float64)
        >>> marginals.sum(-2)
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    arithmetic = SINGLE_ROOT if single_root else all_trees(dtype)
    log_z, marginals = log_partition(to_root(params), arithmetic)
    arcs = marginals[..., 1:, 1:].mT
    return log_z, arcs + torch.diag_embed(marginals[..., 1:, 0])


def to_root(params: Tensor) -> Tensor:
    """Return log-weights ``[*batch, n + 1, n + 1]`` of edges from each node to its head.

    The implicit root is node 0. Its row and the diagonal have no meaning.
    """
    roots = params.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    return torch.nn.functional.pad(torch.cat([roots, params.mT], -1), (0, 0, 1, 0))


def has_tree(allowed: Tensor, single_root: bool) -> Tensor:
    """Whether some tree has allowed arcs only, ``[*batch]``.

    Args:
        allowed: bool ``[*batch, n, n]``, as the params of :func:`partition`.
        single_root: as there.

    Example:
        >>> allowed = torch.eye(2, dtype=torch.bool)  # two nodes without an arc between them
        >>> has_tree(allowed, single_root=True), has_tree(allowed, single_root=False)
        (tensor(False), tensor(True))
    """
    roots, reached = allowed.diagonal(dim1=-2, dim2=-1), paths(allowed)
    if single_root:
        return (roots & reached.all(-1)).any(-1)
    return (roots.unsqueeze(-1) & reached).any(-2).all(-1)
