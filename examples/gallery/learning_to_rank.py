"""
Learning to rank with a differentiable NDCG
===========================================

NDCG measures a ranking, but it has no gradient, because ranks are integers. ``rank`` returns soft
ranks, which turn NDCG into a loss, as in ApproxNDCG (`Qin et al. 2010
<https://doi.org/10.1007/s10791-009-9124-x>`__). A boolean mask excludes the padding of short
lists. It needs the package relaxit-permutation. The figure shows the NDCG of hard ranks during
training, and the mean grade of the document at each rank for new queries: the trained scorer puts
the best documents first.
"""

import matplotlib.pyplot as plt
import torch

from relaxit.functional import rank

# %%
# Each of 1000 queries has 4 to 12 documents with 8 features and a grade of 0 to 4. The gain of a
# document is ``2**grade - 1``, and 0 for padding. The best order has an NDCG of 1.

torch.manual_seed(0)
x, mask = torch.randn(1000, 12, 8), torch.arange(12) < torch.randint(4, 13, (1000, 1))
grade = mask * (x @ torch.randn(8) + torch.randn(1000, 12)).clamp(0, 4).round()
best = ((2 ** grade.sort(descending=True)[0] - 1) / torch.arange(2, 14).log2()).sum(-1).clamp(1)

# %%
# NDCG with soft ranks, at temperature 1, is the objective. With hard ranks, at a temperature near
# 0, it is the metric. The last 200 queries are held out.


def ndcg(ranks):  # [queries, documents] -> [queries]
    return ((2**grade - 1) / (ranks + 1).log2()).sum(-1) / best


scorer, history = torch.nn.Linear(8, 1), []
optimizer = torch.optim.Adam(scorer.parameters(), lr=0.1)
for _ in range(60):
    scores = scorer(x).squeeze(-1)
    history.append(ndcg(rank(scores.detach(), 1e-4, mask=mask))[800:].mean())
    optimizer.zero_grad()
    (-ndcg(rank(scores, 1.0, mask=mask))[:800].mean()).backward()
    optimizer.step()

# %%
# The bars show the mean grade of the documents at each rank that the trained scorer gives them.

print(f"NDCG of new queries: {history[0]:.3f} before training, {history[-1]:.3f} after")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
axes[0].plot(history, linewidth=2)
axes[0].set(title="NDCG of new queries", xlabel="step", ylabel="NDCG", ylim=(None, 1))
order = rank(scores.detach(), 1e-4, mask=mask).argsort(-1)
axes[1].bar(range(1, 13), grade.where(mask, torch.nan).gather(-1, order)[800:].nanmean(0))
axes[1].set(title="Learned order", xlabel="rank", ylabel="mean grade", xticks=(1, 4, 8, 12))
plt.savefig("learning_to_rank.png")
