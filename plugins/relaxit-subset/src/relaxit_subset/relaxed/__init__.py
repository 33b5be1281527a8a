"""Relaxed k-subsets: what both distributions share."""

__all__: list[str] = []
