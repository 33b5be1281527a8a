"""
Mixture of experts: a top-k router with balanced loads
======================================================

In a sparse mixture of experts, each token is sent to the k best of several experts. Without
a balance loss, a few experts get most of the tokens.
``relaxit.nn.TopKRouter`` returns the experts of each token, their weights with a gradient,
and the balance loss of `Fedus et al. 2021 <https://arxiv.org/abs/2101.03961>`__.
For ``k > 1`` it needs the package relaxit-subset.
The figure shows the load of each of eight experts, without and with the balance loss: with
it, every expert gets about one eighth of the tokens.
"""

import matplotlib.pyplot as plt
import torch

from relaxit.nn import TopKRouter

# %%
# The tokens belong to eight topics, the most frequent of which has half of the tokens. The
# target is a linear function of the token for each topic. The model does not see the topics.

torch.manual_seed(0)
topic = torch.multinomial(0.5 ** torch.arange(8.0), 1024, replacement=True)
x = 2 * torch.randn(8, 16)[topic] + torch.randn(1024, 16)
target = torch.einsum("nd,nde->ne", x, torch.randn(8, 16, 16)[topic] / 8)

# %%
# The router sends each token to two of eight linear experts, and weights their outputs. The
# balance has a price: the error increases with the weight of the balance loss.

loads = {0: [], 0.5: []}
for balance, history in loads.items():
    router = TopKRouter(16, experts=8, k=2)
    experts = torch.zeros(8, 16, 16, requires_grad=True)
    optimizer = torch.optim.Adam([*router.parameters(), experts], lr=0.02)
    for _ in range(200):
        routing = router(x)
        y = torch.einsum("nk,nd,nkde->ne", routing.weights, x, experts[routing.experts])
        optimizer.zero_grad()
        ((y - target).square().mean() + balance * routing.balance_loss).backward()
        optimizer.step()
        history.append(routing.load)
    print(f"weight {balance}: error {(y - target).var():.3f}, load <= {max(history[-1]):.3f}")

# %%
# Each line is an expert. If all have the same load, it is 1/8 = 0.125.

fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True, layout="constrained")
for ax, (balance, history) in zip(axes, loads.items(), strict=True):
    ax.plot(torch.stack(history), color="tab:blue", alpha=0.7)
    ax.set(title=f"weight of the balance loss: {balance}", xlabel="step", ylabel="load")
plt.savefig("router.png")
