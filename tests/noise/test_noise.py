"""Noise has the right distribution, is finite in every dtype and obeys its generator."""

from __future__ import annotations

import gc
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from relaxit import noise
from relaxit.dtypes import compute_dtype
from relaxit.noise import sfc64
from relaxit.noise.sfc64 import LEAST
from relaxit.testing import wrong_distribution, wrong_frequencies
from tests.helpers import DTYPES, seed

DISTRIBUTIONS = {
    "uniform": "uniform",
    "exponential": "expon",
    "gumbel": "gumbel_r",
    "logistic": "logistic",
}
DRAWS = torch.Size([200_000])


def tail_counts(values: torch.Tensor, edges: np.ndarray) -> torch.Tensor:
    counts, _ = np.histogram(values.double().numpy(), bins=[-np.inf, *edges, np.inf])
    return torch.from_numpy(counts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution(name, dtype):
    # alpha = 2e-5; 200 000 draws see a distance of 0.0054 between distribution functions.
    x = getattr(noise, name)(DRAWS, dtype=dtype, generator=seed(1))
    assert not wrong_distribution(x, DISTRIBUTIONS[name])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_of_small_draws(name):
    # They come from another generator than large ones. alpha = 2e-5.
    source = seed(5)
    few = [getattr(noise, name)((sfc64.LEAST - 1,), generator=source) for _ in range(6)]
    assert not wrong_distribution(torch.cat(few), DISTRIBUTIONS[name])


@pytest.mark.parametrize("size", [5, sfc64.LEAST])
def test_compiled_code_draws_from_a_handle(size):
    def shifted(x, source):
        return x + noise.gumbel(x.shape, generator=source)

    generator = seed(6)
    handle = noise.Handle.of(generator)
    compiled = torch.compile(shifted, fullgraph=True, backend="eager")
    x = torch.zeros(size)
    first, second = compiled(x, handle), compiled(x, handle)
    generator.manual_seed(6)
    for each in (first, second):
        assert torch.equal(each, shifted(x, generator))


def test_compiled_rows_of_vmap_differ():
    rows = torch.func.vmap(lambda x: x + noise.uniform(x.shape), randomness="different")
    drawn = torch.compile(rows, fullgraph=True, backend="eager")(torch.zeros(4, 3))
    assert drawn.unique().numel() == 12


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_rejects_a_mutant(name):
    x = getattr(noise, name)(DRAWS, generator=seed(1))
    assert wrong_distribution(x * 1.05, DISTRIBUTIONS[name])
    assert wrong_distribution(torch.zeros_like(x) + 0.5, DISTRIBUTIONS[name])


def test_upper_tail_of_gumbel_is_there():
    # bfloat16 uniforms know no Gumbel above 5.53; the test must see that. alpha = 2e-5.
    edges = stats.gumbel_r.isf([0.1, 0.01, 0.004, 0.001, 1e-4])
    cells = torch.tensor(np.diff([0, *stats.gumbel_r.cdf(edges), 1]))
    x = noise.gumbel(DRAWS, generator=seed(2))
    assert not wrong_frequencies(tail_counts(x, edges), cells)
    u = torch.rand(DRAWS, dtype=torch.bfloat16, generator=seed(2))
    mutant = -(-(u + 1e-20).log()).log()
    assert wrong_frequencies(tail_counts(mutant, edges), cells)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ends_of_the_generator_give_finite_noise(name, dtype, monkeypatch):
    # The smallest and the largest number torch.rand can return.
    step = 2.0**-53 if dtype == torch.float64 else 2.0**-24
    ends = torch.tensor([0.0, 1 - step], dtype=dtype)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: ends.clone())
    low, high = sorted(getattr(noise, name)(torch.Size([2]), dtype=dtype).tolist())
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    if name == "uniform":
        assert low > 0
        assert high < 1
    if name == "gumbel" and dtype == torch.float32:
        assert (low, high) == pytest.approx((-2.81, 17.33), abs=0.01)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_generator(name):
    draw = getattr(noise, name)
    size = torch.Size([100])
    before = torch.get_rng_state()
    first = draw(size, generator=seed(3))
    assert torch.equal(first, draw(size, generator=seed(3)))
    assert not torch.equal(first, draw(size, generator=seed(4)))
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
    draw(size)
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_shape_dtype_device(name, shape, dtype, device):
    x = getattr(noise, name)(torch.Size(shape), dtype=dtype, device=device)
    assert x.shape == shape
    assert x.dtype == dtype
    assert x.device.type == device.type


