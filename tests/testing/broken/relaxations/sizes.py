"""Relaxations that take the wrong sizes from their params."""

from __future__ import annotations

from tests.testing.sound.choices import Choice


class SizeOfTheBatch(Choice):
    """Takes the first dimension, which is that of the batch."""

    caught_by = "sizes_are_those_of_the_params"

    @classmethod
    def sizes(cls, shape):
        return {"size": shape[0]} if shape else {}


class SizeWithoutCare(Choice):
    """Raises for a shape that is too short."""

    caught_by = "sizes_are_those_of_the_params"

    @classmethod
    def sizes(cls, shape):
        return {"size": shape[-1]}


BROKEN = [SizeOfTheBatch(size=3), SizeWithoutCare(size=3)]
