"""Unsupervised tagging with a CRF autoencoder, as a plugin of one file.

A conditional random field over a sentence gives each token a tag, from the tokens to its left and
right. A table of probabilities predicts each token from its own tag alone. Both are learned from
sentences without tags, by

    minimise   E_{tags ~ q(. | neighbours)} [ - sum over t of log p(token_t | tag_t) ] / length,

an upper bound on the negative log-likelihood of a CRF autoencoder. The chain of tags is a
relaxation: the argmax of noisy scores is found by Viterbi, and relaxed to the marginals of the
chain at a temperature. Tags are predicted with the most likely chain of encoder and decoder.

    python examples/crf_tagger.py --seeds 3
    relaxit train --plugin examples/crf_tagger.py --task crf-tagger

References: Ammar, Dyer, Smith, "Conditional Random Field Autoencoders", arXiv:1411.1147; Paulus et
al., arXiv:2006.08063 (perturb and relax).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.distributions.constraints import independent

import relaxit
from relaxit import Capabilities, ConfigurationError, Options, PerturbAndRelax, constraints
from relaxit.data import Dataset, Examples, Format, Requirement, Splits, pad
from relaxit.temperature import divide_by_temperature
from relaxit.training import Display, Setup, Supervised, build, resolve, train

TAGS, TOKENS, LONGEST, SENTENCES, HELD_OUT = 5, 40, 12, 4000, 1000


class TagChainOptions(Options):
    length: int = Field(4, ge=1, description="number of positions")
    tags: int = Field(2, ge=2, description="number of tags")


@relaxit.register
class TagChain(PerturbAndRelax):
    """One tag per position; params [length, tags, tags] score a tag (last) after the one before.

    The tag before the first position is 0. A position whose scores are all -inf is padding: its
    values are zeros, and the noise there changes no other position.

    `relaxit check` reports what this file leaves out for brevity: a support with the zeros of
    padding, temperatures below 1e-300, and export, because of torch.func.grad.
    """

    api, name, summary = 1, "tag-chain", "one tag per position, with scores of neighbours"
    Options = TagChainOptions
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=False, masks=True
    )
    support = independent(constraints.simplex, 1)
    vertices = independent(constraints.one_hot, 1)

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.length, self.options.tags))

    @property
    def param_shape(self) -> torch.Size:
        return torch.Size((*self.event_shape, self.options.tags))

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        marginals = derivative(divide_by_temperature(scores, temperature), torch.logsumexp)
        return marginals / marginals.sum(-1, keepdim=True).clamp_min(0.5)  # of padding it is 0

    def argmax(self, scores: Tensor) -> Tensor:
        return derivative(scores, greatest)

    def valid_params(self, params: Tensor) -> Tensor:
        legal = (params < torch.inf).flatten(-3).all(-1)  # not for NaN
        first = params[..., 0, 0, :].amax(-1) > -torch.inf
        return legal & first & (over_chains(params.float(), greatest) > -1e29)

    def hard(self, soft: Tensor) -> Tensor:
        best = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
        return best * (soft.sum(-1, keepdim=True) > 0.5)


def over_chains(scores: Tensor, total: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Return the total (a logsumexp or a maximum) of the scores of all chains, [...]."""
    present = (scores > -torch.inf).flatten(-2).any(-1)
    finite = scores.clamp_min(-1e30)  # gradients of a logsumexp of -inf are NaN
    so_far = finite[..., 0, 0, :]
    for t in range(1, scores.shape[-3]):
        after = total(so_far.unsqueeze(-1) + finite[..., t, :, :], -2)
        so_far = torch.where(present[..., t, None], after, so_far)
    return total(so_far, -1)


def greatest(scores: Tensor, dim: int) -> Tensor:
    return scores.max(dim).values  # unlike amax, its gradient goes to one of several equal scores


