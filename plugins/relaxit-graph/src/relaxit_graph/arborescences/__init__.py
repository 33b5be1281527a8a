"""Directed spanning trees."""

from __future__ import annotations
