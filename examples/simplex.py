"""Draw relaxed samples of one of three categories at four temperatures, as points of a triangle.

The colour of a point is the category to which it rounds. The figure is written to the path given
as argument (temperature-simplex.png by default).
"""

import sys

import torch
from matplotlib import pyplot as plt

import relaxit

LOGITS = torch.tensor([0.4, 0.0, 0.4])
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
COLOURS = ["tab:blue", "tab:orange", "tab:green"]

torch.manual_seed(0)
figure, panels = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for axes, temperature in zip(panels, [0.1, 0.5, 1.0, 3.0], strict=True):
    soft, hard = relaxit.Categorical(logits=LOGITS, temperature=temperature).draw((1500,))
    x, y = (soft @ CORNERS).T
    axes.plot(*CORNERS[[0, 1, 2, 0]].T, color="0.6", linewidth=1, zorder=0)
    axes.scatter(x, y, s=4, c=[COLOURS[k] for k in hard.argmax(-1)], alpha=0.5, linewidth=0)
    axes.set_title(f"temperature {temperature:g}", fontsize=13)
    axes.set_aspect("equal")
    axes.axis("off")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "temperature-simplex.png", dpi=110)
