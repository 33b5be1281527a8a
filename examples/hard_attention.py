"""Hard attention over sentences of different lengths: one token is read, padding never is."""

import torch
from torch import nn

import relaxit

torch.manual_seed(0)
attend = relaxit.Relax("categorical", temperature=0.5, estimator="st-gumbel", evaluate="mode")
score, read = nn.Linear(8, 1), nn.Linear(8, 4)
optimizer = torch.optim.Adam([*score.parameters(), *read.parameters()], lr=0.02)
for step in range(201):
    length = torch.randint(1, 12, (128, 1))
    mask = torch.arange(int(length.max())) < length  # True where there is a token
    tokens, marked = torch.randn(*mask.shape, 8), (torch.rand(128, 1) * length).long()
    tokens[..., 0] = torch.arange(mask.shape[1]) == marked  # the first feature marks one token
    label = tokens[torch.arange(128), marked[:, 0], 1:5].argmax(-1)
    weights = attend(score(tokens).squeeze(-1), mask)  # [128, tokens], one-hot
    loss = nn.functional.cross_entropy(read((weights.unsqueeze(-1) * tokens).sum(1)), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step}: {(weights.argmax(-1) == marked[:, 0]).float().mean():.0%} correct")
