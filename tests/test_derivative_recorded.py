"""Derivatives in compiled, exported and recorded code."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad
from torch.fx.experimental.proxy_tensor import make_fx

from relaxit import Unsupported
from relaxit.derivative import derivative, transposed
from tests.helpers import seed


def normal(*shape, number=7):
    return torch.randn(shape, generator=seed(number), dtype=torch.float64)


def log_sum_of_copies(scores):
    """Its operations depend on the size of the batch and on the number three."""
    return scores.unsqueeze(-1).expand(*scores.shape, 3).logsumexp((-1, -2))


def mean_and_back(x):
    """The softmax, and the transpose of a flip, of rows of three."""
    mean = derivative(log_sum_of_copies, x, 1)
    return transposed(lambda a: a.flip(-1).cumsum(-1), torch.zeros_like(x), mean, 1)


def by_hand(x):
    return x.softmax(-1).flip(-1).cumsum(-1)


def slope(function, x):
    leaf = x.clone().requires_grad_()
    value = function(leaf)
    return value.detach(), grad((value * normal(*value.shape, number=1)).sum(), leaf)[0]


def agree(function, x):
    for got, wanted in zip(slope(function, x), slope(by_hand, x), strict=True):
        torch.testing.assert_close(got, wanted)


def compiled(**options):
    torch._dynamo.reset()
    return torch.compile(mean_and_back, fullgraph=True, backend="aot_eager", **options)


def test_eager():
    agree(mean_and_back, normal(5, 3))


def test_compiled_values_and_gradients():
    function = compiled()
    agree(function, normal(5, 3))
    torch.testing.assert_close(function(normal(5, 3)), by_hand(normal(5, 3)))
    with torch.no_grad():
        torch.testing.assert_close(function(normal(5, 3)), by_hand(normal(5, 3)))


def test_one_graph_for_batches_of_any_size():
    function = compiled(dynamic=True)
    agree(function, normal(5, 3))
    with torch.compiler.set_stance("fail_on_recompile"):
        for batch in (2, 4, 9):
            agree(function, normal(batch, 3, number=batch))


class Module(torch.nn.Module):
    def forward(self, x):
        return mean_and_back(x)


@pytest.mark.parametrize("example", [(5, 3), (3, 3), (6, 3), (2, 2, 3)])  # 6 is the size it records
def test_exported_for_batches_of_any_size(example):
    dims = {i: torch.export.Dim(f"size{i}", min=2) for i in range(len(example) - 1)}
    program = torch.export.export(Module(), (normal(*example),), dynamic_shapes=[dims]).module()
    for size in (2, 3, 6, 17):
        x = normal(*(size,) * len(dims), 3, number=size)
        agree(program, x)


def test_exported_without_gradients_and_for_a_single_row():
    program = torch.export.export(Module(), (normal(3),)).module()
    torch.testing.assert_close(program(normal(3, number=2)), by_hand(normal(3, number=2)))


def test_recorded_operations():
    graph = make_fx(mean_and_back)(normal(5, 3))
    torch.testing.assert_close(graph(normal(5, 3, number=2)), by_hand(normal(5, 3, number=2)))
    assert "aten.logsumexp" in graph.code


def test_a_trace_is_unsupported():
    with pytest.raises(Unsupported) as error:
        torch.jit.trace(mean_and_back, normal(5, 3), check_trace=False)
    assert "use torch.export.export" in str(error.value)
    assert "\n" not in str(error.value)
