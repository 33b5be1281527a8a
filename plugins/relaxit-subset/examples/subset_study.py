"""Measure bias and variance of gradient estimators for k-subsets against an exact gradient.

The setting is that of arXiv:2210.01941: n = 10, k = 5, logits theta ~ N(0, I), b = |N(0, I)|, cost
|z - b|^2 of a subset z. All 252 subsets are enumerated, so the gradient of the expected cost under
the conditional Poisson distribution is exact, and every estimator is compared with it. The hard
samples of imle and st-gumbel follow other distributions, and pathwise uses soft samples: this is
part of their bias.

    python subset_study.py --draws 100000 --seeds 10 --plot study.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity

import relaxit

N, K = 10, 5
POISSON = relaxit.get("subset", n=N, k=K)
RACE = relaxit.get("subset-plackett-luce", n=N, k=K)


class Problem(NamedTuple):
    theta: Tensor  # [n]
    cost: Callable[[Tensor], Tensor]  # [..., n] -> [...]


def quadratic(z: Tensor, b: Tensor) -> Tensor:
    return (z - b).square().sum(-1)


def linear(z: Tensor, b: Tensor) -> Tensor:
    """Return the same cost for subsets, as z^2 = z for zeros and ones; it differs in between."""
    return (z * (1 - 2 * b)).sum(-1) + b.square().sum()


COSTS = {"quadratic": quadratic, "linear": linear}


def problem(seed: int, cost: str = "quadratic") -> Problem:
    theta, b = torch.randn(2, N, generator=Generator().manual_seed(seed), dtype=torch.float64)
    return Problem(theta, partial(COSTS[cost], b=b.abs()))


def exact_gradient(p: Problem, relaxation: relaxit.Relaxation = POISSON) -> Tensor:  # [n]
    theta = p.theta.clone().requires_grad_()
    distribution = relaxation(theta).discrete
    subsets = distribution.enumerate_support()
    expected = (distribution.log_prob(subsets).exp() * p.cost(subsets)).sum()
    return torch.autograd.grad(expected, theta)[0]


Method = Callable[[Problem, int, Generator], Tensor]
"""Maps a problem, a number of draws and a generator to gradients [draws, n]."""


def rows(p: Problem, draws: int) -> Tensor:
    """Copy the logits for each draw, so that each draw has its own gradient."""
    return p.theta.repeat(draws, 1).requires_grad_()


def estimator(
    p: Problem, draws: int, rng: Generator, *, name: str, tau: float = 1.0, **options: Any
) -> Tensor:
    q = POISSON(rows(p, draws), tau)
    costs = relaxit.estimator(name, **options).surrogate(q, p.cost, rng)
    return torch.autograd.grad(costs.sum(), q.params)[0]


def score_function(p: Problem, draws: int, rng: Generator) -> Tensor:
    """Return unbiased gradients from pairs of subsets, each with the other's cost as baseline."""
    q = POISSON(rows(p, draws))
    z = q.sample_hard((2,), rng)
    costs = p.cost(z)
    scores = (costs - costs.flip(0)) * q.discrete.log_prob(z)
    return torch.autograd.grad(scores.mean(0).sum(), q.params)[0]


def other_distribution(p: Problem, draws: int, rng: Generator) -> Tensor:
    """Return the exact gradient under Plackett-Luce, the distribution of st-gumbel's hard samples.

    It is not an estimator.
    """
    del rng
    return exact_gradient(p, RACE).expand(draws, N)


def methods() -> dict[str, Method]:
    named: dict[str, Method] = {
        "score function": score_function,
        "simple": partial(estimator, name="simple"),
        "straight-through, 1": partial(estimator, name="straight-through"),  # the same as simple
        "straight-through, 0.5": partial(estimator, name="straight-through", tau=0.5),
    }
    for name in ("st-gumbel", "pathwise"):
        for tau in (0.5, 1.0, 2.0):
            named[f"{name}, {tau:g}"] = partial(estimator, name=name, tau=tau)
    for noise, short in {"sum-of-gammas": "gammas", "own": "Gumbel"}.items():
        for lam in (0.3, 1.0, 2.5, 10.0):
            imle = partial(estimator, name="imle", lam=lam, noise=noise)
            named[f"imle ({short}), {lam:g}"] = imle
    return {**named, "Plackett-Luce, exact": other_distribution}


