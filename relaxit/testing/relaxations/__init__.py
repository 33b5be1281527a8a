"""Checks of relaxations, one module per part of the contract."""

__all__: list[str] = []
