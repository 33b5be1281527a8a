"""Every test of this directory leaves the settings of the process as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from relaxit.testing.settings.process import global_settings


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Restores by hand whatever a test sets, in case the kit does not."""
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