def measure(gradients: Tensor, exact: Tensor) -> dict[str, float]:  # [draws, n], [n]
    """Compute measures of bias and variance of an estimator from its draws.

    The two floors are the average values (for ``distance`` the root mean square) that the measures
    of bias would have if there were no bias, for this variance and this number of draws.
    """
    size, mean, draws = exact.norm(), gradients.mean(0), len(gradients)
    spread = (gradients - mean).square().sum() / (draws - 1)  # trace of the covariance
    along = (gradients @ (exact / size)).var()
    values = {
        "bias": 1 - cosine_similarity(mean, exact, dim=-1),
        "bias floor": (spread - along).clamp_min(0) / (2 * draws * size**2),
        "distance": (mean - exact).norm() / size,
        "distance floor": (spread / draws).sqrt() / size,
        "variance": cosine_similarity(gradients, mean, dim=-1).var(),
        "cosine": cosine_similarity(gradients, exact, dim=-1).mean(),
        "rms error": (gradients - exact).square().sum(-1).mean().sqrt() / size,
        "zeros": (gradients == 0).all(-1).double().mean(),  # these count as a cosine of 0
    }
    return {name: float(value) for name, value in values.items()}


def study(cost: str, draws: int, seeds: int) -> dict[str, list[dict[str, float]]]:
    """Return the measures of each method, one set per seed.

    All methods start from the same random state.
    """
    measures: dict[str, list[dict[str, float]]] = {name: [] for name in methods()}
    for seed in range(seeds):
        p = problem(seed, cost)
        exact = exact_gradient(p)
        for name, method in methods().items():
            gradients = method(p, draws, Generator().manual_seed(1_000_000 + seed))
            measures[name].append(measure(gradients, exact))
    return measures


def summary(measures: list[dict[str, float]], key: str) -> tuple[float, float]:
    """Return the mean over seeds and its standard error (NaN for one seed)."""
    values = torch.tensor([m[key] for m in measures], dtype=torch.float64)
    return float(values.mean()), float((values.var(correction=0) / (len(values) - 1)).sqrt())


def print_table(found: dict[str, list[dict[str, float]]]) -> None:
    names = list(measure(torch.eye(2), torch.ones(2)))
    width = max(map(len, found))
    print(" " * width + "".join(f"{name:>{16 if 'floor' in name else 19}}" for name in names))
    for label, measures in found.items():
        line = label.ljust(width)
        for name in names:
            mean, error = summary(measures, name)
            line += f"{mean:16.6f}" if "floor" in name else f"{mean:10.5f} ±{error:7.5f}"
        print(line)


def plot(found: dict[str, list[dict[str, float]]], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for family in dict.fromkeys(label.partition(",")[0] for label in found):
        members = {k: m for k, m in found.items() if k.partition(",")[0] == family}
        x, y = ([summary(m, key)[0] for m in members.values()] for key in ("bias", "variance"))
        if max(y) < 1e-9:  # no place on a logarithmic axis
            axes.axvline(x[0], linestyle=":", color="gray", label=f"{family}, no variance")
            continue
        size = 11 if family == "simple" else 6  # seen below straight-through at 1
        (line,) = axes.loglog(x, y, "o-", linewidth=0.8, markersize=size, label=family)
        for label, *place in zip(members, x, y, strict=True):
            kind = {"xytext": (5, 4), "textcoords": "offset points", "color": line.get_color()}
            axes.annotate(label.partition(", ")[2], place, **kind)  # temperature or lambda
    axes.set(xlabel="bias: 1 - cos(mean, exact)", ylabel="variance of cos(gradient, mean)")
    axes.set(xlim=(1e-5, 1.2), ylim=(1e-4, 0.3))
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure bias and variance of gradient estimators for k-subsets."
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=10_000,
        help="Number of draws of each estimator for each problem.",
    )
    parser.add_argument("--seeds", type=int, default=10, help="Number of random problems.")
    parser.add_argument(
        "--cost", choices=COSTS, default="quadratic", help="How the cost is written."
    )
    parser.add_argument(
        "--json", action="store_true", help="Print all measures of all seeds as JSON."
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="Figure of bias against variance to write to this file."
    )
    args = parser.parse_args()
    measures = study(args.cost, args.draws, args.seeds)
    print(json.dumps(measures)) if args.json else print_table(measures)
    if args.plot:
        plot(measures, args.plot)


if __name__ == "__main__":
    main()
