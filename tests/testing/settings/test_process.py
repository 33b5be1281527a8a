"""Settings of the process are read, and restored after each check."""

from __future__ import annotations

import pytest
import torch

from relaxit.testing.settings.process import global_settings, restored

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
