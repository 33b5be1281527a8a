"""The pages cannot drift: their code runs, and hooks, names, commands and fields are complete."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import typer

import relaxit
from relaxit import errors
from relaxit.cli.app import app
from relaxit.cli.app import run as run_command
from relaxit.plugins import registry, specs
from relaxit.testing import Check, checks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)


class Block(NamedTuple):
    language: str
    code: str
    line: int  # of the first line of code, from 1
    skipped: bool


def blocks(text: str) -> Iterator[Block]:
    """Fenced blocks; skipped if the last line with text before the fence is <!-- not run -->."""
    lines, before, position = text.splitlines(), "", 0
    while position < len(lines):
        fence = re.fullmatch(r"(\s*)(```+)\s*([\w{}-]*).*", lines[position])
        if not fence:
            before = lines[position].strip() or before
            position += 1
            continue
        indent, ticks, language = fence.groups()
        end = position + 1
        while end < len(lines) and lines[end].strip() != ticks:
            end += 1
        assert end < len(lines), f"the block of line {position + 1} is never closed"
        code = "\n".join(line.removeprefix(indent) for line in lines[position + 1 : end]) + "\n"
        yield Block(language, code, position + 2, before == "<!-- not run -->")
        before, position = "", end + 1


# --- code runs --------------------------------------------------------------------------------


def execute(block: Block, page: str, namespace: dict) -> None:
    """Run a block: as a session whose output is compared if it has prompts, else as a module."""
    if ">>> " not in block.code:
        code = "\n" * (block.line - 1) + block.code  # tracebacks name the page's own lines
        exec(compile(code, page, "exec"), namespace)
        return
    # The parser copies the namespace; share it with the page's other blocks.
    session = doctest.DocTestParser().get_doctest(block.code, {}, page, page, block.line - 1)
    session.globs = namespace
    report: list[str] = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.DocTestRunner(optionflags=flags).run(
        session, out=report.append, clear_globs=False
    )
    assert result.failed == 0, "".join(report)


@pytest.fixture
def session_registry():
    """Whatever a page registers is gone after it."""
    yield
    table = registry.default_registry()
    for kind in ("relaxation", "task"):
        for cls in list(table.items(kind).values()):
            if table.provider(kind, cls.name).distribution == registry.SESSION:
                relaxit.unregister(cls)


@EACH_PAGE
def test_python_blocks_run(page, tmp_path, monkeypatch, session_registry):
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where pickle looks for classes
    for block in blocks(page.read_text()):
        if block.language == "python" and not block.skipped:
            execute(block, str(page.relative_to(ROOT)), module.__dict__)


def test_every_page_but_these_has_code():
    without = {
        p.stem for p in PAGES if not any(b.language == "python" for b in blocks(p.read_text()))
    }
    assert without <= {"README", "api", "results"}


def test_the_extraction():
    page = "a\n```python\nx = 1\n```\n<!-- not run -->\n\n```python\n1 / 0\n```\n```bash\nls\n```\n"
    assert list(blocks(page)) == [
        Block("python", "x = 1\n", 3, False),
        Block("python", "1 / 0\n", 8, True),
        Block("bash", "ls\n", 11, False),
    ]


def test_wrong_output_is_seen():
    namespace = {"x": 2}
    execute(Block("python", ">>> y = x\n>>> y\n2\n", 1, False), "page", namespace)
    assert namespace["y"] == 2
    with pytest.raises(AssertionError, match="Expected"):
        execute(Block("python", ">>> x\n3\n", 1, False), "page", namespace)


def test_the_minimal_plugin_installs_and_trains(tmp_path):
    """The first block of the contract page, as a file behind an entry point, in a new process."""
    found = list(blocks((DOCS / "contract.md").read_text()))
    source = next(b.code for b in found if b.language == "python" and "@hookimpl" in b.code)
    point = next(b.code for b in found if b.language == "toml" and "entry-points" in b.code)
    name, module = re.search(r'^(\w+) = "(\w+)"$', point.split("entry-points")[1], re.M).groups()
    (tmp_path / f"{module}.py").write_text(source)
    info = tmp_path / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: relaxit-bins\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[relaxit.plugins]\n{name} = {module}\n")
    code = "import sys; from relaxit.cli.app import run; sys.exit(run())"
    arguments = "--strict-plugins train --relaxation bins --epochs 1 --device cpu --out run --json"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test_elbo_discrete"] < 0
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["plugins"]
    assert {"relaxit-bins"} <= {plugin["distribution"] for plugin in recorded}


def environment() -> dict[str, str]:
    """The environment without settings of relaxit's own, on one thread."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RELAXIT_")}
    return {**kept, "OMP_NUM_THREADS": "1"}


