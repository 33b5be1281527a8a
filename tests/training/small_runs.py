"""Runs of the tiny configuration: their files, their weights, and a signal that stops them."""

import os
import signal

import torch

from relaxit.training.callbacks import SilentCallback
from relaxit.training.loop import train
from relaxit.training.runs.directory import RunDirectory
from tests.training.small import small_experiment

FILES = {
    "config.json", "metrics.jsonl", "model.safetensors", "train_state.pt", "tensorboard",
    "reconstructions.png", "samples.png", "curves.png",
}  # fmt: skip


def run_at(path, *layers, report=None, resume=False):
    experiment = small_experiment(*layers)
    run = RunDirectory(path)
    if not resume:
        run.check_free(False)
        run.create(overwrite=False)
        run.write_config(experiment.config, experiment.data.format)
    return experiment, train(experiment, run, report, resume)


def weights(experiment):
    return torch.cat([p.detach().flatten() for p in experiment.model.parameters()])


class StopAfter(SilentCallback):
    """Sends a signal to this process when so many batches were reported."""

    def __init__(self, calls, number=signal.SIGINT):
        self.calls, self.number = calls, number

    def step(self, examples, means):
        self.calls -= 1
        if self.calls == 0:
            os.kill(os.getpid(), self.number)
