"""Learn to sort with a network that scores one number at a time, and Gumbel-Sinkhorn.

For each n a network with 32 hidden units is trained on random lists of n numbers and their sorted
versions. New lists are then sorted by the best permutation without noise, and the mistakes are
counted. The network and its training are those of arXiv:1802.08665, section 5.1, except that one
sample is drawn for each of many lists instead of five for each of ten. The command
`relaxit train --recipe sorting-numbers -o n=50` does the same.

    python sorting_numbers.py --n 5 10 20 50
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from relaxit_permutation import Permutation

HIDDEN, LR, NUMBERS = 32, 0.1, 5000  # 5000 numbers per step: 5000 / n lists


def scores(network: nn.Module, x: Tensor) -> Tensor:  # [B, n] -> [B, ranks, numbers]
    by_number: Tensor = network(x.unsqueeze(-1))
    return by_number.transpose(-1, -2)


def learn(permutation: Permutation, steps: int) -> nn.Module:
    """Train a network that scores a number for each of n ranks, where rank 1 is the greatest."""
    n = permutation.event_shape[0]
    network = nn.Sequential(nn.Linear(1, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n))
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    decay = CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x = torch.rand(max(1, NUMBERS // n), n)
        p = permutation(scores(network, x), temperature=1.0).rsample()  # [B, n, n]
        soft_sorted = (p @ x.unsqueeze(-1)).squeeze(-1)
        loss = (soft_sorted - x.sort(descending=True).values).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    return network


@torch.no_grad()
def mistakes(permutation: Permutation, network: nn.Module, lists: int) -> tuple[float, float]:
    """Return the shares of numbers at a wrong rank and of lists with one, without noise."""
    x = torch.rand(lists, permutation.event_shape[0])
    p = permutation.argmax(scores(network, x))
    wrong = (p @ x.unsqueeze(-1)).squeeze(-1) != x.sort(descending=True).values
    return float(wrong.float().mean()), float(wrong.any(-1).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn to sort lists of n numbers.")
    parser.add_argument("--n", type=int, nargs="+", default=[5, 10, 20], help="List lengths.")
    parser.add_argument("--steps", type=int, default=500, help="Number of training steps.")
    parser.add_argument("--lists", type=int, default=500, help="Number of new lists to sort.")
    parser.add_argument(
        "--seed", type=int, default=0, help="Seed of weights, training lists and noise."
    )
    args = parser.parse_args()
    print("    n   wrong numbers   wrong lists   seconds")
    for n in args.n:
        torch.manual_seed(args.seed)
        permutation, began = Permutation(n=n), time.perf_counter()
        network = learn(permutation, args.steps)
        seconds = time.perf_counter() - began
        numbers, lists = mistakes(permutation, network, args.lists)
        print(f"{n:5d}{numbers:16.3%}{lists:14.2%}{seconds:10.1f}")


if __name__ == "__main__":
    main()
