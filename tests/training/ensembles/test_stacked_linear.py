"""The layer of stacked members has the values and gradients of torch's own, under any vmap."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import linear

from relaxit.autograd import replace_gradient
from relaxit.training.ensembles.stacked_linear import StackedLinear, stack_linear_layers
from tests.helpers import seed


def draw(*shape, number=0):
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).requires_grad_()


LAYER = StackedLinear(3, 2)


def affine(x, weight, bias):
    """What our layer makes of these tensors."""
    return functional_call(LAYER, {"weight": weight, "bias": bias}, (x,))


def compare(affine, *tensors, dims):
    """Largest difference of values, first and second derivatives from those of torch's layer."""
    worst = 0.0
    for ours, theirs in zip(both_ways(affine, tensors, dims), both_ways(linear, tensors, dims),
                            strict=True):  # fmt: skip
        assert ours.shape == theirs.shape
        worst = max(worst, float((ours - theirs).detach().abs().max()))
    return worst


def both_ways(affine, tensors, dims):
    mapped = affine
    for dim in dims:
        mapped = vmap(mapped, in_dims=dim)
    out = mapped(*tensors)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    first = torch.autograd.grad((out.tanh() * weight).sum(), tensors, create_graph=True)
    total = sum(each.square().sum() for each in first)
    return [out, *first, *torch.autograd.grad(total, tensors)]


CASES = {
    "plain": ([(4, 3), (2, 3), (2,)], []),
    "no batch": ([(3,), (2, 3), (2,)], []),
    "members": ([(5, 4, 3), (5, 2, 3), (5, 2)], [0]),
    "members, no batch": ([(5, 3), (5, 2, 3), (5, 2)], [0]),
    "members, samples": ([(5, 6, 4, 3), (5, 2, 3), (5, 2)], [0]),
    "shared input": ([(4, 3), (5, 2, 3), (5, 2)], [(None, 0, 0)]),
    "rows of one network": ([(5, 3), (2, 3), (2,)], [(0, None, None)]),
    "members elsewhere": ([(4, 5, 3), (2, 5, 3), (2, 5)], [1]),
    "nested": ([(6, 5, 4, 3), (6, 5, 2, 3), (6, 5, 2)], [0, 0]),
    "samples within members": ([(5, 6, 4, 3), (5, 2, 3), (5, 2)], [(0, None, None), 0]),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_those_of_torch(case):
    shapes, dims = CASES[case]
    tensors = [draw(*shape, number=n) for n, shape in enumerate(shapes)]
    assert compare(affine, *tensors, dims=dims) < 1e-12


def test_the_comparison_sees_a_wrong_gradient():
    def wrong(x, weight, bias):  # the gradient of the weights in another order
        return affine(x, replace_gradient(weight, weight.flip(0)), bias)

    shapes, dims = CASES["members"]
    tensors = [draw(*shape, number=n) for n, shape in enumerate(shapes)]
    assert compare(wrong, *tensors, dims=dims) > 1e-3


@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_a_module_are_exchanged_and_gradients_lie_in_order(bias):
    def build():
        return nn.Sequential(nn.Linear(3, 4, bias=bias), nn.ReLU(), nn.Linear(4, 2, bias=bias))

    models, template = [build() for _ in range(5)], build()
    parameters, _ = stack_module_state(models)
    stack_linear_layers(template)
    assert [type(m) for m in template] == [StackedLinear, nn.ReLU, StackedLinear]
    x = torch.randn(5, 7, 3, generator=seed(1))
    out = vmap(lambda own, rows: functional_call(template, own, (rows,)))(parameters, x)
    out.square().sum().backward()
    for number, model in enumerate(models):
        theirs = model(x[number])
        torch.testing.assert_close(out[number], theirs)
        theirs.square().sum().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameters[name].grad[number], parameter.grad)
    assert all(p.grad.is_contiguous() for p in parameters.values())  # so none was copied


def test_gradients_by_transforms():
    layer = StackedLinear(3, 2)

    def cost(own, x):
        return functional_call(layer, own, (x,)).square().sum()

    own, x = dict(layer.named_parameters()), torch.randn(6, 4, 3, generator=seed(2))
    found = vmap(grad(cost), in_dims=(None, 0))(own, x)
    for number in range(6):
        single = torch.autograd.grad(linear(x[number], layer.weight, layer.bias).square().sum(),
                                     layer.weight)[0]  # fmt: skip
        torch.testing.assert_close(found["weight"][number], single)


def test_derived_layers_and_autocast_are_left_to_torch():
    class Mine(nn.Linear):
        pass

    module = nn.Sequential(Mine(2, 2), nn.Linear(2, 2))
    stack_linear_layers(module)
    assert type(module[0]) is Mine
    with torch.autocast("cpu", torch.bfloat16):
        out = module[1](torch.ones(1, 2))
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert module[1].weight.grad.dtype == torch.float32
