"""Every test starts from seed 0 on one thread and leaves the global generators as it found them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch.distributions import Distribution

from relaxit_permutation.sinkhorn.scaling import SinkhornWarning


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    Distribution.set_default_validate_args(__debug__)  # torch.compile switches it off


@pytest.fixture
def no_warnings() -> Iterator[None]:
    """A warning is an error, unless it is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def all_converge() -> Iterator[None]:
    """A matrix that does not converge is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SinkhornWarning)
        yield