def test_the_single_file_trains_and_is_checked(tmp_path):
    """The first block of the page for authors, with the command lines below it."""
    text = (DOCS / "write-a-plugin.md").read_text()
    found = list(blocks(text))
    assert found[0].language == "python"
    assert found[1].language == "bash"
    name = re.search(r"[Ss]ave it as `(\w+\.py)`", text)[1]
    (tmp_path / name).write_text(found[0].code)
    code = "import sys; from relaxit.cli.app import run; sys.exit(run())"
    lines = [shlex.split(line)[1:] for line in found[1].code.splitlines()]
    assert [line[0] for line in lines] == ["train", "check"]
    for line, more in zip(
        lines, ("--epochs 1 --device cpu --out run --json", "--json"), strict=True
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *line, *more.split()],
            cwd=tmp_path,
            env={**environment(), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout).get("passed", True)


def test_the_task_of_the_contract_trains_as_a_file(tmp_path):
    """The task's block with the command line below it, in a new process."""
    found = list(blocks((DOCS / "contract.md").read_text()))
    place = next(i for i, b in enumerate(found) if b.language == "python" and "(Task):" in b.code)
    (tmp_path / "pixels.py").write_text(found[place].code)
    line = found[place + 1].code.replace("\\\n", " ").strip()
    arguments = [*shlex.split(line)[1:], "--epochs", "3", "--device", "cpu", "--json"]
    code = "import sys; from relaxit.cli.app import run; sys.exit(run())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test_wrong"] < 0.7  # of ten classes: guessing has 0.9


# --- hooks and names are complete -------------------------------------------------------------

HOOKS = [
    f for _, f in inspect.getmembers(specs, inspect.isfunction) if f.__name__.startswith("relaxit_")
]


def signature_line(function) -> str:
    # Annotations are kept as text, which inspect prints in quotes.
    return f"def {function.__name__}{inspect.signature(function)}:".replace("'", "")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda f: f.__name__)
def test_every_hook_is_documented(hook):
    page = (DOCS / "contract.md").read_text()
    assert any(line.startswith(signature_line(hook)) for line in page.splitlines())
    assert f"- `{hook.__name__}`:" in page


def test_no_other_hook_is_documented():
    page = (DOCS / "contract.md").read_text()
    assert set(re.findall(r"\brelaxit_[a-z_]+\b", page)) - {"relaxit_bins"} == {
        hook.__name__ for hook in HOOKS
    }


# Faces that a user or the author of a plugin may import from.
PUBLIC = [
    "relaxit", "relaxit.arithmetic", "relaxit.autograd", "relaxit.bench", "relaxit.categorical",
    "relaxit.constraints", "relaxit.data", "relaxit.drawing", "relaxit.dtypes",
    "relaxit.environment",
    "relaxit.errors", "relaxit.estimators", "relaxit.files", "relaxit.gradients",
    "relaxit.json_text", "relaxit.losses", "relaxit.noise", "relaxit.plugins",
    "relaxit.reproduce", "relaxit.shapes", "relaxit.temperature", "relaxit.testing",
    "relaxit.tracing", "relaxit.training", "relaxit.zoo",
]  # fmt: skip


def documented_names() -> set[str]:
    page = (DOCS / "api.md").read_text()
    return set(re.findall(r"^\.\. [\w:]+:: (relaxit[\w.]+)$", page, re.M))


@pytest.mark.parametrize("face", PUBLIC)
def test_the_api_lists_the_names_of_a_face(face):
    module = import_module(face)
    missing = {
        name
        for name in module.__all__
        if f"{face}.{name}" not in documented_names()
        and not (name in relaxit.__all__ and getattr(relaxit, name) is getattr(module, name))
    }
    assert not missing


def test_the_api_lists_nothing_else():
    known = {f"{face}.{name}" for face in PUBLIC for name in import_module(face).__all__}
    assert documented_names() <= known


# --- every check is documented ----------------------------------------------------------------

MARKS = "<!-- checks: begin -->\n", "<!-- checks: end -->\n"

