"""The operators of the Concrete draw on CUDA, called with a seed, and logits for them."""

from __future__ import annotations

import math
from importlib.util import find_spec

import pytest
import torch

from tests.helpers import seed

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
SHORT = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Rounding error of a dtype; the interpreter truncates bfloat16."""
ROWS = {2: 700, 3: 600, 10: 150, 1000: 3}  # more than one program handles


def key(number):
    """The seed of an operator."""
    return torch.tensor(number)


def draw(params, temperature, copies=1, soft=True, hard=True, number=5):
    """The operator; on the CPU its reference implementation in PyTorch."""
    tensor = isinstance(temperature, torch.Tensor)
    heat, plain = (temperature, None) if tensor else (None, temperature)
    return torch.ops.relaxit.concrete(params, heat, plain, key(number), copies, soft, hard)


def pull(grad, soft, temperature, rows):
    """The operator of the gradient."""
    tensor = isinstance(temperature, torch.Tensor)
    heat, plain = (temperature, None) if tensor else (None, temperature)
    return torch.ops.relaxit.concrete_backward(grad, soft, heat, plain, rows)


def logits(rows, k, dtype=torch.float32):
    """Logits of which two rows have masked categories."""
    found = torch.randn(rows, k, generator=seed(1)) * 2
    found[1, 0] = found[2, 1:] = -torch.inf
    return found.to(dtype)


def gumbel_row(number, row, k):
    """Noise of one row by Philox on Python integers, from the paper."""
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
