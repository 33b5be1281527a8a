"""Unsupervised tagging as a task: a CRF autoencoder.

A conditional random field over a sentence x gives each token a tag, from the tokens beside it. A
table of probabilities predicts each token from its own tag alone. Both are learned from sentences
without tags, by

    minimise   E_{z ~ q(z | neighbours)} [ - sum over t of log p(x_t | z_t) ] / length,

an upper bound on the negative log-likelihood of a CRF autoencoder. Evaluation takes the tags most
likely under q alone for the loss, and those most likely under q and p for the accuracy.

Sentences of different lengths are padded: the chain is in state 0 after the end of a sentence, and
the loss leaves these positions out.

Reference: Ammar, Dyer, Smith, "Conditional Random Field Autoencoders for Unsupervised Structured
Prediction", arXiv:1411.1147.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit import ConfigurationError, Options
from relaxit.data import Examples, Format, Requirement
from relaxit.training import Display, Setup, Supervised
from relaxit_graph.programs.state_chain import StateChain
from relaxit_graph.tasks.tagger.model import CrfAutoencoder

__all__ = ["CrfTagger", "CrfTaggerOptions", "is_real", "nats_per_token", "one_to_one"]

_ROWS = 1000  # sentences evaluated at a time


class CrfTaggerOptions(Options):
    """Options of :class:`CrfTagger`."""

    width: int = Field(32, ge=1, description="entries of the embedding of a neighbouring token")


class CrfTagger(Supervised):
    """Learn tags of tokens ``[T]`` without examples of tags.

    The column ``lengths`` tells how many tokens of a sentence count; without it, all do. If the
    data set has a column ``tags``, the metric ``accuracy`` compares with them, see
    :func:`one_to_one`.

    Example:
        >>> import relaxit
        >>> chain = relaxit.get("chain", length=12, states=5)
        >>> CrfTagger().statement(Setup(chain, relaxit.estimator("pathwise")))
        "nats per token under soft samples of Chain(length=12, states=5, noise='unary')"
    """

    api = 2
    name = "crf-tagger"
    summary = "unsupervised tagging of tokens with a CRF autoencoder"
    Options = CrfTaggerOptions
    references = ("arXiv:1411.1147",)
    defaults = {
        "relaxation": {"name": "chain", "options": {"length": 12, "states": 5}},
        "estimator": {"name": "pathwise"},
        "temperature": {"schedule": "exponential", "initial": 5.0, "final": 1.0},
        "epochs": 15,
        "batch_size": 100,
        "data": {"name": "hmm-sentences"},
        "optimizer": {"lr": 2e-2, "schedule": "cosine"},
    }
    display = Display(
        bar="nats per token {train_loss:.4f}",
        line="nats per token {train_loss:.4f}, with the best tags: test {test_loss:.4f}",
        title="with the most likely tags",
        columns={"loss": "nats per token", "accuracy": "one-to-one accuracy"},
        unit="with the most likely tags",
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        if setup.latents != 1:
            raise ConfigurationError(
                f"task {self.name!r} has one chain per sentence, got {setup.latents} latents; "
                "set --latents 1"
            )
        if not isinstance(setup.relaxation, StateChain):
            raise ConfigurationError(
                f"task {self.name!r} scores neighbouring tags, which {setup.relaxation!r} does "
                "not; try --relaxation chain or gumbel-crf"
            )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {
            "inputs": Requirement("integer", 0, shape=(None,)),
            "lengths": Requirement("integer", 1, shape=(), optional=True),
            "tags": Requirement("integer", 0, shape=(None,), optional=True),
        }

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        return f"nats per token under {kind} samples of {setup.relaxation!r}"

    def build(self, setup: Setup, format: Format) -> CrfAutoencoder:
        (longest,), (length, states) = format.inputs.shape, setup.relaxation.event_shape
        if length != longest:
            raise ConfigurationError(
                f"task {self.name!r}: sentences have up to {longest} tokens, but "
                f"{setup.relaxation!r} has {length} positions; set -o length={longest}"
            )
        tags, lengths = format.columns.get("tags"), format.columns.get("lengths")
        if tags and tags.shape != (longest,):
            raise ConfigurationError(
                f"task {self.name!r}: sentences have up to {longest} tokens, but a column tags has "
                f"shape {list(tags.shape)} per example; choose another --dataset"
            )
        if lengths and lengths.classes > longest + 1:
            raise ConfigurationError(
                f"task {self.name!r}: sentences have up to {longest} tokens, but a column lengths "
                f"has {lengths.classes - 1}; choose another --dataset"
            )
        return CrfAutoencoder(format.inputs.classes, states, self.options.width)

    def params(self, setup: Setup, model: nn.Module, batch: Examples) -> Tensor:
        tagger, chain = _tagger(model), _chain(setup)
        unary = tagger.unary(batch.inputs.long(), is_real(batch))
        return chain.pad(chain.join(unary=unary, pair=tagger.pair), _lengths(batch))

    def loss(self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:
        return nats_per_token(_tagger(model), batch, z)

    def tags(self, setup: Setup, model: nn.Module, batch: Examples) -> Tensor:
        """Return the tags ``[B, T]`` most likely under q(z | neighbours) p(x | z)."""
        chain, observed = _chain(setup), _tagger(model).log_likelihood(batch.inputs.long())
        nothing = observed.new_zeros(1, 1, 1)
        scores = self.params(setup, model, batch) + chain.join(unary=observed, pair=nothing)
        return chain.discrete(scores).mode.argmax(-1)

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        metrics = super().evaluate(setup, model, part, seed)
        if "tags" in part.columns:
            pairs = [
                (self.tags(setup, model, batch)[real], batch["tags"].long()[real])
                for batch in part.batches(_ROWS)
                for real in [is_real(batch)]
            ]
            found, true = (torch.cat(tags) for tags in zip(*pairs, strict=True))
            metrics["accuracy"] = one_to_one(found, true)
        return metrics


def is_real(batch: Examples) -> Tensor:
    """Return whether a position is one of the sentence, ``[B, T]`` bool.

    Example:
        >>> is_real(Examples.of(inputs=[[7, 8, 9], [7, 0, 0]], lengths=[3, 1]))
        tensor([[ True,  True,  True],
                [ True, False, False]])
    """
    positions = torch.arange(batch.inputs.shape[1], device=batch.device)
    return positions < _lengths(batch).unsqueeze(-1)


def nats_per_token(model: CrfAutoencoder, batch: Examples, z: Tensor) -> Tensor:
    """Return - log p(x | z) / length of each sentence, ``[..., B]``.

    Args:
        model: the model.
        batch: sentences, with ``lengths`` if they are padded.
        z: tags ``[..., B, T, S]``, one-hot or soft; those of padding do not count.
    """
    log_likelihood = (z * model.log_likelihood(batch.inputs.long())).sum(-1)
    return -(log_likelihood * is_real(batch)).sum(-1) / _lengths(batch)


def one_to_one(found: Tensor, true: Tensor) -> float:
    """Return the share of equal tags ``[N]`` after the best one-to-one renaming of those found.

    Example:
        >>> one_to_one(torch.tensor([1, 1, 0, 2]), torch.tensor([0, 0, 2, 2]))
        0.75
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, needed here only

    size = 1 + int(torch.maximum(found.max(), true.max()))
    counts = torch.bincount(found * size + true, minlength=size**2).reshape(size, size).cpu()
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    return float(counts[rows, columns].sum()) / len(true)


def _lengths(batch: Examples) -> Tensor:
    """Return the number of tokens ``[B]`` of each sentence."""
    if "lengths" in batch.columns:
        return batch["lengths"].long()
    rows, longest = batch.inputs.shape
    return torch.full((rows,), longest, device=batch.device)


def _chain(setup: Setup) -> StateChain:
    assert isinstance(setup.relaxation, StateChain)  # see check()
    return setup.relaxation


def _tagger(model: nn.Module) -> CrfAutoencoder:
    assert isinstance(model, CrfAutoencoder)  # made in build()
    return model
