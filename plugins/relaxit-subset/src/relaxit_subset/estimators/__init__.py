"""Gradient estimators for k-subsets."""

__all__: list[str] = []
