"""What a cost may return is the same for every installed estimator, and is told in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import relaxit
from relaxit import SampleEstimator
from relaxit.errors import ShapeError, Unsupported
from relaxit.estimators import surrogate_with
from relaxit.plugins import default_registry
from tests.helpers import seed

BIT = relaxit.get("binary")
PARAMS = torch.tensor([0.3, -1.0, 2.0, 0.5])
ESTIMATORS = [cls() for cls in default_registry().items("estimator").values()]
ALL = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
DIFFERENTIATES = ("rebar", "relax")
"""Estimators that differentiate the cost, though they do not act through a sample."""


def differentiates(estimator):
    return isinstance(estimator, SampleEstimator) or estimator.name in DIFFERENTIATES


def estimate(estimator, cost, params=PARAMS, batch=()):
    leaf = params.expand(*batch, 4).clone().requires_grad_()
    value = surrogate_with(None, estimator, BIT(leaf, 0.7), cost, seed(3))
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def square(z):
    return (z - 0.3) ** 2


def said(estimator, cost, kind, batch=()):
    with pytest.raises(kind) as caught:
        estimate(estimator, cost, batch=batch)
    text = str(caught.value)
    assert text.startswith(f"estimator {estimator.name!r}")
    assert "\n" not in text
    return text


NUMBERS = {
    "list": (lambda z: square(z).tolist(), "a list"),
    "array": (lambda z: square(z).detach().numpy(), "a NumPy array"),
    "reversed": (lambda z: square(z).detach().numpy()[::-1][::-1], "a NumPy array"),
    "float": (lambda z: square(z).sum().item(), "a float"),
    "numpy number": (lambda z: np.float64(square(z).detach().sum()), "a float64"),
}


@ALL
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_count_as_a_tensor_or_are_rejected(estimator, kind):
    cost, name = NUMBERS[kind]
    if differentiates(estimator):
        text = said(estimator, cost, TypeError)
        assert f"must be a tensor [*lead] that begins the batch shape [4], got {name}, " in text
        assert "compute it with torch" in text
        return
    joint = kind in ("float", "numpy number")
    want = estimate(estimator, lambda z: square(z).detach().sum() if joint else square(z).detach())
    for got, wanted in zip(estimate(estimator, cost), want, strict=True):
        torch.testing.assert_close(got, wanted, check_dtype=False)
    assert float(want[1].abs().sum()) > 0


NO_NUMBERS = {
    "None": (lambda z: None, "got None; is a return missing?"),
    "text": (lambda z: "1", "got a str"),
    "objects": (lambda z: np.array([None] * 4), "got a NumPy array"),
    "ragged": (lambda z: [[1.0], [1.0, 2.0], [], []], "got a list"),
    "tensors": (lambda z: list(square(z)), "got a list of tensors; use torch.stack(...)"),
    "nothing": (lambda z: {}, "got a dict"),
}


@ALL
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_rejected(estimator, kind):
    cost, got = NO_NUMBERS[kind]
    text = said(estimator, cost, TypeError)
    assert "must be a tensor [*lead] that begins the batch shape [4]" in text
    assert got in text


@ALL
def test_complex_costs_are_rejected(estimator):
    said(estimator, lambda z: square(z) * 1j, (TypeError, Unsupported))


@ALL
@pytest.mark.parametrize(
    ("batch", "cost", "shape", "hint"),
    [
        ((), lambda z: square(z).unsqueeze(-1), "[4, 1]", "use .squeeze(-1)"),
        ((5,), lambda z: square(z).unsqueeze(-1), "[5, 4, 1]", "use .squeeze(-1)"),
        ((5,), lambda z: square(z).sum(-1, keepdim=True), "[5, 1]", "use .squeeze(-1)"),
        ((5,), lambda z: square(z).unsqueeze(-1).expand(5, 4, 2), "[5, 4, 2]", "use .sum(-1)"),
        ((5,), lambda z: square(z).sum(0), "[4]", ""),
    ],
    ids=["[4, 1]", "[5, 4, 1]", "[5, 1]", "[5, 4, 2]", "[4]"],
)
def test_shapes_that_do_not_begin_the_batch_are_rejected(estimator, batch, cost, shape, hint):
    text = said(estimator, cost, ShapeError, batch)
    whole = [*batch, 4]
    assert f"shape {shape} does not begin the batch shape {whole}" in text
    assert text.endswith(hint or f"{whole}")


@ALL
def test_a_batch_that_is_a_column_may_have_costs_of_a_column(estimator):
    # Not every [B, 1] is a mistake.
    value, _ = estimate(estimator, lambda z: square(z).sum(-1).unsqueeze(-1)[:, 0], batch=(5,))
    assert value.shape == (5,)
    leaf = PARAMS.unsqueeze(-1).clone().requires_grad_()
    assert surrogate_with(None, estimator, BIT(leaf), square, seed(1)).shape == (4, 1)


@ALL
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_whole_numbers_have_a_gradient_or_are_rejected(estimator, dtype):
    def count(z):
        return (z > 0.5).to(dtype)

    if differentiates(estimator):
        assert f"{dtype} has no gradient" in said(estimator, count, Unsupported)
        return
    value, slope = estimate(estimator, count)
    assert value.dtype == torch.float32
    assert torch.equal(slope, estimate(estimator, lambda z: (z > 0.5).float())[1])


@pytest.mark.parametrize(
    "estimator", [e for e in ESTIMATORS if differentiates(e)], ids=lambda e: e.name
)
def test_a_cost_that_is_detached_from_the_sample_is_rejected(estimator):
    for cost in (lambda z: square(z.detach()), lambda z: torch.zeros(4)):
        assert "has no gradient: it does not depend" in said(estimator, cost, Unsupported)
    without_grad = PARAMS.clone()
    with torch.no_grad():
        surrogate_with(None, estimator, BIT(without_grad), lambda z: torch.zeros(4), seed(1))


@ALL
def test_costs_are_moved_to_the_device_of_params(estimator):
    # There is one device here: it is observed that they would be moved.
    moved = []

    class Elsewhere(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function is torch.Tensor.to:
                moved.append(args[1:])
            return super().__torch_function__(function, types, args, kwargs or {})

    estimate(estimator, lambda z: square(z).as_subclass(Elsewhere))
    assert (torch.device("cpu"),) in moved


def test_relax_without_the_relaxed_cost_needs_no_derivative():
    relax = relaxit.estimator("relax", rebar=False)
    _, slope = estimate(relax, lambda z: square(z).tolist())
    torch.testing.assert_close(slope, estimate(relax, square)[1])


def test_a_list_has_the_default_dtype_and_an_array_its_own():
    rloo = relaxit.estimator("rloo")
    params = PARAMS.double()
    assert estimate(rloo, lambda z: square(z).tolist(), params)[0].dtype == torch.float32
    assert estimate(rloo, lambda z: square(z).numpy(), params)[0].dtype == torch.float64
    assert estimate(rloo, lambda z: square(z).numpy(), PARAMS)[0].dtype == torch.float32
