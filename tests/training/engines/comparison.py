"""Runs that differ in the engine only, and how far apart they end."""

from __future__ import annotations

from relaxit.training.callbacks import SilentCallback
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from tests.training.small import small_experiment

SCHEDULES = {
    "temperature": {"schedule": "linear"},
    "task": {"options": {"kl_warmup": 0.5}},
    "optimizer": {"schedule": "cosine", "warmup": 0.1, "weight_decay": 0.1},
    "data": {"options": {"binarise": "dynamic"}},
}
RUNS = {
    "pathwise": (SCHEDULES,),
    "st-gumbel": ({"estimator": {"name": "st-gumbel"}, "optimizer": {"method": "radam"}},),
    "straight-through": (SCHEDULES, {"estimator": {"name": "straight-through"}}),
    "relaxed-kl": ({"task": {"options": {"kl": "relaxed"}}, "temperature": {"initial": 0.7}},),
    "learned": ({"temperature": {"schedule": "learned"}},),
    "state": (SCHEDULES, {"estimator": {"name": "relax"}}),
    "bits": ({"relaxation": {"name": "binary", "options": {}}},),
}

# So many epochs that ``auto`` compiles a run of them; the tests train two.
LONG = {"epochs": 100_000}


def trained(*layers, epochs=2):
    """A trainer after some epochs, the last batch of each smaller than the others."""
    trainer = Trainer(small_experiment(*layers))
    for epoch in range(epochs):
        assert trainer.run_epoch(SilentCallback(), StopRequest())
        if epoch + 1 < epochs:
            trainer.next_epoch()
    return trainer


def state(trainer):
    e = trainer.experiment
    return [
        *(tensor.detach() for tensor in e.model.state_dict().values()),
        e.temperature().detach(),
        trainer.totals,
    ]


def apart(one, other):
    """Largest difference of what two trainers hold, relative to its size."""
    pairs = zip(state(one), state(other), strict=True)
    return max(
        float((a.double() - b.cpu().double()).abs().max() / (1 + a.double().abs().max()))
        for a, b in ((a.cpu(), b) for a, b in pairs)
    )
