"""Benchmarks and gradient problems of relaxit-subset."""

__all__: list[str] = []
