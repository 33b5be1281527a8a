"""Tasks of relaxit-graph."""

__all__: list[str] = []
