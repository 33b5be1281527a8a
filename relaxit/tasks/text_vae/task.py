"""A variational autoencoder of text, as a task: what it measures and writes is about characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from relaxit.data import CHARACTERS, Examples, Format, Requirement, Splits, decode_text
from relaxit.errors import ConfigurationError
from relaxit.tasks.text_vae.model import TextVae
from relaxit.tasks.text_vae.options import TextVaeOptions
from relaxit.tasks.vae import TrainedVae, VaeTask
from relaxit.training import Display, Row, Setup, Step, Terms, write_texts

__all__ = ["TextVaeTask"]

_SAMPLES, _RECONSTRUCTIONS = 64, 16


class TextVaeTask(VaeTask):
    """Encode and decode passages of text through discrete latent variables.

    The decoder gives each character of a passage its own probabilities; which characters go
    together, only the latent variables say. ``bits_per_character`` is the negative ELBO of the
    discrete model divided by T ln 2, for passages of T characters: an upper bound on the length of
    a lossless code.

    Example:
        >>> import relaxit
        >>> bits, rloo = relaxit.get("binary"), relaxit.estimator("rloo")
        >>> TextVaeTask().statement(Setup(bits, rloo, latents=64))
        'negative ELBO of the discrete model'
    """

    api = 2
    name = "text-vae"
    summary = "variational autoencoder of passages of text, measured in bits per character"
    references = ("arXiv:1611.00712", "arXiv:1611.01144")
    Options = TextVaeOptions
    options: TextVaeOptions
    defaults = {
        "relaxation": {"name": "categorical", "options": {"categories": 32}},
        "estimator": {"name": "st-gumbel"},
        "latents": 64,
        "epochs": 12,
        "batch_size": 50,
        "data": {"name": "text"},
    }
    metrics = (*VaeTask.metrics, "bits_per_character")
    files = ("reconstructions.txt", "samples.txt", "curves.png")
    display = Display(
        bar="loss {train_loss:.2f}  bits per character {train_bits_per_character:.3f}",
        line="loss {train_loss:.2f}, bits per character train {train_bits_per_character:.3f} "
        "test {test_bits_per_character:.3f}, KL {test_kl:.2f} nats",
        title="bits per character, and nats per passage (training objective {train_surrogate:.2f})",
        columns={
            "bits_per_character": "bits per character",
            "elbo_discrete": "discrete ELBO",
            "reconstruction": "reconstruction",
            "kl": "KL",
        },
        unit="nats per passage, bits per character",
        decimals=3,
    )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": Requirement("integer", 0, len(CHARACTERS) - 1, shape=(None,))}

    def build(self, setup: Setup, format: Format) -> TrainedVae:
        length, block = format.inputs.entries, self.options.block
        blocks, rest = divmod(length, block)
        if rest:
            raise ConfigurationError(
                f"task {self.name!r}: passages of {length} characters are not divisible into "
                f"blocks of {block}; set -t block to a divisor, such as {math.gcd(length, block)}"
            )
        if setup.latents % blocks:
            raise ConfigurationError(
                f"task {self.name!r}: {setup.latents} latents are not divisible among {blocks} "
                f"blocks of {block} characters; set --latents to a multiple of {blocks}"
            )
        # The characters are those of all texts, also of those that the training part lacks.
        inputs = replace(format.inputs, classes=len(CHARACTERS))
        model = TextVae(setup.relaxation, setup.latents, inputs, self.options)
        model.objective = self._objective(setup)
        return model

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        terms = super().terms(setup, model, batch, step)
        nats = terms.metrics["reconstruction"] + terms.metrics["kl"]
        bits = {"bits_per_character": nats / (batch.inputs.shape[1] * math.log(2))}
        return Terms(terms.loss, {**terms.metrics, **bits})

    def summarise(self, sums: Mapping[str, float], examples: float) -> dict[str, float]:
        bits = {"bits_per_character": sums["bits_per_character"] / examples}
        return {**super().summarise(sums, examples), **bits}

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        metrics = super().evaluate(setup, model, part, seed)
        length = part.inputs.shape[1]
        return {**metrics, "bits_per_character": -metrics["elbo_discrete"] / (length * math.log(2))}

    def draw(
        self, setup: Setup, model: nn.Module, data: Splits, rows: Sequence[Row], directory: Path
    ) -> None:
        super().draw(setup, model, data, rows, directory)
        pairs = self._reconstructions(setup, model, data.test)
        write_texts(pairs, directory / "reconstructions.txt")
        samples = self.sample_prior(setup, model, _SAMPLES, setup.seed)
        write_texts(decode_text(samples), directory / "samples.txt")

    def as_text(self, values: Tensor) -> list[str]:
        return decode_text(values)

    def _reconstructions(self, setup: Setup, model: nn.Module, test: Examples) -> Iterator[str]:
        """Yield test passages, each followed by its reconstruction from a hard sample."""
        count = min(_RECONSTRUCTIONS, len(test))
        index = torch.linspace(0, len(test) - 1, count, device=test.device).long()
        generator = torch.Generator(test.device).manual_seed(setup.seed)
        x = test.take(index).read(generator).inputs
        params = self.encode(setup, model, x)
        hard = setup.distribution(params).sample_hard((), generator)
        again = self.decode(setup, model, hard)
        for original, reconstruction in zip(decode_text(x), decode_text(again), strict=True):
            yield from (original, reconstruction, "")
