"""Training: the configuration of a run, the objects built from it, and the training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.training.assembly import build_task as build_task
    from relaxit.training.assembly import load_data as load_data
    from relaxit.training.assembly import seeded_weights as seeded_weights
    from relaxit.training.assembly import with_defaults as with_defaults
    from relaxit.training.building import build as build
    from relaxit.training.building import build_all as build_all
    from relaxit.training.building import build_members as build_members
    from relaxit.training.building import preflight as preflight
    from relaxit.training.callbacks import Callback as Callback
    from relaxit.training.callbacks import SilentCallback as SilentCallback
    from relaxit.training.config import TASK as TASK
    from relaxit.training.config import DataConfig as DataConfig
    from relaxit.training.config import OptimizerConfig as OptimizerConfig
    from relaxit.training.config import RunConfig as RunConfig
    from relaxit.training.config import TemperatureConfig as TemperatureConfig
    from relaxit.training.config import combine as combine
    from relaxit.training.config import is_default_task as is_default_task
    from relaxit.training.config import merge as merge
    from relaxit.training.config import resolve as resolve
    from relaxit.training.config import validated as validated
    from relaxit.training.config import with_defaults_of_task as with_defaults_of_task
    from relaxit.training.display import Display as Display
    from relaxit.training.display import Row as Row
    from relaxit.training.earlier_versions import upgrade as upgrade
    from relaxit.training.experiment import Experiment as Experiment
    from relaxit.training.experiment import evaluation_mode as evaluation_mode
    from relaxit.training.figures import Curve as Curve
    from relaxit.training.figures import Panel as Panel
    from relaxit.training.figures import draw_curves as draw_curves
    from relaxit.training.figures import draw_grid as draw_grid
    from relaxit.training.keys import KEYS as KEYS
    from relaxit.training.keys import WORDS as WORDS
    from relaxit.training.keys import nest as nest
    from relaxit.training.loop import Outcome as Outcome
    from relaxit.training.loop import train as train
    from relaxit.training.precision import Precision as Precision
    from relaxit.training.precision import matmuls as matmuls
    from relaxit.training.recipe_files import read_recipe as read_recipe
    from relaxit.training.schedules import ramp as ramp
    from relaxit.training.setup import ESTIMATOR_STATE as ESTIMATOR_STATE
    from relaxit.training.setup import Setup as Setup
    from relaxit.training.setup import Variable as Variable
    from relaxit.training.stopping import StopRequest as StopRequest
    from relaxit.training.supervised import Supervised as Supervised
    from relaxit.training.task import Step as Step
    from relaxit.training.task import Task as Task
    from relaxit.training.task import Terms as Terms
    from relaxit.training.temperature import Temperature as Temperature
    from relaxit.training.texts import write_texts as write_texts
    from relaxit.training.trainer import Trainer as Trainer

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.training.building": ["build", "build_all", "build_members", "preflight"],
        "relaxit.training.callbacks": ["Callback", "SilentCallback"],
        "relaxit.training.config": [
            "DataConfig",
            "OptimizerConfig",
            "RunConfig",
            "TASK",
            "TemperatureConfig",
            "combine",
            "is_default_task",
            "merge",
            "resolve",
            "validated",
            "with_defaults_of_task",
        ],
        "relaxit.training.assembly": [
            "build_task",
            "load_data",
            "seeded_weights",
            "with_defaults",
        ],
        "relaxit.training.experiment": ["Experiment", "evaluation_mode"],
        "relaxit.training.figures": ["Curve", "Panel", "draw_curves", "draw_grid"],
        "relaxit.training.keys": ["KEYS", "WORDS", "nest"],
        "relaxit.training.loop": ["Outcome", "train"],
        "relaxit.training.precision": ["Precision", "matmuls"],
        "relaxit.training.recipe_files": ["read_recipe"],
        "relaxit.training.schedules": ["ramp"],
        "relaxit.training.setup": ["ESTIMATOR_STATE", "Setup", "Variable"],
        "relaxit.training.stopping": ["StopRequest"],
        "relaxit.training.supervised": ["Supervised"],
        "relaxit.training.display": ["Display", "Row"],
        "relaxit.training.task": ["Step", "Task", "Terms"],
        "relaxit.training.temperature": ["Temperature"],
        "relaxit.training.texts": ["write_texts"],
        "relaxit.training.trainer": ["Trainer"],
        "relaxit.training.earlier_versions": ["upgrade"],
    },
)
