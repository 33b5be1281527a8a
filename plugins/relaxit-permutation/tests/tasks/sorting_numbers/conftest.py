"""The small data set of these tests can be found by name."""

from __future__ import annotations

import pytest
from numbers_oracles import Few

import relaxit


@pytest.fixture(autouse=True)
def registered():
    relaxit.register(Few)
    yield
    relaxit.unregister(Few)
