"""Train a categorical VAE in a plain PyTorch loop, without relaxit's trainer.

python examples/plain_loop.py --epochs 30 --seed 0
"""

from __future__ import annotations

import argparse
import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import relaxit

LATENTS, CATEGORIES, PIXELS, BATCH = 8, 10, 64, 50
START, FLOOR = 1.0, 0.4  # temperature


def networks() -> tuple[nn.Module, nn.Module]:
    # The last layer of the encoder is linear: logits may have any sign.
    encoder = nn.Sequential(
        nn.Linear(PIXELS, 128),
        nn.ReLU(),
        nn.Linear(128, LATENTS * CATEGORIES),
        nn.Unflatten(-1, (LATENTS, CATEGORIES)),
    )
    decoder = nn.Sequential(
        nn.Flatten(-2),
        nn.Linear(LATENTS * CATEGORIES, 128),
        nn.ReLU(),
        nn.Linear(128, PIXELS),
    )
    return encoder, decoder


def pixel_loss(logits: Tensor, x: Tensor) -> Tensor:  # [B, P], [B, P] -> [B], nats
    return binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@torch.no_grad()
def discrete_elbo(relaxation, encoder: nn.Module, decoder: nn.Module, x: Tensor) -> float:
    """Return the ELBO of the discrete model, from hard samples and the exact KL divergence."""
    q = relaxation(encoder(x))
    loss = pixel_loss(decoder(q.sample_hard()), x) + q.kl_to_uniform().sum(-1)
    return -float(loss.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a categorical VAE in a plain PyTorch loop.")
    parser.add_argument("--epochs", type=int, default=30, help="Number of epochs.")
    parser.add_argument(
        "--seed", type=int, default=0, help="Seed of weights, data order and noise."
    )
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    # Binary pixels, for which the cross-entropy is a negative log-likelihood.
    pixels = (torch.from_numpy(load_digits().data) > 8).float()
    held_out = torch.arange(len(pixels)) % 5 == 0
    train, test = pixels[~held_out], pixels[held_out]

    relaxation = relaxit.get("categorical", categories=CATEGORIES)
    estimator = relaxit.estimator("pathwise")
    encoder, decoder = networks()
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=2e-3)

    first = discrete_elbo(relaxation, encoder, decoder, test)
    print(f"epoch   0: discrete ELBO on the test set {first:.2f} nats per image")
    steps = args.epochs * math.ceil(len(train) / BATCH)
    step = 0  # global step, not reset at each epoch
    for epoch in range(1, args.epochs + 1):
        total = 0.0
        for x in train[torch.randperm(len(train))].split(BATCH):
            temperature = START * (FLOOR / START) ** (step / steps)
            q = relaxation(encoder(x), temperature)
            reconstruction = estimator.surrogate(q, lambda z, x=x: pixel_loss(decoder(z), x))
            loss = (reconstruction + q.kl_to_uniform().sum(-1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
            step += 1
        if epoch % 5 == 0 or epoch == args.epochs:
            last = discrete_elbo(relaxation, encoder, decoder, test)
            print(
                f"epoch {epoch:3d}: temperature {temperature:.2f}, training surrogate "
                f"{total / len(train):.2f}, discrete ELBO on the test set {last:.2f}"
            )
    print(f"first ELBO {first:.2f}, last ELBO {last:.2f}")


if __name__ == "__main__":
    main()
