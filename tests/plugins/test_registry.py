"""Plugins are found, loaded one at a time, and never silently lost.

The plugins are real files with real metadata, written into a temporary folder on sys.path.
"""

from __future__ import annotations

import sys
from importlib import metadata
from itertools import count
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import Field

import relaxit
from relaxit import Options, PluginError, UnknownName
from relaxit.errors import ConfigurationError
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins import registry
from relaxit.plugins.registry import Registry
from tests.test_relaxation import Rows

RELAXATION = """
import torch
from relaxit import Capabilities, PerturbAndRelax, constraints, hookimpl

class Pick(PerturbAndRelax):
    api = {api}
    name = {name!r}
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=True)
    event_shape = param_shape = torch.Size([3])
    support, vertices = constraints.simplex, constraints.one_hot

    def relax(self, scores, temperature):
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores):
        return torch.eye(3)[scores.argmax(-1)]
"""

HOOK = """
@hookimpl
def relaxit_relaxations():
    return [Pick]
"""

ESTIMATOR = """
from relaxit import hookimpl
from relaxit.estimators.pathwise import Pathwise

class Mine(Pathwise):
    api = 1
    name = "mine"

@hookimpl
def relaxit_estimators():
    return [Mine]
"""


def pick(name="pick", api=1, hook=HOOK):
    return RELAXATION.format(name=name, api=api) + hook


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution: install("dist", plug="source", ...) gives its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = count()
    loaded = set(sys.modules)

    def write(distribution, /, version="1.0", **plugins):
        lines = ["[relaxit.plugins]"]
        for name, source in plugins.items():
            module = f"plugin_{tmp_path.name.replace('-', '_')}_{next(numbers)}"
            (tmp_path / f"{module}.py").write_text(dedent(source))
            lines.append(f"{name} = {module}")
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text("\n".join(lines))
        return list(metadata.Distribution.at(info).entry_points)

    yield write
    for name in set(sys.modules) - loaded:
        if name.startswith("plugin_"):
            del sys.modules[name]


def ours():
    found = metadata.entry_points(group="relaxit.plugins")
    return [p for p in found if p.name in ("categorical", "estimators")]


def with_good(*points):
    """A registry of our own plugins and these."""
    return Registry([*points, *ours()], {})


def plugin_named(found, name):
    (plugin,) = [p for p in found.plugins if p.name == name]
    return plugin


def assert_others_work(found):
    assert {"binary", "categorical"} <= set(found.items("relaxation"))
    assert {"pathwise", "st-gumbel", "straight-through"} <= set(found.items("estimator"))
    assert found.find("relaxation", "categorical")(categories=3)


def broken(found, name, *words):
    plugin = plugin_named(found, name)
    assert plugin.state == "broken"
    text = " | ".join(plugin.problems)
    assert all(word in text for word in words), text
    assert_others_work(found)
    with pytest.raises(PluginError):
        found.require_sound()
    return plugin


# --- what works -------------------------------------------------------------------------------


def test_built_in_plugins_come_through_entry_points():
    assert {p.dist.name for p in ours()} == {OWN_DISTRIBUTION}
    found = Registry(ours(), {})
    assert_others_work(found)
    assert plugin_named(found, "categorical").provides == {
        "relaxation": ["categorical", "binary"],
        "benchmark": [
            "categorical-soft",
            "categorical-sample",
            "categorical-straight-through",
            "categorical-hard",
        ],
        "problem": ["powers", "polynomial-cost"],
    }
    assert {p.state for p in found.plugins} == {"ok"}
    found.require_sound()
    assert Registry([], {}).items("relaxation") == {}
    assert type(relaxit.get("binary")) is found.find("relaxation", "binary")


def test_installed_registry_is_found_and_sound():
    found = registry.default_registry()
    assert_others_work(found)
    assert found is registry.default_registry()
    assert found.provider("relaxation", "binary").distribution == OWN_DISTRIBUTION


def test_a_good_plugin(install):
    found = with_good(*install("relaxit-pick", "2.5", pick=pick(), mine=ESTIMATOR))
    plugin = plugin_named(found, "pick")
    assert (plugin.state, plugin.distribution, plugin.version) == ("ok", "relaxit-pick", "2.5")
    assert plugin.target.startswith("plugin_")
    assert plugin.provides == {"relaxation": ["pick"]}
    assert found.find("relaxation", "pick") is found.find("relaxation", "relaxit-pick:pick")
    assert found.provider("estimator", "mine") is plugin_named(found, "mine")
    found.require_sound()
    assert_others_work(found)


