"""A variational autoencoder with discrete latent variables, as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from relaxit.data import Format, Images, Part, read_batch
from relaxit.environment import require_memory
from relaxit.tasks.vae import figures
from relaxit.tasks.vae.evaluation import discrete_elbo, importance_weighted_bound
from relaxit.tasks.vae.model import Vae
from relaxit.tasks.vae.objective import NegativeElbo
from relaxit.training import Display, Row, Setup, Step, Task, Terms

__all__ = ["VaeTask"]


class VaeTask(Task):
    """Encode and decode images through discrete latent variables; see :class:`NegativeElbo`.

    Example:
        >>> import relaxit
        >>> binary, pathwise = relaxit.get("binary"), relaxit.estimator("pathwise")
        >>> VaeTask().statement(Setup(binary, pathwise, latents=8))
        'surrogate: soft sample with discrete KL, a bound on neither model'
    """

    api = 1
    name = "vae"
    summary = "variational autoencoder with discrete latent variables: the default"
    references = ("arXiv:1611.00712", "arXiv:1611.01144")
    has_kl = True
    autocasts = True
    metrics = ("surrogate", "reconstruction", "kl")
    files = ("reconstructions.png", "samples.png", "curves.png")
    display = Display(
        bar="loss {train_loss:.2f}  ELBO {train_elbo_discrete:.2f}",
        line="loss {train_loss:.2f}, discrete ELBO train {train_elbo_discrete:.2f} "
        "test {test_elbo_discrete:.2f}, KL {test_kl:.2f}",
        title="nats per image (training objective {train_surrogate:.2f})",
        columns={"elbo_discrete": "discrete ELBO", "reconstruction": "reconstruction", "kl": "KL"},
        unit="nats per image",
        decimals=2,
    )

    def check(self, setup: Setup) -> None:
        _require_memory(setup)
        _objective(setup)

    def statement(self, setup: Setup) -> str:
        return _objective(setup).bound

    def build(self, setup: Setup, image_format: Format) -> Vae:
        return Vae(
            setup.relaxation,
            setup.latents,
            image_format.pixels,
            setup.networks.hidden,
            setup.networks.params_activation,
            setup.networks.init,
        )

    def prepare(self, setup: Setup, model: nn.Module, images: Images) -> None:
        if setup.networks.init == "scaled":
            _vae(model).fit_mean(_mean_image(images.part("train")))

    def terms(self, setup: Setup, model: nn.Module, batch: Part, step: Step) -> Terms:
        x = setup.read(batch, step.generator)
        objective = _objective(setup, checked=True)
        terms = objective(_vae(model), x, step.temperature, step.generator)
        loss = terms.reconstruction + step.kl_weight * terms.kl
        with torch.no_grad():
            surrogate = terms.reconstruction + terms.kl
        shown = (surrogate, terms.discrete_reconstruction, terms.discrete_kl)
        return Terms(loss, dict(zip(self.metrics, shown, strict=True)))

    def summarise(self, sums: Mapping[str, float], examples: float) -> dict[str, float]:
        return {
            "surrogate": sums["surrogate"] / examples,
            "elbo_discrete": -(sums["reconstruction"] + sums["kl"]) / examples,
            "reconstruction": sums["reconstruction"] / examples,
            "kl": sums["kl"] / examples,
        }

    def evaluate(self, setup: Setup, model: nn.Module, part: Part, seed: int) -> dict[str, float]:
        bound = discrete_elbo(
            _vae(model), setup.relaxation, part.images, part.levels, setup.binarise, seed
        )
        return {
            "elbo_discrete": bound.elbo,
            "reconstruction": bound.reconstruction,
            "kl": bound.kl,
        }

    def draw(
        self, setup: Setup, model: nn.Module, images: Images, rows: Sequence[Row], directory: Path
    ) -> None:
        figures.draw_reconstructions(setup, _vae(model), images, directory / "reconstructions.png")
        samples = self.sample_prior(setup, model, 64, setup.seed)
        figures.draw_grid(samples, images.size, 8, directory / "samples.png")
        if rows:
            figures.draw_elbo_curves(rows, directory / "curves.png")

    def sample_prior(self, setup: Setup, model: nn.Module, count: int, seed: int) -> Tensor:
        return figures.prior_samples(_vae(model), setup.relaxation, setup.latents, count, seed)

    def importance_weighted_bound(
        self,
        setup: Setup,
        model: nn.Module,
        part: Part,
        samples: int,
        seed: int,
        progress: Callable[[int], object],
    ) -> float:
        return importance_weighted_bound(
            _vae(model),
            setup.relaxation,
            part.images,
            part.levels,
            samples,
            setup.binarise,
            seed,
            progress,
        )


def _vae(model: nn.Module) -> Vae:
    assert isinstance(model, Vae)  # made by build()
    return model


def _objective(setup: Setup, checked: bool = False) -> NegativeElbo:
    settings = setup.objective
    return NegativeElbo(
        setup.relaxation,
        setup.estimator,
        settings.kl,
        settings.prior_temperature,
        setup.products,
        checked,
    )


def _mean_image(train: Part) -> Tensor:
    sums = [read_batch(part.images, part.levels).sum(0) for part in train.split(10_000)]
    return torch.stack(sums).sum(0) / len(train)


def _require_memory(setup: Setup) -> None:
    shape, hidden = setup.relaxation.param_shape, setup.networks.hidden
    entries = setup.latents * (shape.numel() + setup.relaxation.event_shape.numel())
    weights = entries * (hidden[-1] if hidden else 1)
    # Four bytes each; weights, gradients and Adam's two moments; as many copies of a batch.
    require_memory(
        4 * 4 * (weights + entries * setup.batch_size),
        f"{setup.latents} latents of shape {list(shape)} and batches of {setup.batch_size}",
    )
