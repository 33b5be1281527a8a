"""Find the 10 of 784 features on which a target depends."""

from __future__ import annotations

import torch
from torch import nn

from relaxit.functional import sample_subset

torch.manual_seed(0)
x, relevant = torch.randn(2000, 784), torch.randperm(784)[:10]
y = x[:, relevant].sum(-1, keepdim=True) + 0.1 * torch.randn(2000, 1)
logits, net = nn.Parameter(torch.zeros(784)), nn.Linear(784, 1)
groups = [{"params": [logits], "lr": 0.1}, {"params": net.parameters(), "lr": 0.01}]
optimizer = torch.optim.Adam(groups)
for step in range(200):
    batch = torch.randint(2000, (256,))
    z = sample_subset(logits.expand(256, 784), 10, temperature=max(0.2, 0.98**step))
    loss = (net(x[batch] * z) - y[batch]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
found = torch.isin(logits.topk(10).indices, relevant).sum()
print(f"found {found} of 10 features, error {loss / y.var():.3f} of the variance")
