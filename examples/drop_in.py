"""Replace F.gumbel_softmax in a model: the call takes the same arguments."""

import torch
from torch import nn

import relaxit


class Quantiser(nn.Module):
    """Give each pixel one of eight learned grey levels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # was F.gumbel_softmax(self.encoder(x), tau=0.5, hard=True, dim=1)
        z = relaxit.gumbel_softmax(self.encoder(x), tau=0.5, hard=True, dim=1)
        return self.decoder(z)


torch.manual_seed(0)
model, images = Quantiser(), torch.rand(16, 1, 16, 16)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for step in range(151):
    loss = (model(images) - images).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step}: mean squared error {loss.item():.4f}")
