"""The code of the pages runs, and the plugins on them work in processes of their own."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
from types import ModuleType

import pytest

import relaxit
from relaxit.plugins import registry
from tests.pages import DOCS, EACH_PAGE, PAGES, ROOT, Block, blocks, page_of


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
    for kind in ("relaxation", "task", "dataset"):
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
    api = {p.stem for p in (DOCS / "api").glob("*.md")}
    assert without <= api | {"README", "results", "overview", "glossary", "papers"}


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


def environment() -> dict[str, str]:
    """The environment without settings of relaxit's own, on one thread."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RELAXIT_")}
    return {**kept, "OMP_NUM_THREADS": "1"}


def test_the_minimal_plugin_installs_and_trains(tmp_path):
    """The first block of the contract page, as a file behind an entry point, in a new process."""
    found = list(blocks(page_of("contract").read_text()))
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


@pytest.mark.parametrize("number", [0, 1])
def test_the_single_file_trains_and_is_checked(number, tmp_path):
    """The two files of the page for authors, with the command lines below each."""
    page = page_of("write-a-plugin").read_text()
    files = re.findall(r"[Ss]ave it as\s`(\w+\.py)`:\n(.*?\n```bash\n.*?```)", page, re.S)
    name, text = files[number]
    found = list(blocks(text))
    assert [block.language for block in found] == ["python", "bash"]
    (tmp_path / name).write_text(found[0].code)
    assert number == 1 or len(found[0].code.splitlines()) <= 16
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
    found = list(blocks(page_of("contract").read_text()))
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
