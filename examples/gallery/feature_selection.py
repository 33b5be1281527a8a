"""
Feature selection: 10 of 784 inputs
===================================

A target depends on 10 of 784 inputs, and you want a network that reads only those.
``sample_subset`` draws a mask with exactly 10 open inputs, and the gradient of the loss reaches
the logits of the mask, so that the mask and the network are trained together
(`Xie and Ermon 2019 <https://arxiv.org/abs/1901.10517>`__). It needs the package
relaxit-subset. In the figure, the inclusion probabilities of the 10 relevant inputs rise to 1,
and those of the other 774 fall to 0.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import relaxit

torch.manual_seed(0)
x, relevant = torch.randn(8000, 784), torch.randperm(784)[:10]
y = x[:, relevant].relu().sum(-1, keepdim=True) - 4  # the mean is near 0

# %%
# The temperature decreases from 1 to 0.2. ``relaxit.Subset`` is the distribution of the mask;
# its mean gives the exact inclusion probabilities.

logits, history = nn.Parameter(torch.zeros(784)), []
net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam([{"params": net.parameters()}, {"params": [logits], "lr": 0.1}], 0.003)
for step in range(200):
    rows = torch.randint(8000, (128,))
    mask = relaxit.functional.sample_subset(logits.expand(128, 784), 10, max(0.2, 0.98**step))
    loss = (net(x[rows] * mask) - y[rows]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append(relaxit.Subset(logits.detach(), k=10).discrete.mean)

# %%
# The selection is the mode of the distribution: the 10 inputs with the largest logits.

found = torch.isin(logits.topk(10).indices, relevant).sum()
print(f"found {found} of 10 inputs, error {loss / y.var():.3f} of the variance")
fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.plot(torch.stack(history), color="tab:gray", alpha=0.4)
axes.plot(torch.stack(history)[:, relevant], color="tab:orange", linewidth=2)
axes.set(title="Orange: the 10 relevant inputs", xlabel="step", ylabel="inclusion probability")
plt.savefig("feature_selection.png")
