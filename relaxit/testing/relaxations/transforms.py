"""Batches against loops, layouts, torch.func and torch.compile."""

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

_Stance = Literal["default", "fail_on_recompile"]
Quantity = Callable[[Tensor, Tensor, Tensor], Tensor]


def quantities(case: RelaxationCase, temperature: float = 0.5) -> dict[str, Quantity]:
    """Deterministic functions of params, a soft and a hard value, of those that are claimed."""
    r = case.relaxation
    found: dict[str, Quantity] = {"hard": lambda a, y, z: r(a, temperature).hard(y)}
    if r.capabilities.density:
        found["log_prob"] = lambda a, y, z: r(a, temperature).log_prob(y)
    if r.capabilities.discrete_distribution:
        found["entropy"] = lambda a, y, z: r.discrete(a).entropy()
        found["mean"] = lambda a, y, z: r.discrete(a).mean
        found["mode"] = lambda a, y, z: r.discrete(a).mode
        found["kl_to_uniform"] = lambda a, y, z: r(a).kl_to_uniform()
        if has_kl(case):
            half = lambda a: r.discrete(0.5 * a)  # noqa: E731
            found["kl_divergence"] = lambda a, y, z: kl_divergence(r.discrete(a), half(a))
        found["log-mass"] = lambda a, y, z: r.discrete(a).log_prob(z)
    return found


def _agree(case: RelaxationCase, got: Tensor, want: Tensor, complaint: str) -> None:
    require(
        got.shape == want.shape, f"{complaint}: shape {list(got.shape)}, not {list(want.shape)}"
    )
    require(torch.allclose(got, want, rtol=1e-5, atol=case.tolerance), complaint)


@relaxation_check()
def batching_equals_looping(case: RelaxationCase) -> None:
    """Every quantity of a batch equals that of its rows one by one. Why: a sum or a softmax over a
    wrong dimension shows nowhere else."""
    params = case.params(2, 3)
    soft, hard = case.relaxation(params, 0.5).draw((), case.generator(1))
    for name, function in quantities(case).items():
        got = function(params, soft, hard)
        flat = [x.flatten(0, 1) for x in (params, soft, hard)]
        rows = [function(*values) for values in zip(*flat, strict=True)]
        want = torch.stack(rows).unflatten(0, (2, 3))
        _agree(case, got, want, f"{name} of a batch differs from a loop")


@relaxation_check()
def vmap_equals_looping(case: RelaxationCase) -> None:
    """Under `torch.func.vmap` every quantity equals that of a loop. Why: ensembles and per-sample
    gradients are made so."""
    params = case.params(4)
    soft, hard = case.relaxation(params, 0.5).draw((), case.generator(1))
    functions = quantities(case)
    del functions["hard"]  # a solver outside torch may stand there
    for name, function in functions.items():
        got = torch.func.vmap(function)(params, soft, hard)
        rows = zip(params, soft, hard, strict=True)
        want = torch.stack([function(*values) for values in rows])
        _agree(case, got, want, f"{name} under vmap differs from a loop")


@relaxation_check()
def vmap_over_samples(case: RelaxationCase) -> None:
    """Under `torch.func.vmap` samples and their gradients are those of a loop with
    `randomness='same'`, and differ between rows with `'different'`. Why: a sampler with hidden
    state or in-place noise fails there."""
    params = case.params(3)[:1].repeat(3, *(1,) * len(case.relaxation.param_shape))

    def loss(a: Tensor) -> Tensor:
        return case.relaxation(a, 2.0).rsample((4,)).square().sum()

    def slope(a: Tensor) -> Tensor:
        gradient: Tensor = torch.func.grad(loss)(a)
        return gradient

    torch.manual_seed(5)
    got = torch.func.vmap(slope, randomness="same")(params)
    torch.manual_seed(5)
    want = slope(params[0])
    _agree(case, got[0], want, "the gradient of a sample under vmap differs from a loop")
    same = torch.allclose(got[0], got[1], rtol=1e-5, atol=case.tolerance)
    require(same, "randomness='same' gives rows of different noise")
    require(bool(got.any()), "the gradient of a sample is zero")

    def sample(a: Tensor) -> Tensor:
        return case.relaxation(a, 2.0).rsample((4,))

    other = torch.func.vmap(sample, randomness="different")(params)
    require(not torch.equal(other[0], other[1]), "randomness='different' gives equal rows")


@relaxation_check(needs=("generator_is_obeyed",))
def layout_does_not_matter(case: RelaxationCase) -> None:
    """Params and values that are not contiguous give the same numbers. Why: a transpose or an
    `expand` is how they arrive, and `view` fails on it."""
    params = case.params(3, 4)
    strided = torch.stack([params, params], -1)[..., 0].transpose(0, 1).contiguous().transpose(0, 1)
    require(not strided.is_contiguous(), "the kit failed to make a strided input")
    soft, hard = case.relaxation(params, 0.5).draw((2,), case.generator(1))
    again = case.relaxation(strided, 0.5).draw((2,), case.generator(1))
    _agree(case, again[0], soft, "a draw of strided params differs")
    loose = [torch.stack([x, x], -1)[..., 0] for x in (soft, hard)]
    for name, function in quantities(case).items():
        want, got = function(params, soft, hard), function(strided, *loose)
        _agree(case, got, want, f"{name} of strided tensors differs")
    expanded = case.params(1).expand(3, *case.relaxation.param_shape)
    require(case.relaxation(expanded).sample().shape[0] == 3, "expanded params were not taken")


