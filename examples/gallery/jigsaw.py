"""
A jigsaw: learn the permutation of shuffled tiles
=================================================

The tiles of an image are shuffled, and a network puts them back. It never sees the correct
permutation: the loss compares the image with its tiles, arranged by a soft permutation. The
network scores each tile for each place, and ``relaxit.functional.sample`` draws the permutation
by Gumbel-Sinkhorn (`Mena et al. 2018 <https://arxiv.org/abs/1802.08665>`__). It needs the package
relaxit-permutation. The figure shows test images: shuffled, reassembled by the best hard
permutation, and the original.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

import relaxit

# %%
# Each digit has four tiles of 4x4 pixels. The last 397 digits are held out.

torch.manual_seed(0)
digits = torch.tensor(load_digits().images / 16, dtype=torch.float32)
tiles = digits.unfold(1, 4, 4).unfold(2, 4, 4).reshape(-1, 4, 16)
shuffled = torch.stack([digit[torch.randperm(4)] for digit in tiles])

# %%
# Self-attention lets each tile see the others. If ``p[i, j]`` is 1, tile j is put in place i, so
# ``p @ shuffled`` arranges the tiles.

layer = torch.nn.TransformerEncoderLayer(64, 4, 128, dropout=0, batch_first=True)
network = torch.nn.Sequential(torch.nn.Linear(16, 64), layer, torch.nn.Linear(64, 4))
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
for _ in range(300):
    rows = torch.randint(1400, (64,))
    p = relaxit.functional.sample(network(shuffled[rows]).mT, "permutation")  # [64, 4, 4]
    optimizer.zero_grad()
    (p @ shuffled[rows] - tiles[rows]).square().mean().backward()
    optimizer.step()

# %%
# The best permutation of the scores is computed by the Hungarian algorithm.

p = relaxit.get("permutation", n=4).argmax(network(shuffled).mT)
print(f"solved {(p @ shuffled == tiles).flatten(1).all(-1)[1400:].float().mean():.1%}")
parts = torch.stack([shuffled, p @ shuffled, tiles])[:, 1404:1410].reshape(3, 6, 2, 2, 4, 4)
images = torch.nn.functional.pad(parts.transpose(3, 4).reshape(3, 6, 8, 8), (1, 1, 1, 1))
fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.imshow(images.transpose(1, 2).reshape(30, 60), "gray_r")
axes.set(xticks=[], yticks=[5, 15, 25], yticklabels=["shuffled", "reassembled", "original"])
plt.savefig("jigsaw.png")