def test_recipes_are_files(install):
    source = """
    from pathlib import Path
    from relaxit import hookimpl

    @hookimpl
    def relaxit_recipes():
        return [Path("/somewhere/my-recipe.toml")]
    """
    found = with_good(*install("a", plug=source))
    assert found.items("recipe") == {"my-recipe": Path("/somewhere/my-recipe.toml")}


# --- what is broken ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", ["import failed", "ModuleNotFoundError", "no_such_module"]),
        ("1 / 0", ["import failed", "ZeroDivisionError"]),
        ("import sys; sys.exit(3)", ["import failed", "SystemExit", "3"]),
        ("def (", ["import failed", "SyntaxError"]),
    ],
)
def test_import_failure(install, source, words):
    plugin = broken(with_good(*install("relaxit-bad", bad=source)), "bad", *words)
    assert plugin.error is not None
    assert plugin.provides == {}


def test_keyboard_interrupt_is_not_a_plugin_failure(install):
    with pytest.raises(KeyboardInterrupt):
        with_good(*install("relaxit-bad", bad="raise KeyboardInterrupt"))


def test_entry_point_without_a_module():
    found = with_good(metadata.EntryPoint("bad", "no_such_module_at_all", "relaxit.plugins"))
    assert broken(found, "bad", "import failed").distribution == "unknown"


def test_wrong_hook_signature(install):
    source = pick(hook=HOOK.replace("relaxations()", "relaxations(surprise)"))
    found = with_good(*install("relaxit-bad", bad=source))
    broken(found, "bad", "relaxit_relaxations", "surprise")


@pytest.mark.parametrize("mark", [True, False])
def test_misspelt_hook(install, mark):
    hook = HOOK.replace("relaxit_relaxations", "relaxit_relaxation")
    source = pick(hook=hook if mark else hook.replace("@hookimpl", ""))
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "relaxit_relaxation")


def test_unmarked_hook(install):
    source = pick(hook=HOOK.replace("@hookimpl", ""))
    found = with_good(*install("relaxit-bad", bad=source))
    broken(found, "bad", "relaxit_relaxations is not marked", "hookimpl")


@pytest.mark.parametrize(("api", "shown"), [("0", "0"), ("2", "2"), ("'v1'", "v1")])
def test_another_api(install, api, shown):
    found = with_good(*install("relaxit-bad", bad=pick(api=api)))
    broken(found, "bad", "'pick'", f"api {shown}", "this relaxit has api 1")
    with pytest.raises(PluginError, match=f"api {shown}"):
        found.find("relaxation", "pick")


def test_missing_api(install):
    source = pick().replace("    api = 1\n", "")
    broken(
        with_good(*install("relaxit-bad", bad=source)),
        "bad",
        "'pick'",
        "has no api attribute: write api = 1",
    )


def test_abstract_class(install):
    source = pick().replace("def argmax", "def argmin")
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "'pick'", "implement argmax")


@pytest.mark.parametrize("name", ["Pick", "pick_one", "", "a b", "-a", "a--b", "a:b", "é", None, 3])
def test_bad_name(install, name):
    broken(with_good(*install("relaxit-bad", bad=pick(name=name))), "bad", "Pick", repr(name))


@pytest.mark.parametrize("item", ["3", "'text'", "object", "Pick()", "hookimpl", "None"])
def test_returns_something_else(install, item):
    source = pick(hook=HOOK.replace("[Pick]", f"[{item}]"))
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "is not a relaxation class")


@pytest.mark.parametrize("result", ["Pick", "3", "(x for x in [1 / 0])"])
def test_result_that_is_no_list(install, result):
    source = pick(hook=HOOK.replace("[Pick]", result))
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "relaxit_relaxations")


def test_class_under_the_wrong_hook(install):
    source = ESTIMATOR.replace("relaxit_estimators", "relaxit_relaxations")
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "is not a relaxation class")


