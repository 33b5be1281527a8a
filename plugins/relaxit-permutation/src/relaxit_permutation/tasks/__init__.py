"""Tasks of relaxit-permutation."""

__all__: list[str] = []
