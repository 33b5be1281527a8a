"""
Pruning with hard-concrete gates (L0 regularisation)
====================================================

Pruning removes the units of a network that it does not need. A hard-concrete gate (`Louizos et
al. 2018 <https://arxiv.org/abs/1712.01312>`__) multiplies a unit by a random number, which is
exactly 0 with a learned probability and still has a gradient. Put
``relaxit.nn.HardConcreteGates`` after a layer, and add the expected number of open gates to the
loss. In the figure, a network with 64 hidden units learns a function that 8 units can compute:
nearly all other gates close, and the error stays small.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from relaxit.nn import HardConcreteGates

# %%
# The targets come from a network with 8 hidden units. The network that learns them has 64.

torch.manual_seed(0)
x = torch.randn(500, 8)
y = (x @ torch.randn(8, 8)).relu() @ torch.tensor([[0.25], [-0.25]] * 4)
gates = HardConcreteGates(64, open_probability=0.9)
net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), gates, nn.Linear(64, 1))

# %%
# Each open gate adds 0.01 to the loss, in the units of the mean squared error.

optimizer, history = torch.optim.Adam(net.parameters(), lr=0.05), []
for _ in range(500):
    error = (net(x) - y).square().mean()
    optimizer.zero_grad()
    (error + 0.01 * gates.expected_l0()).backward()
    optimizer.step()
    history.append([gates.expected_l0().item(), error.item()])

# %%
# In ``eval()`` the gates are not random. A unit whose gate is 0 can be removed. The dashed
# line is at 8 units.

kept = gates.deterministic_gates().nonzero()[:, 0]
print(f"{len(kept)} of 64 units kept, error {(net.eval()(x) - y).var() / y.var():.4f}")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
axes[0].plot([expected for expected, _ in history])
axes[0].axhline(8, color="tab:orange", linestyle="--")
axes[0].set(title="Expected number of open gates", xlabel="step", yticks=[0, 8, 32, 64])
axes[1].semilogy([error for _, error in history])
axes[1].set(title="Mean squared error", xlabel="step")
plt.savefig("pruning_gates.png")