@pytest.mark.parametrize("failure", ["1 / 0", "raise SystemExit(3)", "import no_such_module"])
def test_hook_that_raises(install, failure):
    source = pick(hook=HOOK.replace("return [Pick]", failure)) + ESTIMATOR
    found = with_good(*install("relaxit-bad", bad=source))
    plugin = broken(found, "bad", "relaxit_relaxations raised")
    assert plugin.error is not None
    # Its other hook is none the worse.
    assert found.find("estimator", "mine")


def test_rest_of_a_broken_distribution_works(install):
    found = with_good(*install("relaxit-two", bad="1 / 0", good=pick()))
    broken(found, "bad")
    assert plugin_named(found, "good").state == "ok"
    assert found.find("relaxation", "pick")


def test_output_at_import_or_in_a_hook_stays_off_stdout(install, capfd):
    source = "print('at import')\n" + pick(hook=HOOK.replace("return", "print('in hook'); return"))
    found = with_good(*install("relaxit-loud", loud=source))
    assert plugin_named(found, "loud").state == "ok"
    assert plugin_named(found, "loud").remarks == [
        "printed 10 characters to stdout on import",
        "printed 8 characters to stdout in relaxit_relaxations",
    ]
    found.require_sound()
    out, err = capfd.readouterr()
    assert out == ""
    assert "at import" in err
    assert "in hook" in err


def test_only_those_that_print_get_a_remark(install):
    quiet = "import sys\nprint('x', file=sys.stderr)\n" + pick()
    found = with_good(*install("relaxit-quiet", quiet=quiet))
    assert [p.remarks for p in found.plugins] == [[]] * len(found.plugins)


def test_a_plugin_that_prints_and_fails_has_both(install):
    source = "import sys\nsys.stdout.writelines(['ab', 'c'])\nsys.stdout.flush()\n1 / 0"
    found = with_good(*install("relaxit-bad", bad=source))
    plugin = broken(found, "bad", "ZeroDivisionError")
    assert plugin.remarks == ["printed 3 characters to stdout on import"]


def test_register_on_import_is_a_problem_of_an_installed_plugin(install, monkeypatch):
    source = pick(hook="import relaxit\nrelaxit.register(Pick)\n")
    points = install("relaxit-bad", bad=source)
    with monkeypatch.context() as patch:  # the default registry may be the one that is loading
        patch.delattr(registry, "default_registry")
        found = with_good(*points)
    broken(found, "bad", "registers", "Pick", "returns it from a hook")
    assert "pick" not in found.items("relaxation")
    assert "pick" not in relaxit.relaxations()


# --- names taken twice ------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [False, True])
def test_one_name_from_two_distributions(install, turn):
    points = [*install("dist-a", first=pick()), *install("dist-b", second=pick())]
    found = with_good(*(reversed(points) if turn else points))
    with pytest.raises(PluginError) as caught:
        found.find("relaxation", "pick")
    for spelling in ("dist-a:pick", "dist-b:pick"):
        assert spelling in str(caught.value)
        assert found.find("relaxation", spelling)().name == "pick"
        assert spelling in found.items("relaxation")
    assert "pick" not in found.items("relaxation")
    a, b = (found.find("relaxation", f"dist-{x}:pick") for x in "ab")
    assert a is not b
    assert found.provider("relaxation", "dist-b:pick").name == "second"
    assert_others_work(found)
    with pytest.raises(PluginError, match=r"dist-a.*dist-b|dist-b.*dist-a"):
        found.require_sound()


def test_name_of_a_built_in(install):
    found = with_good(*install("dist-a", mine=pick(name="categorical")))
    with pytest.raises(PluginError, match=f"{OWN_DISTRIBUTION}:categorical or dist-a:categorical"):
        found.find("relaxation", "categorical")
    assert found.find("relaxation", f"{OWN_DISTRIBUTION}:categorical")(categories=3)
    assert found.find("relaxation", "binary")


def test_one_name_twice_in_a_distribution(install):
    twice = pick(hook=HOOK.replace("[Pick]", "[Pick, Pick]"))
    found = with_good(*install("dist-a", one=twice))
    broken(found, "one", "'pick' is registered twice by dist-a")
    assert found.find("relaxation", "pick")
    found = with_good(*install("dist-b", one=pick(), two=pick()))
    assert sorted(p.state for p in found.plugins if p.distribution == "dist-b") == ["broken", "ok"]
    assert found.find("relaxation", "pick")


# --- look-ups ---------------------------------------------------------------------------------


