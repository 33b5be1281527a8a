"""Prune the inputs of a network with hard-concrete gates and their expected L0 norm."""

from __future__ import annotations

import torch
from torch import nn

from relaxit.nn import HardConcreteGates

torch.manual_seed(0)
x, relevant = torch.randn(1000, 64), torch.randperm(64)[:8]
y = (x[:, relevant] * torch.linspace(0.5, 2, 8)).sum(-1, keepdim=True)
gates = HardConcreteGates(64, open_probability=0.9)
net = nn.Sequential(gates, nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
for _ in range(500):
    loss = (net(x) - y).square().mean() + 0.02 * gates.expected_l0()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
net.eval()
kept = gates.deterministic_gates().detach().nonzero().flatten()
print(f"error {(net(x) - y).square().mean() / y.square().mean():.3f}, expected L0", end=" ")
print(f"{gates.expected_l0():.2f}, kept {kept.tolist()}, relevant {relevant.sort()[0].tolist()}")
