"""
Choosing a temperature
======================

A Gumbel-softmax (`Jang et al. 2017 <https://arxiv.org/abs/1611.01144>`__) with a high temperature
trains on soft samples that are far from the hard choices used in evaluation. With a low
temperature, its gradient has a high variance. The figure shows the error of 64 small problems
after training at 12 constant temperatures. The hard choices are best at temperatures between 0.5
and 1. Annealing, here from 5 to 0.1, is better than every constant temperature.
"""

import matplotlib.pyplot as plt
import torch

import relaxit

# %%
# A problem: choose one of 10 vectors, eight times, so that their sum is near a target.

torch.manual_seed(0)
vectors, target = torch.randn(64, 8, 10, 4), 2 * torch.randn(64, 4)


def error(z):  # [..., 64, 8, 10] -> [...]
    return (torch.einsum("...pck,pckd->...pd", z, vectors) - target).square().mean((-2, -1))


# %%
# The temperature may be a tensor, so that all runs are trained at once. The last is annealed.

constant = torch.logspace(-1.3, 1, 12)
logits = torch.zeros(13, 64, 8, 10, requires_grad=True)
optimizer = torch.optim.Adam([logits], lr=0.1)
for step in range(301):
    temperature = torch.cat([constant, torch.tensor([5 * 0.02 ** (step / 300)])])
    soft = error(relaxit.gumbel_softmax(logits, temperature[:, None, None, None]))
    optimizer.zero_grad()
    soft.sum().backward()
    optimizer.step()

# %%
# ``straight_through`` returns the one-hot vectors of the largest logits.

hard = error(relaxit.functional.straight_through(logits.detach()))
print(f"error {hard[:-1].min():.3f} at {constant[hard[:-1].argmin()]:.2f}, annealed {hard[-1]:.3f}")
fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.loglog(constant, soft.detach()[:-1], "o-", color="tab:gray", label="soft samples, in training")
axes.loglog(constant, hard[:-1], "o-", color="tab:blue", label="hard choices")
axes.axhline(hard[-1], color="tab:orange", ls="--", label="hard choices, annealed")
axes.set(title="Error after training", xlabel="temperature", ylabel="mean squared error")
axes.legend()
plt.savefig("temperature.png")
