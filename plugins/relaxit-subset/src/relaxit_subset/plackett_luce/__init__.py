"""The Plackett-Luce distribution of k-subsets: Gumbel-top-k."""

__all__: list[str] = []
