"""Settings of a process, and a comparison of results with and without them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from relaxit.errors import error_summary
from relaxit.testing.case import Case, EstimatorCase, RelaxationCase
from relaxit.testing.check import require
from relaxit.testing.settings.low_precision import ShortProducts
from relaxit.testing.settings.process import restored

__all__ = ["AUTOCAST", "DEFAULTS", "MODES", "PRECISION", "Results", "Setting", "require_no_change"]

Of = TypeVar("Of", bound=Case)
Results = dict[str, Tensor]
"""Results of an experiment by name."""
Experiment = Callable[[Of], tuple[Results, Tensor]]
"""Returns quantities of a case by name, and the params to differentiate them in. Tensors of the kit
are created with an explicit dtype and device."""
Region = Callable[[torch.device], AbstractContextManager[Any]]

ROUNDING = 1e-4
"""Error allowed in a value of size one in float32, at temperature 0.02, where scores of size ten
are accurate to 5e-7."""
OTHERS = 1e-3
"""Share of rows that may differ. A setting may compute matmuls with more bits than the default.
Sums then differ by at most 1e-6, and one draw in 100 000 is as close to the border of another
vertex."""


@dataclass(frozen=True)
class Setting:
    """A setting of the process.

    Args:
        name: the setting, with a preposition, as the start of a message.
        region: returns a context in which the setting holds, given the device of params.
        advice: what the author of the subject should do if results change under the setting.
        forward_only: whether the backward pass runs outside the context, as autocast requires.
        longest: whether params have the longest dtype rather than the one used in training.
        inference: whether gradients are only compared after the context, in a second run with the
            same object.
    """

    name: str
    region: Region
    advice: str = ""
    forward_only: bool = False
    longest: bool = False
    inference: bool = False


def _set(function: Callable[[Any], Any], value: Any) -> Region:
    @contextlib.contextmanager
    def region(device: torch.device) -> Iterator[None]:
        del device
        with restored():
            function(value)
            yield

    return region


def _short(precision: str, bits: int) -> Region:
    """Return a context with this precision, which is emulated on a CPU only."""

    @contextlib.contextmanager
    def region(device: torch.device) -> Iterator[None]:
        with restored():
            torch.set_float32_matmul_precision(precision)
            with ShortProducts(bits) if device.type == "cpu" else contextlib.nullcontext():
                yield

    return region


_NOTHING = Setting("no setting", lambda device: contextlib.nullcontext())

AUTOCAST = tuple(
    Setting(
        f"under autocast to {str(dtype).removeprefix('torch.')}",
        lambda device, dtype=dtype: torch.autocast(device.type, dtype),  # type: ignore[misc]
        "multiply matrices with relaxit.arithmetic.full_precision_matmul or in without_autocast",
        forward_only=True,
    )
    for dtype in (torch.bfloat16, torch.float16)
)
PRECISION = tuple(
    Setting(
        f"with set_float32_matmul_precision({precision!r})",
        _short(precision, bits),
        "multiply matrices with relaxit.arithmetic.full_precision_matmul",
    )
    for precision, bits in (("high", 11), ("medium", 8))
)
_DTYPE = "give dtype= to every new tensor"
DEFAULTS = (
    Setting("with float64 as default dtype", _set(torch.set_default_dtype, torch.float64), _DTYPE),
    Setting(
        "with bfloat16 as default dtype",
        _set(torch.set_default_dtype, torch.bfloat16),
        _DTYPE,
        longest=True,
    ),
    Setting(
        "with a default device other than that of params",
        lambda device: torch.device("meta"),
        "give device= to every new tensor",
    ),
)
MODES = (
    Setting(
        "with deterministic algorithms",
        _set(torch.use_deterministic_algorithms, True),
        "fill tensors of torch.empty before reading them, and use deterministic operations only",
    ),
    Setting(
        "in inference mode",
        lambda device: torch.inference_mode(),
        "keep no tensors between calls, and do not compute values by differentiation",
        inference=True,
    ),
    Setting(
        "with denormal numbers flushed",
        _set(torch.set_flush_denormal, True),
        "clamp numbers that may underflow at torch.finfo(dtype).tiny",
    ),
)


def require_no_change(
    case: Of,
    settings: Sequence[Setting],
    make: Callable[[torch.dtype], Experiment[Of]],
    where: str = "",
) -> None:
    """Fail unless an experiment gives the same results under each setting as without it.

    Args:
        case: case of the experiment; each run gets newly built objects.
        settings: settings to try.
        make: returns the experiment, given the dtype of params.
        where: further conditions of the experiment, for the message.
    """
    for dtype, group in _by_dtype(case, settings).items():
        experiment, rounding = make(dtype), 1e-9 if dtype == torch.float64 else ROUNDING
        expected = _results(experiment, _unused(case), _NOTHING)
        for setting in group:
            wrong = _change(experiment, _unused(case), setting, expected, rounding)
            require(not wrong, f"{setting.name} {wrong}{where}; {setting.advice}")


def _unused(case: Of) -> Of:
    """Return the case with newly built objects, as objects may keep tensors between calls."""
    names = ("subject", "relaxation") if isinstance(case, EstimatorCase) else ("subject",)
    objects = {name: getattr(case, name) for name in names}
    rebuilt: dict[str, Any] = {name: type(obj)(obj.options) for name, obj in objects.items()}
    return replace(case, **rebuilt)


def _by_dtype(case: Case, settings: Sequence[Setting]) -> dict[torch.dtype, list[Setting]]:
    on = case.on if isinstance(case, EstimatorCase) else case
    assert isinstance(on, RelaxationCase)
    groups: dict[torch.dtype, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(on.dtype if setting.longest else on.usual_dtype, []).append(setting)
    return groups


def _change(
    experiment: Experiment[Of], case: Of, setting: Setting, want: Results, rounding: float
) -> str:
    """Return what differs under a setting; empty if nothing does."""
    after = ""
    try:
        results = _results(experiment, case, setting)
        if setting.inference:
            after = "and in training after it "
            if difference := _difference(_results(experiment, case, _NOTHING), want, rounding):
                return after + difference
            want = {name: value for name, value in want.items() if name in results}
        return _difference(results, want, rounding)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{after}it raises {error_summary(error, 140)}"


def _results(experiment: Experiment[Of], case: Of, setting: Setting) -> Results:
    """Return the results of an experiment and their gradients."""
    with setting.region(case.device):
        values, params = experiment(case)
        if not setting.forward_only:
            return values | _slopes(values, params)
    return values | _slopes(values, params)


def _slopes(values: Results, params: Tensor) -> Results:
    gradients: Results = {}
    for name, value in values.items():
        if value.requires_grad:
            params.grad = torch.zeros_like(params)
            # An edge, because calling torch functions on tensors would leave modes behind.
            edge = get_gradient_edge(value)
            torch.autograd.backward(edge, _weights(value), retain_graph=True)
            gradients[f"the gradient of {name}"] = params.grad
    return gradients


def _weights(value: Tensor) -> Tensor:
    """Return normally distributed weights: the plain sum of a soft sample may be constant."""
    generator = torch.Generator("cpu").manual_seed(7)
    drawn = torch.randn(value.shape, generator=generator, dtype=torch.float32, device="cpu")
    return drawn.to(value.device, value.dtype)


def _difference(got: Results, want: Results, rounding: float) -> str:
    """Return the first quantity that differs; empty if none does."""
    for name, expected in want.items():
        if name not in got:
            return f"there is no {name.removeprefix('the ')}"
        actual = got[name]
        for what in ("dtype", "device", "shape"):
            is_now, should_be = getattr(actual, what), getattr(expected, what)
            if is_now != should_be:
                return f"the {what} of {name} is {is_now}, not {should_be}"
        errors = _errors(actual, expected)
        wrong = int((errors > rounding).sum())
        if wrong > OTHERS * len(errors):
            size = f"a relative error of up to {float(errors.max()):.2g}"
            return f"{name} has {size} in {wrong} of {len(errors)} rows"
    return ""


def _errors(got: Tensor, want: Tensor) -> Tensor:
    """Return the largest error of each row, divided by one plus the largest entry of the row."""
    rows = len(want) if want.dim() else 1
    a, b = (x.detach().cpu().double().reshape(rows, -1) for x in (got, want))
    off = (a - b).abs().masked_fill(a == b, 0.0).nan_to_num(torch.inf)
    size = b.abs().masked_fill(b.isinf(), 0.0)
    return off.amax(1) / (1 + size.amax(1))
