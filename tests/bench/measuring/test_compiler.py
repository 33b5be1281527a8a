"""Why nothing can be compiled here is said in one line."""

import torch

from relaxit.bench.measuring.compiler import cannot_compile
from tests.bench.made_benchmarks import CPU


def test_why_nothing_can_be_compiled(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no C++ compiler\nat all")

    monkeypatch.setattr(torch, "compile", fails)
    cannot_compile.cache_clear()
    try:
        assert cannot_compile(CPU).endswith("RuntimeError: no C++ compiler at all")
    finally:
        cannot_compile.cache_clear()
