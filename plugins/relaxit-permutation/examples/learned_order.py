"""Learn to rank padded lists of documents: a linear scorer is trained on a differentiable NDCG.

Each list has 4 to 12 documents with grades, and a mask tells which entries are documents. With soft
ranks NDCG has a gradient. The NDCG of new lists, by hard ranks, is printed before and after.
"""

import torch

import relaxit.functional as RF

torch.manual_seed(0)
x = torch.randn(1000, 12, 8)  # features of the documents of 1000 lists
mask = torch.arange(12) < torch.randint(4, 13, (1000, 1))
grade = (x @ torch.randn(8) + torch.randn(1000, 12)).clamp(0, 4).round()
gain = torch.where(mask, 2**grade - 1, 0.0)
best = (gain.sort(descending=True).values / torch.log2(torch.arange(12) + 2)).sum(-1).clamp_min(1)


def ndcg(part, temperature):
    ranks = RF.rank(scorer(x[part]).squeeze(-1), temperature, mask=mask[part])
    return ((gain[part] / torch.log2(ranks + 1)).sum(-1) / best[part]).mean()


scorer = torch.nn.Linear(8, 1)
optimizer = torch.optim.Adam(scorer.parameters(), 0.05)
print(f"NDCG of new lists before training: {ndcg(slice(800, 1000), 1e-4):.3f}")
for _ in range(100):
    optimizer.zero_grad()
    (-ndcg(slice(800), 1.0)).backward()
    optimizer.step()
print(f"NDCG of new lists after training: {ndcg(slice(800, 1000), 1e-4):.3f}")
