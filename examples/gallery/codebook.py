"""
A discrete VAE with a codebook
==============================

A discrete VAE encodes an image as a small grid of codes, each of which stands for a learned
vector. ``relaxit.nn.Codebook`` takes the logits of an encoder and returns code vectors: in
training, a relaxed sample, as in `Ramesh et al. 2021 <https://arxiv.org/abs/2102.12092>`__; in
``eval()``, the vector of the code with the largest logit. The figure shows digits, their
reconstructions from four codes each, and how often each code is used.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from relaxit.nn import Codebook

# %%
# The encoder gives logits over 64 codes for each quarter of an image. The codes are in
# dimension 1, where convolutions have their channels.

torch.manual_seed(0)
x = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16  # [1797, 1, 8, 8]
encoder = nn.Sequential(nn.Conv2d(1, 64, 4, stride=4), nn.ReLU(), nn.Conv2d(64, 64, 1))
codebook = Codebook(64, 32, dim=1)  # logits [B, 64, 2, 2] to vectors [B, 32, 2, 2]
decoder = nn.Sequential(nn.Conv2d(32, 64, 1), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, stride=4))

# %%
# The loss is the squared error plus a multiple of the KL divergence from the uniform
# distribution over codes, which keeps codes in use.

optimizer = torch.optim.Adam(nn.ModuleList([encoder, codebook, decoder]).parameters(), lr=0.02)
for batch in x[torch.randint(len(x), (400, 128))]:
    logits = encoder(batch)
    kl = codebook.relax.distribution(logits.movedim(1, -1)).kl_to_uniform().mean()
    optimizer.zero_grad()
    ((decoder(codebook(logits)) - batch).square().mean() + 0.003 * kl).backward()
    optimizer.step()
y = decoder(codebook.eval()(encoder(x))).detach()
print(f"error {(y - x).var() / x.var(0).mean():.2f}, perplexity {codebook.perplexity():.0f} of 64")

# %%
# Two empty rows separate the images from their reconstructions.

fig, axes = plt.subplots(2, 1, figsize=(7, 3.6), layout="constrained", height_ratios=[3, 2])
axes[0].imshow(torch.cat([x, 0 * x[:, :, :2], y], 2)[:12, 0].movedim(0, 1).flatten(1), "gray_r")
axes[0].set(title="Images and reconstructions from 4 codes", xticks=[], yticks=[])
axes[1].bar(range(64), 100 * codebook.usage.sort(descending=True).values)
axes[1].set(title="How often each code is used", xlabel="code", ylabel="%")
plt.savefig("codebook.png")
