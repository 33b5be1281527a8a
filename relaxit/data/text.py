"""Passages of a text, as tokens of characters."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.splits import Splits
from relaxit.data.user_files import find_file, read_text
from relaxit.errors import DataError
from relaxit.options import Options

__all__ = ["CHARACTERS", "Text", "decode_text", "encode_text"]

_KNOWN = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
CHARACTERS = _KNOWN + "\N{REPLACEMENT CHARACTER}"
"""The character of each token: newline, printable ASCII, and one for everything else.

They are the same for all texts, so that tokens are decoded without the text they come from.
"""


def encode_text(text: str) -> Tensor:
    r"""Return the tokens ``[len(text)]`` int64 of a text.

    Example:
        >>> encode_text("\n A~\t")
        tensor([ 0,  1, 34, 95, 96])
    """
    codes = torch.from_numpy(
        np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    )
    tokens = codes - ord(" ") + 1
    tokens[(tokens < 1) | (tokens >= len(_KNOWN))] = len(_KNOWN)
    tokens[codes == ord("\n")] = 0
    return tokens


def decode_text(tokens: Tensor) -> list[str]:
    """Return the texts of tokens ``[N, T]``, as a task returns them, or :class:`Text` holds them.

    Example:
        >>> decode_text(torch.stack([encode_text("soft"), encode_text("hard")]))
        ['soft', 'hard']
    """
    return ["".join(CHARACTERS[token] for token in row) for row in tokens.tolist()]


class TextOptions(Options):
    """Options of :class:`Text`."""

    file: str | None = Field(
        None,
        min_length=1,
        description="UTF-8 text in the data directory; default: the help texts of Python",
    )
    length: int = Field(64, ge=1, description="characters of a passage")
    test: float = Field(0.1, gt=0, lt=1, description="fraction of the text, its end, for testing")


class Text(Dataset):
    """Passages of a text, one after another: ``inputs`` ``[N, length]`` int64 tokens.

    Token t stands for ``CHARACTERS[t]``. The passages at the end of the text are the test part, so
    that no passage of one part continues into the other. A rest that is shorter than a passage is
    left out. Without a file, the texts are those that Python's ``help`` displays, 0.5 million
    characters; they differ between versions of Python.

    Example:
        >>> text = Text(length=32).load(Path())
        >>> text.train.inputs.shape[1:], text.format.inputs.classes
        (torch.Size([32]), 97)
    """

    api = 2
    name = "text"
    summary = "characters of a text; by default of the help texts of Python: no download"
    noun = "passages"
    Options = TextOptions
    options: TextOptions

    def load(self, directory: Path, download: bool = False) -> Splits:
        del download
        if self.options.file is None:
            text, source = "\n".join(_help_texts()), "the help texts of Python"
        else:
            path = find_file(self.options.file, directory)
            text, source = read_text(path), str(path)
        length = self.options.length
        count = len(text) // length
        if count < 2:
            raise DataError(
                f"{source}: {len(text)} characters are not two passages of {length}; set -d length="
                f"{max(1, len(text) // 10)}, or use a longer text"
            )
        passages = encode_text(text[: count * length]).view(count, length)
        test = min(count - 1, max(1, round(self.options.test * count)))
        return Splits(
            Examples({"inputs": passages[:-test]}),
            Examples({"inputs": passages[-test:]}),
            classes={"inputs": len(CHARACTERS)},
        )


def _help_texts() -> Sequence[str]:
    """Return the texts of ``help("topics")``, which are installed with Python, by topic."""
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise DataError(
            "this Python lacks its help texts (module pydoc_data); set -d file=FILE"
        ) from error
    return [topics[key] for key in sorted(topics)]
