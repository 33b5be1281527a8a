"""Train a mixture of 8 experts in which each token is sent to 2, with a loss that balances them."""

from __future__ import annotations

import torch

from relaxit.nn import TopKRouter

torch.manual_seed(0)
centres, maps, region = torch.randn(8, 16), torch.randn(8, 16, 16), torch.randint(8, (1024,))
x = 2 * centres[region] + torch.randn(1024, 16)
target = torch.einsum("nd,nde->ne", x, maps[region])  # a linear map for each region
router = TopKRouter(16, experts=8, k=2)
experts = torch.nn.ModuleList(torch.nn.Linear(16, 16) for _ in range(8))
optimizer = torch.optim.Adam([*router.parameters(), *experts.parameters()], lr=0.02)
for _ in range(300):
    routing, y = router(x), torch.zeros_like(x)
    for number, expert in enumerate(experts):
        token, place = (routing.experts == number).nonzero(as_tuple=True)
        y = y.index_add(0, token, routing.weights[token, place, None] * expert(x[token]))
    error = (y - target).square().mean() / target.square().mean()
    optimizer.zero_grad()
    (error + 0.5 * routing.balance_loss).backward()
    optimizer.step()
print(f"error {error:.3f}, loads from {routing.load.min():.3f} to {routing.load.max():.3f}")
