"""Undirected spanning trees."""

from __future__ import annotations
