"""The built-in tasks, each a plugin of its own."""

__all__: list[str] = []
