"""The task of `crf_tagger.py` as a plain loop: the structure is relaxit's, all else by hand.

python examples/crf_tagger_loop.py --seeds 5
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import torch
from crf_tagger import Autoencoder, HmmSentences, TagChain, mask, tag_accuracy, token_loss

import relaxit
from relaxit.data import Examples

BATCH, LR, START, END = 100, 2e-2, 5.0, 1.0


def train(model: Autoencoder, chain: TagChain, sentences: Examples, epochs: int) -> None:
    estimator = relaxit.estimator("pathwise")
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    steps = epochs * math.ceil(len(sentences) / BATCH)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(sentences)).split(BATCH):
            batch = sentences.take(rows)
            q = chain(model(batch.inputs, mask(batch)), START * (END / START) ** (step / steps))
            costs = estimator.surrogate(q, lambda z, batch=batch: token_loss(model, batch, z))
            optimizer.zero_grad()
            costs.mean().backward()
            optimizer.step()
            decay.step()
            step += 1


@torch.no_grad()
def evaluate(model: Autoencoder, chain: TagChain, test: Examples) -> tuple[float, float]:
    """Return nats per token with the best chain of the encoder, and the accuracy of tags."""
    z = chain.argmax(model(test.inputs, mask(test)))
    return float(token_loss(model, test, z).mean()), tag_accuracy(chain, model, test)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tagger in a plain loop.")
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds.")
    parser.add_argument("--epochs", type=int, default=15, help="Number of epochs.")
    args = parser.parse_args()
    data, chain = HmmSentences().load(Path()), TagChain(length=12, tags=5)
    accuracies = []
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        model = Autoencoder(tokens=40, tags=5)
        train(model, chain, data.train, args.epochs)
        nats, accuracy = evaluate(model, chain, data.test)
        accuracies.append(accuracy)
        print(f"seed {seed}: nats per token {nats:.3f}, accuracy {accuracy:.1%}", flush=True)
    print(f"mean accuracy {statistics.mean(accuracies):.1%}")


if __name__ == "__main__":
    main()
