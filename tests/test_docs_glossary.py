"""The glossary names every structure and estimator with its aliases, in alphabetical order."""

from __future__ import annotations

import re

import pytest

from relaxit.plugins import default_registry
from tests.pages import page_of

TEXT = page_of("glossary").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### (.+)\n\n(.+(?:\n.+)*)", TEXT, re.M))


@pytest.mark.parametrize("kind", ["relaxation", "estimator"])
def test_every_name_and_alias_is_there(kind):
    explained = "\n".join(ENTRIES.values())
    for name, cls in default_registry().items(kind).items():
        missing = [each for each in (name, *cls.aliases) if f"`{each}`" not in explained]
        assert not missing, f"{name}: {missing}"


def test_every_alias_is_one():
    known = {
        alias
        for kind in ("relaxation", "estimator")
        for cls in default_registry().items(kind).values()
        for alias in cls.aliases
    }
    for term, text in ENTRIES.items():
        for named in re.findall(r"\balias(?:es)?((?:,?\s+`[\w-]+`)+)", text):
            assert set(re.findall(r"`([\w-]+)`", named)) <= known, term


def test_entries_are_in_order_below_their_letters():
    words = re.findall(r"^###? (.+)$", TEXT, re.M)
    letter = ""
    order = []
    for word in words:
        if len(word) == 1:
            letter = word
        else:
            assert word[0].upper() == letter, word
        order.append(word.lower())
    assert order == sorted(order)
    assert len(ENTRIES) == len([w for w in words if len(w) > 1]) > 40


@pytest.mark.parametrize("term", ENTRIES)
def test_entries_are_short(term):
    text = re.sub(r"`[^`]*`|\([^)]*\)", "", ENTRIES[term])
    assert 1 <= len(re.findall(r"[.:;](?:\s|$)", text)) <= 6
    assert len(ENTRIES[term].split()) < 75
