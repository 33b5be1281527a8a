"""Independent random streams from one seed.

Weights, order of the examples and noise must not be functions of the same random bits, and seed 1
of one stream must not coincide with seed 0 of another.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["derive"]

_STREAMS = ("weights", "order", "noise", "evaluation")
Stream = Literal["weights", "order", "noise", "evaluation"]


def derive(seed: int, stream: Stream, index: int = 0) -> int:
    """Derive the seed of one random stream of a run.

    Args:
        seed: seed of the run.
        stream: purpose of the stream.
        index: index within the stream, for example the epoch.

    Example:
        >>> derive(0, "weights") == derive(0, "noise")
        False
    """
    sequence = np.random.SeedSequence([seed, _STREAMS.index(stream), index])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)