@pytest.mark.parametrize("dtype", DTYPES)
def test_compute_dtype_is_never_short(dtype):
    wide = compute_dtype(dtype)
    assert wide in (torch.float32, torch.float64)
    assert torch.promote_types(wide, dtype) == wide


def test_large_draws_of_vmapped_rows_differ():
    rows = torch.func.vmap(lambda x: x + noise.uniform(x.shape), randomness="different")
    drawn = rows(torch.zeros(2, sfc64.LEAST))
    assert (drawn[0] != drawn[1]).float().mean() > 0.99


def test_tracers_see_large_draws():
    # NumPy's numbers would be none of the graph's.
    traced = make_fx(lambda x: x + noise.uniform((sfc64.LEAST,)))(torch.zeros(()))
    assert not wrong_distribution(traced(torch.zeros(())), "uniform")
    with FakeTensorMode():
        assert noise.uniform((sfc64.LEAST,)).shape == (sfc64.LEAST,)


def test_a_filled_tensor_counts_as_changed():
    u, x = torch.zeros(sfc64.LEAST), torch.ones(sfc64.LEAST, requires_grad=True)
    y = (x * u).sum()
    sfc64.fill_uniform(u)
    with pytest.raises(RuntimeError, match="inplace"):
        y.backward()
    with torch.inference_mode():
        assert not wrong_distribution(noise.uniform((sfc64.LEAST,)), "uniform")


# --- compiled draws -----------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("c++") is None, reason="the inductor needs a C++ compiler")
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("size", [100, LEAST])
def test_the_inductor_keeps_the_order_of_draws(named, size):
    # Consumers in the opposite order, one without any, one whose size comes from an argument: a
    # scheduler that only follows data would move them.
    generator = torch.Generator() if named else torch.default_generator
    source = noise.Handle.of(generator) if named else None

    def draws(x):
        first = noise.uniform((size,), generator=source)
        noise.exponential((7,), generator=source)
        second = noise.gumbel((size, 2), generator=source)
        third = noise.uniform(x.shape, generator=source)
        return third.sum() + x, second.cumsum(0), first * 2

    x = torch.zeros(3)
    torch.compiler.reset()
    compiled = torch.compile(draws, fullgraph=True)
    for number in (1, 2):
        generator.manual_seed(number)
        wanted, state = draws(x), generator.get_state()
        generator.manual_seed(number)
        found = compiled(x)
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b)
        assert torch.equal(generator.get_state(), state), "the generator is not where it should be"


def test_the_operator_keeps_torchs_own_rules():
    args = (noise.Handle.of(seed(0)).draws, [3], torch.float32, torch.device("cpu"), 0)
    # Not what needs the same numbers twice.
    tests = ("test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.relaxit.uniform.default, args, test_utils=tests)


def test_a_handle_keeps_its_generator_and_gives_it_up():
    handle = noise.Handle.of(seed(4))
    gc.collect()
    first = noise.uniform((3,), generator=handle)
    assert torch.equal(first, noise.uniform((3,), generator=seed(4)))
    kept = (handle.draws, [3], torch.float32, torch.device("cpu"), handle.number)
    assert torch.ops.relaxit.uniform(*kept).shape == (3,)
    del handle
    gc.collect()
    with pytest.raises(KeyError, match=str(kept[-1])):  # the number is forgotten
        torch.ops.relaxit.uniform(*kept)


def test_draws_are_counted_in_inference_mode_too():
    with torch.inference_mode():
        handle = noise.Handle.of(seed(4))
        noise.uniform((3,), generator=handle)
    noise.uniform((3,), generator=handle)
    assert handle.draws == 2


# --- special arguments of log1p -----------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_special_arguments_are_computed_once_and_again_in_a_child():
    code = (
        "import os, torch\n"
        "seen = []\n"
        "log1p = torch.Tensor.log1p\n"
        "torch.Tensor.log1p = lambda x: (seen.append(x), log1p(x))[1]\n"
        "from relaxit import noise\n"
        "def special():\n"
        "    found = [x.dtype for x in seen if (x == 0).any() and x.isnan().any()]\n"
        "    seen.clear()\n"
        "    return sorted(map(str, found)) == ['torch.float32', 'torch.float64']\n"
        "assert special(), 'at the import'\n"
        "noise.uniform((3,))\n"
        "assert not special(), 'a second time'\n"
        "if os.fork() == 0:\n"
        "    noise.uniform((3,))\n"
        "    os._exit(0 if special() else 1)\n"
        "assert os.wait()[1] == 0, 'in a child'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
