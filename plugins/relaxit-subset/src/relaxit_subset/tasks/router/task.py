"""A mixture of experts as a task: a router chooses k of n experts for each example.

A network f scores the experts, which params of a distribution over subsets are. The outputs of the
chosen experts e are added with weights w, a softmax of the scores of the chosen ones, and judged:

    minimise over f, e   E_{z ~ q(f(x))} [ loss(sum over i of w_i e_i(x), y) ] + balance * CV^2,

with squared error for targets that are floats and cross-entropy for classes. CV^2 is the squared
coefficient of variation of the expected loads of the experts, so that no expert is left out. The
loads are exact: the marginals of the distribution, averaged over the batch. Evaluation uses the
k experts with the highest scores.

References: Shazeer et al., "Outrageously Large Neural Networks", arXiv:1701.06538, equations 3 to 5
(the weights) and 6 to 7 (CV^2, there of the summed weights of noisy choices); Fedus, Zoph, Shazeer,
"Switch Transformers", arXiv:2101.03961, equation 4 (the same plus 1, if the fraction of tokens is
replaced by its mean).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relaxit import ConfigurationError, Options, RelaxedDistribution
from relaxit.data import Examples, Format, Requirement
from relaxit.training import Display, Setup, Supervised
from relaxit_subset.tasks.router.model import MixtureOfExperts, softmax_weights
from relaxit_subset.tasks.vectors import check_vectors

__all__ = ["Router", "agreement", "imbalance"]

_ROWS = 1000  # examples evaluated at a time


class RouterOptions(Options):
    """Options of :class:`Router`."""

    balance: float = Field(
        0.1, ge=0, description="weight of the squared coefficient of variation of expected loads"
    )
    weights: Literal["softmax", "equal"] = Field(
        "softmax", description="weights of the chosen experts: softmax of their scores, or equal"
    )
    router_hidden: int = Field(64, ge=1, description="hidden units of the router")
    expert_hidden: int = Field(32, ge=1, description="hidden units of each expert")


class Router(Supervised):
    """Route each example to k of n experts, where n and k are options of the structure.

    Targets that are integers are classes; the metric ``accuracy`` is added. The metric ``load`` is
    the largest share of an expert in all choices, between 1/n and 1/k. If the data set has a column
    ``regions``, ``agreement`` tells how well the choices reproduce them, see :func:`agreement`.

    Example:
        >>> import relaxit
        >>> subset, pathwise = relaxit.get("subset", n=8, k=2), relaxit.estimator("pathwise")
        >>> Router().statement(Setup(subset, pathwise))
        'loss of the experts weighted by soft samples of Subset(n=8, k=2), balanced'
    """

    api = 2
    name = "router"
    summary = "mixture of experts: a router chooses k of n experts for each example"
    Options = RouterOptions
    references = ("arXiv:1701.06538", "arXiv:2101.03961")
    defaults = {
        "relaxation": {"name": "subset", "options": {"n": 8, "k": 2}},
        "estimator": {"name": "pathwise"},
        "temperature": {"schedule": "exponential", "initial": 1.0, "final": 0.1},
        "epochs": 20,
        "batch_size": 200,
        "data": {"name": "mixture-of-functions"},
        "optimizer": {"lr": 5e-3, "schedule": "cosine"},
    }
    display = Display(
        bar="loss {train_loss:.4f}",
        line="loss {train_loss:.4f}, of the best experts: test {test_loss:.4f}, largest load "
        "{test_load:.1%}",
        title="loss with the best experts",
        columns={"loss": "loss", "load": "largest load"},
        unit="with the best experts; load: the largest share of an expert in all choices",
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        check_vectors(self, setup, "makes one choice per example", "expert")
        if self.options.balance and not setup.relaxation.capabilities.discrete_distribution:
            raise ConfigurationError(
                f"task {self.name!r} balances exact marginals, but {setup.relaxation!r} has no "
                "discrete distribution; set -t balance=0, or try --relaxation subset"
            )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        regions = Requirement("integer", 0, shape=(), optional=True)
        return {"inputs": Requirement("float"), "targets": self.targets, "regions": regions}

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        balanced = ", balanced" if self.options.balance else ""
        return f"loss of the experts weighted by {kind} samples of {setup.relaxation!r}{balanced}"

    def build(self, setup: Setup, format: Format) -> MixtureOfExperts:
        targets = format.targets
        if targets.classes and targets.shape:
            raise ConfigurationError(
                f"task {self.name!r} needs one class per example or floats, but targets are "
                f"integers of shape {list(targets.shape)} per example; choose another --dataset"
            )
        return MixtureOfExperts(
            format.inputs.entries,
            setup.relaxation.event_shape[0],
            targets.classes or targets.entries,
            self.options.router_hidden,
            self.options.expert_hidden,
        )

    def params(self, setup: Setup, model: nn.Module, batch: Examples) -> Tensor:
        return _mixture(model).scores(batch.inputs.flatten(1))

    def loss(self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:
        prediction, targets = self._predict(model, batch, z), batch.targets
        if targets.is_floating_point():
            return (prediction - targets.flatten(1)).square().mean(-1)
        classes = targets.long().expand(prediction.shape[:-1])
        return cross_entropy(prediction.movedim(-1, 1), classes, reduction="none")

    def penalty(
        self, setup: Setup, model: nn.Module, batch: Examples, q: RelaxedDistribution
    ) -> Tensor | float:
        if not self.options.balance:
            return 0.0
        return self.options.balance * imbalance(q.discrete.mean)

    def measure(
        self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor
    ) -> Mapping[str, Tensor]:
        if batch.targets.is_floating_point():
            return {}
        right = self._predict(model, batch, z).argmax(-1) == batch.targets
        return {"accuracy": right.float()}

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        found = super().evaluate(setup, model, part, seed)
        generator = torch.Generator(part.device).manual_seed(seed)
        chosen = torch.cat(
            [
                self.choose(setup, self.params(setup, model, batch), generator)
                for batch in part.batches(_ROWS, generator)
            ]
        )
        found["load"] = float(chosen.mean(0).max() / chosen.mean(0).sum())
        if "regions" in part.columns:
            _, choices = chosen.unique(dim=0, return_inverse=True)
            found["agreement"] = agreement(choices, part["regions"].long())
        return found

    def _predict(self, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:  # [..., B, O]
        mixture, x = _mixture(model), batch.inputs.flatten(1)
        weights = z / z.sum(-1, keepdim=True)
        if self.options.weights == "softmax":
            weights = softmax_weights(mixture.scores(x), z)
        return torch.einsum("...be,beo->...bo", weights, mixture.outputs(x))


def imbalance(mean: Tensor) -> Tensor:
    """Return the squared coefficient of variation of the experts' expected loads, 0-dim.

    It is 0 if all loads are equal, and n / k - 1 if each example goes to the same k of n experts.

    Args:
        mean: probabilities ``[B, n]`` that an example goes to an expert.

    Example:
        >>> imbalance(torch.tensor([[1.0, 0.0], [0.0, 1.0]])), imbalance(torch.tensor([[1.0, 0.0]]))
        (tensor(0.), tensor(1.))
    """
    load = mean.mean(0)
    share = load / load.sum()
    return len(share) * share.square().sum() - 1


def agreement(first: Tensor, second: Tensor) -> float:
    """Return the normalised mutual information of two labels ``[N]`` of the same examples.

    It is 2 I(first; second) / (H(first) + H(second)): 1 if one is a function of the other and the
    reverse, whatever the labels are called, and about 0 if they are independent.

    Example:
        >>> agreement(torch.tensor([0, 0, 1, 2]), torch.tensor([1, 1, 0, 3]))
        1.0
    """
    joint = torch.zeros(int(first.max()) + 1, int(second.max()) + 1, dtype=torch.float64)
    joint.index_put_((first.cpu(), second.cpu()), torch.tensor(1.0, dtype=torch.float64), True)
    joint /= joint.sum()
    entropies = [float(torch.special.entr(p).sum()) for p in (joint.sum(0), joint.sum(1), joint)]
    total = entropies[0] + entropies[1]
    return 2 * (total - entropies[2]) / total if total else 1.0


def _mixture(model: nn.Module) -> MixtureOfExperts:
    assert isinstance(model, MixtureOfExperts)  # made in build()
    return model
