"""Tasks of relaxit-subset."""

__all__: list[str] = []
