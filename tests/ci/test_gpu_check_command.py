"""The command ``.ci/gpu_check`` itself: its surroundings, its usage, and a dry run of all of it."""

from __future__ import annotations

import os
import sys
from importlib import metadata

import pytest

from tests.ci.gpu_check import (
    ROOT,
    benchmarks,
    checks,
    left_by,
    machine,
    page,
    start,
    study,
    suite,
    training,
)


def test_packages_that_are_not_installed_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "version_of", lambda name: "not installed")
    monkeypatch.setenv("RELAXIT_EPOCHS", "3")  # of the user, and not of these figures
    env = machine.environment(tmp_path, None, dry=True)
    assert "RELAXIT_EPOCHS" not in env
    places = env["PYTHONPATH"].split(os.pathsep)
    assert {str(ROOT), str(ROOT / "relaxit" / "launcher")} <= set(places)
    found = metadata.distributions(path=[str(tmp_path / "metadata")])
    points = {p.name: p.value for each in found for p in each.entry_points}
    assert points["categorical"] == "relaxit.categorical.hooks"
    for name in ("subset", "permutation"):
        assert points[name] == f"relaxit_{name}.hooks"
        assert str(ROOT / "plugins" / f"relaxit-{name}" / "src") in places


def test_without_a_cuda_device_it_ends_in_one_line(tmp_path):
    done = start("--out", tmp_path / "out", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: there is no CUDA device here; use --dry for a trial on the CPU\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--parts", "tests,nonsense"], "unknown: nonsense"),
        (["--data-dir", "nowhere"], "has no directory MNIST: nowhere"),
    ],
)
def test_usage(words, said):
    done = start("--out", "out", *words)
    assert done.returncode == 2
    assert said in done.stderr


SHOWS = {
    "machine": machine.show,
    "tests": suite.show,
    "checks": checks.show,
    "sampling": benchmarks.show,
    "training": benchmarks.show,
    "structures": benchmarks.show,
    "epochs": training.show,
    "reproduce": study.show,
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dry_run(tmp_path):
    before = {name: (ROOT / name).exists() for name in ("runs", "reproductions", "gpu-check-files")}
    done = start("--dry", "--out", tmp_path, "--minutes", 14)
    document, parts, text = left_by(tmp_path)
    assert done.returncode == 0, [each["failures"] + each["cuts"] for each in parts.values()]
    assert list(parts) == list(SHOWS)
    assert {each["outcome"] for each in parts.values()} == {"passed"}
    assert document["dry"]
    assert text == page(document, SHOWS)
    assert {name: (ROOT / name).exists() for name in before} == before

    figures = {name: each["figures"] for name, each in parts.items()}
    assert figures["machine"]["facts"]["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"subset", "permutation"} <= set(figures["machine"]["registered"]["relaxation"])
    counts = figures["tests"]["counts"]
    assert counts["passed" if counts.get("passed") else "skipped"] > 100
    assert [row["pass"] > 0 for row in figures["checks"]["rows"]] == [True, True]
    for name, tables in (("sampling", 4), ("training", 1), ("structures", 1)):
        assert len(figures[name]["tables"]) == tables
        for found in figures[name]["tables"]:
            assert any(row["ratio"] and row["memory_bytes"] is not None for row in found["rows"])
            assert f"### {found['name']}: " in text
    assert [(row["engine"], row["precision"]) for row in figures["epochs"]["rows"]] == [
        ("eager", "float32"),
        ("eager", "bfloat16"),
    ]
    for row in figures["epochs"]["rows"]:
        assert row["epochs"] == 2
        assert f"{row['test_elbo']:.2f}" in text
    (comparison,) = figures["reproduce"]["comparisons"]
    assert comparison["verdict"] == "agrees"
    assert set(parts["reproduce"]["documents"]) == {"reproduce"}
