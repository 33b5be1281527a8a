"""One vocabulary: the field's terms in code, help, messages and pages, see docs/architecture.md."""

from __future__ import annotations

import re

import pytest

from tests.architecture.house import CORE, ROOT, SOURCES

# What is not said, and what is said instead.
BANNED = {
    r"laws?": "distribution; property or check (of the kit)",
    r"pictures?": "image, example or figure",
    r"folders?": "directory",
    r"peers?": "baseline",
    r"contenders?": "implementation",
    r"refus(?:e|es|ed|ing|al|als)": "reject, is not supported",
    r"work(?:s|ed|ing)? out": "compute, estimate",
    r"reckon(?:s|ed|ing)?": "compute, estimate",
    r"cooling": "temperature",
    r"plain forms?": "reference implementation",
    r"fast forms?": "fused implementation",
    r"whole or not at all": "atomically",
    r"rounds begin within": "time budget",
    r"who is told": "callback",
    r"(?:what|that|which) is no (?!longer)\w+": "is not a ...",
    r"is no (?:tensor|number|value|matrix|directory)": "is not a ...",
    r"in vain": "without effect",
    r"by the same door": "by the same entry point",
}  # fmt: skip
# It quotes the words.
EXEMPT = {"tests/architecture/test_vocabulary.py"}
# This part of the changelog gives old names.
RENAMES = re.compile(r"### Breaking.*?(?=### Added)", re.S)

FILES = sorted(
    path
    for directory in (
        *SOURCES.values(),
        *(ROOT / name for name in ("docs", "examples", ".ci", "tests")),
    )
    for path in directory.rglob("*")
    if path.suffix in (".py", ".md", ".toml", ".template", ".yml") and "_build" not in path.parts
)
FILES += ROOT.glob("plugins/*/tests/**/*.py")
FILES += [*ROOT.glob("*.md"), *ROOT.glob("plugins/*/*.md"), *ROOT.glob("plugins/*/examples/*.py")]


def banned_in(text: str) -> list[str]:
    """Lines with a banned word, as ``number: word (say instead)``."""
    text = re.sub(r"[ \t]*\n[ \t#]*", lambda m: " " * (len(m[0]) - 1) + "\n", text)
    return [
        f"{text[: found.start()].count(chr(10)) + 1}: {found[0]!r} ({instead})"
        for pattern, instead in BANNED.items()
        for found in re.finditer(rf"(?<![\w-]){pattern}(?![\w-])".replace(" ", r"\s+"), text, re.I)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words(path):
    if str(path.relative_to(ROOT)) in EXEMPT:
        pytest.skip("quotes them")
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":
        text, parts = RENAMES.subn("", text)
        assert parts == 1
    found = banned_in(text)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("the two laws of a relaxation", True),
        ("a Law", True),
        ("worked\n    out in float32", True),
        ("# what is\n# no tensor", True),
        ("Lawson, claws", False),
        ("pathwise", False),
        ("what is no longer needed", False),
    ],
)
def test_a_banned_word_is_seen(text, seen):
    assert bool(banned_in(text)) == seen


def test_there_are_files_to_look_at():
    assert len([path for path in FILES if path.is_relative_to(CORE)]) > 200
