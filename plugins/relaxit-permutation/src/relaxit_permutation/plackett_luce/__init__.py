"""The Plackett-Luce distribution over orders, and its relaxation."""

__all__: list[str] = []
