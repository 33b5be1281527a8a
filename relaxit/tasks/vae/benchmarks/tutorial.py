"""An old tutorial's VAE with 30 latents of 10 values on MNIST, as its script trains it.

The baseline of ``relaxit bench training``: what a user runs who follows such a page. It is written
anew with today's names of PyTorch, and otherwise does exactly what the script does: images are
loaded one at a time through PIL, noise is drawn on the CPU, a second forward pass for the unrelaxed
objective builds its graph unnecessarily, and two losses are read in every step. Do not improve it.

    python -m relaxit.tasks.vae.benchmarks.tutorial --data-dir data --epochs 10 --out samples.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.distributions import OneHotCategorical
from torch.nn import functional as F
from torch.utils.data import DataLoader

__all__ = [
    "TutorialVae",
    "evaluate",
    "gumbel_softmax",
    "loaders",
    "loss_function",
    "main",
    "train_batch",
]

BATCH_SIZE = 100
LATENTS = 30
VALUES = 10
TEMPERATURE = 1.0


def sample_gumbel(shape: torch.Size, device: torch.device, eps: float = 1e-20) -> Tensor:
    """Return Gumbel noise, drawn on the CPU and moved; eps keeps the logarithms finite."""
    u = torch.rand(shape)
    if device.type != "cpu":
        u = u.to(device)
    return -torch.log(-torch.log(u + eps) + eps)


def gumbel_softmax(logits: Tensor, temperature: float, evaluate: bool = False) -> Tensor:
    """Return a relaxed draw ``[..., K]``, like the logits; an exact one if ``evaluate``."""
    if evaluate:
        return OneHotCategorical(logits=logits).sample()
    return F.softmax((logits + sample_gumbel(logits.size(), logits.device)) / temperature, dim=-1)


class TutorialVae(nn.Module):
    """Layers 784-512-256-300, a draw, 300-256-512-784, with a ReLU on the logits too."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 512)
        self.fc2 = nn.Linear(512, 256)
        self.fc3 = nn.Linear(256, LATENTS * VALUES)
        self.fc4 = nn.Linear(LATENTS * VALUES, 256)
        self.fc5 = nn.Linear(256, 512)
        self.fc6 = nn.Linear(512, 784)
        self.relu = nn.ReLU()
        self.sigmoid = nn.Sigmoid()

    def encode(self, x: Tensor) -> Tensor:
        """Encode images ``[B, 784]`` as logits ``[B, 300]``."""
        h1 = self.relu(self.fc1(x))
        h2 = self.relu(self.fc2(h1))
        return self.relu(self.fc3(h2))

    def decode(self, z: Tensor) -> Tensor:
        """Decode draws ``[B, 300]`` to pixel probabilities ``[B, 784]``."""
        h4 = self.relu(self.fc4(z))
        h5 = self.relu(self.fc5(h4))
        return self.sigmoid(self.fc6(h5))

    def forward(
        self, x: Tensor, temperature: float, evaluate: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return the probabilities of pixels ``[B, 784]`` and of values ``[B, 300]``."""
        q = self.encode(x.view(-1, 784))
        q_y = q.view(q.size(0), LATENTS, VALUES)
        z = gumbel_softmax(q_y, temperature, evaluate).view(-1, LATENTS * VALUES)
        return self.decode(z), F.softmax(q_y, dim=-1).reshape(*q.size())


def loss_function(recon_x: Tensor, x: Tensor, qy: Tensor) -> Tensor:
    """Return cross-entropy plus KL to the uniform distribution, mean over the batch, in nats."""
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum") / x.shape[0]
    log_ratio = torch.log(qy * VALUES + 1e-20)
    kld = torch.sum(qy * log_ratio, dim=-1).mean()
    return bce + kld


def loaders(directory: Path, device: torch.device) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return loaders of MNIST's training and test images, shuffled, one by one through PIL."""
    from torchvision import datasets, transforms

    more: dict[str, Any] = {"num_workers": 1, "pin_memory": True} if device.type == "cuda" else {}
    train, test = (
        DataLoader(
            datasets.MNIST(str(directory), train=part, transform=transforms.ToTensor()),
            batch_size=BATCH_SIZE,
            shuffle=True,
            **more,
        )
        for part in (True, False)
    )
    return train, test


def train_batch(
    model: TutorialVae, optimizer: optim.Optimizer, data: Tensor
) -> tuple[float, float]:
    """Do one step with images ``[B, 1, 28, 28]``; return relaxed and unrelaxed loss, summed."""
    optimizer.zero_grad()
    recon_batch, qy = model(data, TEMPERATURE)
    loss = loss_function(recon_batch, data, qy)
    loss.backward()
    relaxed = loss.item() * len(data)
    optimizer.step()
    recon_eval, qy_eval = model(data, TEMPERATURE, evaluate=True)
    loss_eval = loss_function(recon_eval, data, qy_eval)
    return relaxed, loss_eval.item() * len(data)


def train(
    model: TutorialVae,
    optimizer: optim.Optimizer,
    loader: DataLoader[Any],
    device: torch.device,
    epoch: int,
) -> None:
    """Do one pass over the training images."""
    model.train()
    train_loss = train_loss_unrelaxed = 0.0
    for data, _ in loader:
        relaxed, unrelaxed = train_batch(model, optimizer, data.to(device))
        train_loss += relaxed
        train_loss_unrelaxed += unrelaxed
    dataset: Any = loader.dataset
    count = len(dataset)
    print(
        f"Epoch: {epoch} Average loss relaxed: {train_loss / count:.4f} "
        f"Unrelaxed: {train_loss_unrelaxed / count:.4f}"
    )


def evaluate(model: TutorialVae, loader: DataLoader[Any], device: torch.device) -> float:
    """Return the mean unrelaxed loss of the test images."""
    model.eval()
    test_loss = 0.0
    for data, _ in loader:
        data = data.to(device)
        recon_batch, qy = model(data, TEMPERATURE, evaluate=True)
        test_loss += loss_function(recon_batch, data, qy).item() * len(data)
    dataset: Any = loader.dataset
    return test_loss / len(dataset)


def draw_samples(model: TutorialVae, path: Path, device: torch.device) -> None:
    """Draw a grid of 64 images from values drawn uniformly."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    model.eval()
    probs = torch.ones([64, LATENTS, VALUES]) * (1 / VALUES)
    drawn = OneHotCategorical(probs=probs.to(device)).sample().view(-1, LATENTS * VALUES)
    images = model.decode(drawn).view(-1, 28, 28).detach().cpu().numpy()
    _, axes = plt.subplots(8, 8, figsize=(8, 8))
    for image, axis in zip(images, axes.flatten(), strict=True):
        axis.imshow(image, cmap="gray")
        axis.set_axis_off()
    plt.savefig(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description="an old tutorial's script")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(arguments)
    model = TutorialVae().to(asked.device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    train_loader, test_loader = loaders(asked.data_dir, asked.device)
    for epoch in range(1, asked.epochs + 1):
        train(model, optimizer, train_loader, asked.device, epoch)
        print(f"Eval loss: {evaluate(model, test_loader, asked.device):.4f}")
    draw_samples(model, asked.out, asked.device)


if __name__ == "__main__":
    main()
