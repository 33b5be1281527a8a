"""The Concrete draw on CUDA: its programs interpreted and compiled, its operators on the CPU.

Without a GPU the programs run in Triton's interpreter, and are compiled for GPUs that are not here.
The oracles are the operators' plain form on the same noise, and autograd.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
import torch

import relaxit
from relaxit.categorical.fast import cuda
from relaxit.categorical.fast.cuda import concrete, usable
from relaxit.dtypes import smallest_stored
from relaxit.noise import Streams
from relaxit.testing import count_values, wrong_distribution, wrong_frequencies, wrong_mean
from tests.conftest import needs_cuda
from tests.helpers import seed

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

SHORT = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Rounding of a dtype; the interpreter cuts bfloat16 off."""


def key(number):
    return torch.tensor(number)


def draw(params, temperature, copies=1, soft=True, hard=True, number=5):
    """The operator, which on the CPU is in plain PyTorch."""
    tensor = isinstance(temperature, torch.Tensor)
    heat, plain = (temperature, None) if tensor else (None, temperature)
    return torch.ops.relaxit.concrete(params, heat, plain, key(number), copies, soft, hard)


def pull(grad, soft, temperature, rows):
    tensor = isinstance(temperature, torch.Tensor)
    heat, plain = (temperature, None) if tensor else (None, temperature)
    return torch.ops.relaxit.concrete_backward(grad, soft, heat, plain, rows)


def by_autograd(params, temperature, copies=1, number=5):
    """The soft value as one would write it, on the noise of the operator."""
    noise = cuda.gumbel(key(number), copies * len(params), params.shape[1])
    return ((params.repeat(copies, 1) + noise) / temperature).softmax(-1)


def logits(rows, k, dtype=torch.float32):
    found = torch.randn(rows, k, generator=seed(1)) * 2
    found[1, 0] = found[2, 1:] = -torch.inf
    return found.to(dtype)


# --- the programs, interpreted ----------------------------------------------------------------

HEAT = {"number": 0.7, "scalar": torch.tensor(0.7), "row": None}
GRID = [  # every pair of values of K, dtype, temperature and copies
    *((k, dtype, "number", 1, True, True) for k in (2, 3, 10) for dtype in SHORT),
    *((10, torch.float32, heat, copies, True, True) for heat in HEAT for copies in (1, 3)),
    *((3, torch.bfloat16, "row", 3, *both) for both in ((True, False), (False, True))),
    (1000, torch.float32, "row", 2, True, True),
    (1000, torch.float16, "number", 1, True, True),
]
ROWS = {2: 700, 3: 600, 10: 150, 1000: 3}  # more than one program's


def temperature_of(heat, rows):
    return torch.linspace(0.05, 3, rows) if heat == "row" else HEAT[heat]


def cases():
    edges = [0, 1, 2, 2**16, 2**24 + 1, 2**29 - 2**8, 2**29, 2**29 + 1, 2**30]
    edges += [2**31 - 1, 2**31, 2**31 + 1, 3 * 2**30, 2**32 - 2**16, 2**32 - 2, 2**32 - 1]
    yield {"what": "gumbel", "words": torch.tensor(edges)}
    yield {"what": "noise", "seed": key(-3), "start": key(2**33 - 2)}
    for k, dtype, heat, copies, soft, hard in GRID:
        rows = ROWS[k]
        common = {"temperature": temperature_of(heat, rows)}
        given = {"params": logits(rows, k, dtype), "copies": copies, "soft": soft, "hard": hard}
        least = smallest_stored(dtype)
        yield {"what": "draw", **common, **given, "seed": key(5), "least": least}
        shape = (copies * rows, k)
        # Not quite normalised, as a rounded one is: the gradient takes it for what it is.
        soft = draw(given["params"], common["temperature"], copies)[0] * 0.9
        grad = torch.randn(shape, generator=seed(2)).to(dtype)
        yield {"what": "pull", **common, "grad": grad, "soft": soft, "rows": rows}


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """What went into the programs and what came out, in one run of the interpreter."""
    directory, given = tmp_path_factory.mktemp("kernels"), list(cases())
    torch.save(given, directory / "input")
    command = [sys.executable, "-m", "tests.categorical.fast.kernel_runner", "input", "output"]
    command[-2:] = [str(directory / name) for name in command[-2:]]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    return list(zip(given, torch.load(directory / "output"), strict=True))


