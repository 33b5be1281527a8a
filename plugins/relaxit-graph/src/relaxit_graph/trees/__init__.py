"""Undirected spanning trees."""

__all__: list[str] = []