def test_unknown_name():
    found = Registry(ours(), {})
    for kind, near in (("relaxation", "categorical"), ("estimator", "pathwise")):
        with pytest.raises(UnknownName) as caught:
            found.find(kind, near.replace("a", "e", 1))
        assert caught.value.exit_code == 2
        assert near in caught.value.near
        assert f"unknown {kind}" in str(caught.value)
        assert f"Did you mean {near}" in str(caught.value)
        assert isinstance(caught.value, LookupError)
        with pytest.raises(UnknownName) as caught:
            found.find(kind, "zzz")
        assert caught.value.near == ()
        assert near in str(caught.value)
    with pytest.raises(UnknownName):
        found.find("relaxation", "another-distribution:categorical")


@pytest.mark.parametrize("asked", ["bad", "worse"])
def test_name_of_a_broken_plugin(install, asked):
    # By the entry point's name or the distribution's.
    found = with_good(*install("relaxit-worse", bad="1 / 0"))
    with pytest.raises(PluginError) as caught:
        found.find("relaxation", asked)
    assert caught.value.exit_code == 5
    for part in ("'bad'", "relaxit-worse 1.0", "ZeroDivisionError"):
        assert part in str(caught.value)


def test_unknown_name_mentions_broken_plugins(install):
    found = with_good(*install("relaxit-worse", bad="1 / 0"))
    with pytest.raises(UnknownName, match=r"'bad' \(relaxit-worse 1.0\) is broken.*ZeroDivision"):
        found.find("relaxation", "something-else")


def test_functions_of_the_package():
    with pytest.raises(UnknownName, match="Did you mean categorical"):
        relaxit.get("categorcal", categories=3)
    with pytest.raises(UnknownName, match="Did you mean pathwise"):
        relaxit.estimator("pathwize")
    assert relaxit.get(f"{OWN_DISTRIBUTION}:binary") == relaxit.get("binary")


# --- selection --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, {"ours", "a", "b"}),
        ({"RELAXIT_PLUGINS": ""}, {"ours", "a", "b"}),
        ({"RELAXIT_PLUGINS": "a"}, {"ours", "a"}),
        ({"RELAXIT_PLUGINS": " a , b "}, {"ours", "a", "b"}),
        ({"RELAXIT_PLUGINS": "dist-b"}, {"ours", "b"}),
        ({"RELAXIT_PLUGINS": "none"}, {"ours"}),
        ({"RELAXIT_DISABLE_PLUGINS": "a"}, {"ours", "b"}),
        ({"RELAXIT_DISABLE_PLUGINS": "dist-a,b"}, {"ours"}),
        ({"RELAXIT_DISABLE_PLUGINS": "categorical"}, {"a", "b"}),
        ({"RELAXIT_PLUGINS": "a,b", "RELAXIT_DISABLE_PLUGINS": "b"}, {"ours", "a"}),
    ],
)
def test_environment(install, environ, on):
    points = [*install("dist-a", a=pick("pa")), *install("dist-b", b=pick("pb"))]
    found = Registry([*points, *ours()], environ)
    names = {"categorical": "ours", "pa": "a", "pb": "b"}
    assert {names[n] for n in found.items("relaxation") if n in names} == on
    off = {"a", "b", "categorical"} - on - ({"categorical"} if "ours" in on else set())
    assert {p.name for p in found.plugins if p.state == "disabled"} == off
    found.require_sound()


def test_disabled_plugin_is_not_imported(install):
    points = install("dist-a", a="raise RuntimeError")
    assert Registry(points, {"RELAXIT_DISABLE_PLUGINS": "a"}).plugins[0].state == "disabled"
    assert points[0].value not in sys.modules


def test_environment_is_the_process_one_by_default(install, monkeypatch):
    monkeypatch.setenv("RELAXIT_PLUGINS", "none")
    assert Registry(install("dist-a", a=pick()))._entries["relaxation"] == {}


# --- register ---------------------------------------------------------------------------------


class Session(Rows):
    name = "test-session"


@pytest.fixture
def session():
    relaxit.register(Session)
    yield Session
    relaxit.unregister(Session)


def test_register(session):
    assert relaxit.get("test-session", rows=4) == Session(rows=4)
    assert relaxit.relaxations()["test-session"] is Session
    assert relaxit.get("session:test-session") == Session()


