"""Permutation matrices: where they lie, and the best one for given scores."""

__all__: list[str] = []
