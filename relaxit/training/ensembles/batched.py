"""Several seeds or temperatures of one experiment, trained as one batched step.

Weights, order of the images and noise of each member are those of the same run trained alone, so
each member *is* that run, up to the rounding of batched matrix multiplications. Batching saves the
overhead per step that does not grow with the number of members: small tensors, kernel launches and
Python.

The parameters of all members are stacked, ``[S, ...]``, and a task's terms run under
``torch.func.vmap``. The step of the optimizer is elementwise, so that one step over the stacked
parameters is the same as S separate ones. :meth:`~relaxit.training.task.Task.terms` must therefore
run under ``vmap``: it must not depend on values in Python, and must draw noise through
:mod:`relaxit.noise`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from relaxit.data import Examples
from relaxit.errors import DivergenceError, RelaxitError, Unsupported
from relaxit.noise import Streams
from relaxit.training.callbacks import Callback
from relaxit.training.display import Row
from relaxit.training.divergence import FirstBad
from relaxit.training.ensembles.stacked_linear import stack_linear_layers
from relaxit.training.experiment import Experiment
from relaxit.training.metrics import check_shapes, mean_metrics, metrics_row, totals_of
from relaxit.training.optimizer import build_optimizer
from relaxit.training.precision import matmuls
from relaxit.training.setup import ESTIMATOR_STATE
from relaxit.training.task import Step
from relaxit.training.trainer import REPORT_SECONDS
from relaxit.training.trial import trial

__all__ = ["Ensemble"]


class _Member(nn.Module):
    """One step of a run, as a function of its parameters and buffers."""

    def __init__(self, e: Experiment) -> None:
        super().__init__()
        self.model, self.temperature, self.temperatures = e.model, e.temperature, e.temperatures
        self.task, self.setup = e.task, e.setup

    def forward(
        self, batch: Examples, scheduled: dict[str, float], streams: Streams
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the mean loss ``[]``, the sums of :func:`totals_of`, and the new buffers."""
        source = cast(torch.Generator, streams)
        further = {name: module() for name, module in self.temperatures.items()}
        step = Step(self.temperature(), source, further, scheduled)
        terms = self.task.terms(self.setup, self.model, batch.read(source), step)
        check_shapes(self.task, terms)
        loss = terms.loss.mean()
        # Read here, so that replacing a buffer has the same effect as changing it in place.
        return loss, totals_of(terms, loss.detach()), dict(self.named_buffers())


