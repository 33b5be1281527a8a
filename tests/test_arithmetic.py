"""Matrix products in full precision, and code without autocast."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.overrides import TorchFunctionMode

from relaxit.arithmetic import full_precision_matmul, has_reduced_precision, without_autocast
from relaxit.testing.settings.process import restored

CPU = torch.device("cpu")
PRODUCTS = {"matmul", "__matmul__", "mm", "bmm"}


class Rounds(TorchFunctionMode):
    """A device with products in reduced precision: float32 matrices lose 13 bits, as in TF32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in PRODUCTS:
            args = [_rounded(arg) for arg in args]
        return func(*args, **(kwargs or {}))


def _rounded(x):
    if not isinstance(x, torch.Tensor) or x.dtype != torch.float32:
        return x
    bits = x.view(torch.int32)
    return ((bits + (1 << 12)) & -(1 << 13)).view(torch.float32)


@contextlib.contextmanager
def short(precision: str) -> Iterator[None]:
    with restored():
        torch.set_float32_matmul_precision(precision)
        with Rounds():
            yield


@contextlib.contextmanager
def backend(precision: str) -> Iterator[None]:
    with restored():
        torch.backends.mkldnn.matmul.fp32_precision = precision
        with Rounds():
            yield


SETTINGS = {
    "autocast bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", torch.float16),
    "high": lambda: short("high"),
    "medium": lambda: short("medium"),
    "backend": lambda: backend("bf16"),
}
each_setting = pytest.mark.parametrize("setting", SETTINGS)
SHAPES = [((3, 4), (4, 2)), ((5, 3, 4), (5, 4, 6)), ((5, 3, 4), (4, 2)), ((0, 3), (3, 2))]


def matrices(shapes, dtype=torch.float32):
    source = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=source, dtype=dtype).requires_grad_() for s in shapes]


def value_and_slopes(f, a, b):
    c = f(a, b)
    return [c, *torch.autograd.grad(c.square().sum(), (a, b))]


@each_setting
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_and_their_slopes_keep_their_digits(setting, shapes, dtype):
    a, b = matrices(shapes, dtype)
    exact = value_and_slopes(torch.matmul, a, b)
    with SETTINGS[setting]():
        found = value_and_slopes(full_precision_matmul, a, b)
    for x, y in zip(found, exact, strict=True):
        assert x.dtype == dtype
        torch.testing.assert_close(x, y)


@each_setting
def test_that_test_sees_a_plain_product(setting):
    a, b = matrices(SHAPES[0])
    exact = a @ b
    with SETTINGS[setting]():
        found = torch.matmul(a, b)
    assert (found.float() - exact).abs().max() > 1e-4


@each_setting
def test_what_the_process_is_set_to_is_read_and_left(setting):
    assert not has_reduced_precision(CPU)
    with SETTINGS[setting]():
        assert has_reduced_precision(CPU)
        full_precision_matmul(*matrices(SHAPES[0]))
        assert has_reduced_precision(CPU)
    assert not has_reduced_precision(CPU)


def test_backends_that_differ_can_be_read():
    # torch's common getter raises then.
    before = torch.backends.cuda.matmul.fp32_precision
    try:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        assert not has_reduced_precision(CPU)
        assert has_reduced_precision(torch.device("cuda"))
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


def test_on_meta_nothing_is_short():
    assert not has_reduced_precision(torch.device("meta"))
    assert full_precision_matmul(
        torch.empty(2, 3, device="meta"), torch.empty(3, 4, device="meta")
    ).shape == (
        2,
        4,
    )


@pytest.mark.parametrize("shapes", SHAPES[:3])
def test_compiled_it_is_decided_when_it_runs(shapes):
    torch.compiler.reset()
    compiled = torch.compile(
        full_precision_matmul, fullgraph=True, backend="aot_eager", dynamic=True
    )
    a, b = matrices(shapes)
    exact = value_and_slopes(torch.matmul, a, b)
    for setting in ("high", "backend"):
        for x, y in zip(value_and_slopes(compiled, a, b), exact, strict=True):
            torch.testing.assert_close(x, y)
        with SETTINGS[setting]():
            for x, y in zip(value_and_slopes(compiled, a, b), exact, strict=True):
                torch.testing.assert_close(x, y)


def test_second_derivatives():
    a, b = matrices(SHAPES[0], torch.float64)
    assert torch.autograd.gradgradcheck(full_precision_matmul, (a, b))
    assert torch.autograd.gradgradcheck(torch.ops.relaxit.product, (a, b))


def test_operator_keeps_torchs_own_rules():
    torch.library.opcheck(torch.ops.relaxit.product, tuple(matrices(SHAPES[1])))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_off_inside_and_on_again_outside(dtype):
    x = torch.eye(2)
    with torch.autocast("cpu", dtype):
        with without_autocast(x):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == dtype
    with without_autocast(x):
        assert not torch.is_autocast_enabled("cpu")


def test_nothing_is_entered_without_autocast():
    assert isinstance(without_autocast(torch.zeros(1)), contextlib.nullcontext)
    assert isinstance(without_autocast(torch.zeros(1, device="meta")), contextlib.nullcontext)
