"""Permutation matrices: their supports, and the best one for given scores."""

__all__: list[str] = []
