"""
Time warping: align a curve with a turned copy
==============================================

A copy of a curve is turned by an unknown angle, some of its points last longer, and noise is added.
Turn and alignment are found from the two sequences alone: each step draws a relaxed monotone path
with ``relaxit.functional.sample``, and moves the turned curve towards the frames that the path
assigns to its points. It needs the package relaxit-graph. The figure shows samples of the path at
four temperatures, soft and finally hard, with the true one as a line.
"""

import matplotlib.pyplot as plt
import torch

import relaxit

# %%
# The curve has 30 points, its copy 45 frames. From one frame to the next, a path stays at a point
# or goes to the next one.

torch.manual_seed(0)
time = torch.linspace(0, 6, 30)
curve = torch.stack([time.sin() * time / 3, (1.4 * time).cos()], -1)
true = torch.nn.functional.pad((torch.rand(44).argsort() < 29).cumsum(0), (1, 0))
copy = curve[true] @ torch.tensor([[0.54, 0.84], [-0.84, 0.54]]) + 0.15 * torch.randn(45, 2)

# %%
# The squared distances ``[30, 45]`` are the costs of a path, so their negatives are its scores.

turn = torch.eye(2, requires_grad=True)
optimizer = torch.optim.Adam([turn], lr=0.03)
for _ in range(200):
    distances = torch.cdist(curve @ turn, copy).square()
    path = relaxit.functional.sample(-5 * distances, "alignment", moves="attention")
    optimizer.zero_grad()
    (path * distances).sum(0).mean().backward()
    optimizer.step()

# %%
# The best path is computed by dynamic programming.

q = relaxit.Alignment(-5 * distances.detach(), moves="attention")
print(f"points off {(q.discrete.mode.argmax(0) - true).abs().float().mean():.2f}")
plt.figure(figsize=(7, 5), layout="constrained")
for place, temperature in enumerate((20.0, 4.0, 1.0, 0.01), 221):
    plt.subplot(place, title=f"temperature {temperature}")
    plt.imshow(q.relaxation(q.params, temperature).rsample(), "Blues", aspect="auto")
    plt.plot(true, "tab:red", linewidth=1)
plt.savefig("alignment.png")
