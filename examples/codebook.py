"""Train a discrete autoencoder with 512 codes on images of digits."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

from relaxit.nn import Codebook

torch.manual_seed(0)
x = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16  # [1797, 1, 8, 8]
encoder = nn.Sequential(nn.Conv2d(1, 64, 4, stride=4), nn.ReLU(), nn.Conv2d(64, 512, 1))
codebook = Codebook(512, 32, dim=1)
decoder = nn.Sequential(nn.Conv2d(32, 64, 1), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, stride=4))
model = nn.Sequential(encoder, codebook, decoder)  # logits [B, 512, 2, 2], vectors [B, 32, 2, 2]
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(300):
    codebook.set_temperature(max(0.5, 2 * 0.995**step))
    batch = x[torch.randint(len(x), (128,))]
    (model(batch) - batch).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
error = (model.eval()(x) - x).square().mean() / x.var(0).mean()
print(f"error {error:.3f} of the variance, perplexity {codebook.perplexity():.0f} of 512 codes")
