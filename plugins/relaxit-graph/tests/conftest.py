"""Every test starts from seed 0 on one thread and leaves the global generators as it found them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.distributions import Distribution


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    Distribution.set_default_validate_args(__debug__)  # torch.compile switches it off
