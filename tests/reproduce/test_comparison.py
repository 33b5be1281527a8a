"""z by hand, and every verdict."""

from __future__ import annotations

import json
import math

import pytest

from relaxit.reproduce.comparison import Comparison, compare, reached
from relaxit.reproduce.report import comparison_table, footer, markdown_table, study_document
from relaxit.reproduce.run import CellRun
from relaxit.reproduce.study import read_study
from tests.reproduce.small import BASE, cell, write_study


def comparison(values, target=10.0, error=0.3, tolerance=2.0, diverged=()):
    return Comparison("s", "e", 1, "train", values, target, error, tolerance, diverged)


def test_z_by_hand():
    c = comparison((10.0, 10.4, 10.8))
    assert c.mean == pytest.approx(10.4)
    assert c.error == pytest.approx(0.4 / math.sqrt(3))
    assert c.z == pytest.approx(0.4 / math.sqrt(0.16 / 3 + 0.09))


@pytest.mark.parametrize(
    ("made", "verdict", "failed"),
    [
        (comparison((10.0, 10.2)), "agrees", False),
        (comparison((11.0, 11.2)), "off", True),
        (comparison((9.0, 9.2)), "off", True),
        (comparison((11.0, 11.2), tolerance=9.0), "agrees", False),
        (comparison((11.0,)), "no error known", False),
        (comparison((11.0, 12.0), error=None), "no error known", False),
        (comparison((10.0, 10.0), diverged=(2,)), "diverged", True),
        (comparison((), diverged=(0, 1)), "diverged", True),
        (comparison((10.0, 10.0), error=0.0), "agrees", False),
        (comparison((10.1, 10.1), error=0.0), "off", True),
    ],
)
def test_verdicts(made, verdict, failed):
    assert (made.verdict, made.failed) == (verdict, failed)


def rows(**by_seed):
    return {
        int(key[1:]): [{"epoch": 1, "train_elbo_discrete": -v, "test_elbo_discrete": -v - 1}]
        for key, v in by_seed.items()
    }


@pytest.mark.parametrize(
    ("values", "error"),
    [((10.0, 12.0, 14.0), 0.4), ((10.0, 10.01), 0.06), ((10.0, 11.0), math.sqrt(0.5 / 10))],
)
def test_errors_of_targets_are_our_spread_within_their_range(tmp_path, values, error):
    study = read_study(write_study(tmp_path, cell(train=11.0, test=12.0)))
    (each,) = study.cells
    config = study.config(each, {"epochs": 1})
    found = list(
        compare(study, each, reached(study, each, config),
                rows(**{f"s{n}": v for n, v in enumerate(values)}))
    )  # fmt: skip
    assert [c.column for c in found] == ["train", "test"]
    for c in found:
        assert c.target_error == pytest.approx(error)
        assert c.mean == pytest.approx(sum(values) / len(values) + (c.column == "test"))


def test_an_error_that_is_known_is_taken(tmp_path):
    study = read_study(write_study(tmp_path, cell(more=", error = 0.25")))
    (each,) = study.cells
    found = compare(study, each, each.targets, rows(s0=30.0, s1=31.0))
    assert {c.target_error for c in found} == {0.25}


