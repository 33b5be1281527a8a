"""Checks of batching, memory layout, torch.func and torch.compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import relaxation_check, require
from relaxit.testing.relaxations.gradients import has_kl
from relaxit.testing.settings.process import global_settings
from relaxit.tracing import fake_tensors

__all__ = [
    "Quantity",
    "batching_equals_looping",
    "compiled_equals_eager",
    "device_is_that_of_params",
    "global_settings_are_left_alone",
    "inputs_are_not_mutated",
    "layout_does_not_matter",
    "quantities",
    "vmap_equals_looping",
    "vmap_over_samples",
]

TRACED = "meta"
"""Device for which code is traced: without a GPU, PyTorch does not differentiate on "cuda"."""

_Stance = Literal["default", "fail_on_recompile"]
Quantity = Callable[[Tensor, Tensor, Tensor], Tensor]


def quantities(case: RelaxationCase, temperature: float = 0.5) -> dict[str, Quantity]:
    """Return the claimed deterministic functions of params, a soft and a hard sample."""
    r = case.relaxation
    functions: dict[str, Quantity] = {"hard": lambda a, y, z: r(a, temperature).hard(y)}
    if r.capabilities.density:
        functions["log_prob"] = lambda a, y, z: r(a, temperature).log_prob(y)
    if r.capabilities.discrete_distribution:
        functions["entropy"] = lambda a, y, z: r.discrete(a).entropy()
        functions["mean"] = lambda a, y, z: r.discrete(a).mean
        functions["mode"] = lambda a, y, z: r.discrete(a).mode
        functions["kl_to_uniform"] = lambda a, y, z: r(a).kl_to_uniform()
        if has_kl(case):
            half = lambda a: r.discrete(0.5 * a)  # noqa: E731
            functions["kl_divergence"] = lambda a, y, z: kl_divergence(r.discrete(a), half(a))
        functions["log-mass"] = lambda a, y, z: r.discrete(a).log_prob(z)
    return functions


def _agree(case: RelaxationCase, got: Tensor, want: Tensor, complaint: str) -> None:
    require(
        got.shape == want.shape, f"{complaint}: shape {list(got.shape)}, not {list(want.shape)}"
    )
    require(torch.allclose(got, want, rtol=1e-5, atol=case.tolerance), complaint)


@relaxation_check()
def batching_equals_looping(case: RelaxationCase) -> None:
    """Every quantity of a batch equals that of its rows one by one. Why: a sum or a softmax over a
    wrong dimension is not found otherwise."""
    params = case.params(2, 3)
    soft, hard = case.relaxation(params, 0.5).draw((), case.generator(1))
    for name, function in quantities(case).items():
        batched = function(params, soft, hard)
        flat = [x.flatten(0, 1) for x in (params, soft, hard)]
        rows = [function(*values) for values in zip(*flat, strict=True)]
        looped = torch.stack(rows).unflatten(0, (2, 3))
        _agree(case, batched, looped, f"{name} of a batch differs from a loop")


@relaxation_check()
def vmap_equals_looping(case: RelaxationCase) -> None:
    """Under `torch.func.vmap`, every quantity equals that of a loop. Why: ensembles and per-sample
    gradients are computed in this way."""
    params = case.params(4)
    soft, hard = case.relaxation(params, 0.5).draw((), case.generator(1))
    functions = quantities(case)
    del functions["hard"]  # it may call a solver outside torch
    for name, function in functions.items():
        batched = torch.func.vmap(function)(params, soft, hard)
        rows = zip(params, soft, hard, strict=True)
        looped = torch.stack([function(*values) for values in rows])
        _agree(case, batched, looped, f"{name} under vmap differs from a loop")


@relaxation_check()
def vmap_over_samples(case: RelaxationCase) -> None:
    """Under `torch.func.vmap`, samples and their gradients equal those of a loop with
    `randomness='same'`, and differ between rows with `'different'`. Why: a sampler with hidden
    state or in-place noise fails there."""
    params = case.params(3)[:1].repeat(3, *(1,) * len(case.relaxation.param_shape))

    def loss(a: Tensor) -> Tensor:
        return case.relaxation(a, 2.0).rsample((4,)).square().sum()

    def slope(a: Tensor) -> Tensor:
        gradient: Tensor = torch.func.grad(loss)(a)
        return gradient

    torch.manual_seed(5)
    batched = torch.func.vmap(slope, randomness="same")(params)
    torch.manual_seed(5)
    looped = slope(params[0])
    _agree(case, batched[0], looped, "the gradient of a sample under vmap differs from a loop")
    same = torch.allclose(batched[0], batched[1], rtol=1e-5, atol=case.tolerance)
    require(same, "randomness='same' gives rows of different noise")
    if case.constant:
        return
    require(bool(batched.any()), "the gradient of a sample is zero")

    def sample(a: Tensor) -> Tensor:
        return case.relaxation(a, 2.0).rsample((4,))

    other = torch.func.vmap(sample, randomness="different")(params)
    require(not torch.equal(other[0], other[1]), "randomness='different' gives equal rows")


@relaxation_check(needs=("generator_is_obeyed",))
def layout_does_not_matter(case: RelaxationCase) -> None:
    """Params and values that are not contiguous give the same numbers. Why: they often come from a
    transpose or an `expand`, and `view` fails on them."""
    params = case.params(3, 4)
    strided = torch.stack([params, params], -1)[..., 0].transpose(0, 1).contiguous().transpose(0, 1)
    require(not strided.is_contiguous(), "the kit failed to create a strided input")
    soft, hard = case.relaxation(params, 0.5).draw((2,), case.generator(1))
    again = case.relaxation(strided, 0.5).draw((2,), case.generator(1))
    _agree(case, again[0], soft, "a draw of strided params differs")
    loose = [torch.stack([x, x], -1)[..., 0] for x in (soft, hard)]
    for name, function in quantities(case).items():
        contiguous, strided_result = function(params, soft, hard), function(strided, *loose)
        _agree(case, strided_result, contiguous, f"{name} of strided tensors differs")
    expanded = case.params(1).expand(3, *case.relaxation.param_shape)
    require(
        case.relaxation(expanded).sample().shape[0] == 3,
        "a sample of expanded params has the wrong shape",
    )


@relaxation_check()
def inputs_are_not_mutated(case: RelaxationCase) -> None:
    """Params, temperatures and values are not modified. Why: they belong to the caller, and
    autograd may need them."""
    params = case.params(3)
    temperature = torch.tensor([0.01, 1.0, 20.0], dtype=case.dtype, device=case.device)
    soft, hard = case.relaxation(params.clone(), 0.5).draw((2,))
    inputs = {
        "params": params,
        "temperature": temperature,
        "a soft sample": soft,
        "a hard sample": hard,
    }
    copies = {name: tensor.clone() for name, tensor in inputs.items()}
    q = case.relaxation(params, temperature)
    q.draw((2,))
    q.rsample()
    q.sample_hard()
    for function in quantities(case).values():
        function(params, soft, hard)
    for name, tensor in inputs.items():
        require(torch.equal(tensor, copies[name]), f"{name} was modified in place")
    first = q.sample((2,))
    first_copy = first.clone()
    q.sample((2,))
    require(torch.equal(first, first_copy), "a sample is overwritten by the next sample")


@relaxation_check()
def global_settings_are_left_alone(case: RelaxationCase) -> None:
    """Grad mode, anomaly mode, default dtype and device, threads, determinism, autocast, denormal
    numbers and the precision of matrix multiplications are not changed. Why: they belong to the
    whole process, and would make unrelated code fail."""
    before = global_settings()
    q = case.relaxation(case.params(3).requires_grad_(), 0.5)
    soft, hard = q.draw((2,))
    q.rsample()
    q.sample_hard()
    for function in quantities(case).values():
        function(q.params, soft[0], hard[0])
    for name, value in global_settings().items():
        require(value == before[name], f"it changes {name} from {before[name]} to {value}")


def _cannot_trace(case: RelaxationCase) -> str:
    """Applies: `compiles` claimed."""
    if absent := claims("compiles")(case):
        return absent
    try:
        with fake_tensors():
            torch.zeros((), device=TRACED)
    except (AssertionError, RuntimeError):
        return "this build of torch cannot trace code without its values"
    return ""


@relaxation_check(absent=_cannot_trace)
def device_is_that_of_params(case: RelaxationCase) -> None:
    """Samples and quantities of params on another device are on that device. This needs no GPU, as
    only shapes and devices are traced, on `meta`. Why: a table or noise created on the CPU fails on
    the user's machine, not on the author's."""
    with fake_tensors() as mode:
        mode.allow_non_fake_inputs = True  # the subject may have real tables
        params = torch.zeros((3, *case.relaxation.param_shape), device=TRACED)
        q = case.relaxation(params, 0.5)
        soft, hard = q.draw((2,))
        results = {"soft": soft, "hard": hard, "sample_hard": q.sample_hard()}
        for name, function in quantities(case).items():
            results[name] = function(params, soft[0], hard[0])
    for name, tensor in results.items():
        at = tensor.device
        require(at.type == TRACED, f"{name} of params on another device than the CPU is on {at}")


def _step(case: RelaxationCase) -> Callable[[Tensor, Tensor], list[Tensor]]:
    def step(params: Tensor, temperature: Tensor) -> list[Tensor]:
        q = case.relaxation(params, temperature)
        soft, hard = q.draw((2,))
        results = [soft, hard, q.hard(soft), q.rsample()]
        if case.relaxation.capabilities.density:
            results.append(q.log_prob(soft.detach()))
        if case.relaxation.capabilities.discrete_distribution:
            results += [q.kl_to_uniform(), q.discrete.mean, q.discrete.log_prob(hard)]
        return results

    return step


@relaxation_check(absent=claims("compiles"))
def compiled_equals_eager(case: RelaxationCase) -> None:
    """Where claimed, `torch.compile(fullgraph=True)` compiles every quantity, gives the same values
    and gradients, and does not compile again for another temperature. Why: a training step is
    compiled as one graph or not at all, and a schedule changes the temperature in every step."""
    step = _step(case)

    def run(function: Callable[[Tensor, Tensor], list[Tensor]], temperature: float) -> list[Tensor]:
        torch.manual_seed(1)
        params = case.params(3).requires_grad_()
        tau = torch.tensor(temperature, dtype=case.dtype, device=case.device)
        results = function(params, tau)
        total = sum((x.sum() for x in results if x.requires_grad), start=params.sum())
        return [*results, *torch.autograd.grad(total, params)]

    torch.compiler.reset()
    # Traced completely and differentiated by the compiler. No kernels are generated, which takes
    # seconds and may change random numbers.
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    stances: tuple[tuple[float, _Stance], ...] = ((0.7, "default"), (0.2, "fail_on_recompile"))
    for temperature, stance in stances:
        with torch.compiler.set_stance(stance):
            compiled_results = run(compiled, temperature)
        for of_compiled, of_eager in zip(compiled_results, run(step, temperature), strict=True):
            same = torch.allclose(of_compiled, of_eager, rtol=1e-5, atol=1e-6)
            require(same, f"compiled and eager differ at temperature {temperature}")
