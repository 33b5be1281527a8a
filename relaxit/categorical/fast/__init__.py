"""Fused implementations of the categorical draw, beside the reference ones."""

__all__: list[str] = []
