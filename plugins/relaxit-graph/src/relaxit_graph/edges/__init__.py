"""Edges that are chosen independently, or a fixed number of them."""

__all__: list[str] = []
