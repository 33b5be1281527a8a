"""A task of the tests with two variables: bits and a category, whose cost depends on both."""

from __future__ import annotations

import torch
from torch import nn

from relaxit import Task
from relaxit.data import Dataset, Examples, Requirement, Splits
from relaxit.training.task import Terms

BITS, GROUPS = 3, 4
TWO = {
    "task": {"name": "test-two-choices", "options": {}},
    "relaxation": {"name": "binary", "options": {}},
    "latents": BITS,
    "estimator": {"name": "pathwise"},
    "variables": {
        "group": {
            "relaxation": {"name": "categorical", "options": {"categories": GROUPS}},
            "estimator": {"name": "st-gumbel"},
            "temperature": {"schedule": "linear", "initial": 1.5},
        }
    },
    "data": {"name": "test-rows"},
    "batch_size": 16,
}


class Rows(Dataset):
    """Fifty rows of random numbers."""

    api, name, summary = 2, "test-rows", "random numbers"

    def load(self, directory, download=False):
        rows = Examples.of(inputs=torch.rand(50, BITS, generator=torch.Generator().manual_seed(1)))
        return Splits(rows, rows.take(torch.arange(10)))


class Both(nn.Module):
    """Params of both variables, with a weight of the cost."""

    def __init__(self, bits, group):
        super().__init__()
        self.bits = nn.Parameter(torch.empty(bits).uniform_(-1, 1))
        self.group = nn.Parameter(torch.empty(group).uniform_(-1, 1))
        self.weight = nn.Parameter(torch.empty(BITS, GROUPS).uniform_(-1, 1))


def cost_of(x, weight, bits, group):
    """The cost ``[...]`` of values ``[..., B, 3]`` and ``[..., B, 1, 4]``, not linear in either."""
    chosen = (group.squeeze(-2) @ weight.T + x).sin()  # [..., B, 3]
    return ((bits - 0.3) * chosen).sum(-1).square() + (bits * chosen).sum(-1)


class TwoChoices(Task):
    api = 2
    name = "test-two-choices"
    summary = "two variables, one within the cost of the other"
    variables = ("group",)
    metrics = ("scaled",)

    def requires(self, setup):
        return {"inputs": Requirement("float", shape=(BITS,))}

    def statement(self, setup):
        return "cost of two choices"

    def build(self, setup, format):
        return Both(setup.params_shape, setup.variable("group").params_shape)

    def schedules(self, step, steps):
        return {"share": step / steps}

    def terms(self, setup, model, batch, step):
        rows, other = len(batch), setup.variable("group")
        bits = setup.distribution(model.bits.expand(rows, *model.bits.shape), step.temperature)
        params = model.group.expand(rows, *model.group.shape)
        group = other.distribution(params, step.temperatures["group"])

        def outer(z):  # [..., B, 3]
            def inner(y):  # [..., B, 1, 4]
                return cost_of(batch.inputs, model.weight, z, y)

            return other.surrogate(model, group, inner, step.generator)

        loss = setup.surrogate(model, bits, outer, step.generator)
        return Terms(loss, {"scaled": loss.detach() * step.scheduled["share"]})

    def evaluate(self, setup, model, part, seed):
        generator = torch.Generator(part.device).manual_seed(seed)
        bits = setup.distribution(model.bits).sample_hard((len(part),), generator)
        group = setup.variable("group").distribution(model.group)
        values = group.sample_hard((len(part),), generator)
        return {"cost": float(cost_of(part.inputs, model.weight, bits, values).mean())}
