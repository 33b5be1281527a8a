"""Which room may import which: each layer imports itself and those before it."""

from __future__ import annotations

import pytest

from tests.architecture.house import CORE, HOUSE, Import, Module, is_ours, module_at, reached, room

LAYERS = [
    {
        "errors",
        "hooks",
        "lazy",
        "json_text",
        "markdown",
        "drawing",
        "files",
        "environment",
        "options",
        "parts",
        "capabilities",
        "validation",
        "aliases",
        "shapes",
        "dtypes",
        "masks",
        "pyro_mixin",
    },
    {"tracing", "arithmetic", "float16", "autograd", "temperature", "constraints", "derivative"},
    {"noise"},
    {"seeded_distribution", "distribution", "discrete", "relaxation"},
    {"perturb"},
    {"sum_product"},
    {"estimators"},
    {"losses"},
    {"plugins"},
    {"arguments"},
    {"nn", "functional", "constructors"},
    {"testing", "bench", "gradients"},
    {"data"},
    {"training"},
    {"zoo"},
    {"api"},
    {"categorical", "tasks"},
    {"reproduce"},
    {"cli"},
    {"launcher"},
]
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}

# Built-in plugins are found by name: no other room imports them.
UNNAMED = ("relaxit.categorical", "relaxit.tasks")
# But a task may build on another one, through its face.
BASES = {"relaxit.tasks.vae"}
# And a command of its own runs the benchmark of training steps.
COMMANDS = {("relaxit.cli.bench.training", "relaxit.tasks.vae.benchmarks")}

# Third parties, and the only rooms or modules that may import them.
CONFINED = {
    "torchvision": {"data", "relaxit.tasks.vae.benchmarks.tutorial"},  # a script that is measured
    "typer": {"cli"},
    "click": {"cli"},
    "pluggy": {"plugins", "hooks"},
}

CORE_MODULES = [module for name, module in HOUSE.items() if name.split(".")[0] == "relaxit"]
EACH = pytest.mark.parametrize("module", CORE_MODULES, ids=lambda m: m.name)


def allowed(module: Module, imported: Import) -> bool:
    if not is_ours(imported):
        return True
    if imported.module.split(".")[0] != "relaxit":
        return False  # the core knows no package that is installed beside it
    if imported.types and module.name == "relaxit.plugins.specs":
        return True  # hooks name what they return
    here = room(module.name)
    if here == "":
        return True  # it only forwards names
    if imported.full == "relaxit.__version__":
        return here in ("cli", "training", "launcher")
    home = reached(imported) or imported.full
    there = room(home)
    if home.startswith(UNNAMED) and here != there:
        return any(module.name == a and home.startswith(b) for a, b in COMMANDS)
    if here == there == "tasks":
        same = module.name.split(".")[2:3] == home.split(".")[2:3]
        return same or imported.module in BASES
    return there in RANK and RANK[there] <= RANK[here]


@EACH
def test_every_file_has_a_layer(module):
    assert room(module.name) in {"", *RANK}, f"give {module.name} a place in LAYERS"


@EACH
def test_layers(module):
    bad = [imported.full for imported in module.imports if not allowed(module, imported)]
    assert not bad, f"{module.name} may not import {', '.join(bad)}"


@EACH
def test_confined_libraries(module):
    tops = {i.module.split(".")[0] for i in module.imports if not i.types}
    here = {room(module.name), module.name}
    for library, places in CONFINED.items():
        assert library not in tops or here & places, f"{library} in {module.name}"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("noise/variates.py", "from relaxit.relaxation import Relaxation"),
        ("noise/variates.py", "def f():\n    from relaxit import Relaxation"),
        ("relaxation.py", "from relaxit.categorical import distributions"),
        ("training/loop.py", "import relaxit.categorical"),
        ("training/loop.py", "from relaxit.tasks.vae import VaeTask"),
        ("training/loop.py", "from relaxit import tasks"),
        ("cli/output.py", "from relaxit.tasks import vae"),
        ("tasks/vae/task.py", "from relaxit.tasks.polynomial import Polynomial"),
        ("tasks/polynomial/task.py", "from relaxit.tasks.vae.model import Vae"),
        ("tasks/polynomial/task.py", "from relaxit.tasks import vae"),
        ("training/task.py", "from relaxit.cli import output"),
        ("cli/__init__.py", "import importlib as i\ni.import_module('relaxit.tasks')"),
        ("hooks.py", "from relaxit.plugins import get"),
        ("hooks.py", "if TYPE_CHECKING:\n    from relaxit import Task"),
        ("estimators/rloo.py", "from relaxit.plugins import get"),
        ("estimators/rloo.py", "from ..plugins import get"),
        ("estimators/rloo.py", "from relaxit import get"),
        ("data/digits.py", "from relaxit.training import loop"),
        ("data/digits.py", "import relaxit_subset"),
    ],
)  # fmt: skip
def test_the_rule_sees_a_breach(path, source):
    module = module_at(CORE / path, source)
    assert not all(allowed(module, imported) for imported in module.imports)


# --- circles ----------------------------------------------------------------------------------

# The contract and what it makes name each other in annotations.
MAY_STAY = {frozenset({"relaxit.relaxation", "relaxit.distribution"})}


def edges(types: bool) -> dict[str, set[str]]:
    """Who imports whom; a face only forwards, so that it is looked through."""
    return {
        name: {
            home
            for imported in module.imports
            if (types or not imported.types)
            and (home := reached(imported)) not in (None, name)
        }
        for name, module in HOUSE.items()
        if not module.is_package
    }  # fmt: skip


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of modules each of which reaches all others."""
    beyond = {}
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            for there in graph.get(todo.pop(), ()):
                if there not in seen:
                    seen.add(there)
                    todo.append(there)
        beyond[start] = seen
    return {
        frozenset(b for b in beyond[a] if a in beyond.get(b, ())) | {a}
        for a in graph
        if a in beyond[a]
    }


def test_no_import_goes_in_a_circle():
    assert circles(edges(types=False)) == set()


def test_annotations_go_in_one_circle_only():
    assert circles(edges(types=True)) == MAY_STAY


def test_circles_are_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {frozenset("abc")}
