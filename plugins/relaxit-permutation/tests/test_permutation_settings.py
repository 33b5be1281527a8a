"""The same numbers whatever the process is set to: autocast, precision, defaults."""

from __future__ import annotations

import contextlib
import warnings

import pytest
import torch
from permutation_helpers import close, gumbel, normal
from torch.overrides import TorchFunctionMode

import relaxit
from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sorting.ranking import rank, soft_permutation, sort, topk

PRODUCTS = {
    *(torch.matmul, torch.mm, torch.bmm, torch.mv, torch.addmm, torch.baddbmm, torch.einsum),
    *(torch.tensordot, torch.nn.functional.linear),
    *(torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.mm, torch.Tensor.bmm),
    *(torch.Tensor.mv, torch.Tensor.addmm, torch.Tensor.baddbmm),
}


class Short(TorchFunctionMode):
    """Products of float32 matrices as hardware makes them that keeps so many bits."""

    def __init__(self, bits):
        self.bits, self.seen = bits, 0

    def rounded(self, x):
        if not (isinstance(x, torch.Tensor) and x.dtype == torch.float32):
            return x
        self.seen += 1
        fraction, exponent = torch.frexp(x.detach())
        near = torch.ldexp((fraction * 2**self.bits).round() / 2**self.bits, exponent)
        return x + (near - x.detach())

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in PRODUCTS:
            args = [self.rounded(x) for x in args]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def shortened(bits, name):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        with Short(bits) as mode:
            yield mode
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def backend(name):
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = name
    try:
        with Short(8) as mode:
            yield mode
    finally:
        matmul.fp32_precision = before


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def flushed():
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


SETTINGS = {
    "bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "float16": lambda: torch.autocast("cpu", torch.float16),
    "medium": lambda: shortened(8, "medium"),
    "high": lambda: shortened(11, "high"),
    "mkldnn": lambda: backend("bf16"),
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "denormal": flushed,
}
settings = pytest.mark.parametrize("setting", SETTINGS)
OPERATIONS = {
    "sinkhorn short": (lambda x: sinkhorn(x, 0.5), (3, 6, 6)),
    "sinkhorn long": (lambda x: sinkhorn(x, 1.0), (2, 24, 24)),
    "sinkhorn newton": (lambda x: sinkhorn(x, 0.05), (3, 6, 6)),
    "sinkhorn newton long": (lambda x: sinkhorn(x, 0.1), (2, 24, 24)),
    "sinkhorn wide": (lambda x: sinkhorn(x, 0.3), (3, 4, 7)),
    "sinkhorn cold": (lambda x: sinkhorn(x, 1e-9), (3, 6, 6)),
    "kl": (lambda x: relaxit.get("permutation", n=6).kl_to_uniform(x), (3, 6, 6)),
    **{
        f"{function.__name__} {kind}": (lambda x, f=function, k=kind: f(x, 0.5, k), (3, 6))
        for function in (soft_permutation, sort, rank)
        for kind in ("softsort", "neuralsort", "sinkhorn")
    },
    "topk sinkhorn": (lambda x: topk(x, 2, 0.5, "sinkhorn").values, (3, 6)),
}


def gradient(value, leaf, up, again=False):
    """As ``torch.autograd.grad``, which is a function of torch's, so that no mode sees inside."""
    engine = torch.autograd.Variable._execution_engine
    (found,) = engine.run_backward((value,), (up,), True, again, (leaf,), accumulate_grad=False)
    return found


def derivatives(function, x, up, along, second):
    """Value, gradient and a second derivative."""
    leaf = x.clone().requires_grad_()
    value = function(leaf)
    first = gradient(value, leaf, up, second)
    if not second:
        return value.detach(), first
    again = gradient((first * along).sum(), leaf, torch.ones((), device=x.device, dtype=x.dtype))
    return value.detach(), first.detach(), again


@settings
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("second", [False, True])
def test_same_values_and_derivatives(name, setting, second):
    function, shape = OPERATIONS[name]
    x = gumbel(*shape).float()
    up = normal(*function(x).shape, number=1).float()
    along = normal(*shape, number=2).float()
    want = derivatives(function, x, up, along, second)
    with SETTINGS[setting]():
        got = derivatives(function, x, up, along, second)
    for one, other in zip(got, want, strict=True):
        assert one.dtype == other.dtype
        close(one, other, 1e-5 * max(1.0, float(other.abs().max())), what=f"{name}, {setting}")


@pytest.mark.parametrize("setting", ["bfloat16", "medium"])
def test_backward_alone(setting):
    # What was recorded outside is differentiated inside, once and again.
    x, up = gumbel(3, 6, 6).float(), normal(3, 6, 6, number=1).float()
    along = normal(3, 6, 6, number=2).float()
    want = derivatives(lambda x: sinkhorn(x, 0.3), x, up, along, True)
    leaf = x.clone().requires_grad_()
    value = sinkhorn(leaf, 0.3)
    with SETTINGS[setting]():
        first = gradient(value, leaf, up)
    close(first, want[1], 1e-5)
    first = gradient(value, leaf, up, True)
    with SETTINGS[setting]():
        again = gradient(
            (first * along).sum(), leaf, torch.ones((), device=x.device, dtype=x.dtype)
        )
    close(again, want[2], 1e-5 * float(want[2].abs().max()))


@settings
@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [("permutation", {"n": 5}, (5, 5)), ("matching", {"rows": 3, "columns": 5}, (3, 5))],
)
def test_same_draws(name, options, shape, setting):
    structure, params = relaxit.get(name, **options), gumbel(2, *shape).float()
    up = normal(4, 2, *shape).float()

    def draw():
        leaf = params.clone().requires_grad_()
        soft, hard = structure(leaf, 0.3).draw((4,), generator=torch.Generator().manual_seed(1))
        found = gradient(soft, leaf, up)
        return soft.detach(), hard, found, structure.hard(soft)

    want = draw()
    with SETTINGS[setting]():
        got = draw()
    for one, other in zip(got, want, strict=True):
        close(one, other, 2e-5 * max(1.0, float(other.abs().max())))


def test_inference_mode():
    x = gumbel(3, 6, 6).float()
    with torch.inference_mode():
        got = sinkhorn(x, 0.1), rank(x[0], 0.1, "sinkhorn")
    close(got[0], sinkhorn(x, 0.1), 0)
    close(got[1], rank(x[0], 0.1, "sinkhorn"), 0)


def test_the_simulation_shows():
    # Without care these would be off by far more than what is granted above.
    x = gumbel(3, 6, 6).float()
    with shortened(8, "medium") as mode:
        rough = x @ x
    assert mode.seen == 2
    assert float((rough - x @ x).abs().max()) > 1e-3


@pytest.mark.parametrize("setting", ["bfloat16", "medium"])
def test_compiled(setting):
    # What the process is set to when it runs counts, not when it was compiled.
    x, up = gumbel(3, 6, 6).float(), normal(3, 6, 6, number=1).float()
    torch._dynamo.reset()
    function = torch.compile(lambda x: sinkhorn(x, 0.3), backend="aot_eager", fullgraph=True)
    want = derivatives(lambda x: sinkhorn(x, 0.3), x, up, up, False)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = derivatives(function, x, up, up, False)
            with SETTINGS[setting]() if setting == "bfloat16" else contextlib.nullcontext():
                inside = derivatives(function, x, up, up, False)
        for each in (got, inside):
            for one, other in zip(each, want, strict=True):
                close(one, other, 1e-5)
