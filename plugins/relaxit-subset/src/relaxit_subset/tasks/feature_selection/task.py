"""Feature selection as a task: learn the pixels from which a classifier recognises the class best.

One subset for all images is learned end to end with the classifier f:

    minimise over theta, f   E_{z ~ q_theta} [ mean over images of  cross-entropy(f(x * z), y) ].

The params theta are one score per pixel and do not depend on the image, so one sample serves a
whole batch: this gave the same held-out accuracy as one sample per image, at a fraction of the
cost. Evaluation uses the *mode* of the discrete distribution, the k pixels with the highest scores.

References: Chen, Song, Wainwright, Jordan, "Learning to Explain", arXiv:1802.07814 (a subset for
each input); Abid, Balin, Zou, "Concrete Autoencoders", arXiv:1901.09346 (one for all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relaxit import ConfigurationError, Options, Task
from relaxit.data import Examples, Format, Requirement, Splits
from relaxit.training import Display, Row, Setup, Step, Terms, draw_grid
from relaxit_subset.tasks.feature_selection.figures import draw_selected
from relaxit_subset.tasks.feature_selection.model import Selector
from relaxit_subset.tasks.vectors import check_vectors

__all__ = ["FeatureSelection", "inclusion", "selection"]

_ROWS = 1000  # images evaluated at a time
_DRAWS = 256  # samples for inclusion probabilities where there is no discrete distribution


class FeatureSelectionOptions(Options):
    """Options of :class:`FeatureSelection`."""

    score_rate: float = Field(
        50.0,
        gt=0,
        description="learning rate of the pixels' scores, as a multiple of the classifier's",
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (256, 128), description="hidden units of the classifier"
    )


class FeatureSelection(Task):
    """Choose pixels and train a classifier that sees only these pixels, at the same time.

    The task supports every structure whose params and values are vectors with one entry per pixel,
    with every estimator that supports the structure. The metric ``shared`` is the average number of
    pixels that two independent samples have in common: k^2 / pixels at first, and k at the end,
    when the distribution has become deterministic.

    Example:
        >>> import relaxit
        >>> subset, simple = relaxit.get("subset", n=784, k=50), relaxit.estimator("simple")
        >>> FeatureSelection().statement(Setup(subset, simple, latents=1))
        'cross-entropy of a classifier that sees the pixels of one hard sample'
    """

    api = 2
    name = "feature-selection"
    summary = "the pixels from which a classifier works best"
    Options = FeatureSelectionOptions
    references = ("arXiv:1802.07814", "arXiv:1901.09346")
    defaults = {
        "relaxation": {"name": "subset", "options": {"n": 64, "k": 10}},
        "temperature": {"schedule": "exponential", "initial": 1.0, "final": 0.1},
        "epochs": 60,
        "batch_size": 50,
        "optimizer": {"lr": 2e-3, "schedule": "cosine"},
    }
    metrics = ("accuracy",)
    files = ("selected.png", "inclusion.png", "curves.png")
    display = Display(
        bar="loss {train_loss:.3f}  accuracy {train_accuracy:.1%}",
        line="loss {train_loss:.3f}, accuracy train {train_accuracy:.2%} test {test_accuracy:.2%}, "
        "two samples share {test_shared:.1f} pixels",
        title="with the best pixels",
        columns={"accuracy": "accuracy", "cross_entropy": "cross-entropy", "shared": "shared"},
        unit="with the best pixels; shared: number of pixels that two samples have in common",
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        check_vectors(self, setup, "learns one subset", "pixel")

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": Requirement("float"), "targets": Requirement("integer", 0, shape=())}

    def statement(self, setup: Setup) -> str:
        seen = "pixels of one hard sample"
        if not setup.estimator.hard:
            seen = "pixels weighted by one soft sample"
        return f"cross-entropy of a classifier that sees the {seen}"

    def build(self, setup: Setup, format: Format) -> Selector:
        chosen_from = setup.relaxation.event_shape.numel()
        if chosen_from != format.inputs.entries:
            raise ConfigurationError(
                f"task {self.name!r}: {setup.relaxation!r} chooses among {chosen_from} items, but "
                f"an image has {format.inputs.entries} pixels; set -o n={format.inputs.entries}"
            )
        return Selector(
            format.inputs.entries,
            format.targets.classes,
            self.options.hidden,
            self.options.score_rate,
        )

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        selector, labels = _selector(model), batch.targets.long()
        x = batch.inputs.flatten(1)

        def cost(z: Tensor) -> Tensor:  # [P] -> [], one sample for the batch
            return cross_entropy(selector.logits(x, z), labels)

        q = setup.distribution(selector.params, step.temperature)
        loss = setup.surrogate(model, q, cost, step.generator)
        with torch.no_grad():
            z = selection(setup, selector)
            right = (selector.logits(x, z).argmax(-1) == labels).float()
        return Terms(loss.expand(len(batch)), {"accuracy": right})

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        selector = _selector(model)
        generator = torch.Generator(part.device).manual_seed(seed)
        z, mean = selection(setup, selector), inclusion(setup, selector, generator)
        right = loss = 0.0
        for batch in part.batches(_ROWS, generator):
            labels = batch.targets.long()
            logits = selector.logits(batch.inputs.flatten(1), z)
            right += float((logits.argmax(-1) == labels).sum())
            loss += float(cross_entropy(logits, labels, reduction="sum"))
        return {
            "accuracy": right / len(part),
            "cross_entropy": loss / len(part),
            "shared": float(mean.square().sum()),
        }

    def draw(
        self, setup: Setup, model: nn.Module, data: Splits, rows: Sequence[Row], directory: Path
    ) -> None:
        super().draw(setup, model, data, rows, directory)
        selector = _selector(model)
        generator = torch.Generator(selector.params.device).manual_seed(setup.seed)
        mean = inclusion(setup, selector, generator)
        if len(data.format.inputs.shape) == 2:  # inputs that are images
            size = (data.format.inputs.shape[0], data.format.inputs.shape[1])
            draw_grid(mean[None], size, 1, directory / "inclusion.png")
            draw_selected(selection(setup, selector), data, directory / "selected.png")


def selection(setup: Setup, model: Selector) -> Tensor:
    """Return the best pixels as zeros and ones ``[P]``: the mode of the discrete distribution.

    For a relaxation without a discrete distribution, the argmax of the params.
    """
    params = model.params.detach()
    if setup.relaxation.capabilities.discrete_distribution:
        mode: Tensor = setup.distribution(params).discrete.mode
        return mode
    return setup.relaxation.hard(params)


def inclusion(setup: Setup, model: Selector, generator: torch.Generator) -> Tensor:
    """Return the probability ``[P]`` that a pixel is chosen.

    It is exact, or estimated from samples if there is no discrete distribution.
    """
    q = setup.distribution(model.params.detach())
    if setup.relaxation.capabilities.discrete_distribution:
        return q.discrete.mean
    return q.sample_hard((_DRAWS,), generator).mean(0)


def _selector(model: nn.Module) -> Selector:
    assert isinstance(model, Selector)  # made in build()
    return model
