"""Training steps and whole runs of the autoencoder, compared with an old tutorial's script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.tasks.vae.benchmarks.random_mnist import mnist_files as mnist_files
    from relaxit.tasks.vae.benchmarks.training_steps import TrainingSteps as TrainingSteps
    from relaxit.tasks.vae.benchmarks.whole_runs import training_programs as training_programs

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.tasks.vae.benchmarks.random_mnist": ["mnist_files"],
        "relaxit.tasks.vae.benchmarks.training_steps": ["TrainingSteps"],
        "relaxit.tasks.vae.benchmarks.whole_runs": ["training_programs"],
    },
)
