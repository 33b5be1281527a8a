"""Objects that cannot be registered: no class of the kind, a bad name, another contract."""

from __future__ import annotations

import pytest

from relaxit import PluginError
from tests.plugins.written_plugins import ESTIMATOR, HOOK, broken, pick, with_good


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


def test_class_under_the_wrong_hook(install):
    source = ESTIMATOR.replace("relaxit_estimators", "relaxit_relaxations")
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "is not a relaxation class")


FUNCTIONS = """
import relaxit

def halve(x):
    return x / 2

@relaxit.hookimpl
def relaxit_functions():
    return [{item}]
"""


@pytest.mark.parametrize("item", ["3", "'text'", "dict", "lambda x: x"])
def test_what_is_not_a_named_function(install, item):
    found = with_good(*install("relaxit-bad", bad=FUNCTIONS.format(item=item)))
    broken(found, "bad", "function")


@pytest.mark.parametrize("aliases", ["'one'", "['one']", "(1,)", "('One',)"])
def test_aliases_that_are_not_a_tuple_of_names(install, aliases):
    source = pick().replace("    api = 1\n", f"    api = 1\n    aliases = {aliases}\n")
    broken(with_good(*install("relaxit-bad", bad=source)), "bad", "'pick'", "aliases must be")
