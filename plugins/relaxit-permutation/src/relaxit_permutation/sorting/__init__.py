"""Differentiable sorting, ranking and top-k of plain values."""

__all__: list[str] = []
