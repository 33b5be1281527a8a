"""Projective trees, compared with another recursion, over the dependents of a word."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from sequence_oracles import close, normal

import relaxit


def log_sum_of_trees(scores):
    """Log of the sum over all trees, each word's dependents on a side taken from the far end.

    Unlike Eisner's spans of one sided halves, it needs O(n^5) operations.
    """
    weights, n = scores.exp(), len(scores)

    @cache
    def spans(head, begin, end):  # trees over these words with this root
        return before(head, begin) * after(head, end)

    @cache
    def before(head, begin):
        if begin == head:
            return 1.0
        return sum(
            weights[head, word] * spans(word, begin, end) * before(head, end + 1)
            for end in range(begin, head)
            for word in range(begin, end + 1)
        )

    @cache
    def after(head, end):
        if end == head:
            return 1.0
        return sum(
            weights[head, word] * spans(word, begin, end) * after(head, begin - 1)
            for begin in range(head + 1, end + 1)
            for word in range(begin, end + 1)
        )

    return sum(weights[root, root] * spans(root, 0, n - 1) for root in range(n)).log()


@pytest.mark.parametrize("nodes", [2, 6, 9])
def test_the_sum_over_all_trees_and_its_derivative(nodes):
    tree = relaxit.get("projective-tree", nodes=nodes)
    leaf = normal(nodes, nodes).requires_grad_()
    wanted = log_sum_of_trees(leaf)
    q = tree.discrete(leaf)
    close(q.log_partition().detach(), wanted.detach())
    close(q.mean.detach(), torch.autograd.grad(wanted, leaf)[0])


def test_each_word_has_one_head_and_there_is_one_root():
    tree = relaxit.get("projective-tree", nodes=8)
    soft, hard = tree(normal(5, 8, 8), temperature=2.0).draw((3,))
    for value in (soft, hard):
        close(value.sum(-2), torch.ones(3, 5, 8))
        close(value.diagonal(dim1=-2, dim2=-1).sum(-1), torch.ones(3, 5))


def test_a_sentence_can_be_read_backwards():
    tree, scores = relaxit.get("projective-tree", nodes=6), normal(2, 6, 6)
    there, back = tree.discrete(scores), tree.discrete(scores.flip(-1, -2))
    close(there.mean, back.mean.flip(-1, -2))
    close(there.entropy(), back.entropy())


def test_columns_are_words_and_rows_are_heads():
    """Entry (i, j) is the arc from head i to word j, and (j, j) the root."""
    scores = torch.full((3, 3), -9.0)
    scores[1, 1] = scores[1, 0] = scores[1, 2] = 0.0
    tree = relaxit.get("projective-tree", nodes=3)
    assert torch.equal(tree.discrete(scores).mode, (scores == 0).float())
    assert torch.equal(tree.argmax(scores), (scores == 0).double())


def test_arcs_that_cross_are_replaced():
    """Each word's best head makes a tree whose arcs cross; the mode is another one."""
    tree, best = relaxit.get("projective-tree", nodes=4), torch.zeros(4, 4)
    best[0, 0] = best[0, 2] = best[2, 1] = best[1, 3] = 3.0  # 0 -> 2 and 1 -> 3
    mode = tree.discrete(best).mode
    assert bool(tree.vertices.check(mode))
    assert not bool(tree.vertices.check(best / 3))
    assert float((mode * best).sum()) == 9.0
    assert tree.sizes(torch.Size((7, 4, 4))) == {"nodes": 4}