@needs_triton
def test_gumbel_of_a_word(interpreted):
    given, found = interpreted[0]
    u = (given["words"].double() + 0.5) * 2.0**-32
    want = -torch.log(-torch.log1p(-u))
    # A float32 has 2e-6 at 23. What the end of the largest values loses shows here, not in a law.
    torch.testing.assert_close(found["out"].double(), want, rtol=1e-7, atol=2e-7)


@needs_triton
def test_noise_of_rows_beyond_32_bits(interpreted):
    given, found = interpreted[1]
    rows = torch.arange(4) + given["start"]
    want = torch.stack([_gumbel_row(given["seed"], int(row), 8) for row in rows])
    torch.testing.assert_close(found["out"], want, rtol=1e-5, atol=1e-6)


@needs_triton
def test_draw_equals_the_plain_form(interpreted):
    seen = 0
    for given, found in interpreted:
        if given["what"] != "draw":
            continue
        params, wanted = given["params"], (given["soft"], given["hard"])
        soft, hard = draw(params, given["temperature"], given["copies"], *wanted)
        near = SHORT[params.dtype]
        torch.testing.assert_close(found["soft"], soft.view_as(found["soft"]), rtol=near, atol=near)
        assert torch.equal(found["hard"], hard.view_as(found["hard"]))
        seen += 1
    assert seen == len(GRID)


@needs_triton
def test_stored_values_are_floored_and_masked_ones_zero(interpreted):
    for given, found in interpreted:
        if given["what"] == "draw" and given["soft"]:
            masked = (given["params"] == -torch.inf).repeat(given["copies"], 1)
            assert bool((found["soft"][masked] == 0).all())
            assert bool((found["soft"][~masked] >= given["least"]).all())


@needs_triton
def test_gradient_equals_the_plain_form(interpreted):
    for given, found in interpreted:
        if given["what"] == "pull":
            want = pull(given["grad"], given["soft"], given["temperature"], given["rows"])
            near = SHORT[want.dtype]
            torch.testing.assert_close(found["out"], want, rtol=near, atol=near)


# --- the programs, compiled -------------------------------------------------------------------


def compiled(program, given, constants, k, arch):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from relaxit.categorical.fast import triton_kernels

    _, settings = triton_kernels.tiling(k)
    options = {name: settings.pop(name) for name in ("num_warps", "enable_fp_fusion")}
    constants = {**settings, **constants}
    names = program.arg_names
    signature = {name: "constexpr" if name in constants else given[name] for name in names}
    values = {(names.index(name),): value for name, value in constants.items()}
    aligned = {
        (i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name][0] == "*"
    }
    source = ASTSource(program, signature=signature, constexprs=values, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


VARIANTS = [  # K, dtype, temperature, repeated, soft, hard
    (10, "fp32", "number", False, True, False),
    (10, "fp32", "scalar", True, True, True),
    (3, "bf16", "row", True, True, True),
    (1000, "fp16", "row", False, False, True),
    (cuda.MOST, "fp32", "number", False, True, True),
]


@needs_triton
@pytest.mark.parametrize("arch", [80, 90])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v)))
def test_programs_compile(variant, arch):
    from relaxit.categorical.fast import triton_kernels

    k, dtype, heat, repeated, soft, hard = variant
    wide = "i64" if k == cuda.MOST else "i32"
    given = dict.fromkeys(("params", "soft", "hard", "grad", "out"), f"*{dtype}")
    given |= {"temperature": "fp32" if heat == "number" else "*fp32", "seed": "*i64"}
    given |= {"rows": wide, "total": wide}
    constants = {"REPEATED": repeated, "PER_ROW": heat == "row", "NUMBER": heat == "number"}
    drawn = {**constants, "LEAST": 1e-38, "SOFT": soft, "HARD": hard}
    ptx = compiled(triton_kernels.draw_program, given, drawn, k, arch).asm["ptx"]
    assert f"sm_{arch}" in ptx
    assert "lg2.approx" in ptx  # the device's own logarithm
    if soft:
        compiled(triton_kernels.pull_program, given, constants, k, arch)


# --- the noise in plain form ------------------------------------------------------------------


def _gumbel_row(number, row, k):
    """Noise of one row by Philox on Python's whole numbers, from the paper."""
    word, low = [], 2**32 - 1
    for group in range((k + 3) // 4):
        counter, keys = [row & low, row >> 32, group, 0], [int(number) & low, int(number) >> 32]
        for _ in range(10):
            keys = [each & low for each in keys]
            one, two = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
            high = (two >> 32) ^ counter[1] ^ keys[0], (one >> 32) ^ counter[3] ^ keys[1]
            counter = [high[0], two & low, high[1], one & low]
            keys = [keys[0] + 0x9E3779B9, keys[1] + 0xBB67AE85]
        word += counter
    u = [(each + 0.5) / 2**32 for each in word[:k]]
    return torch.tensor([-math.log(-math.log1p(-each)) for each in u])


def test_words_are_those_of_the_authors():
    # kat_vectors of Random123, philox4x32-10
    word = cuda.words(key(0), 1, 4)
    assert [f"{each:08x}" for each in word[0].tolist()] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]