# When a check applies, by the function that decides; the others are read from its own words.
APPLIES = {
    "_integrable": "`density` claimed, float64, at most 6 free dimensions",
    "_density_in_float64": "`density` claimed, float64, at most 200 params",
    "_distribution_in_float64": "`discrete_distribution` claimed, float64, at most 200 params",
    "no_differences": "float64, at most 200 params",
    "_log_space_in_float64": "`log_space` claimed, float64, at most 200 params",
    "_without_both_dtypes": "float32 and float64 claimed",
    "_cannot_trace": "`compiles` claimed",
    "_no_kl": "`discrete_distribution` claimed, KL registered, values can be listed",
    "_no_cardinality": "`log_cardinality` known, values can be listed",
    "_scalar_params": "params are not scalars",
    "_no_kl_of_its_own": "`discrete_distribution` denied, `kl_to_uniform` implemented",
    "_no_bound": "`discrete_distribution` denied, `kl_to_uniform` implemented, "
    "values can be listed",
    "_rounding_denied": "`discrete_distribution` claimed, `exact_rounding` denied, "
    "values can be listed",
    "_cannot_differ": "`conditional` claimed, values can be listed, float64, at most 200 params",
    "_has_exact_draw": "`exact_draw` claimed, not a `DrawEstimator`; samples are drawn, "
    "values can be listed",
    "_of_other_distribution": "`hard`, neither `exact_draw` nor `own_distribution`; "
    "values can be listed",
    "_takes_no_draws": "a `DrawEstimator`",
    "_no_noise": "not a `DrawEstimator`; samples are drawn",
    "_draws": "`hard`, and the cost is evaluated on the same values for every seed",
    "_keeps_nothing": "a `StatefulEstimator`",
    "_claims_nothing": "a `StatefulEstimator`, unbiased for quadratic costs; at most 12 values",
    "_bias_unknown": "`unbiased` claimed; hard samples follow the masses, values can be listed",
    "_is_hard": "`hard` denied",
    "_several_unknown": "as `unbiased_as_claimed`, for drawn hard samples; at most 12 values",
    "_direction_unknown": "`hard`, `unbiased` not claimed, values can be listed",
    "_acts_through_a_sample": "a `SampleEstimator`",
    "_repeated": "`compiles` claimed, on the first example of a class",
}


def applies(check: Check) -> str:
    function = check.absent.__qualname__.partition(".")[0]
    if function in APPLIES:
        return APPLIES[function]
    if function == "_always":
        return "always"
    known = ("claims", "denies", "countable")
    assert function in known, f"say in APPLIES when {check.name} applies: see {function}()"
    held = inspect.getclosurevars(check.absent).nonlocals  # of claims(), denies() and countable()
    word = "denied" if function == "denies" else "claimed"
    names = held["capabilities"] if "capabilities" in held else [held["capability"]]
    parts = [f"`{name}` {word}" for name in names]
    return ", ".join(parts + ["values can be listed"] * (function == "countable"))


def check_tables() -> str:
    """The part of the conformance page that is made of the checks themselves."""
    relaxations, estimators = checks("relaxation"), checks("estimator")
    groups = {
        "Relaxations and estimators": [c for c in relaxations if c in estimators],
        "Relaxations": [c for c in relaxations if c not in estimators],
        "Estimators": [c for c in estimators if c not in relaxations],
    }
    return "\n".join(part for title, group in groups.items() for part in table(title, group))


def table(title: str, group: list[Check]) -> Iterator[str]:
    yield f"\n### {title}\n"
    needed = Counter(name for c in group for name in c.needs)
    first = {name for name, times in needed.items() if times > len(group) / 2}
    if first:
        names = ", ".join(f"`{c.name}`" for c in group if c.name in first)
        yield f"Run before all others, which are not run unless these pass: {names}.\n"
    yield "| check | property | why | applies | false alarms |\n|---|---|---|---|---|"
    for c in group:
        after = ", ".join(f"`{name}`" for name in c.needs if name not in first)
        when = applies(c) + (f"; after {after}" if after else "")
        rate = f"{c.false_alarm:.0e}".replace("e-0", "e-") if c.false_alarm else "-"
        why = c.why[:1].upper() + c.why[1:]
        yield "| " + " | ".join([f"`{c.name}`", c.statement, why, when, rate]) + " |"
    yield ""


def test_the_tables_of_checks_are_those_of_the_kit():
    path = DOCS / "conformance.md"
    before, mark, rest = path.read_text().partition(MARKS[0])
    found, end, after = rest.partition(MARKS[1])
    assert mark, f"{path.name} has lost its mark {MARKS[0]}"
    assert end, f"{path.name} has lost its mark {MARKS[1]}"
    wanted = check_tables() + "\n"
    if os.environ.get("REWRITE_CHECK_TABLES") and found != wanted:
        path.write_text(before + mark + wanted + end + after)
        found = wanted
    missing = "\n".join(line for line in wanted.splitlines() if line not in found.splitlines())
    stale = "\n".join(line for line in found.splitlines() if line not in wanted.splitlines())
    assert found == wanted, (
        "docs/conformance.md differs from the checks. Run this test with REWRITE_CHECK_TABLES=1, "
        f"or write:\n{missing}\nin place of:\n{stale}\nAll of it:\n{wanted}"
    )


def test_distributions_fit_into_a_table():
    for check in checks():
        assert "|" not in check.statement + check.why, check.name
        assert check.statement.endswith("."), check.name
        assert check.why.endswith("."), check.name


# --- command lines exist ----------------------------------------------------------------------


