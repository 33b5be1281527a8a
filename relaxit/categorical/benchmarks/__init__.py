"""Benchmarks of categories and bits: sampling, densities, the function, times of estimators."""

__all__: list[str] = []
