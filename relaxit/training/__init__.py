"""Training: the configuration of a run, the objects built from it, and the training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.training.callbacks import Callback as Callback
    from relaxit.training.callbacks import SilentCallback as SilentCallback
    from relaxit.training.config import TASK as TASK
    from relaxit.training.config import DataConfig as DataConfig
    from relaxit.training.config import ModelConfig as ModelConfig
    from relaxit.training.config import ObjectiveConfig as ObjectiveConfig
    from relaxit.training.config import OptimizerConfig as OptimizerConfig
    from relaxit.training.config import RunConfig as RunConfig
    from relaxit.training.config import TemperatureConfig as TemperatureConfig
    from relaxit.training.config import combine as combine
    from relaxit.training.config import merge as merge
    from relaxit.training.config import read_recipe as read_recipe
    from relaxit.training.config import resolve as resolve
    from relaxit.training.experiment import Experiment as Experiment
    from relaxit.training.experiment import build as build
    from relaxit.training.experiment import build_all as build_all
    from relaxit.training.experiment import build_members as build_members
    from relaxit.training.experiment import build_task as build_task
    from relaxit.training.experiment import evaluation_mode as evaluation_mode
    from relaxit.training.experiment import load_images as load_images
    from relaxit.training.experiment import with_defaults as with_defaults
    from relaxit.training.figures import Curve as Curve
    from relaxit.training.figures import Panel as Panel
    from relaxit.training.figures import draw_curves as draw_curves
    from relaxit.training.figures import draw_grid as draw_grid
    from relaxit.training.loop import Outcome as Outcome
    from relaxit.training.loop import Trainer as Trainer
    from relaxit.training.loop import train as train
    from relaxit.training.precision import Precision as Precision
    from relaxit.training.precision import matmuls as matmuls
    from relaxit.training.preflight import check_learned_temperature as check_learned_temperature
    from relaxit.training.stopping import StopRequest as StopRequest
    from relaxit.training.task import ESTIMATOR_STATE as ESTIMATOR_STATE
    from relaxit.training.task import Display as Display
    from relaxit.training.task import Row as Row
    from relaxit.training.task import Setup as Setup
    from relaxit.training.task import Step as Step
    from relaxit.training.task import Task as Task
    from relaxit.training.task import Terms as Terms

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.training.callbacks": ["Callback", "SilentCallback"],
        "relaxit.training.config": [
            "DataConfig",
            "ModelConfig",
            "ObjectiveConfig",
            "OptimizerConfig",
            "RunConfig",
            "TASK",
            "TemperatureConfig",
            "combine",
            "merge",
            "read_recipe",
            "resolve",
        ],
        "relaxit.training.experiment": [
            "Experiment",
            "build",
            "build_all",
            "build_members",
            "build_task",
            "with_defaults",
            "load_images",
            "evaluation_mode",
        ],
        "relaxit.training.figures": ["Curve", "Panel", "draw_curves", "draw_grid"],
        "relaxit.training.loop": ["Outcome", "Trainer", "train"],
        "relaxit.training.precision": ["Precision", "matmuls"],
        "relaxit.training.preflight": ["check_learned_temperature"],
        "relaxit.training.stopping": ["StopRequest"],
        "relaxit.training.task": [
            "Display",
            "ESTIMATOR_STATE",
            "Row",
            "Setup",
            "Step",
            "Task",
            "Terms",
        ],
    },
)
