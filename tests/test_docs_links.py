"""Links between the pages lead to files and headings that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import DOCS, PAGES, ROOT, blocks

READMES = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("plugins/*/README.md")]
EXAMPLES = ROOT / "examples" / "gallery"
MADE = {DOCS / "running" / "commands.md", DOCS / "gallery" / "index.rst"}


def prose(text: str) -> str:
    """The text without fenced blocks and code spans, in which brackets are no links."""
    for block in blocks(text):
        text = text.replace(block.code, "\n")
    return re.sub(r"`[^`]*`", "code", text)


def links(text: str) -> Iterator[tuple[str, str]]:
    """File and anchor of each relative link."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if not re.match(r"\w+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, by the rule of forges and of MyST."""
    titles = re.findall(r"^#+ (.*?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    plain = (re.sub(r"\]\([^)]*\)|[`\[\]]", "", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def exists(path: Path) -> bool:
    """Whether a file is there, or is made by a build of the documentation."""
    if path.parent == DOCS / "gallery" and path.stem != "index":
        return (EXAMPLES / path.stem).with_suffix(".py").is_file()
    return path in MADE or path.exists()


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_links_lead_somewhere(page):
    text = page.read_text()
    for path, anchor in links(text):
        target = (page.parent / path).resolve() if path else page
        assert exists(target), f"{page.name} links to {path}"
        if anchor and target not in MADE and target.suffix == ".md":
            assert anchor in anchors(target.read_text()), f"{page.name}: {path}#{anchor}"


def test_a_broken_link_is_seen():
    text = "# A `b` (c)\n[x](y.md#z) [u](https://v) `[p](q)`\n```sh\n[r](s)\n```\n"
    assert list(links(text)) == [("y.md", "z")]
    assert anchors(text) == {"a-b-c"}
    assert not exists(DOCS / "nowhere.md")
    assert not exists(DOCS / "gallery" / "nowhere.rst")


def test_no_page_loads_anything_from_the_network():
    for page in PAGES:
        assert not re.search(r"!\[[^]]*\]\(https?:|<(img|script)[^>]*https?:", page.read_text()), (
            page
        )
