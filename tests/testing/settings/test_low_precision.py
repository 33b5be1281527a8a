"""Products of low precision, simulated where a CPU ignores the setting."""

from __future__ import annotations

import pytest
import torch

from relaxit.testing.settings.low_precision import ShortProducts

PRODUCTS = {
    "@": lambda a, b: a @ b,
    "reversed": lambda a, b: torch.Tensor.__rmatmul__(b, a),
    "linalg": lambda a, b: torch.linalg.matmul(a, b),
    "mm": lambda a, b: a.mm(b),
    "by name": lambda a, b: torch.mm(input=a, mat2=b),
    "mv": lambda a, b: torch.stack([a.mv(column) for column in b.mT], -1),
    "dot": lambda a, b: torch.stack([torch.dot(a[0], b[:, 0])]),
    "inner": lambda a, b: torch.inner(a, b.mT),
    "tensordot": lambda a, b: torch.tensordot(a, b, 1),
    "bmm": lambda a, b: torch.bmm(a.unsqueeze(0), b.unsqueeze(0)),
    "baddbmm": lambda a, b: torch.baddbmm(a.new_zeros(()), a.unsqueeze(0), b.unsqueeze(0)),
    "addmm": lambda a, b: torch.addmm(a.new_zeros(()), a, b),
    "addmm_": lambda a, b: a.new_zeros(len(a), b.shape[1]).addmm_(a, b),
    "linear": lambda a, b: torch.nn.functional.linear(a, b.mT, a.new_zeros(b.shape[1])),
    "einsum": lambda a, b: torch.einsum("ij,jk->ik", a, b),
    "einsum of a list": lambda a, b: torch.einsum("ij,jk->ik", [a, b]),
    "vmap": lambda a, b: torch.func.vmap(lambda row: row @ b)(a),
    "jvp": lambda a, b: torch.func.jvp(lambda x: x @ b, (a,), (a,))[0],
}


def factors(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, m, generator=generator, dtype=dtype) for n, m in ((5, 6), (6, 7))]


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_shortened(name):
    a, b = factors()
    want, rounded = PRODUCTS[name](a, b), PRODUCTS[name](*(x.bfloat16().float() for x in (a, b)))
    torch.set_float32_matmul_precision("medium")
    with ShortProducts(8):
        got = PRODUCTS[name](a, b)
    assert torch.equal(got, rounded)
    assert not torch.allclose(got, want, rtol=1e-4, atol=1e-4)


def test_what_is_written_to_out_is_shortened():
    a, b = factors()
    torch.set_float32_matmul_precision("medium")
    with ShortProducts(8):
        got = torch.mv(a, b[:, 0], out=torch.empty(5))
    assert torch.equal(got, a.bfloat16().float().mv(b[:, 0].bfloat16().float()))


def test_other_operations_keep_their_bits():
    a, b = factors()
    bias = torch.full((7,), 1 / 3)
    torch.set_float32_matmul_precision("medium")
    with ShortProducts(8):
        assert torch.equal(a.double() @ b.double(), torch.matmul(*(x.double() for x in (a, b))))
        assert torch.equal(torch.einsum("ij->ji", a), a.mT)
        assert torch.equal(torch.addmm(bias, 0 * a, b)[0], bias)
        assert torch.equal(torch.nn.functional.linear(0 * a, b.mT, bias)[0], bias)
    torch.set_float32_matmul_precision("highest")
    with ShortProducts(8):
        assert torch.equal(a @ b, torch.matmul(a, b))


def test_gradients_are_shortened():
    a, b = (x.requires_grad_() for x in factors())
    weights = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    torch.set_float32_matmul_precision("medium")
    with ShortProducts(8):
        (got,) = torch.autograd.grad(a @ b, a, weights)
    short = [x.detach().bfloat16().float() for x in (weights, b)]
    torch.set_float32_matmul_precision("highest")
    assert torch.equal(got, short[0] @ short[1].mT)


@pytest.mark.parametrize("bits", [8, 11])
def test_as_many_bits_as_asked_for_are_left(bits):
    x = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
    torch.set_float32_matmul_precision("medium")
    with ShortProducts(bits):
        found = x @ torch.ones(1, 1)
    error = ((found - x) / x).abs().max().item()
    assert 2.0 ** -(bits + 1) < error <= 2.0**-bits
