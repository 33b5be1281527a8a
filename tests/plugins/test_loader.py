"""Plugins whose import or hooks fail, or that print, are recorded and stop no other."""

from __future__ import annotations

from importlib import metadata

import pytest

import relaxit
from relaxit.plugins import registry
from relaxit.plugins.registry import Registry
from tests.plugins.written_plugins import ESTIMATOR, HOOK, broken, pick, plugin_named, with_good


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


@pytest.mark.parametrize("result", ["Pick", "3", "(x for x in [1 / 0])"])
def test_result_that_is_no_list(install, result):
    source = pick(hook=HOOK.replace("[Pick]", result))
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "relaxit_relaxations")


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


@pytest.mark.parametrize("thing", [[], None, 3, "text"])
def test_what_has_no_hooks_is_recorded(thing):
    own = Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("one", "dist-a", "1", "mod:thing")
    own.add(plugin, thing)
    assert plugin.state == "broken"
    assert type(thing).__name__ in plugin.problems[0]
