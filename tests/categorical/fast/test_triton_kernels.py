"""The Triton programs, interpreted on the CPU and compiled for GPUs that are not here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from relaxit.categorical.fast import cuda
from relaxit.dtypes import smallest_stored
from tests.categorical.fast.operators import (
    ROWS,
    SHORT,
    draw,
    gumbel_row,
    key,
    logits,
    needs_triton,
    pull,
)
from tests.helpers import seed

HEAT = {"number": 0.7, "scalar": torch.tensor(0.7), "row": None}
GRID = [  # every pair of values of K, dtype, temperature and copies
    *((k, dtype, "number", 1, True, True) for k in (2, 3, 10) for dtype in SHORT),
    *((10, torch.float32, heat, copies, True, True) for heat in HEAT for copies in (1, 3)),
    *((3, torch.bfloat16, "row", 3, *both) for both in ((True, False), (False, True))),
    (1000, torch.float32, "row", 2, True, True),
    (1000, torch.float16, "number", 1, True, True),
]


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
    # A float32 has 2e-6 at 23. A loss among the largest values shows here, not in a distribution.
    torch.testing.assert_close(found["out"].double(), want, rtol=1e-7, atol=2e-7)


@needs_triton
def test_noise_of_rows_beyond_32_bits(interpreted):
    given, found = interpreted[1]
    rows = torch.arange(4) + given["start"]
    want = torch.stack([gumbel_row(given["seed"], int(row), 8) for row in rows])
    torch.testing.assert_close(found["out"], want, rtol=1e-5, atol=1e-6)


@needs_triton
def test_draw_equals_the_reference_implementation(interpreted):
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
def test_stored_values_are_clamped_below_and_masked_ones_zero(interpreted):
    for given, found in interpreted:
        if given["what"] == "draw" and given["soft"]:
            masked = (given["params"] == -torch.inf).repeat(given["copies"], 1)
            assert bool((found["soft"][masked] == 0).all())
            assert bool((found["soft"][~masked] >= given["least"]).all())


@needs_triton
def test_gradient_equals_the_reference_implementation(interpreted):
    for given, found in interpreted:
        if given["what"] == "pull":
            want = pull(given["grad"], given["soft"], given["temperature"], given["rows"])
            near = SHORT[want.dtype]
            torch.testing.assert_close(found["out"], want, rtol=near, atol=near)


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
