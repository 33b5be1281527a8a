"""The task `crf-tagger` as a plain loop: relaxit's chain and estimator, all else by hand.

It prints nats per token and the one-to-one accuracy of tags for each seed, which
`relaxit train --recipe crf-tagger --ensemble seeds=5` computes too, and those of the hidden Markov
model that made the sentences. With `--exact` it minimises the negative log-likelihood of the
autoencoder itself, by the forward algorithm, in place of an upper bound on it by samples.

    python tagger_loop.py --seeds 5
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import torch
from torch import Tensor

import relaxit
from relaxit.data import Examples
from relaxit.sum_product import log_sum
from relaxit_graph import Chain
from relaxit_graph.tasks.tagger import (
    CrfAutoencoder,
    HmmSentences,
    is_real,
    nats_per_token,
    one_to_one,
    probabilities,
)

BATCH, LR, START, END = 100, 2e-2, 5.0, 1.0


def scores(model: CrfAutoencoder, chain: Chain, batch: Examples) -> Tensor:
    unary = model.unary(batch.inputs, is_real(batch))
    return chain.pad(chain.join(unary=unary, pair=model.pair), batch["lengths"])


def with_tokens(model: CrfAutoencoder, chain: Chain, batch: Examples, params: Tensor) -> Tensor:
    """Add the log-probabilities of the tokens to the params of the tags."""
    observed = model.log_likelihood(batch.inputs) * is_real(batch).unsqueeze(-1)
    return params + chain.join(unary=observed, pair=torch.zeros(1, 1, 1))


def train(model: CrfAutoencoder, chain: Chain, data: Examples, epochs: int, exact: bool) -> None:
    estimator = relaxit.estimator("pathwise")
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    steps = epochs * math.ceil(len(data) / BATCH)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(data)).split(BATCH):
            batch = data.take(rows)
            params = scores(model, chain, batch)
            if exact:
                joint = with_tokens(model, chain, batch, params)
                log_z, log_joint = (chain.log_partition(s, log_sum) for s in (params, joint))
                costs = (log_z - log_joint) / batch["lengths"]
            else:
                q = chain(params, START * (END / START) ** (step / steps))
                costs = estimator.surrogate(q, lambda z, b=batch: nats_per_token(model, b, z))
            optimizer.zero_grad()
            costs.mean().backward()
            optimizer.step()
            decay.step()
            step += 1


@torch.no_grad()
def evaluate(model: CrfAutoencoder, chain: Chain, test: Examples) -> tuple[float, float]:
    """Return nats per token with the best tags of the neighbours, and the accuracy of tags."""
    params = scores(model, chain, test)
    nats = nats_per_token(model, test, chain.argmax(params)).mean()
    found = chain.argmax(with_tokens(model, chain, test, params)).argmax(-1)
    real = is_real(test)
    return float(nats), one_to_one(found[real], test["tags"][real])


def true_accuracy(chain: Chain, test: Examples) -> float:
    """Return the accuracy of the most likely tags of the hidden Markov model itself."""
    following, emitted = (table.log() for table in probabilities())
    unary = emitted.t()[test.inputs]
    unary[:, 0] += following[0]  # the tag before a sentence is 0
    params = chain.pad(chain.join(unary=unary, pair=following), test["lengths"])
    real = is_real(test)
    return one_to_one(chain.argmax(params).argmax(-1)[real], test["tags"][real])


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tagger in a plain loop.")
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds.")
    parser.add_argument("--epochs", type=int, default=15, help="Number of epochs.")
    parser.add_argument("--exact", action="store_true", help="Minimise the exact likelihood.")
    args = parser.parse_args()
    data, chain = HmmSentences().load(Path()), Chain(length=12, states=5)
    accuracies = []
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        model = CrfAutoencoder(tokens=40, tags=5)
        train(model, chain, data.train, args.epochs, args.exact)
        nats, accuracy = evaluate(model, chain, data.test)
        accuracies.append(accuracy)
        print(f"seed {seed}: nats per token {nats:.3f}, accuracy {accuracy:.1%}", flush=True)
    best = true_accuracy(chain, data.test)
    print(f"mean accuracy {statistics.mean(accuracies):.1%}; the true model has {best:.1%}")


if __name__ == "__main__":
    main()
