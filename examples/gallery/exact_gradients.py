"""
Exact gradients of a small problem
==================================

Is a gradient estimator biased, or only noisy? If a problem has few joint states, the
estimator ``exact`` computes the gradient of the expected cost by enumeration, and is the
reference for all others. The figure compares it with ``st-gumbel``
(`Jang et al. 2017 <https://arxiv.org/abs/1611.01144>`__), ``reinmax``
(`Liu et al. 2023 <https://arxiv.org/abs/2304.08612>`__) and ``rloo``
(`Kool et al. 2019 <https://openreview.net/forum?id=r1lgTGL5DE>`__). Points off the line
show bias, and long bars show noise.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import relaxit

# %%
# Five categorical variables with four values each have 1024 joint states. The cost of a state
# is the output of a network.

torch.manual_seed(0)
logits = torch.randn(5, 4)
cost = nn.Sequential(nn.Flatten(), nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0))
cost.requires_grad_(False)
cost[1].weight *= 6  # makes the network far from linear

# %%
# Each row of a batch has its own cost, so a single backward pass gives many independent
# estimates of the same gradient.


def gradients(name, draws):
    rows = logits.repeat(draws, 1, 1).requires_grad_()
    q = relaxit.Categorical(logits=rows)
    relaxit.estimator(name).surrogate(q, cost).sum().backward()
    return rows.grad.flatten(1)  # [draws, 20]


# %%
# Bias and noise are relative to the length of the exact gradient. The noise is that of one
# estimate, for which ``rloo`` evaluates the cost four times. ``rloo`` is unbiased: its remaining
# error is the sampling error of a mean of 10 000 estimates.

exact = gradients("exact", 1)[0]
fig, axes = plt.subplots(1, 3, figsize=(7, 3.2), sharey=True, layout="constrained")
for name, ax in zip(["st-gumbel", "reinmax", "rloo"], axes, strict=True):
    found = gradients(name, 10_000)
    bias = (found.mean(0) - exact).norm() / exact.norm()
    noise = found.var(0).sum().sqrt() / exact.norm()
    print(f"{name}: bias {bias:.2f}, noise {noise:.2f}")
    ax.errorbar(exact, found.mean(0), found.std(0), fmt="o", ecolor="0.7")
    ax.axline((0, 0), slope=1, color="tab:orange", zorder=3)
    ax.set(title=f"{name}\nbias {bias:.2f}, noise {noise:.1f}", xlabel="exact", ylabel="estimate")
plt.savefig("exact_gradients.png")
