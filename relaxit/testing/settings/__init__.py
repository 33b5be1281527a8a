"""Settings of a process, and whether results are the same under them."""

__all__: list[str] = []
