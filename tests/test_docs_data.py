"""The tables of the page on data are what building each run gives."""

from __future__ import annotations

import re

import pytest
import torch

import relaxit
from relaxit.data import Dataset, Examples, ImageReader, Splits, pad
from relaxit.errors import DataError, RelaxitError
from relaxit.training import build, build_task, resolve
from tests.pages import page_of

PAGE = page_of("data").read_text(encoding="utf-8")


def drawn(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def tokens(least):
    return least + torch.arange(40 * 16).reshape(40, 16) % 5


GREY = (drawn(40, 8, 8) * 255).to(torch.uint8)
INPUTS = {
    "float32 `[16]`, in [0, 1]": {"inputs": drawn(40, 16)},
    "float32 `[16]`, real": {"inputs": 6 * drawn(40, 16) - 3},
    "float32 `[8, 8]`, in [0, 1]": {"inputs": drawn(40, 8, 8)},
    "uint8 `[8, 8]`, read as images": {"inputs": GREY, "reader": ImageReader()},
    "uint8 `[8, 8]`, not read": {"inputs": GREY},
    "int64 `[16]`, from 0": {"inputs": tokens(0)},
    "int64 `[16]`, from -1": {"inputs": tokens(-1)},
    "bool `[16]`": {"inputs": drawn(40, 16) > 0.5},
    "float32 `[5]`, padded, with `lengths`": pad([drawn(1 + i % 5) for i in range(40)]),
    "float32 `[16]`, with a NaN": {"inputs": drawn(40, 16).fill_diagonal_(torch.nan)},
}


def vae(likelihood):
    return {"name": "vae", "options": {"likelihood": likelihood, "hidden": [8]}}


TASKS = {
    "`vae`": vae("bernoulli"),
    "gaussian": vae("gaussian"),
    "categorical": vae("categorical"),
    "`polynomial`": {"name": "polynomial"},
    "`feature-selection`": {"name": "feature-selection"},
    "`sorting-numbers`": {"name": "sorting-numbers"},
    "`jigsaw`": {"name": "jigsaw"},
}


class Mine(Dataset):
    """The columns of a test."""

    api, name, summary = 2, "mine", "columns of a test"
    columns: dict = {}

    def load(self, directory, download=False):
        return Splits(Examples.of(**self.columns))


@pytest.fixture(scope="module", autouse=True)
def registered():
    relaxit.register(Mine)
    yield
    relaxit.unregister(Mine)


def settings(task, columns):
    """The defaults of a task, with as many variables or items as there are inputs."""
    entries = columns["inputs"][0].numel()
    table = {"task": task, "data": {"name": "mine"}, "device": "cpu"}
    if task["name"] == "polynomial":
        table["latents"] = entries
    if task["name"] == "feature-selection":
        table["relaxation"] = {"options": {"n": entries, "k": 3}}
    return resolve([table])


def rejection(task, columns, monkeypatch):
    """The error of building a run; None if it runs."""
    monkeypatch.setattr(Mine, "columns", columns)
    try:
        build(settings(task, columns))
    except RelaxitError as error:
        return error
    return None


def word(error):
    if error is None:
        return "runs"
    if not isinstance(error, DataError):
        assert " per example" in str(error)
        return "type"
    return "finite" if "not finite" in str(error) else "range"


def cells(first):
    """The rows of the table whose heading begins with a cell."""
    lines = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[0], rows[2:]


@pytest.mark.parametrize("task", TASKS)
def test_the_table_says_what_runs(task, monkeypatch):
    heading, rows = cells("type, shape and values of `inputs`")
    assert heading[1:] == list(TASKS)
    assert [row[0] for row in rows] == list(INPUTS)
    place = heading.index(task)
    classes = torch.arange(40) % 3
    for name, *_ in rows:
        columns = {**INPUTS[name], "targets": classes}
        found = word(rejection(TASKS[task], columns, monkeypatch))
        (row,) = (row for row in rows if row[0] == name)
        assert row[place] == found, f"{task}, {name}"


def test_types_are_kept_as_the_table_says():
    _, rows = cells("given")
    for given, kept in rows:
        for name in given.split(", "):
            values = torch.ones(2, 3).to(getattr(torch, name))
            if kept == "rejected":
                with pytest.raises(DataError, match="inputs"):
                    Examples.of(inputs=values)
            else:
                assert Examples.of(inputs=values).inputs.dtype == getattr(torch, kept), name


REJECTED = {
    "type": (vae("bernoulli"), {"inputs": tokens(0)}),
    "range": (vae("categorical"), {"inputs": tokens(-1)}),
    "finite": (vae("bernoulli"), INPUTS["float32 `[16]`, with a NaN"]),
    "a column that is missing": ({"name": "feature-selection"}, {"inputs": drawn(40, 16)}),
}


def test_the_lines_are_those_of_the_errors(monkeypatch):
    _, rows = cells("word")
    assert [row[0] for row in rows] == list(REJECTED)
    for name, code, line in rows:
        error = rejection(*REJECTED[name], monkeypatch)
        assert (int(code), line) == (error.exit_code, f"`{error}`")


def test_the_requirements_are_those_of_the_tasks():
    _, rows = cells("task")
    assert len(rows) == len(TASKS)
    for (_, said), task in zip(rows, TASKS.values(), strict=True):
        built, setup = build_task(resolve([{"task": task}]))
        required = built.requires(setup).items()
        found = "; ".join(f"`{name}`: {requirement.words}" for name, requirement in required)
        assert said == re.sub(r"\s+", " ", found)
