"""Permutations and matchings by Gumbel-Sinkhorn."""

__all__: list[str] = []
