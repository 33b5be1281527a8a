"""Checks of relaxations, one file a chapter of the contract."""

__all__: list[str] = []