class Ensemble:
    """S runs that differ in seed and temperature only, trained as one.

    Members are numbered from 0, in the order of the experiments.

    The parameters of the experiments' models are views of the stacked parameters. They are always
    up to date, and each model can be evaluated, drawn or saved separately.

    A member whose loss is no longer finite is lost: it is listed in :attr:`lost` and excluded from
    :meth:`rows` from then on. The others are not affected.

    Args:
        experiments: experiments built by :func:`relaxit.training.build_all`.

    Attributes:
        epoch: number of finished epochs.
        step: number of optimizer steps since the beginning.
        seconds: time spent in the training steps of this epoch, for all members together.

    Raises:
        Unsupported: if the training step does not run under ``torch.func.vmap``. The experiments
            are then unchanged and can be trained one by one.

    Example:
        >>> from relaxit.training.config import resolve
        >>> from relaxit.training.building import build_members
        >>> small = {"latents": 2, "epochs": 1, "batch_size": 500}
        >>> task = {"name": "vae", "options": {"hidden": [8]}}
        >>> structure = {"name": "categorical", "options": {"categories": 3}}
        >>> config = resolve([{**small, "task": task, "relaxation": structure, "device": "cpu"}])
        >>> both = Ensemble(build_members(config, seeds=[0, 1]))
        >>> both.run_epoch()
        True
        >>> [row["epoch"] for row in both.rows().values()]
        [1, 1]
    """

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        first = experiments[0]
        self.experiments = list(experiments)
        self.epoch = self.position = self.step = 0
        self.seconds = 0.0
        self.train = first.data.train
        self.generators = [e.noise_generator() for e in experiments]
        members = [_Member(e) for e in experiments]
        for member in members:
            member.train()
        self.parameters: dict[str, Tensor]
        self.buffers: dict[str, Tensor]
        self.parameters, self.buffers = stack_module_state(cast(list[nn.Module], members))
        self._template = copy.deepcopy(members[0]).to("meta")
        stack_linear_layers(self._template)
        self._index = torch.arange(len(members))
        self._rehearse()
        for number, member in enumerate(members):
            self._make_views(member, number)
        undecayed = ("temperature.", "temperatures.", f"model.{ESTIMATOR_STATE}")
        self.optimizer = build_optimizer(
            first.config.optimizer,
            [p for name, p in self.parameters.items() if not name.startswith(undecayed)],
            [p for name, p in self.parameters.items() if name.startswith(undecayed)],
        )
        self.totals = torch.zeros(len(members), 2 + len(first.task.metrics), device=first.device)
        self._first_bad = FirstBad((len(members),), first.device)

    @property
    def lost(self) -> dict[int, int]:
        """First step with a loss that was not finite, by number of the member. Synchronises."""
        steps = enumerate(self._first_bad.step.tolist())
        return {number: step for number, step in steps if step >= 0}

    @property
    def examples_done(self) -> int:
        """Number of training examples that each member has processed in this epoch."""
        return min(self.position * self.experiments[0].config.batch_size, len(self.train))

    def _terms(
        self, batch: Examples, state: dict[str, Tensor], scheduled: dict[str, float]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Compute losses ``[S]``, sums ``[S, M]`` and buffers ``[S, ...]``."""

        def member_terms(
            state: dict[str, Tensor], index: Tensor, columns: dict[str, Tensor]
        ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            part = Examples(columns, batch.reader)
            arguments = (part, scheduled, Streams(self.generators, index))
            return cast(Any, functional_call(self._template, state, arguments))

        mapped: Callable[..., Any] = vmap(member_terms)
        terms: tuple[Tensor, Tensor, dict[str, Tensor]]
        terms = mapped(state, self._index, dict(batch.columns))
        return terms

    def _rehearse(self) -> None:
        """Try a step under ``vmap`` and undo it, to raise its errors early."""
        first = self.experiments[0]
        size = min(first.config.batch_size, len(self.train))
        index = torch.arange(size, device=first.device).expand(len(self.experiments), -1)
        buffers = list(self.buffers.values())
        try:
            with trial(first.device, {}, buffers, self.generators):
                state = {**self.parameters, **self.buffers}
                losses, _, _ = self._terms(self._take(index), state, first.schedules(0))
                torch.autograd.grad(losses.sum(), list(self.parameters.values()), allow_unused=True)
        except RelaxitError:
            raise
        except Exception as error:  # any error of vmap, or of code that does not support Streams
            setup = first.setup
            raise Unsupported(
                f"task {first.task.name!r} with relaxation {setup.relaxation.name!r} and estimator "
                f"{setup.estimator.name!r} cannot be trained as an ensemble, which runs under "
                "torch.func.vmap and draws through relaxit.noise: "
                f"{type(error).__name__}: {str(error).split('. ')[0]}"
            ) from error

    @torch.no_grad()
    def _make_views(self, member: _Member, number: int) -> None:
        for name, parameter in member.named_parameters():
            parameter.data = self.parameters[name].detach()[number]
        for name, _ in list(member.named_buffers()):
            path, _, leaf = name.rpartition(".")
            setattr(member.get_submodule(path), leaf, self.buffers[name][number])

    def _take(self, index: Tensor) -> Examples:
        """Return the columns ``[S, B, ...]`` at ``index`` ``[S, B]``."""
        flat = self.train.take(index.flatten())
        columns = {name: c.unflatten(0, index.shape) for name, c in flat.columns.items()}
        return Examples(columns, flat.reader)

    def train_step(self, index: Tensor) -> None:
        """Perform one update of every member, on its training examples at ``index`` ``[S, B]``."""
        first = self.experiments[0]
        for e in self.experiments:
            e.set_temperatures(self.step)
        losses, sums, buffers = self._terms(
            self._take(index),
            {**self.parameters, **self.buffers},
            first.schedules(self.step),
        )
        self._first_bad.see(losses, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        rate = first.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        with torch.no_grad():
            for name, buffer in buffers.items():
                if buffer.data_ptr() != self.buffers[name].data_ptr():
                    self.buffers[name].copy_(buffer)
            self.totals += sums
        self.step += 1
        self.position += 1

    def run_epoch(self, stop: object = None, report: Callback | None = None) -> bool:
        """Train to the end of the epoch, or until ``stop`` is true.

        Args:
            stop: stop request, whose truth value is checked after each step.
            report: callback for progress; it gets the examples of all members together, and means
                over the members.

        Returns:
            Whether the epoch is finished.

        Raises:
            DivergenceError: if all members are lost.
        """
        first = self.experiments[0]
        size = first.config.batch_size
        orders = torch.stack([e.order(self.epoch) for e in self.experiments])
        began, last_report, seen = time.perf_counter(), 0.0, 0
        for start in range(self.position * size, orders.shape[1], size):
            index = orders[:, start : start + size]
            with matmuls(first.config.precision, first.device):
                self.train_step(index)
            seen += index.numel()
            if report is not None and (now := time.perf_counter()) - last_report > REPORT_SECONDS:
                report.step(seen, self.means())
                seen, last_report = 0, now
            if stop:
                break
        self._check_weights()
        self.seconds += time.perf_counter() - began
        return self.position == first.steps_per_epoch

    def _check_weights(self) -> None:
        """Check the weights after the last update."""
        count = len(self.experiments)
        sound = torch.ones(count, dtype=torch.bool, device=self.totals.device)
        for parameter in self.parameters.values():
            sound &= parameter.detach().reshape(count, -1).isfinite().all(1)
        weights = torch.where(sound, 0.0, torch.nan)
        self._first_bad.see(weights, self.step)
        lost = self.lost
        if len(lost) == count:
            number, step = min(lost.items(), key=lambda item: item[1])
            config = self.experiments[number].config
            raise DivergenceError(
                f"the loss of all {count} members is not finite, first at step {step} "
                f"(seed {config.seed}, temperature {config.temperature.initial}). "
                "A lower --lr or a higher --temperature usually helps"
            )

    def means(self) -> dict[str, float]:
        """Return loss and training metrics of this epoch, over all members. Synchronises."""
        return mean_metrics(self.experiments[0].task, self.totals.sum(0).tolist())

    def rows(self, evaluate: bool = True) -> dict[int, Row]:
        """Return the metrics of the epoch by number of the member, as for separate runs.

        Lost members are left out.

        Args:
            evaluate: whether the held-out parts are evaluated.
        """
        rows: dict[int, Row] = {}
        lost = self.lost
        for number, totals in enumerate(self.totals.tolist()):
            if number not in lost:
                e = self.experiments[number]
                rows[number] = metrics_row(e, self.epoch + 1, self.step, totals, evaluate)
        return rows

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch += 1
        self.position = 0
        self.seconds = 0.0
        self.totals.zero_()
