"""The tasks of relaxit-subset."""

__all__: list[str] = []
