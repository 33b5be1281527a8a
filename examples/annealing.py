"""Anneal the temperature in a training loop of one's own, save the model, and load it again."""

import copy

import torch
from torch import nn

import relaxit

torch.manual_seed(0)
choose = relaxit.Relax("categorical", evaluate="mode")
model = nn.Sequential(nn.Linear(16, 40), nn.Unflatten(-1, (4, 10)), choose, nn.Flatten(-2))
model.append(nn.Linear(40, 16))
untrained, data = copy.deepcopy(model), torch.randn(256, 4) @ torch.randn(4, 16)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(400):
    choose.temperature = max(0.3, 0.995**step)
    loss = (model(data) - data).square().mean() / data.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
torch.save(model.state_dict(), "model.pt")
untrained.load_state_dict(torch.load("model.pt"))  # the temperature is part of it
error = (untrained.eval()(data) - data).square().mean() / data.square().mean()
print(f"temperature {untrained[2].temperature:.2f}: error {loss:.3f}, {error:.3f} with the mode")
