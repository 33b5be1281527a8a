"""``relaxit show``: facts, options, shapes and capabilities of one class."""

import json

import pytest

from relaxit.cli.app import run
from relaxit.plugins.registry import default_registry


@pytest.mark.parametrize("name", ["categorical", "binary", "pathwise", "mnist"])
def test_show(capsys, name):
    assert run(["show", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == name
    assert all(option["description"] for option in facts["options"])
    assert run(["show", name]) == 0
    assert facts["summary"] in capsys.readouterr().out


def test_show_shapes_with_options(capsys):
    assert run(["show", "categorical", "-o", "categories=7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shapes"]["params"] == "[*batch, 7]"


@pytest.mark.parametrize(
    ("alias", "name"), [("concrete", "categorical"), ("ste", "straight-through")]
)
def test_show_by_a_name_of_the_field(capsys, alias, name):
    assert run(["show", alias, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == name
    assert alias in facts["aliases"]
    assert run(["show", name]) == 0
    assert f"also called {', '.join(facts['aliases'])}" in capsys.readouterr().out


@pytest.mark.parametrize("estimator", sorted(default_registry().items("estimator")))
def test_show_tells_what_it_is(capsys, estimator):
    assert run(["show", estimator, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["capabilities"]
    cls = default_registry().find("estimator", estimator)
    assert told["cost is evaluated on"] == ("hard samples" if cls.hard else "soft samples")
    assert (cls.unbiased or "none") in told["costs for which it is unbiased"]
    relaxations = set(default_registry().items("relaxation"))
    assert set(told["works on"].split(", ")) | set(told["unsupported"]) == relaxations
    assert all(estimator in said for said in told["unsupported"].values())
    assert run(["show", estimator]) == 0
    assert "for which it is unbiased" in capsys.readouterr().out
