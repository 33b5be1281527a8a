"""The variational autoencoder with discrete latent variables, as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.tasks.vae.evaluation import discrete_elbo as discrete_elbo
    from relaxit.tasks.vae.evaluation import importance_weighted_bound as importance_weighted_bound
    from relaxit.tasks.vae.likelihood import Likelihood as Likelihood
    from relaxit.tasks.vae.likelihood import build_likelihood as build_likelihood
    from relaxit.tasks.vae.likelihood import pixel_loss as pixel_loss
    from relaxit.tasks.vae.model import Vae as Vae
    from relaxit.tasks.vae.objective import NegativeElbo as NegativeElbo
    from relaxit.tasks.vae.options import VaeOptions as VaeOptions
    from relaxit.tasks.vae.task import TrainedVae as TrainedVae
    from relaxit.tasks.vae.task import VaeTask as VaeTask

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.tasks.vae.evaluation": ["discrete_elbo", "importance_weighted_bound"],
        "relaxit.tasks.vae.model": ["Vae"],
        "relaxit.tasks.vae.likelihood": ["Likelihood", "build_likelihood", "pixel_loss"],
        "relaxit.tasks.vae.objective": ["NegativeElbo"],
        "relaxit.tasks.vae.options": ["VaeOptions"],
        "relaxit.tasks.vae.task": ["TrainedVae", "VaeTask"],
    },
)
