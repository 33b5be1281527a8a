"""Checks of gradient estimators."""

__all__: list[str] = []
