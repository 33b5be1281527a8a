"""What a process can be set to, and whether numbers are the same under it."""

__all__: list[str] = []
