"""Structures of sequences, by dynamic programs."""

from __future__ import annotations