def derivative(scores: Tensor, total: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Return the derivative of :func:`over_chains` in the scores of tags, [..., T, S].

    For the logsumexp it is the marginals (forward-backward), for the maximum the best chain.
    """
    return torch.func.grad(lambda s: over_chains(s, total).sum())(scores).sum(-2)


class Autoencoder(nn.Module):
    """Scores of tags from a token's neighbours, and logits of a token given its tag."""

    def __init__(self, tokens: int, tags: int, width: int = 32) -> None:
        super().__init__()
        self.left, self.right = (nn.Embedding(tokens + 1, width) for _ in range(2))
        self.unary = nn.Sequential(nn.Tanh(), nn.Linear(width, tags))
        self.pairs = nn.Parameter(torch.zeros(2, tags, tags))  # of the first position, of others
        self.emissions = nn.Parameter(0.1 * torch.randn(tags, tokens))

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Return scores [B, T, S, S] for tokens [B, T], of which those with ``real`` count."""
        outside = self.left.num_embeddings - 1
        padded = nn.functional.pad(tokens.masked_fill(~real, outside), (1, 1), value=outside)
        unary = self.unary(self.left(padded[:, :-2]) + self.right(padded[:, 2:]))
        first = torch.arange(tokens.shape[1], device=tokens.device).clamp_max(1)
        scores = unary.unsqueeze(-2) + self.pairs[first]
        return scores.masked_fill(~real[..., None, None], -torch.inf)

    def log_likelihood(self, tokens: Tensor) -> Tensor:
        """Return log p(token | tag) [B, T, S] for every tag."""
        return self.emissions.log_softmax(-1).t()[tokens]


@relaxit.register
class CrfTagger(Supervised):
    """Learn tags from sentences [T] of tokens with ``lengths``; ``tags`` only judge them."""

    api, name, summary = 2, "crf-tagger", "unsupervised tagging with a CRF autoencoder"
    defaults = {
        "relaxation": {"name": "tag-chain", "options": {"length": LONGEST, "tags": TAGS}},
        "temperature": {"schedule": "exponential", "initial": 5.0, "final": 1.0},
        "data": {"name": "hmm-sentences"},
        "epochs": 15,
        "batch_size": 100,
        "optimizer": {"lr": 2e-2, "schedule": "cosine"},
    }
    display = Display(
        line="nats per token {train_loss:.4f}, test {test_loss:.4f}, "
        "tag accuracy {test_accuracy:.1%}",
        title="with the most likely tags",
        columns={"loss": "nats per token", "accuracy": "one-to-one accuracy"},
    )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        sentence = Requirement("integer", 0, shape=(None,))
        lengths = Requirement("integer", 1, shape=())
        return {"inputs": sentence, "lengths": lengths, "tags": sentence}

    def build(self, setup: Setup, format: Format) -> Autoencoder:
        (longest,), shape = format.inputs.shape, setup.relaxation.event_shape
        if len(shape) != 2 or shape[0] != longest or setup.latents != 1:
            raise ConfigurationError(
                f"task {self.name!r} needs one chain of {longest} tags, got {setup.latents} of "
                f"{setup.relaxation!r}; set --relaxation tag-chain -o length={longest} --latents 1"
            )
        return Autoencoder(format.inputs.classes, shape[1])

    def params(self, setup: Setup, model: nn.Module, batch: Examples) -> Tensor:
        return model(batch.inputs, mask(batch))

    def loss(self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:
        return token_loss(model, batch, z)

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        found = super().evaluate(setup, model, part, seed)
        return {**found, "accuracy": tag_accuracy(setup.relaxation, model, part)}


def mask(batch: Examples) -> Tensor:  # [B, T]
    positions = torch.arange(batch.inputs.shape[1], device=batch.device)
    return positions < batch["lengths"].unsqueeze(-1)


def token_loss(model: nn.Module, batch: Examples, z: Tensor) -> Tensor:  # [..., B]
    """Return nats per token. Values of padding are zeros and do not count."""
    nats = -(z * model.log_likelihood(batch.inputs)).sum((-2, -1))
    return nats / batch["lengths"]


def tag_accuracy(chain: TagChain, model: nn.Module, part: Examples) -> float:
    """Return the one-to-one accuracy of the most likely chains of encoder and decoder."""
    real = mask(part)
    scores = model(part.inputs, real) + model.log_likelihood(part.inputs).unsqueeze(-2)
    return one_to_one(chain.argmax(scores).argmax(-1)[real], part["tags"][real])


def one_to_one(found: Tensor, true: Tensor) -> float:
    """Return the share of equal tags [N] after the best renaming of those found."""
    size = 1 + int(torch.maximum(found.max(), true.max()))
    counts = torch.bincount(found * size + true, minlength=size**2).reshape(size, size).cpu()
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    return float(counts[rows, columns].sum()) / len(true)


@relaxit.register
class HmmSentences(Dataset):
    """Sentences of a hidden Markov model whose states are the true tags; lengths 4 to 12."""

    api, name, noun = 2, "hmm-sentences", "sentences"
    summary = "5000 sentences of 4 to 12 tokens from a hidden Markov model, with tags; no download"

    def load(self, directory: Path, download: bool = False) -> Splits:
        generator = torch.Generator().manual_seed(0)
        before, emitted = hmm()
        count = SENTENCES + HELD_OUT
        lengths = torch.randint(4, LONGEST + 1, (count,), generator=generator)
        tag = torch.zeros(count, dtype=torch.long)
        tags, tokens = [], []
        for _ in range(LONGEST):
            tag = torch.multinomial(before[tag], 1, generator=generator).squeeze(-1)
            tags.append(tag)
            tokens.append(torch.multinomial(emitted[tag], 1, generator=generator).squeeze(-1))
        sentences, true = (
            pad([row[:n] for row, n in zip(torch.stack(rows, 1), lengths, strict=True)])["inputs"]
            for rows in (tokens, tags)
        )
        examples = Examples.of(inputs=sentences, lengths=lengths, tags=true)
        index = torch.arange(count)
        train, test = examples.take(index[HELD_OUT:]), examples.take(index[:HELD_OUT])
        return Splits(train, test=test, classes={"inputs": TOKENS, "tags": TAGS})


def hmm() -> tuple[Tensor, Tensor]:
    """Return the probabilities of the next tag [S, S] and of tokens [S, V]."""
    generator = torch.Generator().manual_seed(1)
    cycle = torch.eye(TAGS).roll(1, -1)  # tag s is followed by s + 1 or s + 2, mostly
    before = 0.6 * cycle + 0.3 * cycle @ cycle + 0.1 / TAGS
    emitted = (2.0 * torch.randn(TAGS, TOKENS, generator=generator)).softmax(-1)
    return before, emitted


class TrueModel(nn.Module):
    """The hidden Markov model itself, for the accuracy that its most likely chains have."""

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        scores = hmm()[0].log().expand(*tokens.shape, TAGS, TAGS)
        return scores.masked_fill(~real[..., None, None], -torch.inf)

    def log_likelihood(self, tokens: Tensor) -> Tensor:
        return hmm()[1].log().t()[tokens]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tagger with relaxit's trainer.")
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds.")
    parser.add_argument("--epochs", type=int, default=15, help="Number of epochs.")
    args = parser.parse_args()
    settings = {"task": {"name": "crf-tagger"}, "device": "cpu", "epochs": args.epochs}
    accuracies = []
    for seed in range(args.seeds):
        experiment = build(resolve([settings, {"seed": seed}]))
        last = train(experiment, evaluated={args.epochs}).rows[-1]
        accuracies.append(last["test_accuracy"])
        print(
            f"seed {seed}: nats per token {last['test_loss']:.3f}, accuracy {accuracies[-1]:.1%}",
            flush=True,
        )
    best = tag_accuracy(experiment.relaxation, TrueModel(), experiment.data.test)
    print(f"mean accuracy {statistics.mean(accuracies):.1%}; the true model has {best:.1%}")


if __name__ == "__main__":
    main()
