"""``gumbel_softmax`` beside PyTorch's: the distribution, the gradient, and what is rejected."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter

import relaxit
from relaxit import ConfigurationError, DomainError, ShapeError, Unsupported
from relaxit.testing import wrong_distribution, wrong_frequencies, wrong_mean

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Small ones take another path than large ones.
SHAPES = [((5,), 0), ((3, 4), -1), ((3, 4), 0), ((2, 5, 3), 1), ((40, 8, 9), 1), ((3000, 4), -1)]
DIMS = pytest.mark.parametrize(("shape", "dim"), SHAPES)


def test_the_signature_is_that_of_torch():
    ours = inspect.signature(relaxit.gumbel_softmax).parameters
    theirs = inspect.signature(F.gumbel_softmax).parameters
    assert list(ours)[:4] == [name for name in theirs if name != "eps"]
    for name in list(ours)[:4]:
        assert ours[name].default == theirs[name].default
        assert ours[name].kind == theirs[name].kind


@DIMS
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_shape_dtype_and_sums(shape, dim, hard, dtype):
    logits = torch.randn(shape, dtype=dtype)
    value = relaxit.gumbel_softmax(logits, 0.7, hard, dim)
    assert (value.shape, value.dtype) == (logits.shape, dtype)
    total = value.double().sum(dim)
    if hard:
        assert bool(((value == 0) | (value == 1)).all())
        assert bool((total == 1).all())
    else:
        limit = shape[dim] * torch.finfo(dtype).eps
        assert float((total - 1).abs().max()) <= limit


@DIMS
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("tau", [0.5, 1, 3.0])
def test_the_gradient_is_that_of_the_softmax(shape, dim, hard, tau):
    # For a soft sample y the Jacobian is (diag(y) - y y') / tau, whatever the noise.
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(shape, dtype=torch.float64)
    values = []
    for rounded in (False, hard):
        torch.manual_seed(0)
        values.append(relaxit.gumbel_softmax(logits, tau, rounded, dim))
    soft, value = values
    got, = torch.autograd.grad((value * weights).sum(), logits)  # fmt: skip
    inner = (soft * weights).sum(dim, keepdim=True)
    torch.testing.assert_close(got, (soft * (weights - inner) / tau).detach())
    if hard:
        assert torch.equal(value.argmax(dim), soft.argmax(dim))


@pytest.mark.parametrize("rows", [1, 2000])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_distribution_is_that_of_torch(rows, dtype):
    # The same number of draws by small and by large tensors. alpha = 2e-5 each.
    logits = torch.tensor([1.0, -0.5, 0.0, 2.0], dtype=dtype)
    calls = 20_000 // rows
    many = logits.expand(rows, 4)
    hard = sum(relaxit.gumbel_softmax(many, 0.3, True).double().sum(0) for _ in range(calls))
    assert not wrong_frequencies(hard, logits.double().softmax(-1))
    assert wrong_frequencies(hard, (logits.double() / 1.1).softmax(-1))
    soft = torch.cat([relaxit.gumbel_softmax(many, 0.3)[:, 3].double() for _ in range(calls)])
    theirs = F.gumbel_softmax(logits.double().expand(1_000_000, 4), 0.3)[:, 3]
    assert not wrong_mean(soft, theirs.mean())
    ordered = theirs.sort().values

    def cdf(x):
        return (torch.searchsorted(ordered, torch.as_tensor(x)) / len(ordered)).numpy()

    if dtype == torch.float32:
        assert not wrong_distribution(soft, cdf)
        assert wrong_distribution(soft, lambda x: cdf(torch.as_tensor(x) ** 1.1))


def test_a_generator_makes_it_reproducible():
    for logits in (torch.zeros(3, 4), torch.zeros(3000, 4)):
        first, second = (
            relaxit.gumbel_softmax(logits, generator=torch.Generator().manual_seed(1))
            for _ in range(2)
        )
        assert torch.equal(first, second)
        assert not torch.equal(first, relaxit.gumbel_softmax(logits))


@DIMS
def test_masked_categories(shape, dim):
    logits = torch.randn(shape, requires_grad=True)
    mask = torch.rand(shape) > 0.3
    mask |= torch.zeros(shape).scatter(dim, torch.zeros_like(mask.long()), 1).bool()
    for hard in (False, True):
        value = relaxit.gumbel_softmax(logits, 0.5, hard, dim, mask=mask)
        assert not value[~mask].any()
        grad, = torch.autograd.grad((value * torch.randn(shape)).sum(), logits)  # fmt: skip
        assert bool(grad.isfinite().all())
        assert not grad[~mask].any()
        assert torch.equal(value.sum(dim) > 0.99, torch.ones_like(value.sum(dim)).bool())


@DIMS
@pytest.mark.parametrize(
    "estimator", ["straight-through", "reinmax", relaxit.estimator("st-gumbel")]
)
def test_estimators(shape, dim, estimator):
    logits = torch.randn(shape, requires_grad=True)
    value = relaxit.gumbel_softmax(logits, 1.0, True, dim, estimator=estimator)
    assert bool((value.sum(dim) == 1).all())
    chosen = relaxit.estimator(estimator) if isinstance(estimator, str) else estimator
    torch.manual_seed(2)
    value = relaxit.gumbel_softmax(logits, 1.0, True, dim, estimator=estimator)
    torch.manual_seed(2)
    q = relaxit.Categorical(logits=logits.movedim(dim, -1))
    want = chosen.sample(q).movedim(-1, dim)
    assert torch.equal(value, want)


@pytest.mark.parametrize("shape", [(3, 4), (3000, 4)])
def test_temperatures_of_the_batch(shape):
    logits = torch.zeros(shape)
    cold = torch.full(shape[:1], 1e-4)
    cold[0] = 1e3
    for tau in (cold, cold.unsqueeze(-1)):
        value = relaxit.gumbel_softmax(logits, tau)
        assert float(value[0].max()) < 0.3
        assert float(value[1:].max(-1).values.mean()) > 0.99
    sideways = relaxit.gumbel_softmax(logits.T, cold.unsqueeze(0), dim=0)
    assert float(sideways[:, 0].max()) < 0.3
    tau = torch.tensor(0.5, requires_grad=True)
    relaxit.gumbel_softmax(logits, tau).square().sum().backward()
    assert float(tau.grad.abs()) > 0


@pytest.mark.parametrize("shape", [(2, 1), (3000, 1)])
@pytest.mark.parametrize("hard", [False, True])
def test_one_category(shape, hard):
    logits = torch.randn(shape, requires_grad=True)
    value = relaxit.gumbel_softmax(logits, hard=hard)
    assert torch.equal(value, torch.ones(shape))
    assert not torch.autograd.grad(value.square().sum(), logits)[0].any()


def test_nothing_to_choose_for():
    assert relaxit.gumbel_softmax(torch.zeros(0, 4)).shape == (0, 4)
    for logits in (torch.zeros(3, 0), torch.zeros(())):
        with pytest.raises(ShapeError, match="no categories"):
            relaxit.gumbel_softmax(logits)


@pytest.mark.parametrize("rows", [1, 2000])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_would_be_nan_is_rejected(rows, hard, bad):
    # F.gumbel_softmax returns NaN.
    logits = torch.zeros(rows, 3)
    logits[0] = bad
    with pytest.raises(DomainError, match="NaN"):
        relaxit.gumbel_softmax(logits, hard=hard)


@pytest.mark.parametrize("rows", [1, 2000])
@pytest.mark.parametrize("tau", [0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_are_rejected(rows, tau):
    with pytest.raises(DomainError, match="temperature"):
        relaxit.gumbel_softmax(torch.zeros(rows, 3), tau)


@pytest.mark.parametrize("rows", [1, 2000])
@pytest.mark.parametrize("tau", [1e-30, 1e-4, 1e4, 1e30])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e37])
def test_extreme_numbers(rows, tau, scale):
    logits = (torch.randn(rows, 3) * scale).requires_grad_()
    value = relaxit.gumbel_softmax(logits, tau)
    assert bool(value.isfinite().all())
    assert bool(torch.autograd.grad(value.square().sum(), logits)[0].isfinite().all())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"logits": torch.zeros(3, dtype=torch.int64)}, TypeError, "torch.int64"),
        ({"logits": [0.0, 1.0]}, TypeError, "list"),
        ({"dim": 2}, IndexError, "out of range"),
        ({"estimator": "reinmax"}, ConfigurationError, "hard=True"),
        ({"estimator": "pathwise", "hard": True}, ConfigurationError, "omit hard=True"),
        ({"estimator": "rloo"}, Unsupported, "surrogate"),
        ({"mask": torch.ones(3)}, TypeError, "mask must be a bool"),
        ({"mask": torch.ones(2, dtype=torch.bool)}, ShapeError, "does not broadcast"),
        ({"tau": torch.ones(4)}, ShapeError, "temperature"),
        ({"tau": torch.ones(2, 3)}, ShapeError, "temperature"),
    ],
)
def test_arguments_that_are_rejected(arguments, error, words):
    with pytest.raises(error, match=words):
        relaxit.gumbel_softmax(**{"logits": torch.zeros(2, 3), **arguments})


class Gate(nn.Module):
    def forward(self, x):
        return relaxit.gumbel_softmax(x, hard=True) * 2


def test_it_is_one_node_of_a_symbolic_trace():
    traced = torch.fx.symbolic_trace(Gate())
    assert relaxit.gumbel_softmax in [node.target for node in traced.graph.nodes]
    assert bool((traced(torch.zeros(2, 3)).sum(-1) == 2).all())


@pytest.mark.parametrize("rows", [2, 3000])
def test_a_jit_trace_draws_anew_each_time(rows):
    traced = torch.jit.trace(Gate(), torch.zeros(rows, 40), check_trace=False)
    first, second = (traced(torch.zeros(rows, 40)) for _ in range(2))
    assert not torch.equal(first, second)
    assert bool((first.sum(-1) == 2).all())


@pytest.mark.parametrize("rows", [3, 3000])
@pytest.mark.parametrize("hard", [False, True])
def test_it_compiles(rows, hard):
    compiled = torch.compile(
        lambda x, tau: relaxit.gumbel_softmax(x, tau, hard, dim=0),
        fullgraph=True,
        backend="aot_eager",
    )
    x = torch.randn(4, rows, requires_grad=True)
    torch.manual_seed(0)
    value = compiled(x, 0.5)
    assert torch.allclose(value.sum(0), torch.ones(rows))
    assert torch.autograd.grad(value[0].square().sum(), x)[0].any() or hard


def test_under_vmap_each_row_draws_its_own():
    value = torch.func.vmap(
        lambda row: relaxit.gumbel_softmax(row, hard=True), randomness="different"
    )(torch.zeros(200, 4))
    assert int(value.sum(0).count_nonzero()) == 4


def test_inference_leaves_nothing_behind_that_training_cannot_use():
    logits = torch.zeros(2, 3, requires_grad=True)
    with torch.inference_mode():
        relaxit.gumbel_softmax(logits.detach(), 0.37)
    value = relaxit.gumbel_softmax(logits, 0.37)
    assert torch.autograd.grad(value[:, 0].sum(), logits)[0].any()


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan"), float("inf"), True])
def test_compiled_code_rejects_the_same_temperatures(size, hard, tau):
    torch.compiler.reset()
    compiled = torch.compile(lambda x: relaxit.gumbel_softmax(x, tau, hard), backend="eager")
    for call in (compiled, lambda x: relaxit.gumbel_softmax(x, tau, hard)):
        with pytest.raises(Exception, match="temperature must be") as caught:
            call(torch.zeros(size // 10, 10))
        assert isinstance(caught.value, DomainError | TypeError) or "DomainError" in repr(
            caught.value.__cause__
        )


def test_compiled_code_computes_with_the_smallest_temperature():
    torch.compiler.reset()
    compiled = torch.compile(lambda x: relaxit.gumbel_softmax(x, 1e-300), backend="eager")
    value = compiled(torch.randn(20, 10))
    assert bool(((value == 0) | (value == 1)).all())
    assert bool((value.sum(-1) == 1).all())


def test_one_graph_for_batches_of_any_size():
    torch.compiler.reset()
    counter = CompileCounter()
    compiled = torch.compile(relaxit.gumbel_softmax, backend=counter, dynamic=True, fullgraph=True)
    for rows in (20, 400, 500, 13_000):  # on both sides of the size at which eager code branches
        compiled(torch.zeros(rows, 10))
    assert counter.frame_count == 1


def test_a_dimension_that_is_not_there():
    for rows in (3, 3000):
        with pytest.raises(IndexError, match="Dimension out of range"):
            relaxit.gumbel_softmax(torch.zeros(rows, 4), dim=5)
