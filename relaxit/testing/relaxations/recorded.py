"""Checks of torch.export, torch.jit.trace and make_fx, which record operations and replay them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from relaxit.errors import Unsupported
from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import relaxation_check, require

__all__ = ["exported_equals_eager", "traced_equals_eager"]

Step = Callable[[Tensor], list[Tensor]]
_BUILTIN = ("aten", "higher_order", "prim", "prims")


def _unsuitable(case: RelaxationCase) -> str:
    """Return why the check does not apply: one example is enough, as exporting takes seconds.

    Applies: `compiles` claimed, on the first example of a class.
    """
    if case.relaxation in type(case.relaxation).examples()[1:]:
        return "tried on another example of the class"
    return claims("compiles")(case)


class _Samples(nn.Module):
    """Soft samples, and the mean and mode of the discrete distribution if there is one."""

    def __init__(self, case: RelaxationCase) -> None:
        super().__init__()
        self.case = case

    def forward(self, params: Tensor) -> list[Tensor]:
        q = self.case.relaxation(params, 0.7)
        results = [q.rsample((2,))]
        if self.case.relaxation.capabilities.discrete_distribution:
            results += [q.discrete.mean, q.discrete.mode]
        return results


def _recorded(case: RelaxationCase) -> Tensor:
    """Return the params for which operations are recorded."""
    return case.params(7).requires_grad_()


def _values(case: RelaxationCase, step: Step, seed: int = 1) -> list[Tensor]:
    """Return values for another batch than the recorded one."""
    torch.manual_seed(seed)
    with torch.no_grad():
        return step(case.params(11, seed=1))


def _slope(case: RelaxationCase, step: Step) -> Tensor:
    """Return the gradient of these values, weighted."""
    params = case.params(11, seed=1).requires_grad_()
    torch.manual_seed(1)
    weighted = [x * torch.linspace(-1, 1, x.numel()).to(x).view(x.shape) for x in step(params)]
    total = sum((x.sum() for x in weighted if x.requires_grad), start=params.sum())
    return torch.autograd.grad(total, params)[0]


def _agree(case: RelaxationCase, replayed: Step, how: str) -> None:
    """Compare values for the same state of the generator, and noise for another one."""
    got, want = _values(case, replayed), _values(case, _Samples(case))
    for value, wanted in zip(got, want, strict=True):
        same = value.shape == wanted.shape and torch.allclose(value, wanted, rtol=1e-5, atol=1e-6)
        require(same, f"{how}, a sample or quantity differs from that of eager code")
    again = _values(case, replayed, seed=2)
    fresh = case.constant or not torch.equal(again[0], got[0])
    require(fresh, f"{how}, each call has the same noise")


def _agree_in_gradients(case: RelaxationCase, replayed: Step, how: str) -> None:
    right = _slope(case, _Samples(case))
    for _ in range(2):  # the first call tells torch.jit what to optimise
        kept = torch.allclose(_slope(case, replayed), right, rtol=1e-4, atol=1e-5)
        require(kept, f"{how}, the gradient is not that of eager code")


@relaxation_check(absent=_unsuitable)
def exported_equals_eager(case: RelaxationCase) -> None:
    """A module that draws soft samples can be exported by `torch.export` for batches of any size.
    The program consists of PyTorch's operators, draws new noise in each call, and has the values
    and gradients of eager code. Why: it runs where the plugin is not installed, and it has the
    operations of an autograd function without its derivative."""
    size = {"params": {0: torch.export.Dim("batch", min=2, max=1000)}}
    program = torch.export.export(_Samples(case), (_recorded(case),), dynamic_shapes=size)
    own = {str(node.target) for node in program.graph.nodes if _is_foreign(node.target)}
    require(
        not own, f"the exported program needs {', '.join(sorted(own))}, which are not PyTorch's"
    )
    _agree(case, program.module(), "exported")
    _agree_in_gradients(case, program.module(), "exported")


def _is_foreign(target: Any) -> bool:
    namespace = getattr(target, "namespace", "aten")
    return namespace not in _BUILTIN


@relaxation_check(absent=_unsuitable, needs=("exported_equals_eager",))
def traced_equals_eager(case: RelaxationCase) -> None:
    """Under `torch.jit.trace` and `make_fx`, soft samples and quantities have the values of eager
    code for other params and another batch, with new noise in each call, and in the former also the
    gradients. Why: a branch on a number is recorded for that number, noise from elsewhere is
    recorded as a constant, and the derivative of an autograd function is not recorded at all.
    `torch.jit.trace`, which is deprecated, may also be rejected by `Unsupported`."""
    params = _recorded(case)
    with warnings.catch_warnings(), contextlib.suppress(Unsupported):
        warnings.simplefilter("ignore")  # of sizes that are constants, and that it is deprecated
        traced: Any = torch.jit.trace(_Samples(case), (params,), check_trace=False)
        _agree(case, traced, "under torch.jit.trace")
        _agree_in_gradients(case, traced, "under torch.jit.trace")
    _agree(
        case,
        make_fx(_Samples(case), tracing_mode="symbolic", _allow_non_fake_inputs=True)(params),
        "under make_fx",
    )
