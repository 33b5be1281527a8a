"""
Hard attention with masks
=========================

Hard attention reads one token of a sequence, while softmax attention averages over all of
them. ``relaxit.gumbel_softmax`` draws one-hot attention weights, and the gradient passes
through them by the straight-through Gumbel-softmax of
`Jang et al. 2017 <https://arxiv.org/abs/1611.01144>`__. A boolean mask excludes padding.
The figure shows the attention that the model has learned from labels: nearly all of it is
on the word that determines the label.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import relaxit

# %%
# A sentence has 3 to 12 words from a vocabulary of 50, and then padding. One of the words is
# a keyword, 0 to 3, that determines the label. The model is not told its position. Padding is
# filled with 0, which is also a keyword, so the model must not read it.

torch.manual_seed(0)
mask = torch.arange(12) < torch.linspace(3, 13, 512)[:, None]  # True where there is a word
position = torch.rand(512, 12).masked_fill(~mask, 0).argmax(-1, keepdim=True)
label = torch.randint(4, (512, 1))
words = torch.randint(4, 50, (512, 12)).scatter(1, position, label).where(mask, 0)

# %%
# The classifier reads a single token of each sentence, which is never padding.

embed, score, classify = nn.Embedding(50, 16), nn.Linear(16, 1), nn.Linear(16, 4)
optimizer = torch.optim.Adam(nn.ModuleList([embed, score, classify]).parameters(), lr=0.01)
for _ in range(200):
    tokens = embed(words)  # [512, 12, 16]
    weights = relaxit.gumbel_softmax(score(tokens)[..., 0], 0.5, hard=True, mask=mask)
    logits = classify((weights[..., None] * tokens).sum(1))
    optimizer.zero_grad()
    nn.functional.cross_entropy(logits, label[:, 0]).backward()
    optimizer.step()

# %%
# The probability of reading a word is the softmax of the scores over the words of its
# sentence. In the figure it is blue, keywords are circled, and padding is grey.

attention = score(tokens)[..., 0].masked_fill(~mask, -torch.inf).softmax(-1).detach()
print(f"mean attention on the keyword: {attention.gather(1, position).mean():.3f}")
fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.imshow(attention.where(mask, torch.nan)[::16].T, "Blues", aspect="auto")
axes.scatter(range(32), position[::16], 90, "none", edgecolor="tab:orange")
axes.set(facecolor="0.85", xlabel="sentence", ylabel="word", title="Attention and keywords")
plt.savefig("hard_attention.png")
