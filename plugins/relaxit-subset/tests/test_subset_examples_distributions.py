"""What `two_distributions.py` prints, against an enumeration."""

from __future__ import annotations

import math
import re

import pytest
from subset_helpers import brute_force

from tests.scripts import examples_of, load, run

EXAMPLES = examples_of(__file__)

two_distributions = load(EXAMPLES / "two_distributions.py")


@pytest.fixture(scope="module")
def distributions_text(tmp_path_factory):
    return run(
        EXAMPLES / "two_distributions.py",
        "--seed",
        "3",
        "--seeds",
        "2",
        cwd=tmp_path_factory.mktemp("text"),
    )


@pytest.fixture(scope="module")
def masses():
    return brute_force(two_distributions.logits(3).tolist(), 3)


def numbers(text: str, label: str) -> list[float]:
    (line,) = re.findall(rf"^{label} +([-\d. ]+)$", text, re.M)
    return [float(n) for n in line.split()]


def test_masses_are_those_of_an_enumeration(distributions_text, masses):
    shown = re.findall(r"^(\d \d \d) +([\d.]+) +([\d.]+)$", distributions_text, re.M)
    assert len(shown) == 6
    rest = [1.0, 1.0]
    for name, *printed in shown:
        exact = masses[tuple(map(int, name.split()))]
        assert list(map(float, printed)) == pytest.approx(exact, abs=6e-5)
        rest = [r - e for r, e in zip(rest, exact, strict=True)]
    assert numbers(distributions_text, "29 others") == pytest.approx(rest, abs=6e-5)
    largest = sorted((p for p, _ in masses.values()), reverse=True)[:6]
    assert [float(p) for _, p, _ in shown] == pytest.approx(largest, abs=6e-5)


def test_inclusion_is_that_of_an_enumeration(distributions_text, masses):
    for distribution, label in enumerate(("conditional Poisson", "Plackett-Luce")):
        exact = [sum(m[distribution] for s, m in masses.items() if i in s) for i in range(7)]
        assert numbers(distributions_text, label) == pytest.approx(exact, abs=6e-4)


def test_inclusion_of_log_sigmoid_is_that_of_an_enumeration(distributions_text):
    theta = [-math.log1p(math.exp(-t)) for t in two_distributions.logits(3).tolist()]
    masses = brute_force(theta, 3)
    exact = [sum(m[1] for s, m in masses.items() if i in s) for i in range(7)]
    printed = numbers(distributions_text, "Plackett-Luce of log sigmoid")
    assert printed == pytest.approx(exact, abs=6e-4)


def test_distances_are_those_of_an_enumeration(distributions_text, masses):
    variation = sum(abs(p - q) for p, q in masses.values()) / 2
    divergence = sum(q * math.log(q / p) for p, q in masses.values())
    assert 0 < variation < 1
    assert divergence >= 2 * variation**2  # Pinsker
    assert numbers(distributions_text, "these logits") == pytest.approx(
        [variation, divergence], abs=6e-5
    )


def test_distances_of_several_logits(distributions_text):
    least, mean, most = (numbers(distributions_text, name) for name in ("least", "mean", "most"))
    ends = [two_distributions.distances(two_distributions.logits(seed)) for seed in (0, 1)]
    assert least == pytest.approx([min(e) for e in zip(*ends, strict=True)], abs=6e-5)
    assert most == pytest.approx([max(e) for e in zip(*ends, strict=True)], abs=6e-5)
    assert mean == pytest.approx([sum(e) / 2 for e in zip(*ends, strict=True)], abs=6e-5)
