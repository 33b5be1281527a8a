"""Loads the objects of a run directory, for evaluation and sampling."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import nn

from relaxit.data import Format
from relaxit.environment import choose_device
from relaxit.training.assembly import assemble, build_model, build_task
from relaxit.training.experiment import Experiment
from relaxit.training.runs.checkpoint import load_model
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.setup import Setup
from relaxit.training.task import Task

__all__ = ["LoadedRun", "open_model", "open_run"]


class LoadedRun(NamedTuple):
    """A trained model without its data set."""

    task: Task
    setup: Setup
    model: nn.Module
    format: Format


def open_run(path: Path, device: str = "auto", data_dir: str | None = None) -> Experiment:
    """Load the experiment of a run, with its trained weights, in evaluation mode.

    Args:
        path: run directory.
        device: device to load it to, which may differ from the device of training.
        data_dir: directory of the data files, if they have moved.

    Raises:
        CheckpointError: if this is not a run directory, or its files are damaged.
        PluginError: if a plugin is missing, naming the one to install.
        DataError: if the data set is missing.
    """
    run = RunDirectory(path)
    config = run.read_config()
    data = config.data if data_dir is None else config.data.model_copy(update={"dir": data_dir})
    (experiment,) = assemble([config.model_copy(update={"device": device, "data": data})])
    load_model(experiment.model, run.model_file)
    experiment.model.eval()
    return experiment


def open_model(path: Path, device: str = "auto") -> LoadedRun:
    """Load only the trained model of a run, in evaluation mode; no data set is read.

    Raises:
        CheckpointError: if this is not a run directory, or its files are damaged.
        PluginError: if a plugin is missing, naming the one to install.
    """
    run = RunDirectory(path)
    task, setup = build_task(run.read_config())
    format = run.data_format()
    model = build_model(task, setup, format).to(choose_device(device))
    load_model(model, run.model_file)
    model.eval()
    return LoadedRun(task, setup, model, format)
