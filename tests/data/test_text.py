"""Passages of a text: tokens that are decoded again, in the order of the text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relaxit.data import CHARACTERS, Text, decode_text, encode_text
from relaxit.errors import DataError

UNKNOWN = CHARACTERS[-1]


def known(text):
    """The text with one character for all that are not in the vocabulary, by brute force."""
    return "".join(c if c in CHARACTERS else UNKNOWN for c in text)


@pytest.mark.parametrize(
    "text", [CHARACTERS, "é\t\x00\x7f\U0001f600ß", "a\nb", "", "\ud800", "x" * 1000]
)
def test_decoding_inverts_encoding(text):
    tokens = encode_text(text)
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [CHARACTERS.index(c) for c in known(text)]
    assert decode_text(tokens[None]) == [known(text)]


def test_characters_are_all_different():
    assert len(set(CHARACTERS)) == len(CHARACTERS) == 97
    assert encode_text(CHARACTERS).tolist() == list(range(97))


def write(directory: Path, characters: int) -> str:
    text = "".join(chr(33 + n % 90) for n in range(characters))
    (directory / "a.txt").write_text(text)
    return text


@pytest.mark.parametrize("length", [1, 7, 64])
@pytest.mark.parametrize("test", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("characters", [130, 1001])
def test_passages_are_the_text_in_order_with_its_end_for_testing(
    tmp_path, length, test, characters
):
    text = write(tmp_path, characters)
    splits = Text(file="a.txt", length=length, test=test).load(tmp_path)
    train, held = (decode_text(part.inputs) for part in (splits.train, splits.test))
    assert all(len(passage) == length for passage in (*train, *held))
    assert "".join(train + held) == text[: characters // length * length]
    assert len(train) >= 1
    assert len(held) >= 1
    wanted = test * (len(train) + len(held))
    assert abs(len(held) - wanted) <= 0.5 or min(len(train), len(held)) == 1
    assert splits.format.inputs.classes == 97


def test_the_help_texts_of_python_need_no_file(tmp_path):
    splits = Text().load(tmp_path / "absent")
    assert splits.train.inputs.shape[1] == 64
    assert 5000 < len(splits.train) + len(splits.test) < 20_000
    assert "for_stmt" in "".join(decode_text(splits.train.inputs))
    # Printable ASCII all but throughout.
    assert (splits.train.inputs == 96).double().mean() < 0.01


def test_a_text_that_is_too_short_says_what_length_fits(tmp_path):
    write(tmp_path, 100)
    with pytest.raises(DataError, match=r"a.txt: 100 characters are not two passages of 64; set "
                       r"-d length=10") as caught:  # fmt: skip
        Text(file="a.txt").load(tmp_path)
    assert caught.value.exit_code == 4
    Text(file="a.txt", length=10).load(tmp_path)
