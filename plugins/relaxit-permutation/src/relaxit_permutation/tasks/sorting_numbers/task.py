"""Sorting as a task: a network learns to sort from lists of n numbers and their sorted versions.

A network f sees each number x_j separately and returns its scores for the n ranks; no score depends
on another number of the list. The relaxed permutation P of these scores is trained to

    minimise over f   E_{P ~ q(f(x))} [ mean over ranks of  (P x - sorted(x))^2 ],

with the greatest number first. Evaluation uses the best permutation without noise, on other lists.

Reference: Mena, Belanger, Linderman, Snoek, "Learning Latent Permutations with Gumbel-Sinkhorn
Networks", arXiv:1802.08665, section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from relaxit import ConfigurationError, Options, Task
from relaxit.data import Examples, Format, Requirement, Splits
from relaxit.training import Display, Setup, Step, Terms
from relaxit_permutation.tasks.ordering import best_order, check_order, distributions
from relaxit_permutation.tasks.sorting_numbers.model import Scorer

__all__ = ["NUMBERS", "SortingNumbers", "joined"]

NUMBERS = 20_000
"""Number of numbers evaluated at a time."""


class SortingNumbersOptions(Options):
    """Options of :class:`SortingNumbers`."""

    samples: int = Field(
        5, ge=1, description="number of permutations drawn for each list in a step"
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (32,), description="hidden units of the network that scores a number"
    )


class SortingNumbers(Task):
    """Learn to sort lists of n numbers, where n is an option of the structure.

    The data set consists of single numbers, which are joined into lists in the order in which they
    come. So ``batch_size`` counts numbers, and a step sees ``batch_size / n`` lists. An example is
    a list. The metrics are ``wrong``, the share of ranks with a wrong number; ``lists_wrong``, the
    share of lists with a wrong number; and ``squared_error`` of hard permutations.

    Example:
        >>> import relaxit
        >>> permutation, pathwise = relaxit.get("permutation", n=50), relaxit.estimator("pathwise")
        >>> SortingNumbers().statement(Setup(permutation, pathwise, latents=1))
        'squared error between P x and the sorted list, of soft permutations P'
    """

    api = 2
    name = "sorting-numbers"
    summary = "learn to sort lists of n numbers from examples"
    Options = SortingNumbersOptions
    references = ("arXiv:1802.08665, section 5.1",)
    defaults = {
        "relaxation": {"name": "permutation", "options": {"n": 10}},
        "epochs": 40,
        "batch_size": 5000,
        "data": {"name": "numbers"},
        "optimizer": {"lr": 0.1, "schedule": "cosine"},
    }
    display = Display(
        bar="squared error {train_loss:.2e}",
        line="squared error {train_loss:.2e}, of test numbers {test_wrong:.3%} at a wrong rank, "
        "{test_lists_wrong:.2%} of lists not sorted",
        title="hard permutations without noise",
        columns={
            "wrong": "wrong numbers",
            "lists_wrong": "wrong lists",
            "squared_error": "squared error",
        },
        unit="hard permutations without noise; shares of numbers and of lists",
        decimals=6,
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        check_order(self, setup)
        n = setup.relaxation.event_shape[0]
        if setup.batch_size < n:
            raise ConfigurationError(
                f"task {self.name!r}: a batch of {setup.batch_size} numbers is too small for a "
                f"list of {n}; set --batch-size {n} or more"
            )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": Requirement("float", shape=())}

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        return f"squared error between P x and the sorted list, of {kind} permutations P"

    def build(self, setup: Setup, format: Format) -> Scorer:
        return Scorer(1, self.options.hidden, setup.relaxation.param_shape)

    def prepare(self, setup: Setup, model: nn.Module, data: Splits) -> None:
        del model
        n = setup.relaxation.event_shape[0]
        for name, part in (
            ("training", data.train),
            ("validation", data.validation),
            ("test", data.test),
        ):
            if 0 < len(part) < n:
                raise ConfigurationError(
                    f"task {self.name!r}: the {name} set of {len(part)} numbers is too small for a "
                    f"list of {n}; set a smaller -o n, or use a larger {name} set"
                )

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        x = joined(batch.inputs, setup.relaxation.event_shape[0])
        target = x.sort(-1, descending=True).values

        def cost(p: Tensor) -> Tensor:  # [S, E, n, n] -> [S, E]
            return _squared_error((p @ x.unsqueeze(-1)).squeeze(-1), target)

        q = distributions(setup, model(x.unsqueeze(-1)), step.temperature, self.options.samples)
        return Terms(setup.surrogate(model, q, cost, step.generator).mean(0))

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        del seed  # there is no noise
        n = setup.relaxation.event_shape[0]
        lists = joined(part.inputs, n)
        totals = torch.zeros(3, dtype=torch.float64)
        for x in lists.split(max(1, NUMBERS // n)):
            target = x.sort(-1, descending=True).values
            ordered = x.gather(-1, best_order(setup, model(x.unsqueeze(-1))))
            wrong = ordered != target
            sums = [wrong.float().mean(-1), wrong.any(-1).float(), _squared_error(ordered, target)]
            totals += torch.stack([values.sum() for values in sums]).cpu()
        wrong_share, lists_wrong, error = (totals / len(lists)).tolist()
        return {"wrong": wrong_share, "lists_wrong": lists_wrong, "squared_error": error}


def joined(numbers: Tensor, n: int) -> Tensor:
    """Join numbers ``[B]`` into lists ``[E, n]``, in their order; every number is in a list.

    The last list is filled up with the first numbers, repeatedly if there are fewer than n. So a
    small last batch of an epoch is a list like any other, and not an empty one, whose mean would be
    NaN.

    Example:
        >>> joined(torch.arange(5.0), 3)
        tensor([[0., 1., 2.],
                [3., 4., 0.]])
    """
    count = -(-len(numbers) // n)
    index = torch.arange(count * n, device=numbers.device) % len(numbers)
    return numbers[index].reshape(count, n)


def _squared_error(ordered: Tensor, target: Tensor) -> Tensor:  # [..., n] -> [...]
    return (ordered - target).square().mean(-1)
