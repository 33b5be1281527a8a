"""Relaxations whose params are not the logits that they claim."""

from __future__ import annotations

from dataclasses import replace

from tests.testing.sound.choices import GivenChoice


class CategorySaidToBeBits(GivenChoice):
    """Logits of one category, said to be those of bits."""

    caught_by = "params_are_the_logits_of_what_they_say"
    capabilities = replace(GivenChoice.capabilities, logits="bits")


BROKEN = [
    CategorySaidToBeBits(),
]
