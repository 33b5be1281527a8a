"""What a process can be set to, and whether numbers are the same under it."""

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

__all__ = ["AUTOCAST", "DEFAULTS", "MODES", "PRECISION", "Setting", "require_no_change"]

Of = TypeVar("Of", bound=Case)
Found = dict[str, Tensor]
Experiment = Callable[[Of], tuple[Found, Tensor]]
"""Quantities of a case by name, and the params that they are differentiated in. Whatever the kit
needs for them is made with an explicit dtype and device."""
Region = Callable[[torch.device], AbstractContextManager[Any]]

ROUNDING = 1e-4
"""Of values of size one in float32, at temperature 0.02: scores of size ten are right to 5e-7."""
OTHERS = 1e-3
"""Share of rows that may be others. Where products are worked out in more bits than without the
setting, a sum is rounded otherwise, by 1e-6 at most, and one draw in 100 000 is as near to the
border of another vertex."""


@dataclass(frozen=True)
class Setting:
    """Something that the process can be set to.

    Args:
        name: with what comes before it in a sentence.
        region: makes a context in which it holds, given the device of params.
        advice: to whose numbers change under it.
        forward_only: whether the backward pass runs outside, as autocast wants it.
        longest: whether params have the longest dtype, and not that in which models are trained.
        inference: whether gradients are taken after it only, with what was made under it.
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
    """Other devices than the CPU do shorten products, and need no help."""

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
        "make products by full_precision_matmul of relaxit.arithmetic, or inside without_autocast",
        forward_only=True,
    )
    for dtype in (torch.bfloat16, torch.float16)
)
PRECISION = tuple(
    Setting(
        f"with set_float32_matmul_precision({precision!r})",
        _short(precision, bits),
        "make products by relaxit.arithmetic.full_precision_matmul",
    )
    for precision, bits in (("high", 11), ("medium", 8))
)
_DTYPE = "give dtype= to every tensor that is made"
DEFAULTS = (
    Setting("with float64 as default dtype", _set(torch.set_default_dtype, torch.float64), _DTYPE),
    Setting(
        "with bfloat16 as default dtype",
        _set(torch.set_default_dtype, torch.bfloat16),
        _DTYPE,
        longest=True,
    ),
    Setting(
        "with another default device than that of params",
        lambda device: torch.device("meta"),
        "give device= to every tensor that is made",
    ),
)
MODES = (
    Setting(
        "with deterministic algorithms",
        _set(torch.use_deterministic_algorithms, True),
        "fill the memory of torch.empty before it is read, and use no operation that refuses",
    ),
    Setting(
        "in inference mode",
        lambda device: torch.inference_mode(),
        "keep no tensor from one call to the next, and need no gradient for a value",
        inference=True,
    ),
    Setting(
        "with denormal numbers flushed",
        _set(torch.set_flush_denormal, True),
        "put what may underflow on a floor of torch.finfo(dtype).tiny",
    ),
)


def require_no_change(
    case: Of,
    settings: Sequence[Setting],
    make: Callable[[torch.dtype], Experiment[Of]],
    where: str = "",
) -> None:
    """Fail unless an experiment finds the same under each setting as without.

    Args:
        case: what it is done with, each time as an object that has not been used before.
        settings: to try.
        make: the experiment, given the dtype of params.
        where: what else the message has to say.
    """
    for dtype, group in _by_dtype(case, settings).items():
        experiment, rounding = make(dtype), 1e-9 if dtype == torch.float64 else ROUNDING
        want = _found(experiment, _unused(case), _NOTHING)
        for setting in group:
            wrong = _change(experiment, _unused(case), setting, want, rounding)
            require(not wrong, f"{setting.name} {wrong}{where}; {setting.advice}")


def _unused(case: Of) -> Of:
    """The same with objects that have been used for nothing: they may keep what they make."""
    names = ("subject", "relaxation") if isinstance(case, EstimatorCase) else ("subject",)
    objects = {name: getattr(case, name) for name in names}
    others: dict[str, Any] = {name: type(one)(one.options) for name, one in objects.items()}
    return replace(case, **others)


def _by_dtype(case: Case, settings: Sequence[Setting]) -> dict[torch.dtype, list[Setting]]:
    on = case.on if isinstance(case, EstimatorCase) else case
    assert isinstance(on, RelaxationCase)
    groups: dict[torch.dtype, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(on.dtype if setting.longest else on.usual_dtype, []).append(setting)
    return groups


def _change(
    experiment: Experiment[Of], case: Of, setting: Setting, want: Found, rounding: float
) -> str:
    """What is another under a setting."""
    after = ""
    try:
        got = _found(experiment, case, setting)
        if setting.inference:
            after = "and in training after it "
            if wrong := _difference(_found(experiment, case, _NOTHING), want, rounding):
                return after + wrong
            want = {name: value for name, value in want.items() if name in got}
        return _difference(got, want, rounding)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{after}it raises {error_summary(error, 140)}"


def _found(experiment: Experiment[Of], case: Of, setting: Setting) -> Found:
    """What an experiment gives, and the gradients of that."""
    with setting.region(case.device):
        values, params = experiment(case)
        if not setting.forward_only:
            return values | _slopes(values, params)
    return values | _slopes(values, params)


def _slopes(values: Found, params: Tensor) -> Found:
    found: Found = {}
    for name, value in values.items():
        if value.requires_grad:
            params.grad = torch.zeros_like(params)
            # An edge, because torch functions of tensors leave modes behind them.
            edge = get_gradient_edge(value)
            torch.autograd.backward(edge, _weights(value), retain_graph=True)
            found[f"the gradient of {name}"] = params.grad
    return found


def _weights(value: Tensor) -> Tensor:
    """Of the entries in a sum: normally distributed, as the sum of a soft value tells nothing."""
    generator = torch.Generator("cpu").manual_seed(7)
    drawn = torch.randn(value.shape, generator=generator, dtype=torch.float32, device="cpu")
    return drawn.to(value.device, value.dtype)


def _difference(got: Found, want: Found, rounding: float) -> str:
    """The first quantity that is another; empty if none is."""
    for name, one in want.items():
        if name not in got:
            return f"there is no {name.removeprefix('the ')}"
        other = got[name]
        for what in ("dtype", "device", "shape"):
            if getattr(other, what) != getattr(one, what):
                return f"the {what} of {name} is {getattr(other, what)}, not {getattr(one, what)}"
        errors = _errors(other, one)
        wrong = int((errors > rounding).sum())
        if wrong > OTHERS * len(errors):
            size = f"{float(errors.max()):.2g} of its size"
            return f"{name} differs by {size} in {wrong} of {len(errors)} rows"
    return ""


def _errors(got: Tensor, want: Tensor) -> Tensor:
    """Of each row, beside one and its largest entry."""
    rows = len(want) if want.dim() else 1
    a, b = (x.detach().cpu().double().reshape(rows, -1) for x in (got, want))
    off = (a - b).abs().masked_fill(a == b, 0.0).nan_to_num(torch.inf)
    size = b.abs().masked_fill(b.isinf(), 0.0)
    return off.amax(1) / (1 + size.amax(1))
