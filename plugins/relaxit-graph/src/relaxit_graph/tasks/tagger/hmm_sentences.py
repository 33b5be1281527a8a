"""Sentences of a hidden Markov model, whose states are the true tags."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from relaxit.data import Dataset, Examples, Splits, pad

__all__ = ["LONGEST", "TAGS", "TOKENS", "HmmSentences", "probabilities"]

TAGS = 5
"""Number of states of the hidden Markov model."""

TOKENS = 40
"""Number of different tokens."""

LONGEST = 12
"""Number of tokens of the longest sentence."""

_SHORTEST, _TRAIN, _TEST = 4, 4000, 1000


class HmmSentences(Dataset):
    """Sentences ``[12]`` of 4 to 12 tokens, with ``lengths`` and the ``tags`` they are drawn from.

    Tags follow each other in a cycle, mostly, and each emits tokens of its own, see
    :func:`probabilities`. Positions after the end of a sentence are 0.

    Example:
        >>> data = HmmSentences().load(Path())
        >>> len(data.train), len(data.test), data.train.inputs.shape
        (4000, 1000, torch.Size([4000, 12]))
    """

    api = 2
    name = "hmm-sentences"
    noun = "sentences"
    summary = "5000 sentences of 4 to 12 tokens from a hidden Markov model, with tags; no download"

    def load(self, directory: Path, download: bool = False) -> Splits:
        del directory, download
        generator = torch.Generator().manual_seed(0)
        following, emitted = probabilities()
        count = _TRAIN + _TEST
        lengths = torch.randint(_SHORTEST, LONGEST + 1, (count,), generator=generator)
        tag = torch.zeros(count, dtype=torch.long)
        tags, tokens = [], []
        for _ in range(LONGEST):
            tag = torch.multinomial(following[tag], 1, generator=generator).squeeze(-1)
            tags.append(tag)
            tokens.append(torch.multinomial(emitted[tag], 1, generator=generator).squeeze(-1))
        sentences, true = (
            pad([row[:n] for row, n in zip(torch.stack(rows, 1), lengths, strict=True)])["inputs"]
            for rows in (tokens, tags)
        )
        examples = Examples.of(inputs=sentences, lengths=lengths, tags=true)
        index = torch.arange(count)
        return Splits(
            examples.take(index[_TEST:]),
            test=examples.take(index[:_TEST]),
            classes={"inputs": TOKENS, "tags": TAGS},
        )


def probabilities() -> tuple[Tensor, Tensor]:
    """Return the probabilities of the next tag ``[S, S]`` and of a tag's tokens ``[S, V]``.

    The tag before a sentence is 0. Tag s is followed by s + 1 with probability 0.62 and by s + 2
    with probability 0.32.

    Example:
        >>> following, emitted = probabilities()
        >>> following[0]
        tensor([0.0200, 0.6200, 0.3200, 0.0200, 0.0200])
        >>> emitted.shape
        torch.Size([5, 40])
    """
    generator = torch.Generator().manual_seed(1)
    cycle = torch.eye(TAGS).roll(1, -1)
    following = 0.6 * cycle + 0.3 * cycle @ cycle + 0.1 / TAGS
    emitted = (2.0 * torch.randn(TAGS, TOKENS, generator=generator)).softmax(-1)
    return following, emitted
