"""Compare the two distributions of k-subsets: masses, inclusion probabilities and distances.

python two_distributions.py --seed 0
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

import relaxit

N, K, SHOWN = 7, 3, 6
POISSON = relaxit.get("subset", n=N, k=K)
RACE = relaxit.get("subset-plackett-luce", n=N, k=K)


def logits(seed: int) -> Tensor:  # [n]
    return torch.randn(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masses(theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return all subsets ``[35, n]`` and their masses ``[35]`` under each distribution."""
    subsets = POISSON(theta).discrete.enumerate_support()
    p, q = (
        distribution(theta).discrete.log_prob(subsets).exp() for distribution in (POISSON, RACE)
    )
    return subsets, p, q


def distances(theta: Tensor) -> tuple[float, float]:
    """Return total variation, and KL(Plackett-Luce, conditional Poisson) in nats."""
    _, p, q = masses(theta)
    return float((p - q).abs().sum()) / 2, float((q * (q / p).log()).sum())


def print_masses(theta: Tensor) -> None:
    subsets, p, q = masses(theta)
    order = p.argsort(descending=True)
    print("subset     conditional Poisson  Plackett-Luce")
    for i in order[:SHOWN].tolist():
        name = " ".join(map(str, subsets[i].nonzero().flatten().tolist()))
        print(f"{name:11}{p[i]:19.4f}{q[i]:15.4f}")
    rest = order[SHOWN:]
    print(f"{f'{len(rest)} others':11}{p[rest].sum():19.4f}{q[rest].sum():15.4f}")


def print_inclusion(theta: Tensor) -> None:
    # The weights e^theta are odds p / (1 - p) for the first distribution, and proportional to the
    # probability of being drawn next for the second. A public implementation of SIMPLE draws by
    # Gumbel-top-k from log p: this is the third row.
    print("\nprobability that an item is chosen")
    for name, mean in {
        "conditional Poisson": POISSON(theta).discrete.mean,
        "Plackett-Luce": RACE(theta).discrete.mean,
        "Plackett-Luce of log sigmoid": RACE(theta.sigmoid().log()).discrete.mean,
    }.items():
        print(f"{name:30}" + "".join(f"{m:7.3f}" for m in mean.tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the two distributions of k-subsets.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the logits.")
    parser.add_argument(
        "--seeds", type=int, default=20, help="Number of random logits to average over."
    )
    args = parser.parse_args()
    print_masses(logits(args.seed))
    print_inclusion(logits(args.seed))
    several = torch.tensor([distances(logits(seed)) for seed in range(args.seeds)])
    print("\n             total variation  KL divergence, nats")
    rows = {"these logits": torch.tensor(distances(logits(args.seed))), "mean": several.mean(0)}
    rows |= {"least": several.amin(0), "most": several.amax(0)}
    for name, (variation, kl) in rows.items():
        print(f"{name:13}{variation:15.4f}{kl:21.4f}")
    print("\nThe two distributions differ: the conditional Poisson log-mass of subsets drawn by")
    print("Gumbel-top-k is too low, on average by the KL divergence; more samples do not help.")


if __name__ == "__main__":
    main()