@pytest.mark.parametrize("number", [0, 1, -1, 2**62 + 3, -(2**63)])
def test_noise_equals_that_of_whole_numbers(number):
    want = torch.stack([_gumbel_row(number, row, 6) for row in range(3)])
    torch.testing.assert_close(cuda.gumbel(key(number), 3, 6), want, rtol=2e-6, atol=2e-6)


def test_noise_is_gumbel_and_uncorrelated():
    g = cuda.gumbel(key(11), 20_000, 7)
    assert not wrong_distribution(g, "gumbel_r")
    centred = g.double() - g.double().mean()
    assert not wrong_mean((centred[:, :-1] * centred[:, 1:]).flatten(), 0.0)
    assert not wrong_mean((centred[:-1] * centred[1:]).flatten(), 0.0)
    assert not wrong_mean((centred * (cuda.gumbel(key(12), 20_000, 7) - g.mean())).flatten(), 0.0)


# --- the operators ----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 10])
def test_hard_values_follow_the_discrete_distribution(k):
    a = torch.randn(k, generator=seed(3))
    _, hard = concrete(a, 1.0, torch.Size([20_000]), seed(4), soft=False, hard=True)
    assert not wrong_frequencies(count_values(hard, torch.eye(k)), a.softmax(-1))


def test_soft_values_follow_the_density():
    # By the law's own density: that of two categories is logistic in log y0 - log y1.
    a, tau = torch.tensor([0.3, -0.4]), 0.6
    soft, _ = concrete(a, tau, torch.Size([20_000]), seed(5))
    ratio = (soft[:, 0].log() - soft[:, 1].log()) * tau - 0.7
    assert not wrong_distribution(ratio, "logistic")


def test_seeds():
    a = logits(5, 6)
    same = [concrete(a, 0.5, torch.Size([2]), seed(1), hard=True) for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*same, strict=True))
    other, _ = concrete(a, 0.5, torch.Size([2]), seed(2))
    assert not torch.equal(same[0][0], other)
    assert not torch.equal(same[0][0][0], same[0][0][1])


