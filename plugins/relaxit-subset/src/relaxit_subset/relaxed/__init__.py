"""Relaxed k-subsets: the code that both distributions share."""

__all__: list[str] = []
