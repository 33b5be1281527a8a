"""A variational autoencoder with discrete latent variables, as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from relaxit.data import Examples, Format, ImageReader, Requirement, Splits
from relaxit.environment import require_memory
from relaxit.tasks.vae import figures
from relaxit.tasks.vae.evaluation import discrete_elbo, importance_weighted_bound
from relaxit.tasks.vae.likelihood import REQUIRED, build_likelihood
from relaxit.tasks.vae.model import Vae
from relaxit.tasks.vae.objective import NegativeElbo
from relaxit.tasks.vae.options import VaeOptions
from relaxit.training import Display, Row, Setup, Step, Task, Terms, ramp

__all__ = ["TrainedVae", "VaeTask"]


class TrainedVae(Vae):
    """The autoencoder of a run, with its objective.

    Attributes:
        objective: what training minimises.
        shape: shape of an example.
    """

    objective: NegativeElbo
    shape: tuple[int, ...]


class VaeTask(Task):
    """Encode and decode examples through discrete latent variables; see :class:`NegativeElbo`.

    Example:
        >>> import relaxit
        >>> binary, pathwise = relaxit.get("binary"), relaxit.estimator("pathwise")
        >>> VaeTask().statement(Setup(binary, pathwise, latents=8))
        'surrogate: soft sample with discrete KL, a bound on neither model'
    """

    api = 2
    name = "vae"
    summary = "variational autoencoder with discrete latent variables: the default"
    references = ("arXiv:1611.00712", "arXiv:1611.01144")
    Options: ClassVar[type[VaeOptions]] = VaeOptions
    options: VaeOptions
    defaults = {
        "relaxation": {"name": "categorical", "options": {"categories": 10}},
        "latents": 30,
        "epochs": 20,
    }
    autocasts = True
    metrics: ClassVar[tuple[str, ...]] = ("surrogate", "reconstruction", "kl")
    files = ("reconstructions.png", "samples.png", "curves.png")
    display = Display(
        bar="loss {train_loss:.2f}  ELBO {train_elbo_discrete:.2f}",
        line="loss {train_loss:.2f}, discrete ELBO train {train_elbo_discrete:.2f} "
        "test {test_elbo_discrete:.2f}, KL {test_kl:.2f}",
        title="nats per EXAMPLE (training objective {train_surrogate:.2f})",
        columns={"elbo_discrete": "discrete ELBO", "reconstruction": "reconstruction", "kl": "KL"},
        unit="nats per EXAMPLE",
        decimals=2,
    )

    def check(self, setup: Setup) -> None:
        self._require_memory(setup)
        self._objective(setup)
        if (
            self.options.prior == "learned"
            and not setup.relaxation.capabilities.discrete_distribution
        ):
            raise setup.relaxation.unsupported(
                "a discrete distribution, which prior = 'learned' needs"
            )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": REQUIRED[self.options.likelihood]}

    def statement(self, setup: Setup) -> str:
        return self._objective(setup).bound

    def build(self, setup: Setup, format: Format) -> TrainedVae:
        options = self.options
        model = TrainedVae(
            setup.relaxation,
            setup.latents,
            format.inputs.entries,
            options.hidden,
            options.params_activation,
            options.init,
            build_likelihood(options.likelihood, format.inputs),
            options.prior == "learned",
        )
        model.objective = self._objective(setup)
        model.shape = format.inputs.shape
        return model

    def prepare(self, setup: Setup, model: nn.Module, data: Splits) -> None:
        if self.options.init == "scaled":
            vae = _vae(model)
            vae.fit_mean(_mean_example(vae, data.train))

    def schedules(self, step: int, steps: int) -> dict[str, float]:
        return {"kl_weight": ramp(step, self.options.kl_warmup * steps)}

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        vae = _vae(model)
        terms = vae.objective(vae, batch.inputs, step.temperature, step.generator)
        loss = terms.reconstruction + step.scheduled["kl_weight"] * terms.kl
        with torch.no_grad():
            surrogate = terms.reconstruction + terms.kl
        reconstruction, kl = terms.discrete_reconstruction, terms.discrete_kl
        return Terms(loss, {"surrogate": surrogate, "reconstruction": reconstruction, "kl": kl})

    def summarise(self, sums: Mapping[str, float], examples: float) -> dict[str, float]:
        return {
            "surrogate": sums["surrogate"] / examples,
            "elbo_discrete": -(sums["reconstruction"] + sums["kl"]) / examples,
            "reconstruction": sums["reconstruction"] / examples,
            "kl": sums["kl"] / examples,
        }

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        bound = discrete_elbo(_vae(model), setup.relaxation, part, seed)
        return {
            "elbo_discrete": bound.elbo,
            "reconstruction": bound.reconstruction,
            "kl": bound.kl,
        }

    def draw(
        self, setup: Setup, model: nn.Module, data: Splits, rows: Sequence[Row], directory: Path
    ) -> None:
        vae = _vae(model)
        if len(vae.shape) == 2 and vae.likelihood.grey:
            if len(data.test):
                path = directory / "reconstructions.png"
                figures.draw_reconstructions(setup, vae, data, path)
            samples = self.sample_prior(setup, model, 64, setup.seed)
            size = (vae.shape[0], vae.shape[1])
            figures.draw_grid(samples, size, 8, directory / "samples.png")
        if rows:
            noun = "image" if len(vae.shape) == 2 else "example"
            figures.draw_elbo_curves(rows, directory / "curves.png", noun)

    def encode(self, setup: Setup, model: nn.Module, inputs: Tensor) -> Tensor:
        return _vae(model).encode(inputs)

    def decode(self, setup: Setup, model: nn.Module, z: Tensor) -> Tensor:
        vae = _vae(model)
        values = vae.likelihood.mean(vae.decode(z))
        return values.unflatten(-1, vae.shape) if vae.shape else values.squeeze(-1)

    def sample_prior(self, setup: Setup, model: nn.Module, count: int, seed: int) -> Tensor:
        vae = _vae(model)
        values = figures.prior_samples(vae, setup.relaxation, setup.latents, count, seed)
        return values.reshape(count, *vae.shape)

    def importance_weighted_bound(
        self,
        setup: Setup,
        model: nn.Module,
        part: Examples,
        samples: int,
        seed: int,
        progress: Callable[[int], object],
    ) -> float:
        return importance_weighted_bound(
            _vae(model), setup.relaxation, part, samples, seed, progress
        )

    def _objective(self, setup: Setup) -> NegativeElbo:
        return NegativeElbo(
            setup.relaxation,
            setup.estimator,
            self.options.kl,
            self.options.prior_temperature,
            setup.autocast,
        )

    def _require_memory(self, setup: Setup) -> None:
        shape, hidden = setup.relaxation.param_shape, self.options.hidden
        entries = setup.latents * (shape.numel() + setup.relaxation.event_shape.numel())
        weights = entries * (hidden[-1] if hidden else 1)
        # Four bytes each; weights, gradients and Adam's two moments; as many copies of a batch.
        require_memory(
            4 * 4 * (weights + entries * setup.batch_size),
            f"{setup.latents} latents of shape {list(shape)} and batches of {setup.batch_size}",
        )


def _vae(model: nn.Module) -> TrainedVae:
    assert isinstance(model, TrainedVae)  # made by build()
    return model


def _mean_example(model: Vae, train: Examples) -> Tensor:
    """Return the mean encoded example ``[F]``, of images before binarisation."""
    reader = train.reader
    if isinstance(reader, ImageReader):
        reader = replace(reader, binarise="none")
    batches = Examples(train.columns, reader).batches(10_000)
    sums = [model.likelihood.encode(batch.inputs).sum(0) for batch in batches]
    return torch.stack(sums).sum(0) / len(train)
