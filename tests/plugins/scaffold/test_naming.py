"""The names of a new plugin: which are valid, which are taken, and what is made of them."""

import ast
import sys

import pytest

import relaxit
from relaxit.cli.app import run
from relaxit.errors import ConfigurationError
from relaxit.plugins import registry, scaffold
from relaxit.plugins.record import registration_problem
from relaxit.plugins.scaffold import Names, naming
from tests.plugins.scaffold.packages import LONGEST

GOOD = {
    "demo": "Demo",
    "my-structure": "MyStructure",
    "x1": "X1",
    "k-2-subset": "K2Subset",
    "3d": "Relaxed3d",
    "none": "RelaxedNone",
    "true": "RelaxedTrue",
    "class": "Class",
    "options": "RelaxedOptions",
    "perturb-and-relax": "RelaxedPerturbAndRelax",
    LONGEST: "A" + "Bca" * 9 + "Bc",
}
BAD = ["", "Demo", "my_structure", "a b", "-a", "a-", "a--b", "../x", "a/b", ".", "..", "a\n"]
BAD += ["größe", "a.b", "a:b", "$(ls)", "%{name}", "\u0661", "x" * 41]


@pytest.mark.parametrize(("name", "class_name"), GOOD.items())
def test_good_names(name, class_name):
    found = Names.of(name)
    assert found.class_name == class_name
    assert found.class_name.isidentifier()
    assert found.module.isidentifier()
    assert found.distribution == f"relaxit-{name}"


@pytest.mark.parametrize("name", BAD)
def test_bad_names(tmp_path, capsys, name):
    with pytest.raises(ConfigurationError):
        Names.of(name)
    assert run(["new-plugin", "--", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_rule_is_the_registrys(name):
    item = type("Item", (relaxit.Relaxation,), {"name": name, "api": 1})
    legal = "name must be" not in registration_problem("relaxation", item, name)
    assert legal == (name in GOOD or len(name) > 40)


def test_class_names_leave_the_templates_imports_alone(tmp_path):
    package = scaffold.new_plugin("demo", tmp_path)
    tree = ast.parse((package / "src/relaxit_demo/relaxation.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert {name for name in imported if name[0].isupper()} == naming.TEMPLATE_IMPORTS


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("categorical", "relaxit-framework"),
        ("pathwise", "relaxit-framework"),
        ("mnist", "relaxit-framework"),
        ("framework", "relaxit-framework"),  # by its distribution
    ],
)
def test_a_taken_name_is_rejected(tmp_path, capsys, name, owner):
    assert run(["new-plugin", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert owner in err
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_two_plugins_share_is_taken(tmp_path, demo, monkeypatch):
    own = registry.Registry(entry_points=[], environ={})
    for distribution in ("relaxit-one", "relaxit-two"):
        plugin = registry.PluginRecord("p", distribution, "1", "m")
        own.add(plugin, sys.modules["relaxit_demo.hooks"])
    assert list(own.items("relaxation").values()) == [demo, demo]
    monkeypatch.setattr(naming, "default_registry", lambda: own)
    with pytest.raises(ConfigurationError, match="'demo' is already registered by relaxit-one"):
        scaffold.new_plugin("demo", tmp_path / "relaxit-demo")  # a directory without one
