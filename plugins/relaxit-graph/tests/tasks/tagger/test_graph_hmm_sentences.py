"""The data set `hmm-sentences` follows the probabilities that it states."""

from __future__ import annotations

import pytest
import torch

from relaxit_graph.tasks.tagger.hmm_sentences import (
    LONGEST,
    TAGS,
    TOKENS,
    HmmSentences,
    probabilities,
)


@pytest.fixture(scope="module")
def data():
    return HmmSentences().load(None)


@pytest.mark.parametrize("part", ["train", "test"])
def test_positions_after_the_end_are_zero(data, part):
    examples = data.part(part)
    after = torch.arange(LONGEST) >= examples["lengths"].unsqueeze(-1)
    assert not examples.inputs[after].any()
    assert not examples["tags"][after].any()
    assert examples["lengths"].unique().tolist() == list(range(4, LONGEST + 1))


def test_the_format_names_tokens_and_tags(data):
    assert data.format.inputs.classes == TOKENS
    assert data.format["tags"].classes == TAGS
    assert (len(data.train), len(data.test)) == (4000, 1000)


def test_tags_and_tokens_follow_the_tables(data):
    """The sentences are fixed. All 225 frequencies of others would pass with probability 0.9999."""
    following, emitted = probabilities()
    tags, tokens, lengths = (data.train[name] for name in ("tags", "inputs", "lengths"))
    real = torch.arange(LONGEST) < lengths.unsqueeze(-1)
    before = torch.nn.functional.pad(tags[:, :-1], (1, 0))  # 0 before a sentence
    for given, drawn, table in ((before, tags, following), (tags, tokens, emitted)):
        counts = torch.zeros(table.shape)
        counts.index_put_((given[real], drawn[real]), torch.ones(int(real.sum())), accumulate=True)
        rows = counts.sum(-1, keepdim=True)
        deviation = (rows * table * (1 - table)).sqrt()
        assert ((counts - rows * table).abs() < 5 * deviation + 3).all()


def test_it_is_the_same_each_time(data):
    again = HmmSentences().load(None)
    for name, column in data.train.columns.items():
        assert torch.equal(column, again.train[name])
