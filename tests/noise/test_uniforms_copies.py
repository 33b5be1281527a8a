"""Sources of randomness, and what holds them, are copied and pickled as models are."""

from __future__ import annotations

import copy
import gc
import io
import pickle

import pytest
import torch
from torch import nn

import relaxit
from relaxit import noise
from relaxit.noise import Handle, Streams

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}
EACH = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
DEEP = pytest.mark.parametrize("copied", [COPIES["deepcopy"], COPIES["pickle"]])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def numbers(source) -> torch.Tensor:
    return noise.uniform((3,), generator=source)


@EACH
def test_a_copied_handle_draws_the_same_numbers(copied):
    again = copied(Handle.of(generator()))
    gc.collect()  # the first handle is gone
    assert torch.equal(numbers(again), numbers(generator()))


@DEEP
def test_a_deep_copy_of_a_handle_has_a_generator_of_its_own(copied):
    handle = Handle.of(generator())
    again = copied(handle)
    assert again.number != handle.number
    assert torch.equal(numbers(handle), numbers(again))


def test_a_shallow_copy_of_a_handle_shares_its_generator():
    handle = Handle.of(generator())
    alone = generator()
    want = [numbers(alone), numbers(alone)]
    assert torch.equal(numbers(handle), want[0])
    assert torch.equal(numbers(copy.copy(handle)), want[1])


@DEEP
def test_a_copy_of_streams_draws_the_same_numbers(copied):
    own = [generator(), torch.Generator().manual_seed(6)]
    streams = Streams(own, torch.tensor(1))
    again = copied(streams)
    assert torch.equal(numbers(again), numbers(streams))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source = Handle.of(generator())
        self.relaxation = relaxit.get("categorical", categories=3)
        self.prior = self.relaxation(torch.zeros(2, 3), 0.5)
        self.layer = relaxit.Relax("categorical", 0.5, generator=generator())

    def forward(self, x):
        soft = self.relaxation(x, 0.5).rsample((), self.source)
        return soft + self.prior.sample((), self.source) + self.layer(x)


@DEEP
def test_a_model_that_holds_all_of_them_computes_the_same(copied):
    model, x = Model(), torch.randn(2, 3, generator=generator())
    again = copied(model)
    assert again.relaxation == model.relaxation
    torch.testing.assert_close(again(x), model(x))


def test_a_whole_model_is_saved_and_loaded():
    model, x, file = Model(), torch.zeros(2, 3), io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    torch.testing.assert_close(torch.load(file, weights_only=False)(x), model(x))


@DEEP
@pytest.mark.parametrize("options", [{"temperature": 0.5}, {"temperature": torch.full((2,), 0.3)}])
def test_a_copied_distribution_is_the_same(copied, options):
    q = relaxit.get("categorical", categories=3)(torch.randn(2, 3), **options)
    again = copied(q)
    assert torch.equal(again.rsample((4,), generator()), q.rsample((4,), generator()))
    assert torch.equal(again.discrete.entropy(), q.discrete.entropy())
    assert torch.equal(copied(q.discrete).mean, q.discrete.mean)
    value = q.log_space.rsample((2,))
    assert torch.equal(copied(q.log_space).log_prob(value), q.log_space.log_prob(value))
