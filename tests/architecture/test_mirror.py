"""Tests stand where the code stands that they test, and can be read in one sitting."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.house import CORE, ROOT, SOURCES

MOST_LINES = 300
# What is tested here is no module: the tree, tools of developers.
APART = {"architecture", "ci"}
# Pages and examples, and what all relaxations of a plugin have in common.
WHOLE = {
    "tests/test_docs", "tests/test_docs_checks", "tests/test_docs_commands", "tests/test_docs_data",
    "tests/test_docs_glossary", "tests/test_docs_links", "tests/test_docs_names",
    "tests/test_docs_notebook", "tests/test_docs_papers", "tests/test_docs_pitfalls",
    "tests/test_docs_runs",
    "tests/test_examples", "tests/test_examples_crf_tagger", "tests/test_examples_gallery",
    "tests/test_examples_gallery_packages", "tests/test_examples_interop",
    "plugins/relaxit-permutation/tests/test_permutation_compile",
    "plugins/relaxit-permutation/tests/test_permutation_conformance",
    "plugins/relaxit-permutation/tests/test_permutation_settings",
    "plugins/relaxit-subset/tests/test_subset_compile",
    "plugins/relaxit-subset/tests/test_subset_conformance",
    "plugins/relaxit-subset/tests/test_subset_examples_distributions",
    "plugins/relaxit-subset/tests/test_subset_examples_study",
}  # fmt: skip

ROOMS = {ROOT / "tests": CORE} | {
    ROOT / "plugins" / package.replace("_", "-") / "tests": source
    for package, source in SOURCES.items()
    if package != "relaxit"
}
FILES = sorted(
    path
    for tests in ROOMS
    for path in tests.rglob("*.py")
    if path.relative_to(tests).parts[0] not in APART
)
TEST_FILES = [path for path in FILES if path.name.startswith("test_")]


def short(path: Path) -> str:
    """The path within the repository, without its ending."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


def room_of(path: Path) -> Path:
    """The directory of code that a file of tests belongs to."""
    tests = next(tests for tests in ROOMS if path.is_relative_to(tests))
    return ROOMS[tests] / path.parent.relative_to(tests)


def subjects(path: Path) -> set[str]:
    """Names that a file of tests may begin with: of the room, and of what stands in it."""
    room = room_of(path)
    names = {child.stem for child in room.iterdir() if child.suffix in ("", ".py")}
    return (names | {room.name}) - {"__init__", "__pycache__"}


def subject_of(path: Path) -> str:
    """The file's name without ``test_`` and, in a plugin, the plugin's name."""
    name = path.stem.removeprefix("test_")
    tests = next(tests for tests in ROOMS if path.is_relative_to(tests))
    if ROOMS[tests] == CORE:
        return name
    # File names of tests are unique among the plugins, which pytest requires.
    return name.removeprefix(tests.parent.name.removeprefix("relaxit-") + "_")


def test_files_of_tests_are_named_after_what_they_test():
    named = [path for path in TEST_FILES if short(path) not in WHOLE]
    assert not [
        short(path)
        for path in named
        if not any(f"{subject_of(path)}_".startswith(f"{name}_") for name in subjects(path))
    ]


def test_directories_of_tests_are_those_of_the_code():
    assert not [path.parent for path in TEST_FILES if not room_of(path).is_dir()]


def test_the_exceptions_exist():
    assert set(map(short, TEST_FILES)) >= WHOLE


def test_files_of_tests_are_short():
    lines = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert len(lines) > 200
    assert not {name: number for name, number in lines.items() if number > MOST_LINES}
