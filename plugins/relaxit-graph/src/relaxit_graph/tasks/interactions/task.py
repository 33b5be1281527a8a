"""Recover the interaction graph of trajectories: neural relational inference as a task.

A network f scores the pairs of nodes of a trajectory x, and these scores are the params of a
distribution over graphs. A decoder g predicts each frame from the one before, by messages along the
edges of a graph A drawn from it. Both are trained without knowing the true graph:

    minimise over f, g   E_{A ~ q(f(x))} [ sum over t of |x_{t+1} - g(x_t, A)|^2 / (2 s^2) ]
                         + KL(q(f(x)) || uniform),

the negative evidence lower bound with a normal likelihood of standard deviation s, up to a
constant. The structure is the prior knowledge: with spanning trees, every inferred graph is one.
Evaluation uses the most likely graph.

References: Kipf, Fetaya, Wang, Welling, Zemel, "Neural Relational Inference for Interacting
Systems", arXiv:1802.04687, section 3; Paulus, Choi, Tarlow, Krause, Maddison, "Gradient Estimation
with Stochastic Softmax Tricks", arXiv:2006.08063, section 6.1 (spanning trees in place of
independent edges).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit import ConfigurationError, Options, Relaxation, RelaxedDistribution, Unsupported
from relaxit.data import Examples, Format, Requirement, Splits
from relaxit.training import Display, Row, Setup, Supervised
from relaxit_graph.tasks.interactions.figures import draw_graphs, draw_metrics
from relaxit_graph.tasks.interactions.model import InteractionModel
from relaxit_graph.tasks.interactions.pairs import adjacency_of, nodes_of, params_of

__all__ = ["Interactions"]

_SHOWN = 4  # simulations in the figure
_DRAWS = 200  # samples whose mean stands for marginals that are not tractable


class InteractionsOptions(Options):
    """Options of :class:`Interactions`."""

    hidden: int = Field(32, ge=1, description="hidden units of encoder and decoder")
    deviation: float = Field(
        1.0,
        gt=0,
        description="standard deviation of the likelihood, in units of the root mean square of the "
        "change of a feature from frame to frame",
    )
    horizon: int = Field(1, ge=1, description="number of frames predicted from each frame")
    kl: float = Field(1.0, ge=0, description="weight of the KL divergence to the uniform prior")


class Interactions(Supervised):
    """Recover which nodes interact, from trajectories ``[T, N, F]`` of N nodes with F features.

    The structure is one over graphs: its values are adjacency matrices ``[N, N]`` or vectors with
    an entry for each pair of nodes. Interactions are mutual; a directed edge joins its two nodes.
    The metric ``squared_error`` is that of predictions, in units of the mean squared change between
    frames. If the data set has a column ``adjacency``, the graphs are compared with it: of the
    inferred edges the share ``precision`` is right, and of the true edges the share ``recall`` is
    found; ``f1`` is their harmonic mean.

    Example:
        >>> import relaxit
        >>> subset, pathwise = relaxit.get("subset", n=10, k=4), relaxit.estimator("pathwise")
        >>> Interactions().statement(Setup(subset, pathwise))
        'prediction error with soft graphs of Subset(n=10, k=4), and their KL to uniform'
    """

    api = 2
    name = "interactions"
    summary = "recover the interaction graph of trajectories: neural relational inference"
    Options = InteractionsOptions
    references = ("arXiv:1802.04687", "arXiv:2006.08063, section 6.1")
    defaults = {
        "relaxation": {"name": "spanning-tree", "options": {"nodes": 5}},
        "estimator": {"name": "pathwise"},
        "temperature": {"schedule": "constant", "initial": 0.5},
        "epochs": 30,
        "batch_size": 20,
        "data": {"name": "springs"},
        "optimizer": {"lr": 8e-3, "schedule": "cosine", "warmup": 0.1},
    }
    files = ("graphs.png", "curves.png")
    display = Display(
        bar="loss {train_loss:.2f}",
        line="loss {train_loss:.2f}, test: squared error {test_squared_error:.4f}, edges: "
        "precision {test_precision:.1%}, recall {test_recall:.1%}",
        title="most likely graphs",
        columns={
            "squared_error": "squared error",
            "kl": "KL",
            "precision": "precision",
            "recall": "recall",
            "f1": "F1",
        },
        unit="most likely graphs; squared error in units of the mean squared change; KL in nats",
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        if setup.latents != 1:
            raise ConfigurationError(
                f"task {self.name!r} infers one graph per example, got {setup.latents} latents; "
                "set --latents 1"
            )
        relaxation = setup.relaxation
        event, params = relaxation.event_shape, relaxation.param_shape
        if not nodes_of(event) or event != params:
            raise ConfigurationError(
                f"task {self.name!r} needs values and params [N, N] or [N (N - 1) / 2] of graphs, "
                f"but those of {relaxation!r} have shapes {list(event)} and {list(params)}; try "
                "--relaxation spanning-tree"
            )
        if self.options.kl:
            try:
                relaxation.kl_to_uniform(torch.zeros(params))
            except Unsupported as error:
                raise ConfigurationError(
                    f"task {self.name!r} needs the KL divergence of {relaxation!r} to the uniform "
                    "distribution, which it does not have; set -t kl=0"
                ) from error

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {
            "inputs": Requirement("float", shape=(None, None, None)),
            "adjacency": Requirement("integer", 0, 1, shape=(None, None), optional=True),
        }

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        divergence = ", and their KL to uniform" if self.options.kl else ""
        return f"prediction error with {kind} graphs of {setup.relaxation!r}{divergence}"

    def build(self, setup: Setup, format: Format) -> InteractionModel:
        frames, nodes, features = format.inputs.shape
        expected = nodes_of(setup.relaxation.event_shape)
        if nodes != expected:
            raise ConfigurationError(
                f"task {self.name!r}: trajectories of {nodes} nodes, but graphs of {expected}: "
                f"{setup.relaxation!r}; {_sized(setup.relaxation, nodes)}"
            )
        known = format.columns.get("adjacency")
        if known and known.shape != (nodes, nodes):
            raise ConfigurationError(
                f"task {self.name!r}: trajectories of {nodes} nodes, but a column adjacency of "
                f"shape {list(known.shape)} per example; choose another --dataset"
            )
        if self.options.horizon >= frames:
            raise ConfigurationError(
                f"task {self.name!r}: trajectories of {frames} frames are too short for horizon "
                f"{self.options.horizon}; set -t horizon={max(frames - 1, 1)}"
            )
        return InteractionModel(features, self.options.hidden)

    def prepare(self, setup: Setup, model: nn.Module, data: Splits) -> None:
        _model(model).fit_scales(data.train.read().inputs)

    def params(self, setup: Setup, model: nn.Module, batch: Examples) -> Tensor:
        return params_of(_model(model).scores(batch.inputs), setup.relaxation.param_shape)

    def loss(self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:
        return self._errors(setup, model, batch, z) / (2 * self.options.deviation**2)

    def penalty(
        self, setup: Setup, model: nn.Module, batch: Examples, q: RelaxedDistribution
    ) -> Tensor | float:
        if not self.options.kl:
            return 0.0
        return self.options.kl * q.kl_to_uniform()

    def measure(
        self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor
    ) -> Mapping[str, Tensor]:
        x = batch.inputs
        predicted = (x.shape[1] - self.options.horizon) * x.shape[2] * x.shape[3]
        found = {"squared_error": self._errors(setup, model, batch, z) / predicted}
        if self.options.kl:
            q = setup.distribution(self.params(setup, model, batch))
            found["kl"] = q.kl_to_uniform()
        if "adjacency" in batch.columns:
            inferred = adjacency_of(z, setup.relaxation.event_shape)
            true = batch["adjacency"].to(inferred.dtype)
            counted = {"right": inferred * true, "inferred": inferred, "true": true}
            found |= {name: edges.sum((-1, -2)) for name, edges in counted.items()}
        return found

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        found = super().evaluate(setup, model, part, seed)
        if "adjacency" in part.columns:
            right, inferred, true = (found.pop(name) for name in ("right", "inferred", "true"))
            found["precision"] = right / inferred if inferred else 0.0
            found["recall"] = right / true if true else 0.0
            found["f1"] = 2 * right / (inferred + true) if inferred + true else 0.0
        return found

    def draw(
        self, setup: Setup, model: nn.Module, data: Splits, rows: Sequence[Row], directory: Path
    ) -> None:
        if rows:
            draw_metrics(rows, directory / "curves.png")
        part = data.test if len(data.test) else data.train
        index = torch.arange(min(_SHOWN, len(part)), device=part.device)
        batch = part.take(index).read()
        q = setup.distribution(self.params(setup, model, batch))
        if setup.relaxation.capabilities.discrete_distribution:
            mean = q.discrete.mean
        else:
            generator = torch.Generator(part.device).manual_seed(setup.seed)
            mean = q.sample_hard((_DRAWS,), generator).mean(0)
        true = batch["adjacency"] if "adjacency" in batch.columns else None
        marginals = adjacency_of(mean, setup.relaxation.event_shape)
        draw_graphs(batch.inputs, marginals, true, directory / "graphs.png")

    def _errors(self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:
        adjacency = adjacency_of(z, setup.relaxation.event_shape)
        return _model(model).errors(batch.inputs, adjacency, self.options.horizon)


def _sized(relaxation: Relaxation, nodes: int) -> str:
    """Return what to do for a structure over graphs of a number of nodes."""
    vector = len(relaxation.event_shape) == 1
    shape = [nodes * (nodes - 1) // 2] if vector else [nodes, nodes]
    sizes = type(relaxation).sizes(torch.Size(shape))
    options = " ".join(f"-o {key}={value}" for key, value in sizes.items())
    return f"set {options}" if options else "choose another --relaxation"


def _model(model: nn.Module) -> InteractionModel:
    assert isinstance(model, InteractionModel)  # made in build()
    return model
