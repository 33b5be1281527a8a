"""The page on papers has every paper that code and pages link to, with authors and title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relaxit.plugins import default_registry
from tests.pages import PAGES, ROOT, page_of

PAPERS = page_of("papers")
SOURCES = sorted(
    path
    for pattern in ("relaxit", "examples", "plugins/*/src", "plugins/*/examples")
    for directory in ROOT.glob(pattern)
    for path in directory.rglob("*")
    if path.suffix in (".py", ".toml", ".rst")
)
CITING = [*SOURCES, *(page for page in PAGES if page != PAPERS), *ROOT.glob("plugins/*/*.md")]

# After "arXiv:" or in a link, or alone; and other links to papers.
CITED = re.compile(r"(?:arXiv:|arxiv\.org/\w+/)(\d{4}\.\d{4,5})", re.I)
LINKED = re.compile(r"doi\.org/(10\.[^\s)>`]+)|(openreview\.net/forum\?id=\w+)")
ALONE = re.compile(r"(?<![\d.])((?:1[3-9]|2[0-6])(?:0[1-9]|1[0-2])\.\d{5})(?![\d.])")
ENTRY = re.compile(
    r"- (?P<authors>[^\[\]]+), \[(?P<title>[^\[\]]+)\]\((?P<link>https://\S+)\), "
    r"(?P<venue>[^.]*\b(?:19|20)\d\d)\. (?P<use>\S.*)",
    re.S,
)


def cited_in(text: str, alone: bool) -> set[str]:
    """Return the papers that a text cites; with ``alone`` also numbers that nothing introduces."""
    linked = {first or second for first, second in LINKED.findall(text)}
    return {*CITED.findall(text), *linked, *(ALONE.findall(text) if alone else ())}


def entries(text: str) -> Iterator[str]:
    """Yield the items of the lists of a page, each as one line."""
    for item in re.findall(r"^- .*(?:\n  .*)*", text, re.M):
        yield " ".join(item.split())


ENTRIES = list(entries(PAPERS.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", CITING, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_cited_paper_is_on_the_page(path: Path):
    # In the tables of pages a number may stand alone.
    found = cited_in(path.read_text(encoding="utf-8"), path.suffix == ".md")
    missing = found - cited_in(PAPERS.read_text(encoding="utf-8"), False)
    assert not missing, f"{path}: add {sorted(missing)} to docs/concepts/papers.md"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e[2:40])
def test_every_entry_has_authors_title_link_venue_and_use(entry):
    found = ENTRY.fullmatch(entry)
    assert found, entry
    assert all(len(name.split()) >= 2 for name in found["authors"].split(", ")), found["authors"]
    known = r"https://(arxiv\.org/abs/\d{4}\.\d{4,5}$|doi\.org/10\.|openreview\.net/forum)"
    assert re.match(known, found["link"]), found["link"]
    assert found["use"].endswith(".")


@pytest.mark.parametrize("kind", ["relaxation", "estimator", "dataset", "task", "benchmark"])
def test_the_other_references_of_registered_classes_are_on_the_page(kind):
    page = PAPERS.read_text(encoding="utf-8")
    for name, cls in default_registry().items(kind).items():
        for reference in getattr(cls, "references", ()):
            first = re.match(r"\w+", reference)[0]  # an author, or the institution
            assert first == "arXiv" or first in page, (name, reference)


def test_no_paper_is_listed_twice():
    links = [ENTRY.fullmatch(entry)["link"] for entry in ENTRIES]
    assert len(links) == len(set(links)) > 50


def test_what_is_cited_is_seen():
    text = "arXiv:1611.01144, https://arxiv.org/abs/1308.3432 and | 2304.08612 | 1024.12345 |"
    assert cited_in(text, False) == {"1611.01144", "1308.3432"}
    assert cited_in(text, True) == {"1611.01144", "1308.3432", "2304.08612"}
    text = "[a](https://doi.org/10.1/a-b), <https://openreview.net/forum?id=x1>, b.org/10.1"
    assert cited_in(text, True) == {"10.1/a-b", "openreview.net/forum?id=x1"}
    assert any(cited_in(path.read_text(encoding="utf-8"), False) for path in SOURCES)


@pytest.mark.parametrize(
    "entry",
    [
        "- A B, [T](https://arxiv.org/abs/1), ICML.  x.",
        "- [T](https://arxiv.org/abs/1611.01144), ICLR 2017. `x`.",
        "- A B, T, ICLR 2017. `x`.",
        "- A B, [T](https://arxiv.org/abs/1611.01144), ICLR 2017.",
    ],
)
def test_an_incomplete_entry_is_seen(entry):
    assert not ENTRY.fullmatch(entry)
