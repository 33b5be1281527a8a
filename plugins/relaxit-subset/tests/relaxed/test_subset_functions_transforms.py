"""The functions under autocast, vmap, forward mode, the compiler and symbolic traces."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import close, normal, seed
from torch import nn

from relaxit_subset import sample_subset, soft_topk

BOTH = pytest.mark.parametrize("function", [soft_topk, sample_subset])
X = torch.zeros(3, 4)


@BOTH
@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
def test_empty_batches(function, shape):
    assert function(torch.zeros(shape), 2).shape == shape


@BOTH
def test_autocast_changes_nothing(function):
    logits = normal(3, 5).float()
    torch.manual_seed(1)
    want = function(logits, 2, 0.5)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        got = function(logits, 2, 0.5)
    assert torch.equal(got, want)


def test_vmap_and_forward_mode():
    scores, vector = normal(3, 5), normal(3, 5, number=2)

    def function(s):
        return soft_topk(s, 2, 0.5)

    close(torch.func.vmap(function)(scores), function(scores), 1e-14)
    tangent = torch.func.jvp(function, (scores,), (vector,))[1]
    jacobian = torch.autograd.functional.jacobian(function, scores)
    close(tangent, (jacobian * vector).sum((-2, -1)), 1e-13)


@pytest.mark.parametrize("hard", [False, True])
def test_compiled_in_one_graph(hard):
    def function(s, mask):
        z = sample_subset(s, 2, 0.5, hard=hard, dim=1, mask=mask)
        return z + soft_topk(s, 2, 0.5, dim=1, mask=mask)

    scores, mask = normal(3, 5, 2).requires_grad_(), torch.ones(5, 1, dtype=torch.bool)
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    found = []
    for call in (compiled, function):
        torch.manual_seed(1)
        value = call(scores, mask)
        found.append((value, torch.autograd.grad(value.square().sum(), scores)[0]))
    for one, other in zip(*found, strict=True):
        close(one, other, 1e-12)


def test_noise_is_that_of_the_generator():
    one, other = (sample_subset(X, 2, generator=seed(5)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, sample_subset(X, 2))


# --- compiled and symbolically traced ---------------------------------------------------------


@BOTH
def test_compiled_for_several_k(function):
    torch.compiler.reset()
    compiled = torch.compile(lambda x, k: function(x, k), fullgraph=True, backend="aot_eager")
    for k in (2, 3, 1):  # from the second k on the compiler tries to keep it symbolic
        close(compiled(normal(3, 5), k).sum(-1), torch.full((3,), float(k)), 1e-12)


class Halves(nn.Module):
    """k is computed from the shape, which is symbolic in a trace."""

    def __init__(self, function, **options):
        super().__init__()
        self.function, self.options = function, options

    def forward(self, x):
        return self.function(2 * x, x.shape[1] // 2, 0.5, dim=1, **self.options) + 1


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (soft_topk, {}),
        (soft_topk, {"mask": None}),
        (sample_subset, {}),
        (sample_subset, {"hard": True, "estimator": "simple"}),
        (sample_subset, {"distribution": "subset-plackett-luce", "generator": None}),
    ],
)
def test_it_is_one_node_of_a_symbolic_trace(function, options):
    module = Halves(function, **options)
    traced = torch.fx.symbolic_trace(module)
    assert function in [node.target for node in traced.graph.nodes if node.op == "call_function"]
    found = []
    for call, shape in ((traced, (3, 6)), (module, (3, 6)), (traced, (2, 9, 2))):
        torch.manual_seed(1)
        found.append(call(normal(*shape)))
    assert torch.equal(found[0], found[1])
    close(found[2].sum(1), torch.full((2, 2), 4.0 + 9.0), 1e-12)


class Marked(torch.Tensor):
    """A subclass, whose results are of the subclass."""


MASK = torch.tensor([True, False, True, True])
DRAWN = {"hard": True, "estimator": "simple", "distribution": "subset-plackett-luce"}


@pytest.mark.parametrize(
    ("function", "options"), [(soft_topk, {}), (sample_subset, {}), (sample_subset, DRAWN)]
)
@pytest.mark.parametrize("dim", [0, 1])
def test_subclasses_are_kept_and_so_are_all_arguments(function, options, dim):
    scores = normal(4, 4)
    mask, tau = MASK if dim else MASK.unsqueeze(-1), torch.tensor([0.3, 0.5, 1.0, 2.0])

    def call(x):
        given = options if function is soft_topk else options | {"generator": seed(3)}
        return function(x, 2, tau, dim=dim, mask=mask, **given)

    got = call(scores.as_subclass(Marked))
    assert type(got) is Marked
    assert torch.equal(got.as_subclass(torch.Tensor), call(scores))


@BOTH
def test_exported_with_a_k_of_the_shape(function):
    program = torch.export.export(Halves(function), (normal(3, 6),), strict=False).module()
    close(program(normal(3, 6)).sum(1), torch.full((3,), 3.0 + 6.0), 1e-12)
