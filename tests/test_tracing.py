"""Private names of torch: in one module, and everything is right where one of them is missing."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

import relaxit
from relaxit import noise, tracing
from relaxit.noise.sfc64 import LEAST

CORE = Path(relaxit.__file__).parent
PLUGINS = CORE.parent / "plugins"
FILES = sorted([*CORE.rglob("*.py"), *PLUGINS.glob("*/src/**/*.py")])


def private_names(source: str) -> Iterator[str]:
    """Names of torch that begin with an underscore, as they are imported or reached."""
    tree = ast.parse(source)
    of_torch = {"torch"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            for alias in node.names:
                path = f"{node.module}.{alias.name}"
                of_torch.add(alias.asname or alias.name)
                yield from _private_part(path)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "torch":
                    of_torch.add(alias.asname or "torch")
                    yield from _private_part(alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            path = ast.unparse(node)
            if path.split(".")[0] in of_torch:
                yield from _private_part(path)
        elif isinstance(node, ast.Constant) and node.value == "_dynamo_marked_constant":
            yield node.value


def _private_part(path: str) -> Iterator[str]:
    if any(part.startswith("_") and not part.startswith("__") for part in path.split(".")):
        yield path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_private_name_of_torch_elsewhere(path):
    found = set(private_names(path.read_text()))
    if path == CORE / "tracing.py":
        found = {name for name in found if name != "_dynamo_marked_constant"}
    assert not found, f"{path.name} uses {', '.join(sorted(found))}: put it into relaxit.tracing"


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch._C._get_tracing_state()",
        "import torch._dynamo",
        "from torch._library.effects import EffectType",
        "from torch import _VF",
        "from torch.autograd import forward_ad\nforward_ad._current_level",
        "import torch as t\nt._foreach_copy_([], [])",
        "f._x = 1\nsetattr(f, '_dynamo_marked_constant', True)",
    ],
)
def test_that_check_sees_a_private_name(source):
    assert list(private_names(source))


@pytest.mark.parametrize("source", ["import torch\ntorch.func.vmap", "self._torch", "x.__dict__"])
def test_that_check_lets_public_names_pass(source):
    assert not list(private_names(source))


# --- each name is taken away --------------------------------------------------------------------

gone = pytest.mark.parametrize("name", tracing.PRIVATE)


def draws(params: torch.Tensor) -> list[torch.Tensor]:
    """A few results of everything that asks whether it is observed."""
    q = relaxit.get("categorical", categories=5)(params, 0.7)
    source = torch.Generator().manual_seed(3)
    soft, hard = q.draw((400,), generator=source)
    drawn = q.sample_hard((50,), generator=source)
    (slope,) = torch.autograd.grad(soft.square().sum(), params)
    large = noise.exponential((LEAST,), generator=source)
    return [soft, hard, drawn, slope, large, q.discrete.entropy()]


@gone
def test_samples_follow_the_same_distribution(name, monkeypatch):
    params = torch.linspace(-1, 1, 10).view(2, 5).requires_grad_()
    whole = draws(params)
    monkeypatch.setattr(tracing, name, None)
    without = draws(params)
    assert [x.shape for x in without] == [x.shape for x in whole]
    for a, b in zip(whole, without, strict=True):  # of other numbers perhaps: means to 5 s.e.
        error = (a.double().std() + b.double().std()) / a.numel() ** 0.5
        assert abs(a.double().mean() - b.double().mean()) <= 5 * error + 1e-6
    torch.testing.assert_close(without[-1], whole[-1])


@gone
def test_vmap_grad_and_compile_work(name, monkeypatch):
    monkeypatch.setattr(tracing, name, None)
    categorical = relaxit.get("categorical", categories=4)

    def log_prob(logits: torch.Tensor) -> torch.Tensor:
        soft = categorical(logits, 0.5).rsample()
        return categorical(logits, 0.5).log_prob(soft).sum()

    logits = torch.randn(3, 4)
    rows = torch.func.vmap(torch.func.grad(log_prob), randomness="different")(logits)
    assert rows.isfinite().all()
    torch.compiler.reset()
    assert torch.compile(log_prob, fullgraph=True, backend="eager")(logits).isfinite()


@gone
@pytest.mark.parametrize("forward", [True, False])
def test_tangents_and_batched_gradients_are_right(name, forward, monkeypatch):
    logits = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)

    def soft(x: torch.Tensor) -> torch.Tensor:
        source = torch.Generator().manual_seed(0)
        return relaxit.get("categorical", categories=4)(x, 0.5).rsample((), source)

    exact = torch.autograd.functional.jacobian(soft, logits)
    monkeypatch.setattr(tracing, name, None)
    if forward:
        tangent = torch.randn_like(logits)
        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(soft(forward_ad.make_dual(logits.detach(), tangent)))
        torch.testing.assert_close(found.tangent, (exact * tangent).sum((-1, -2)))
    else:
        value = soft(logits)
        basis = torch.eye(value.numel(), dtype=value.dtype).view(-1, *value.shape)
        (found,) = torch.autograd.grad(value, logits, basis, is_grads_batched=True)
        torch.testing.assert_close(found.view_as(exact), exact)


def test_the_fused_implementation_is_used_while_all_names_are_there():
    assert tracing.may_branch_on_values(torch.zeros(3))
    assert not tracing.observed()


@pytest.mark.parametrize("name", ["torch_transforms_active", "torch_mode_count"])
def test_without_a_name_operations_count_as_observed(name, monkeypatch):
    monkeypatch.setattr(tracing, name, None)
    assert tracing.observed()
    assert not tracing.may_branch_on_values(torch.zeros(3))


def test_a_batch_of_gradients_is_seen_without_its_private_name(monkeypatch):
    monkeypatch.setattr(tracing, "torch_is_batched", None)
    seen = []

    class Look(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            seen.append(tracing.followed(grad))
            return grad

    x = torch.ones(2, requires_grad=True)
    torch.autograd.grad(Look.apply(x), x, torch.eye(2), is_grads_batched=True)
    torch.autograd.grad(Look.apply(x), x, torch.ones(2))
    assert seen == [True, False]


def test_gammas_without_the_private_name(monkeypatch):
    monkeypatch.setattr(tracing, "torch_gamma", None)
    alpha = torch.full((20_000,), 0.5)
    before = torch.get_rng_state()
    first, again = (
        tracing.standard_gamma(alpha, torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
    assert abs(first.mean() - 0.5) < 5 * (0.5 / len(alpha)) ** 0.5


def test_a_constant_is_marked_by_its_public_name_where_the_private_one_is_not_looked_for(
    monkeypatch,
):
    def count() -> int:
        return 3

    marked = []
    monkeypatch.setattr(tracing, "compiler_looks_for", lambda mark: False)
    monkeypatch.setattr(torch.compiler, "assume_constant_result", marked.append)
    tracing.constant_result(count)
    assert marked == [count]


def test_the_mark_is_what_this_version_looks_for():
    assert tracing.compiler_looks_for("_dynamo_marked_constant")
    assert not tracing.compiler_looks_for("_no_such_mark")


def test_jit_tracing_is_seen():
    looked = []

    def function(x: torch.Tensor) -> torch.Tensor:
        looked.append(tracing.observed())
        return x + 1

    torch.jit.trace(function, torch.zeros(2), check_trace=False)
    assert looked == [True]


def test_fake_tensors_are_seen():
    with tracing.fake_tensors():
        assert tracing.observed()


def test_writing_is_seen():
    x = torch.zeros(2)
    before = tracing.version(x)
    x.add_(1)
    assert tracing.version(x) != before


def test_a_sample_can_be_saved():
    logits = torch.randn(2, 3, dtype=torch.float16, requires_grad=True)
    soft = relaxit.get("categorical", categories=3)(logits, 0.5).rsample()
    file = io.BytesIO()
    torch.save(soft, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=True), soft)


def test_fake_tensors_have_no_values_to_read():
    with FakeTensorMode():
        fake = torch.zeros(2, 3)
        assert not tracing.can_read_values(fake)
        assert relaxit.get("categorical", categories=3)(fake).rsample().shape == (2, 3)
