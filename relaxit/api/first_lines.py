"""The first lines of a run: device, model, data, optimisation and objective."""

from __future__ import annotations

from pathlib import Path

from relaxit.training import Experiment

__all__ = ["describe"]


def describe(experiment: Experiment, who: str, path: Path | None) -> list[str]:
    """Return the first lines of a run: device, model, data, optimisation and objective.

    Args:
        experiment: the run, or one of several that differ in seed or temperature only.
        who: what the lines are about, such as ``seed 0``.
        path: directory of the results; None if there is none.
    """
    config, setup = experiment.config, experiment.setup
    why = "best available" if config.device == "auto" else "as requested"
    epochs = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
    where = f", run {path}" if path else ""
    lines = [f"device {experiment.device} ({why}), {who}{where}"]
    chosen = [
        f"{variable.latents} x {variable.relaxation!r} by {variable.estimator.name}"
        + (f" ({name})" if name else "")
        for name, variable in setup.variables.items()
    ]
    lines.append(
        f"{', '.join(chosen)}, on {config.data.name} ({_training_examples(experiment)}), {epochs}"
    )
    lines.append(_optimisation(experiment))
    lines.append(f"minimises the {experiment.task.statement(setup)}")
    return lines


def _optimisation(experiment: Experiment) -> str:
    """Return batch, optimizer and schedules in one line."""
    config = experiment.config
    o, t = config.optimizer, config.temperature
    rate = f"learning rate {o.lr:g} ({o.schedule}"
    rate += f", {o.warmup:.0%} warm-up)" if o.warmup else ", no warm-up)"
    tau = f"temperature {t.initial:g}"
    if t.schedule != "constant":
        tau += f" to {t.final:g}" if t.schedule != "learned" else ""
        tau += f" ({t.schedule})"
    parts = [f"batch {config.batch_size}", o.method, rate, f"weight decay {o.weight_decay:g}", tau]
    return ", ".join(parts)


def _training_examples(experiment: Experiment) -> str:
    """Return how many training examples there are, and the shape of an example."""
    inputs = experiment.data.format.columns.get("inputs")
    size = f" of {'x'.join(map(str, inputs.shape))}" if inputs and inputs.shape else ""
    return f"{len(experiment.data.train)} training {experiment.noun}{size}"