@pytest.mark.parametrize("heat", ["number", "scalar", "row"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_shapes_temperatures_and_gradient(heat, shape):
    a = logits(8, 6).view(2, 4, 6).requires_grad_()
    tau = {"number": 0.5, "scalar": torch.tensor(0.5)}.get(heat, torch.rand(4, 1) + 0.2)
    soft, hard = concrete(a, tau, torch.Size(shape), seed(6), hard=True)
    assert soft.shape == hard.shape == (*shape, 2, 4, 6)
    assert not hard.requires_grad
    number = int(torch.randint(2**63 - 1, (), generator=seed(6)))
    rows = tau.expand(2, 4, 1).reshape(8, 1) if heat == "row" else tau
    rows = rows.repeat(math.prod(shape), 1) if heat == "row" else rows
    want = by_autograd(a.view(8, 6), rows, math.prod(shape), number).view_as(soft)
    torch.testing.assert_close(soft, want, rtol=1e-5, atol=1e-6)
    assert torch.equal(hard, torch.nn.functional.one_hot(want.argmax(-1), 6).float())
    weight = torch.randn(soft.shape, generator=seed(7))
    got = torch.autograd.grad((soft * weight).sum(), a)[0]
    want = torch.autograd.grad((want * weight).sum(), a)[0]
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("copies", [1, 3])
def test_higher_derivatives(copies):
    a, direction = logits(4, 5).requires_grad_(), torch.randn(4, 5, generator=seed(8))
    weight = torch.randn(copies * 4, 5, generator=seed(9))
    found = []
    for soft in (draw(a, 0.7, copies)[0], by_autograd(a, 0.7, copies)):
        value = (soft.square() * weight).sum()
        for _ in range(3):
            value = (torch.autograd.grad(value, a, create_graph=True)[0] * direction).sum()
            found.append(value.detach())
    torch.testing.assert_close(found[:3], found[3:], rtol=1e-4, atol=1e-5)


def test_a_constant_has_no_gradient_in_a_short_dtype():
    a = logits(6, 9, torch.bfloat16).requires_grad_()
    soft, _ = draw(a, 0.5)
    soft.sum().backward()
    assert float(a.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("arguments", [(None, 0.7, 1), (None, 0.7, 3), (torch.rand(4), None, 3)])
def test_operators_keep_torch_s_rules(arguments):
    heat, number, copies = arguments
    a = torch.randn(4, 5, generator=seed(1), requires_grad=True)
    given = (a, heat, number, key(5), copies, True, True)
    torch.library.opcheck(torch.ops.relaxit.concrete.default, given)
    soft = torch.ops.relaxit.concrete(*given)[0].detach().requires_grad_()
    grad = torch.randn(soft.shape, generator=seed(2), requires_grad=True)
    backward = torch.ops.relaxit.concrete_backward.default
    torch.library.opcheck(backward, (grad, soft, heat, number, 4))


def test_compiles_whole():
    def cost(a, tau):
        soft, hard = concrete(a, tau, torch.Size([2]), hard=True)
        return (soft * hard).sum()

    a = logits(4, 5).requires_grad_()
    torch.compile(cost, fullgraph=True, backend="aot_eager")(a, torch.tensor(0.5)).backward()
    assert bool(a.grad.isfinite().all())
    assert bool((a.grad != 0).any())


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_nothing_to_draw(shape):
    a = torch.zeros(3, 4, requires_grad=True)
    soft, hard = concrete(a, 0.5, torch.Size(shape), hard=True)
    assert soft.shape == hard.shape == (*shape, 3, 4)
    soft.sum().backward()
    assert bool((a.grad == 0).all())
    soft, _ = concrete(torch.zeros(0, 4), torch.ones(0, 1))
    assert soft.shape == (0, 4)


def test_illegal_logits_give_nan():
    a = torch.tensor([[0.0, torch.nan, 1.0], [torch.inf, 0.0, 1.0], [-torch.inf] * 3])
    assert bool(draw(a, 0.5)[0].isnan().all())


# --- when it is taken -------------------------------------------------------------------------


@pytest.fixture
def on_cuda():
    """Tensors that say they are on a GPU, and hold nothing."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        yield lambda *shape, **more: torch.empty(*shape, device="cuda", **more)


@needs_triton
def test_taken_on_cuda_only_for_what_it_can_do(on_cuda):
    assert usable(on_cuda(5, 3), 0.5)
    assert usable(on_cuda(5, 3, requires_grad=True, dtype=torch.bfloat16), on_cuda(5, 1))
    assert usable(on_cuda(cuda.MOST), on_cuda(()))
    assert not usable(torch.empty(5, 3), 0.5)
    assert not usable(on_cuda(5, 3, dtype=torch.float64), 0.5)
    assert not usable(on_cuda(5, 1), 0.5)
    assert not usable(on_cuda(cuda.MOST + 1), 0.5)
    assert not usable(on_cuda(5, 3), torch.tensor(0.5))
    assert not usable(on_cuda(5, 3), on_cuda((), requires_grad=True))
    assert not usable(on_cuda(5, 3), 0.5, Streams([], torch.tensor(0)))


@needs_triton
def test_not_taken_under_transforms(on_cuda):
    asked = []

    def cost(a):
        asked.append(usable(a, 0.5))
        return a.sum()

    torch.vmap(cost)(on_cuda(2, 3))
    torch.func.vjp(cost, on_cuda(3))
    assert asked == [False, False]


def test_the_question_is_settled_while_compiling(monkeypatch):
    monkeypatch.setattr(cuda, "_taken", lambda tensor: True)

    def tell(a, tau):
        rows = torch.vmap(lambda row: row * (2 if usable(row, 0.5) else 3))(a)
        return rows, a * (2 if usable(a, tau, None) else 3)

    a = torch.ones(2, 3)
    told = torch.compile(tell, fullgraph=True, backend="aot_eager")(a, torch.rand(2, 1))
    assert [float(each[0, 0]) for each in told] == [3.0, 2.0]


@needs_triton
def test_shapes_are_known_without_a_device(on_cuda):
    a = on_cuda(4, 3, requires_grad=True)
    soft, hard = concrete(a, 0.5, torch.Size([2]), hard=True)
    assert soft.shape == hard.shape == (2, 4, 3)
    assert soft.is_cuda
    assert soft.requires_grad
    back = torch.ops.relaxit.concrete_backward(on_cuda(8, 3), on_cuda(8, 3), None, 0.5, 4)
    assert back.shape == (8, 3)


@pytest.mark.parametrize("step", ["forward", "backward"])
def test_a_failing_compiler_gives_the_plain_form_and_one_warning(step, monkeypatch):
    a, g = logits(4, 5), torch.randn(4, 5, generator=seed(1))
    soft, hard = draw(a, 0.5)
    asked = []
    monkeypatch.setattr(cuda, "_there", True)
    # Nothing here can run a program on the CPU: whatever is raised, with Triton or without.
    monkeypatch.setattr(cuda, "_taken", lambda tensor: asked.append(1) or cuda._there)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            if step == "forward":
                found = draw(a, 0.5)
                assert torch.equal(found[0], soft)
                assert torch.equal(found[1], hard)
            else:
                pull(g, soft, 0.5, 4)
    assert len(asked) == 2
    assert sum("Triton failed" in str(each.message) for each in told) == 1
    assert not cuda._there


# --- on a GPU ---------------------------------------------------------------------------------


@pytest.fixture
def gpu():
    return torch.device("cuda")


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize(
    ("k", "dtype", "copies"), [*itertools.product((2, 10, 1000), SHORT, (1, 3))]
)
def test_gpu_equals_cpu(k, dtype, copies, gpu):
    a, tau = logits(ROWS[k], k, dtype), torch.linspace(0.3, 3, ROWS[k])
    soft, hard = draw(a, tau, copies)
    g = torch.randn(soft.shape, generator=seed(2)).to(dtype)
    found = torch.ops.relaxit.concrete(a.to(gpu), tau.to(gpu), None, key(5).to(gpu), copies, 1, 1)
    back = pull(g.to(gpu), soft.to(gpu), tau.to(gpu), ROWS[k]).cpu()
    assert cuda._there, "Triton failed"
    near = 2 * SHORT[dtype]
    torch.testing.assert_close(found[0].cpu(), soft, rtol=near, atol=near)
    # The device's logarithm is off by a millionth: a tie within that may fall either way.
    assert float((found[1].cpu() != hard).any(-1).float().mean()) < 1e-2
    torch.testing.assert_close(back, pull(g, soft, tau, ROWS[k]), rtol=near, atol=near)


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize("k", [2, 10, 1000, cuda.MOST])
def test_gpu_distribution(k, gpu):
    a = torch.randn(k, generator=seed(3))
    source = seed(4, gpu)
    size = torch.Size([20_000 if k < 1000 else 2000])
    _, hard = concrete(a.to(gpu), 1.0, size, source, soft=False, hard=True)
    groups = torch.arange(k) * 10 // k
    mass = torch.zeros(10).index_add_(0, groups, a.softmax(-1))
    assert bool((hard.sum(-1) == 1).all())
    found = torch.bincount(groups[hard.argmax(-1).cpu()], minlength=10)
    assert not wrong_frequencies(found, mass)
    # The greatest values of the noise, which decide: log-sums of exponentials stay exponential.
    soft, _ = concrete(torch.zeros(40_000, 2, device=gpu), 1.0, generator=source)
    assert not wrong_distribution((soft[:, 0].log() - soft[:, 1].log()).cpu(), "logistic")


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_gpu_compiles_whole(gpu):
    distribution = relaxit.get("categorical", categories=5)

    def cost(a):
        soft, hard = distribution(a, 0.5, validate_args=False).draw()
        return (soft * hard).sum()

    a = logits(40, 5).clamp(-9).to(gpu).requires_grad_()
    torch.compile(cost, fullgraph=True)(a).backward()
    assert bool(a.grad.isfinite().all())


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_gpu_graph_draws_anew(gpu):
    a, number = logits(40, 5).to(gpu), key(5).to(gpu)
    given = (a, None, 0.5, number, 1, True, False)
    torch.ops.relaxit.concrete(*given)  # compiled before it is captured
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        soft, _ = torch.ops.relaxit.concrete(*given)
    graph.replay()
    first = soft.clone()
    graph.replay()
    assert torch.equal(soft, first)
    number.fill_(6)
    graph.replay()
    assert not torch.equal(soft, first)
    torch.testing.assert_close(soft.cpu(), draw(a.cpu(), 0.5, number=6)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_gpu_does_not_wait(gpu):
    a = logits(40, 5).to(gpu).requires_grad_()
    tau = torch.full((40, 1), 0.5, device=gpu)
    assert usable(a, tau)
    concrete(a, tau, torch.Size([2]), hard=True)[0].sum().backward()  # compiled
    torch.cuda.set_sync_debug_mode("error")
    try:
        concrete(a, tau, torch.Size([2]), hard=True)[0].sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
