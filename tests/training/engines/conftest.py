"""The engine ``compile`` without its compiler."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def uncompiled(monkeypatch):
    """Everything the engine ``compile`` does, but for the compiler."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
