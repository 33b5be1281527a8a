"""
Matching with unmatched rows
============================

Keypoints of two images are matched by their descriptors, but some points are in one image only.
With ``partial-matching``, rows and columns may stay unmatched, at a score of 0: this is the
dustbin of SuperGlue (`Sarlin et al. 2020 <https://arxiv.org/abs/1911.11763>`__). The example
trains an embedding and a threshold through soft matchings. It needs the package
relaxit-permutation. In the figure, the partial matching has the true pairs, and the other rows
are empty. A full matching gives every row a partner, so a third of its pairs must be wrong.
"""

import matplotlib.pyplot as plt
import torch

import relaxit

# %%
# A scene has 16 points. The first view has points 0 to 11, and the second view has points 4 to
# 15 in random order, with rotated and noisy descriptors. So 8 of the 12 rows have a partner.
# The score of a pair is positive if the distance of its descriptors is below the threshold.

torch.manual_seed(0)
rotation, threshold = torch.linalg.qr(torch.randn(8, 8)).Q, torch.nn.Parameter(torch.tensor(0.0))
embed = torch.nn.Linear(8, 8)
optimizer = torch.optim.Adam([*embed.parameters(), threshold], lr=0.05)
for _ in range(100):
    points, seen = torch.randn(32, 16, 8), 4 + torch.rand(32, 12).argsort(-1)
    second = points[torch.arange(32)[:, None], seen] @ rotation + 0.3 * torch.randn(32, 12, 8)
    truth = (torch.arange(12)[:, None] == seen[:, None]).float()  # [32, 12, 12]
    scores = 3 * (threshold - torch.cdist(points[:, :12], embed(second)).square())
    soft = relaxit.functional.sample(scores, "partial-matching")
    optimizer.zero_grad()
    (soft - truth).square().sum((-2, -1)).mean().backward()
    optimizer.step()

# %%
# The figure shows the best matchings of the last batch, whose scenes are new. Circles mark the
# true pairs.

fig, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
for ax, name in zip(axes, ("partial-matching", "matching"), strict=True):
    found = relaxit.get(name, rows=12, columns=12).argmax(scores)
    right = (found * truth).sum()
    print(f"{name}: precision {right / found.sum():.3f}, recall {right / truth.sum():.3f}")
    ax.imshow(found[1], "Blues")
    ax.scatter(*truth[1].T.nonzero().T, 120, "none", edgecolor="tab:orange", linewidth=2)
    ax.set(title=name, xlabel="point of the second view", ylabel="point of the first view")
plt.savefig("matching.png")
