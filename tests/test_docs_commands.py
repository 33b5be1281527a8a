"""Command lines and environment variables of the pages exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer

from relaxit.cli.app import app
from tests.pages import EACH_PAGE, PAGES, blocks


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
