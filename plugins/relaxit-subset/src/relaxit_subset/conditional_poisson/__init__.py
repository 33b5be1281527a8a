"""The conditional Poisson distribution of k-subsets."""

__all__: list[str] = []