def test_a_seed_that_diverged_before_the_target_is_named(tmp_path):
    study = read_study(write_study(tmp_path))
    (each,) = study.cells
    found = list(compare(study, each, each.targets, rows(s0=30.0, s1=30.1), {2: 17}))
    assert {c.verdict for c in found} == {"diverged"}
    assert {c.diverged for c in found} == {(2,)}
    assert "diverged (seed 2)" in comparison_table(study, found)
    # One that did so later is none of this epoch's business.
    later = list(compare(study, each, each.targets, rows(s0=30.0, s1=30.1, s2=30.2), {2: 900}))
    assert {c.verdict for c in later} == {"agrees", "off"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("others", [{}, {"s0": 30.0}, {"s0": 30.0, "s1": 30.1}])
def test_a_value_that_is_not_finite_is_a_seed_that_diverged(tmp_path, bad, others):
    study = read_study(write_study(tmp_path))
    (each,) = study.cells
    found = rows(**others, s2=30.2)
    found[2][0]["test_elbo_discrete"] = bad  # of the held-out part only
    train, test = compare(study, each, each.targets, found)
    assert (test.values, test.diverged) == (tuple(v + 1 for v in others.values()), (2,))
    assert (test.verdict, test.failed) == ("diverged", True)
    assert len(train.values) == len(others) + 1
    assert train.verdict != "diverged"
    assert "diverged (seed 2)" in comparison_table(study, [train, test])
    run = CellRun("in turn", rows=found)
    whole = study_document(study, [2], None, "cpu", [(each, run)], [train, test])
    back = json.loads(json.dumps(whole, allow_nan=False))
    assert back["cells"][0]["rows"]["2"][0]["test_elbo_discrete"] is None
    assert back["cells"][0]["rows"]["2"][0]["train_elbo_discrete"] == -30.2
    assert back["comparisons"][1]["diverged"] == [2]


def test_seeds_lost_in_training_and_after_it_are_named_once_in_order(tmp_path):
    study = read_study(write_study(tmp_path))
    (each,) = study.cells
    lost = {2: 17, 1: 900}
    found = list(compare(study, each, each.targets, rows(s3=math.nan, s1=math.nan), lost))
    assert {c.diverged for c in found} == {(1, 2, 3)}
    assert {c.values for c in found} == {()}


@pytest.mark.parametrize(
    ("layer", "epochs", "expected"),
    [
        ("", 1, [1]), ("", 2, [1]), ("", 3, [1, 3]), ("", 9, [1, 3]),
        ("optimizer = { schedule = 'cosine' }", 2, []),
        ("optimizer = { schedule = 'cosine' }", 3, [3]),
        ("optimizer = { schedule = 'cosine' }", 9, []),
        ("task = { options = { kl_warmup = 0.5 } }", 2, []),
        ("temperature = { schedule = 'linear' }", 2, []),
        ("temperature = { schedule = 'exponential', rate = 1e-3 }", 2, [1]),
        ("temperature = { schedule = 'exponential' }", 2, []),
    ],
)  # fmt: skip
def test_only_epochs_that_are_those_of_the_study_are_compared(tmp_path, layer, epochs, expected):
    more = "}, { epoch = 3, values = { train = 1.0 } "
    study = read_study(write_study(tmp_path, cell(more=more, recipe=layer)))
    (each,) = study.cells
    config = study.config(each, {"epochs": epochs})
    assert [target.epoch for target in reached(study, each, config)] == expected


def test_the_table_says_which_column_is_off(tmp_path):
    study = read_study(write_study(tmp_path))
    (each,) = study.cells
    found = list(compare(study, each, each.targets, rows(s0=30.0, s1=30.1)))
    line = comparison_table(study, found).splitlines()[-1]
    assert line.startswith("| 4x3 st-gumbel |     1 | 30.05 ± 0.05 | 30.00 ± 0.06 |")
    assert line.endswith("| off (test) |")


def test_what_is_written_says_what_it_compares_and_how(tmp_path):
    study = read_study(write_study(tmp_path))
    (each,) = study.cells
    found = list(compare(study, each, each.targets, rows(s0=30.0, s1=30.1)))
    page = markdown_table(study, found, 2)
    for said in ("nowhere: the numbers are made up", "what a reader must know",
                 "2 seeds", "beyond 2", "0.06 and 0.4"):  # fmt: skip
        assert said in page
    assert "no standard error" in "".join(footer(study, found, 1))
    assert "nothing is compared" in "".join(footer(study, [], 5))
    run = CellRun("in turn", rows=rows(s0=30.0, s1=30.1), seconds=1.0)
    whole = study_document(study, [0, 1], None, "cpu", [(each, run)], found)
    assert whole["comparisons"][0]["z"] == found[0].z
    assert whole["cells"][0]["rows"]["1"][0]["train_elbo_discrete"] == -30.1
    assert BASE  # the study's own text is not repeated
    assert "cells" not in whole["study"]


def test_a_seed_far_from_the_others_is_pointed_out(tmp_path):
    study = read_study(write_study(tmp_path))
    (each,) = study.cells
    for far, said in ((31.0, False), (90.0, True)):
        found = list(compare(study, each, each.targets, rows(s0=30.0, s1=far)))
        text = "".join(footer(study, found, 2))
        assert ("z says little" in text) == said
        assert (f"between 30.00 and {far:.2f}" in text) == said
