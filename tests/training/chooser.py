"""A task that exists in the tests only: which pixels does a classifier need? No encoder, no KL."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import cross_entropy

from relaxit import ConfigurationError, Options, Task, Unsupported
from relaxit.data import Requirement
from relaxit.training.display import Display
from relaxit.training.figures import draw_grid
from relaxit.training.task import Terms

TASK = {
    "task": {"name": "test-chooser"},
    "relaxation": {"name": "binary", "options": {}},
    "latents": 64,
}
FLAGS = ["--task", "test-chooser", "--relaxation", "binary", "--latents", "64", "--device", "cpu"]


class Gates(nn.Module):
    """One parameter vector for all images, and a linear classifier of what it lets through."""

    def __init__(self, params_shape, pixels, classes):
        super().__init__()
        self.params = nn.Parameter(torch.zeros(params_shape))
        self.classify = nn.Linear(pixels, classes)
        self.seen: list[bool] = []  # whether each call came in training mode

    def forward(self, x, gates):
        self.seen.append(self.training)
        return self.classify(x * gates)


class ChooserOptions(Options):
    price: float = Field(0.05, ge=0, description="cost of a pixel, as a share of all")


class Chooser(Task):
    api = 2
    name = "test-chooser"
    summary = "which pixels a linear classifier needs"
    Options = ChooserOptions
    metrics = ("wrong", "kept")
    files = ("gates.png", "curves.png")
    display = Display(
        bar="loss {train_loss:.3f}",
        line="wrong train {train_wrong:.3f} test {test_wrong:.3f}",
        columns={"wrong": "wrong", "kept": "kept"},
    )

    def check(self, setup):
        super().check(setup)
        if setup.relaxation.event_shape.numel() != 1:
            raise Unsupported("test-chooser needs a gate for each pixel")

    def requires(self, setup):
        return {"inputs": Requirement("float"), "targets": Requirement("integer", 0, shape=())}

    def statement(self, setup):
        return f"cross-entropy of a classifier of {setup.latents} pixels"

    def build(self, setup, format):
        pixels = format.inputs.entries
        if setup.latents != pixels:
            raise ConfigurationError(f"test-chooser needs --latents {pixels}")
        return Gates(setup.params_shape, pixels, format.targets.classes)

    def terms(self, setup, model, batch, step):
        x = batch.inputs.flatten(1)
        q = setup.distribution(model.params.expand(len(x), *setup.params_shape), step.temperature)
        found = {}

        def cost(z):
            gates = z.reshape(len(x), -1)
            logits = model(x, gates)
            found["wrong"] = (logits.argmax(-1) != batch.targets).float()
            found["kept"] = gates.detach().mean(-1)
            loss = cross_entropy(logits, batch.targets, reduction="none")
            return loss + self.options.price * gates.mean(-1)

        loss = setup.surrogate(model, q, cost, step.generator)
        return Terms(loss, found)

    def evaluate(self, setup, model, part, seed):
        generator = torch.Generator(part.device).manual_seed(seed)
        gates = setup.distribution(model.params).sample_hard((), generator).flatten()
        wrong = 0.0
        for batch in part.batches(100, generator):
            logits = model(batch.inputs.flatten(1), gates)
            assert not logits.requires_grad
            wrong += float((logits.argmax(-1) != batch.targets).sum())
        return {"wrong": wrong / len(part), "kept": float(gates.mean())}

    def draw(self, setup, model, data, rows, directory):
        super().draw(setup, model, data, rows, directory)
        gates = setup.distribution(model.params).sample_hard((), torch.Generator().manual_seed(0))
        draw_grid(gates.reshape(1, -1), data.format.inputs.shape, 1, directory / "gates.png")