def test_unregister():
    plugins = list(registry.default_registry().plugins)
    assert relaxit.register(Session) is Session
    relaxit.unregister(Session)
    assert registry.default_registry().plugins == plugins
    with pytest.raises(UnknownName):
        relaxit.get("test-session")
    relaxit.register(Session)  # and again
    relaxit.unregister(Session)


@pytest.fixture
def fresh(monkeypatch):
    """A registry of its own, so that what a failure leaves behind stays in the test."""
    own = Registry(ours(), {})
    monkeypatch.setattr(registry, "default_registry", lambda: own)
    return own


def test_register_twice(fresh):
    relaxit.register(Session)
    with pytest.raises(PluginError, match="already registered"):
        relaxit.register(Session)
    assert relaxit.get("test-session") == Session()
    fresh.require_sound()
    relaxit.unregister(Session)
    with pytest.raises(UnknownName):
        relaxit.get("test-session")


def test_refused_registration_of_a_taken_name_leaves_no_trace(fresh):
    class Clash(Rows):
        name = "categorical"

    with pytest.raises(PluginError, match="categorical"):
        relaxit.register(Clash)
    assert relaxit.get("categorical", categories=3)
    fresh.require_sound()


def test_refused_registration_of_a_bad_class_leaves_no_trace(fresh):
    class Future(Rows):
        name = "test-future"
        api = 99

    for bad in (Future, int):
        with pytest.raises(PluginError):
            relaxit.register(bad)
    fresh.require_sound()
    with pytest.raises(UnknownName):
        relaxit.get("test-future")
    Future.api = 1
    relaxit.register(Future)
    assert relaxit.get("test-future")


# --- options from text ------------------------------------------------------------------------


class Many(Options):
    size: int = Field(default=1, ge=1, description="an integer")
    rate: float = Field(default=0.5, gt=0, description="a number")
    flag: bool = Field(default=False, description="a switch")
    label: str = Field(default="x", description="a text")
    sizes: list[int] = Field(default=[1], description="several integers")
    pair: tuple[float, float] = Field(default=(0.0, 1.0), description="two numbers")
    maybe: int | None = Field(default=None, description="an integer or nothing")


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        ({}, {}),
        ({"size": "3"}, {"size": 3}),
        ({"rate": "3"}, {"rate": 3.0}),
        ({"rate": "1e-3"}, {"rate": 1e-3}),
        ({"flag": "true"}, {"flag": True}),
        ({"flag": "0"}, {"flag": False}),
        ({"label": "3"}, {"label": "3"}),
        ({"label": ""}, {"label": ""}),
        ({"sizes": "[1, 2]"}, {"sizes": [1, 2]}),
        ({"pair": "[0.5, 2]"}, {"pair": (0.5, 2.0)}),
        ({"maybe": "3"}, {"maybe": 3}),
        ({"size": "3", "flag": "yes"}, {"size": 3, "flag": True}),
    ],
)
def test_parse(texts, want):
    got = Many.parse(texts)
    assert got == want
    assert {k: type(v) for k, v in got.items()} == {k: type(v) for k, v in want.items()}
    Many(**got)


def test_parse_passes_unknown_keys_to_the_model():
    assert Many.parse({"sise": "3", "size": "2"}) == {"sise": "3", "size": 2}


@pytest.mark.parametrize(
    "texts",
    [
        {"size": "three"},
        {"size": "0"},
        {"size": "1.5"},
        {"size": ""},
        {"rate": "-1"},
        {"rate": "fast"},
        {"flag": "perhaps"},
        {"sizes": "[1, "},
        {"sizes": "[1, x]"},
        {"sizes": '["a"]'},
        {"sizes": '{"a": 1}'},
    ],
)
def test_parse_refuses(texts):
    (key,) = texts
    with pytest.raises(ConfigurationError, match=f"option {key}") as caught:
        Many.parse(texts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite_never_reach_the_object(text):
    with pytest.raises(ValueError, match="rate"):
        Many(**Many.parse({"rate": text}))


@pytest.mark.parametrize("thing", [[], None, 3, "text"])
def test_what_has_no_hooks_is_recorded(thing):
    own = Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("one", "dist-a", "1", "mod:thing")
    own.add(plugin, thing)
    assert plugin.state == "broken"
    assert type(thing).__name__ in plugin.problems[0]
