"""The lower bound: the matrix products of a step, counted and in their dtype."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from relaxit.tasks.vae.benchmarks.matmuls import flops, training_matmuls

CPU = torch.device("cpu")


@pytest.mark.parametrize(("encoder", "decoder"), [([6, 4], [4, 6]), ([9, 5, 4, 8], [8, 3, 5, 9])])
def test_products_are_those_of_a_step(encoder, decoder):
    batch = 7
    with FlopCounterMode(display=False) as counted:
        training_matmuls(encoder, decoder, batch, "float32", CPU)()
    assert counted.get_total_flops() == flops(encoder, decoder, batch)

    layers = [torch.nn.Linear(a, b, bias=False) for a, b in pairwise(encoder)]
    again = [torch.nn.Linear(a, b, bias=False) for a, b in pairwise(decoder)]
    network = torch.nn.Sequential(*layers, torch.nn.Tanh(), *again)
    with FlopCounterMode(display=False) as true:  # autograd's own: forward, backward, decoder again
        network(torch.randn(batch, encoder[0])).sum().backward()
        with torch.no_grad():
            torch.nn.Sequential(*again)(torch.randn(batch, decoder[0]))
    assert counted.get_total_flops() == true.get_total_flops()


def test_bfloat16_products_are_in_bfloat16():
    assert training_matmuls([4, 3], [3, 4], 2, "bfloat16", CPU)().dtype == torch.bfloat16
