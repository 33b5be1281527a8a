"""Devices, versions of libraries, and denormal numbers."""

from __future__ import annotations

import pytest
import torch

from relaxit.environment import choose_device, devices, flushed_denormals, versions
from relaxit.errors import ConfigurationError


def test_denormals_are_flushed_inside_and_kept_outside():
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormals")
    small = torch.tensor([1e-40])
    with flushed_denormals():
        assert (small * 1.0).item() == 0
    assert (small * 1.0).item() > 0


def test_a_missing_device_is_rejected_and_auto_takes_the_best():
    assert str(choose_device("auto")) == devices()[0]
    assert devices()[-1] == "cpu"
    for asked in ("cuda:99", "tpu", "", "CPU"):
        with pytest.raises(ConfigurationError, match="is not available"):
            choose_device(asked)


def test_versions_name_the_libraries():
    assert torch.__version__.startswith(versions()["torch"])
    assert "relaxit-framework" in versions()