@relaxation_check()
def inputs_are_not_mutated(case: RelaxationCase) -> None:
    """Params, temperatures and values are left as they were. Why: they are the caller's, and
    autograd may need them."""
    params = case.params(3)
    temperature = torch.tensor([0.01, 1.0, 20.0], dtype=case.dtype, device=case.device)
    soft, hard = case.relaxation(params.clone(), 0.5).draw((2,))
    given = {"params": params, "temperature": temperature, "a soft value": soft, "a hard one": hard}
    kept = {name: tensor.clone() for name, tensor in given.items()}
    q = case.relaxation(params, temperature)
    q.draw((2,))
    q.rsample()
    q.sample_hard()
    for function in quantities(case).values():
        function(params, soft, hard)
    for name, tensor in given.items():
        require(torch.equal(tensor, kept[name]), f"{name} was changed in place")
    first = q.sample((2,))
    copy = first.clone()
    q.sample((2,))
    require(torch.equal(first, copy), "a sample is overwritten by the next one")


@relaxation_check()
def global_settings_are_left_alone(case: RelaxationCase) -> None:
    """Grad mode, anomaly mode, default dtype and device, threads, determinism, autocast, denormal
    numbers and the precision of products stay as they were. Why: they are the whole process's, and
    whatever runs next fails for no reason of its own."""
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
    if absent := claims("compiles")(case):
        return absent
    try:
        with fake_tensors():
            torch.zeros((), device="cuda")
    except (AssertionError, RuntimeError):
        return "this build of torch cannot trace for a GPU"
    return ""


@relaxation_check(absent=_cannot_trace)
def device_is_that_of_params(case: RelaxationCase) -> None:
    """Samples and quantities of params on a GPU are there, found without one by tracing shapes and
    devices alone. Why: a table or a noise made on the CPU fails on the user's machine, not on the
    author's."""
    with fake_tensors() as mode:
        mode.allow_non_fake_inputs = True  # a table of the subject's is real
        params = torch.zeros((3, *case.relaxation.param_shape), device="cuda")
        q = case.relaxation(params, 0.5)
        soft, hard = q.draw((2,))
        found = {"soft": soft, "hard": hard, "sample_hard": q.sample_hard()}
        for name, function in quantities(case).items():
            found[name] = function(params, soft[0], hard[0])
    for name, tensor in found.items():
        require(tensor.device.type == "cuda", f"{name} of params on a GPU is on {tensor.device}")


def _step(case: RelaxationCase) -> Callable[[Tensor, Tensor], list[Tensor]]:
    def step(params: Tensor, temperature: Tensor) -> list[Tensor]:
        q = case.relaxation(params, temperature)
        soft, hard = q.draw((2,))
        found = [soft, hard, q.hard(soft), q.rsample()]
        if case.relaxation.capabilities.density:
            found.append(q.log_prob(soft.detach()))
        if case.relaxation.capabilities.discrete_distribution:
            found += [q.kl_to_uniform(), q.discrete.mean, q.discrete.log_prob(hard)]
        return found

    return step


@relaxation_check(absent=claims("compiles"))
def compiled_equals_eager(case: RelaxationCase) -> None:
    """Where claimed, `torch.compile(fullgraph=True)` takes every quantity, gives the same values
    and gradients, and does not compile again for another temperature. Why: a training step is one
    compiled graph or none, and a schedule changes the temperature at every step."""
    step = _step(case)

    def run(function: Callable[[Tensor, Tensor], list[Tensor]], temperature: float) -> list[Tensor]:
        torch.manual_seed(1)
        params = case.params(3).requires_grad_()
        tau = torch.tensor(temperature, dtype=case.dtype, device=case.device)
        found = function(params, tau)
        total = sum((x.sum() for x in found if x.requires_grad), start=params.sum())
        return [*found, *torch.autograd.grad(total, params)]

    torch.compiler.reset()
    # Traced in full and differentiated by the compiler; no kernels, which cost seconds and whose
    # random numbers may differ.
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    stances: tuple[tuple[float, _Stance], ...] = ((0.7, "default"), (0.2, "fail_on_recompile"))
    for temperature, stance in stances:
        with torch.compiler.set_stance(stance):
            found = run(compiled, temperature)
        for got, want in zip(found, run(step, temperature), strict=True):
            same = torch.allclose(got, want, rtol=1e-5, atol=1e-6)
            require(same, f"compiled and eager differ at temperature {temperature}")
