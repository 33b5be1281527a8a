"""The stories of functions.md: short scripts, each of which reaches what it sets out to do."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.pages import ROOT, page_of
from tests.scripts import EXAMPLES, run

MOST_LINES = 20
STORIES = re.findall(r"^\| `([\w/.-]+\.py)` ", page_of("functions").read_text(), re.M)
SPACE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def lines_of_code(source: str) -> int:
    """Lines with code, without comments, empty lines and texts that stand alone (docstrings)."""
    lines: set[int] = set()
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        alone = token.type == tokenize.STRING and previous in (
            tokenize.NEWLINE, tokenize.INDENT, tokenize.NL,
        )  # fmt: skip
        if token.type not in SPACE and not alone:
            lines |= set(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT,):
            previous = token.type
    return len(lines)


def test_there_are_ten():
    assert len(STORIES) == len(set(STORIES)) == 10


@pytest.mark.parametrize("path", STORIES)
def test_a_story_is_short(path):
    assert 8 < lines_of_code((ROOT / path).read_text()) <= MOST_LINES


def test_lines_are_counted():
    source = '"""Doc\n\nstring."""\n\nimport a  # comment\n# another\nx = [\n    1,\n]\n'
    assert lines_of_code(source) == 4


def numbers(pattern: str, text: str) -> list[float]:
    return [float(number) for number in re.findall(pattern, text)]


def test_drop_in(tmp_path):
    errors = numbers(r"error ([\d.]+)", run("drop_in.py", cwd=tmp_path))
    assert len(errors) == 4
    assert errors[-1] < 0.05 < 0.2 < errors[0]


def test_hard_attention(tmp_path):
    correct = numbers(r"(\d+)% correct", run("hard_attention.py", cwd=tmp_path))
    assert correct[0] < 50
    assert correct[-1] > 90


def test_prompt_search(tmp_path):
    found = numbers(r"(\d) of 6 tokens", run("prompt_search.py", cwd=tmp_path))
    assert found[-1] == 6


def test_annealing(tmp_path):
    (temperature, error, mode) = numbers(r"[\d.]+\d", run("annealing.py", cwd=tmp_path))
    assert temperature == 0.3
    assert max(error, mode) < 0.2
    assert Path(tmp_path, "model.pt").is_file()


def test_the_scripts_are_where_the_page_says():
    assert all((ROOT / path).is_file() for path in STORIES)
    assert {EXAMPLES / "drop_in.py", EXAMPLES / "annealing.py"} <= {ROOT / s for s in STORIES}
