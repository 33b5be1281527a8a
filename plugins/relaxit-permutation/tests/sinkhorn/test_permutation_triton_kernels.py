"""Sinkhorn's iterations as a Triton program: interpreted and compiled.

The reference implementation, in float64, is the oracle.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from permutation_helpers import INF, KINDS, close, gumbel, scores, sums_off

from relaxit_permutation.sinkhorn import cuda, scaling
from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sinkhorn.sweeps import first_potentials, sweep

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
SIZES = [(1, 1), (2, 2), (10, 10), (33, 33), (4, 9)]


def sums(m, n, batch):
    """Sums of rows and columns: ones, or those of a matching's last row."""
    rows = torch.ones(batch, m, 1)
    rows[:, -1] += n - m
    return rows, torch.ones(batch, 1, n)


def arguments(x, iterations, aim, rows=None, columns=None):
    x = x.float()
    if rows is None:
        rows, columns = sums(*x.shape[1:], len(x))
    return (x, *first_potentials(x), rows, columns, iterations, aim)


def masked():
    x = gumbel(2, 6, 6, number=3)
    return torch.where(torch.eye(6) + (gumbel(2, 6, 6, number=4) > 0) > 0, x, -INF)


def cases():
    """Names and arguments."""
    for m, n in SIZES:
        for temperature, iterations in ((1.0, 1), (1.0, 8), (0.02, 8)):
            x = gumbel(1, m, n, number=m) / temperature
            yield f"{m}x{n} {temperature} {iterations}", arguments(x, iterations, 0.0)
    for kind in KINDS:
        yield kind, arguments(scores(kind, 1, 6, 6) / 0.05, 6, 0.0)
    yield "masked", arguments(masked(), 10, 0.0)
    # The first column must be filled from the second row, 200 below: scalings that grow a
    # thousandfold in each iteration, and are absorbed time and again.
    rows = torch.tensor([[[1e-3], [1.999]]])
    x = torch.tensor([[[0.0, -200.0], [-200.0, 0.0]]])
    yield "uneven", arguments(x, 40, 0.0, rows, torch.ones(1, 1, 2))
    x = gumbel(4, 10, 10) * torch.linspace(0.1, 0.8, 4)[:, None, None]
    yield "stops", arguments(x, 100, 1e-5)
    yield "none", arguments(torch.tensor([[[0.0, 1.0], [-INF, -INF]], [[0.0, 1], [1, 0]]]), 5, 0.0)
    yield "nan", arguments(torch.tensor([[[0.0, 1.0], [torch.nan, 0.0]]]), 5, 0.0)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """Arguments and what the program made of them, in one run of the interpreter."""
    directory, given = tmp_path_factory.mktemp("kernels"), dict(cases())
    torch.save(list(given.values()), directory / "input")
    runner = Path(__file__).with_name("permutation_kernel_runner.py")
    command = [sys.executable, runner, directory / "input", directory / "output"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(directory / "output")
    return {name: (given[name], each) for name, each in zip(given, found, strict=True)}


SPECIAL = ("stops", "none", "nan")


# --- interpreted ------------------------------------------------------------------------------


@needs_triton
def test_same_matrices_potentials_and_errors_as_the_reference(interpreted):
    for name, (given, found) in interpreted.items():
        if name in SPECIAL:
            continue
        *tensors, iterations, aim = given
        wide = (each.double() for each in tensors)
        p, u, v, off = sweep(*wide, iterations, aim, watch=False)
        # What is known of scores in float32 is what is known of their exponentials.
        top = float(tensors[0].masked_fill(tensors[0] == -INF, 0).abs().max())
        rough = 2e-6 + iterations**0.5 * 1e-7 * top
        close(found[0], p, rough, 10 * rough, what=f"{name}, matrix")
        close(found[1] + found[2], u + v, 10 * rough, 1e-6, what=f"{name}, potentials")
        close(found[3], off, 20 * rough, 1e-3, what=f"{name}, error")


@needs_triton
def test_errors_are_those_of_the_sums(interpreted):
    for name, (given, (p, _, _, off)) in interpreted.items():
        rows, columns = given[3:5]
        if name not in SPECIAL[1:]:
            one = (p.double().sum(-1, keepdim=True) / rows - 1).abs().amax((1, 2))
            two = (p.double().sum(-2, keepdim=True) / columns - 1).abs().amax((1, 2))
            close(off, torch.maximum(one, two), 3e-6, what=name)


@needs_triton
def test_masked_entries_are_zero(interpreted):
    given, found = interpreted["masked"]
    assert bool((found[0][given[0] == -INF] == 0).all())
    assert bool((found[0][given[0] > -INF] > 0).all())


@needs_triton
def test_each_matrix_stops_by_itself(interpreted):
    given, (p, _, _, off) = interpreted["stops"]
    assert bool((off <= 1e-5).all())
    close(sums_off(p), torch.zeros(len(p)), 1e-5)
    # All sweeps would have left much less of the error of the slow one.
    more = sweep(*(each.double() for each in given[:5]), 100, 0.0, watch=False)
    assert float(more[3].max()) < 1e-8 < 1e-6 < float(off.max())


@needs_triton
def test_what_has_no_scaling_is_nan(interpreted):
    _, (p, _, _, off) = interpreted["none"]
    assert bool(p[0].isnan().any())
    assert bool(off[0].isnan())
    close(p[1], sinkhorn(torch.tensor([[0.0, 1.0], [1.0, 0.0]])), 1e-5)
    assert bool(interpreted["nan"][1][0].isnan().any())
    assert bool(interpreted["nan"][1][3].isnan())


# --- compiled ---------------------------------------------------------------------------------


@needs_triton
@pytest.mark.parametrize(
    ("m", "n", "arch"), [(10, 10, 80), (10, 10, 90), (33, 70, 90), (cuda.MOST, cuda.MOST, 80)]
)
def test_compiles(m, n, arch):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from relaxit_permutation.sinkhorn import triton_kernels

    constants = triton_kernels.tiling(m, n)
    options = {name: constants.pop(name) for name in ("num_warps", "enable_fp_fusion")}
    names = triton_kernels.sweep_program.arg_names
    signature = {name: "constexpr" if name in constants else "*fp32" for name in names}
    signature |= {"iterations": "i32", "aim": "fp32"}
    values = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(triton_kernels.sweep_program, signature=signature, constexprs=values)
    made = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    assert f"sm_{arch}" in made.asm["ptx"]


# --- where it is used -------------------------------------------------------------------------


@needs_triton
def test_usable_on_cuda_in_float32_for_what_fits():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        assert cuda.uses_triton(torch.empty(2, 128, 128, device="cuda"))
        assert not cuda.uses_triton(torch.empty(2, 129, 129, device="cuda"))
        assert not cuda.uses_triton(torch.empty(2, 4, 4, device="cuda", dtype=torch.float64))
        assert not cuda.uses_triton(torch.empty(2, 4, 4))


def test_a_failing_compiler_gives_the_reference_and_one_warning(monkeypatch):
    x, one = gumbel(3, 5, 5).float(), torch.ones(3, 5, 1)
    given = (x, one, one.mT, 20, 10, 1e-5, False)
    want = scaling.scale_matrices(*given)
    asked = []
    monkeypatch.setattr(cuda, "triton_works", True)
    # Nothing here can run a program on the CPU: whatever is raised, with Triton or without.
    monkeypatch.setattr(cuda, "uses_triton", lambda x: asked.append(1) or cuda.triton_works)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = scaling.scale_matrices(*given)
    assert len(asked) >= 2  # sweeps, and after Newton's steps again
    assert all(torch.equal(*pair) for pair in zip(found, want, strict=True))
    assert sum("Triton failed" in str(each.message) for each in told) == 1


@needs_triton
def test_the_program_is_not_tried_where_the_error_is_checked(monkeypatch):
    monkeypatch.setattr(cuda, "sweep", lambda *_: pytest.fail("asked"))
    sinkhorn(gumbel(2, 4, 4))


# --- on a GPU ---------------------------------------------------------------------------------


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize(("m", "n"), [(2, 2), (10, 10), (33, 70), (100, 100), (128, 128)])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.02])
def test_gpu_equals_the_reference(m, n, temperature):
    given = arguments(gumbel(300, m, n) / temperature, 100, 0.0)
    there = (each.cuda() if isinstance(each, torch.Tensor) else each for each in given)
    found = cuda.sweep(*there)
    assert found is not None, "Triton failed"
    p, u, v, off = sweep(*given, watch=False)
    close(found[0].cpu(), p, 1e-4)
    close((found[1] + found[2]).cpu(), u + v, 1e-3, 1e-5)
    close(found[3].cpu(), off, 1e-4, 1e-3)


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize("newton", [0, 100])
def test_gpu_sums_are_right_and_nothing_waits(newton):
    x = gumbel(64, 20, 20).float().cuda().requires_grad_()
    for mode in ("default", "error"):  # the first call compiles
        torch.cuda.set_sync_debug_mode(mode)
        try:
            soft = sinkhorn(x, 0.5, newton=newton)
            soft.square().sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert cuda.triton_works, "Triton failed"
    assert float(sums_off(soft.cpu()).max()) < 1e-4
