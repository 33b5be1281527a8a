"""Look-up by the field's other names, and by names of packages that are absent."""

from __future__ import annotations

from importlib import metadata

import pytest

import relaxit
import relaxit.losses
from relaxit import PluginError, UnknownName
from relaxit.plugins import default_registry
from relaxit.plugins.packages import PACKAGES
from relaxit.plugins.registry import Registry
from tests.plugins.written_plugins import ours, pick, with_good

ALIASES = {
    ("relaxation", "gumbel-softmax"): "categorical",
    ("relaxation", "concrete"): "categorical",
    ("relaxation", "bernoulli"): "binary",
    ("relaxation", "top-k"): "subset",
    ("estimator", "ste"): "straight-through",
    ("estimator", "score-function"): "reinforce",
}
ALL = [
    (kind, name) for kind in ("relaxation", "estimator") for name in default_registry().items(kind)
]


@pytest.mark.parametrize(("kind", "alias"), ALIASES)
def test_names_of_the_field(kind, alias):
    registry = default_registry()
    if ALIASES[kind, alias] not in registry.items(kind):
        pytest.skip("comes with a package that is not installed")
    assert registry.find(kind, alias).name == ALIASES[kind, alias]
    assert registry.provider(kind, alias) is registry.provider(kind, ALIASES[kind, alias])
    assert alias not in registry.items(kind)


def test_no_alias_is_used_twice_or_hides_a_name():
    for kind in ("relaxation", "estimator"):
        items = default_registry().items(kind)
        aliases = [alias for cls in items.values() for alias in cls.aliases]
        assert len(aliases) == len(set(aliases))
        assert not set(aliases) & set(items)


def aliased(name, alias):
    return pick(name=name).replace("    api = 1\n", f"    api = 1\n    aliases = ({alias!r},)\n")


def test_a_registered_name_takes_precedence(install):
    found = with_good(*install("dist-a", mine=pick(name="concrete")))
    assert found.find("relaxation", "concrete").name == "concrete"


def test_one_alias_of_two_relaxations(install):
    found = with_good(*install("dist-a", mine=aliased("pick", "concrete")))
    with pytest.raises(PluginError) as caught:
        found.find("relaxation", "concrete")
    assert "dist-a:pick" in str(caught.value)
    assert "relaxit-framework:categorical" in str(caught.value)


def test_a_subclass_does_not_inherit_aliases():
    class Mine(relaxit.relaxations()["categorical"]):
        api, name = 1, "test-subclass"

    relaxit.register(Mine)
    try:
        assert default_registry().find("relaxation", "concrete").name == "categorical"
    finally:
        relaxit.unregister(Mine)


def test_a_run_is_saved_under_the_registered_name():
    from relaxit.training import RunConfig, build_task, with_defaults

    config = RunConfig.model_validate(
        {"relaxation": {"name": "concrete", "options": {"categories": 4}},
         "estimator": {"name": "ste"}, "latents": 2, "epochs": 1}
    )  # fmt: skip
    full = with_defaults(config, *build_task(config))
    assert (full.relaxation.name, full.estimator.name) == ("categorical", "straight-through")
    qualified = config.model_copy(
        update={"relaxation": config.relaxation.model_copy(
            update={"name": "relaxit-framework:categorical"})}
    )  # fmt: skip
    kept = with_defaults(qualified, *build_task(qualified))
    assert kept.relaxation.name == "relaxit-framework:categorical"


# --- packages that are absent -------------------------------------------------------------------

NAMES = [
    (package, kind, name)
    for package, kinds in PACKAGES.items()
    for kind, names in kinds.items()
    for name in names
]


@pytest.mark.parametrize(("package", "kind", "name"), NAMES)
def test_an_absent_package_is_named(package, kind, name):
    with pytest.raises(UnknownName, match=f"pip install -e . -e plugins/{package}"):
        Registry(ours(), {}).find(kind, name)


def test_a_disabled_package_is_named():
    points = [*ours(), metadata.EntryPoint("subset", "nowhere", "relaxit.plugins")]
    points[-1].__dict__["dist"] = metadata.distribution("relaxit-subset") if installed(
        "relaxit-subset") else pytest.skip("relaxit-subset is not installed")  # fmt: skip
    with pytest.raises(UnknownName, match="relaxit-subset, which is disabled by RELAXIT_PLUGINS"):
        Registry(points, {"RELAXIT_PLUGINS": "none"}).find("relaxation", "subset")


def installed(package):
    return package in {plugin.distribution for plugin in default_registry().plugins}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_list_of_what_a_package_provides_is_true(package):
    if not installed(package):
        pytest.skip(f"{package} is not installed")
    provided = {}
    for plugin in default_registry().plugins:
        if plugin.distribution == package:
            for kind, names in plugin.provides.items():
                provided.setdefault(kind, set()).update(names)
    measuring = {"benchmark", "problem"}
    listed = {kind: set(names) for kind, names in PACKAGES[package].items()}
    assert listed == {kind: names for kind, names in provided.items() if kind not in measuring}


@pytest.mark.parametrize("name", ["vimco", "iwae"])
def test_losses_that_are_looked_up_as_estimators(name):
    with pytest.raises(UnknownName, match=f"It is a loss: relaxit.losses.{name}_loss"):
        relaxit.estimator(name)
    assert hasattr(relaxit.losses, f"{name}_loss")


def test_registered_names_and_suggestions():
    registry = default_registry()
    assert registry.registered("relaxation", "concrete") == "categorical"
    for name in ("categorical", "relaxit-framework:categorical", "nothing-like-it"):
        assert registry.registered("relaxation", name) == name
    with pytest.raises(UnknownName, match="Did you mean concrete"):
        registry.find("relaxation", "concrte")


@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [
        ("relaxation", "rloo", "an estimator"),
        ("relaxation", "ste", "an estimator"),
        ("estimator", "categorical", "a relaxation"),
        ("task", "digits", "a dataset"),
    ],
)
def test_names_of_another_kind_are_told(kind, name, other):
    with pytest.raises(UnknownName, match=f"'{name}' is the name of {other}"):
        default_registry().find(kind, name)
