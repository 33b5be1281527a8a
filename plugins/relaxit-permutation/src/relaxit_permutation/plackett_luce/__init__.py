"""The Plackett-Luce distribution of orders, and its relaxation."""

__all__: list[str] = []
