"""What the process is set to: put back by the kit, and simulated where a CPU does not obey."""

from __future__ import annotations

import pytest
import torch

from relaxit.testing import cases, results
from relaxit.testing.settings.low_precision import ShortProducts
from relaxit.testing.settings.process import global_settings, restored
from tests.testing.broken import settings, sound


@pytest.fixture(autouse=True)
def as_it_was():
    """Whatever a test sets is put back by hand, in case the kit does not."""
    before = global_settings()
    backends = (torch.backends.cuda, torch.backends.mkldnn)
    precisions = [backend.matmul.fp32_precision for backend in backends]
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_float32_matmul_precision("highest")
    for backend, precision in zip(backends, precisions, strict=True):
        backend.matmul.fp32_precision = precision
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    torch.set_autocast_enabled("cpu", False)
    torch.set_autocast_dtype("cpu", torch.bfloat16)
    assert global_settings() == before


CHANGES = {
    "grad mode": lambda: torch.set_grad_enabled(False),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "determinism": lambda: torch.use_deterministic_algorithms(True),
    "determinism that warns": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "precision of a backend": lambda: setattr(
        torch.backends.mkldnn.matmul, "fp32_precision", "bf16"
    ),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "dtype of autocast": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "denormal numbers": lambda: torch.set_flush_denormal(True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_setting_is_read_and_put_back(change):
    before = global_settings()

    def changed():
        with restored():
            CHANGES[change]()
            assert global_settings() != before
            raise KeyError

    with pytest.raises(KeyError):
        changed()
    assert global_settings() == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_setting_of_the_user_stays(change):
    if change == "denormal numbers" and not torch.set_flush_denormal(True):
        pytest.skip("this machine cannot flush them")
    with restored():
        CHANGES[change]()
        before = global_settings()
        with restored():
            torch.set_float32_matmul_precision("high")
            torch.set_default_device("cpu")
            torch.use_deterministic_algorithms(False)
            torch.set_flush_denormal(False)
            torch.set_autocast_enabled("cpu", False)
        assert global_settings() == before


def test_backends_set_one_by_one_are_put_back():
    torch.backends.cuda.matmul.fp32_precision = "tf32"  # the common getter raises from now on
    before = global_settings()
    with restored():
        torch.set_float32_matmul_precision("medium")
    assert global_settings() == before


def test_no_default_device_is_left_behind(monkeypatch):
    # Even the CPU as one is a mode, which slows down every call.
    calls, right = [], torch.set_default_device
    monkeypatch.setattr(torch, "set_default_device", lambda device: calls.append(device))
    with restored():
        right("meta")
    right(None)
    assert calls == [None]


# --- products ---------------------------------------------------------------------------------

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


def test_what_is_no_product_of_float32_keeps_its_bits():
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


# --- the checks -------------------------------------------------------------------------------


class RaisesInInference(sound.Choice):
    def relax(self, scores, temperature):
        if torch.is_inference_mode_enabled():
            raise ValueError("not here")
        return super().relax(scores, temperature)


def reasons(subject):
    (case,) = cases(subject, relaxations=[sound.Choice()])
    return {r.check: r.reason for r in results(case) if r.outcome == "fail"}


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (
            settings.ProductInLogSpace(categories=3),
            ["autocast to bfloat16", "log_space.log_prob", "full_precision_matmul"],
        ),
        (settings.HeedsAutocastAlone(), ["'high'", "at temperature 0.02", "full_precision_matmul"]),
        (settings.ShortBackward(), ["the gradient of", "of 64 rows"]),
        (settings.LongEntropy(), ["the dtype of entropy is torch.float64", "give dtype="]),
        (settings.ConstantOnTheDefaultDevice(), ["default device", "give device="]),
        (settings.KeepsATable(), ["in training after it", "Inference tensors"]),
        (settings.ReadsWhatIsThere(), ["deterministic algorithms", "torch.empty"]),
        (RaisesInInference(), ["in inference mode it raises ValueError: not here"]),
        (settings.MeansInInference(), ["sample 0 passed to the cost"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_message_says_what_where_and_what_to_do(subject, said):
    (reason,) = reasons(subject).values()
    assert all(word in reason for word in said), reason


def test_what_a_check_sets_is_put_back_after_a_failure():
    before = global_settings()
    for subject in (settings.ConstantOnTheDefaultDevice(), RaisesInInference()):
        reasons(subject)
        assert global_settings() == before
        assert torch.zeros(()).device.type == "cpu"
        assert not torch.is_inference_mode_enabled()