def command_lines(text: str) -> Iterator[str]:
    """Every ``relaxit ...`` of a page: in shell blocks, and in code spans of the text."""
    prose = re.sub(r"^(\s*)```.*?^\1```\s*$", "", text, flags=re.M | re.S)
    for span in re.findall(r"`([^`]+)`", prose):
        words = " ".join(span.split())
        if re.match(r"(\w+=\S+ )*relaxit (?!\()", words):
            yield words
    for block in blocks(text):
        if block.language not in ("bash", "sh", "shell", "console"):
            continue
        for line in block.code.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line.partition(" #")[0]):
                part = part.strip().removeprefix("$ ")
                if re.match(r"(\w+=\S+ )*relaxit\b", part):
                    yield part


def complaint(line: str) -> str:
    """What is wrong with a command line; empty if its command and options exist."""
    words = shlex.split(line)
    while "=" in words[0]:
        words.pop(0)
    node = typer.main.get_command(app)
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if word.startswith("-") and word != "-":
            option, equals, _ = word.partition("=")
            if option in ("-h", "--help"):
                continue
            known = {name: p for p in node.params for name in (*p.opts, *p.secondary_opts)}
            if not option.startswith("-") or option not in known:
                return f"{line!r}: no option {option} of {node.name}"
            takes_value = not getattr(known[option], "is_flag", False)
            if takes_value and not equals:
                if not rest:
                    return f"{line!r}: {option} takes a value"
                rest.pop(0)
        elif hasattr(node, "commands"):
            if word not in node.commands:
                return f"{line!r}: no command {word}"
            node = node.commands[word]
    return ""


@EACH_PAGE
def test_command_lines_exist(page):
    assert not [c for c in map(complaint, command_lines(page.read_text())) if c]


def test_the_pages_have_command_lines():
    assert sum(len(list(command_lines(page.read_text()))) for page in PAGES) > 20


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("relaxit train --relaxation categorical -o categories=3 --json", False),
        ("RELAXIT_EPOCHS=3 relaxit --debug train --epochs=3", False),
        ("relaxit zoo show NAME", False),
        ("relaxit evaluate RUN --importance-samples 100", False),
        ("relaxit --help", False),
        ("relaxit tran", True),
        ("relaxit zoo print NAME", True),
        ("relaxit train --epoch 3", True),
        ("relaxit train --epochs", True),
        ("relaxit --strict plugins", True),
        ("relaxit sample RUN --relaxation categorical", True),
    ],
)
def test_the_command_check(line, bad):
    assert bool(complaint(line)) == bad


def test_command_lines_are_found():
    page = (
        "Say `relaxit\nlist`, `relaxit.get` or `relaxit`.\n"
        "```bash\n$ relaxit train \\\n --json  # x\na && relaxit doctor\n```\n"
    )
    assert [" ".join(line.split()) for line in command_lines(page)] == [
        "relaxit list",
        "relaxit train --json",
        "relaxit doctor",
    ]


def environment_variables() -> set[str]:
    """Every variable that some command reads, and those of the registry and the cache."""
    found = {"RELAXIT_PLUGINS", "RELAXIT_DISABLE_PLUGINS", "RELAXIT_CACHE_DIR"}
    nodes = [typer.main.get_command(app)]
    while nodes:
        node = nodes.pop()
        nodes.extend(getattr(node, "commands", {}).values())
        for param in node.params:
            names = param.envvar or ()
            found |= {names} if isinstance(names, str) else set(names)
    return found


@EACH_PAGE
def test_environment_variables_exist(page):
    named = set(re.findall(r"\bRELAXIT_[A-Z_]*[A-Z]\b", page.read_text()))
    assert named <= environment_variables()


# --- what a run leaves ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    arguments = "train --epochs 1 --validation 100 --latents 2 --device cpu --quiet --out"
    assert run_command([*arguments.split(), str(path)]) == 0
    return path


def test_every_metric_is_documented_and_has_its_sign(run_directory):
    page = (DOCS / "getting-started.md").read_text()
    (row,) = map(json.loads, (run_directory / "metrics.jsonl").read_text().splitlines())
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert set(row) <= documented
    for name, value in row.items():
        assert value < 0 if "_elbo_" in name else value > 0, name


def test_every_file_of_a_run_is_documented(run_directory):
    page = (DOCS / "getting-started.md").read_text()
    for path in run_directory.iterdir():
        assert f"`{path.name}{'/' if path.is_dir() else ''}`" in page


def test_every_exit_code_is_documented():
    page = (DOCS / "getting-started.md").read_text()
    classes = [c for c in vars(errors).values() if isinstance(c, type) and hasattr(c, "exit_code")]
    for code in {0, 130, 143} | {c.exit_code for c in classes}:
        assert re.search(rf"^\| {code} \|", page, re.M), code
