"""Convolutions over blocks: which characters and latents see each other, and the first weights."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.data import ColumnFormat
from relaxit.tasks.text_vae import TextVae, TextVaeOptions
from tests.helpers import seed

RELAXATIONS = [r for cls in relaxit.relaxations().values() for r in cls.examples()]
BLOCKS, BLOCK, CLASSES = 6, 2, 5
TOKENS = ColumnFormat("int64", (BLOCKS * BLOCK,), CLASSES)


def autoencoder(relaxation=None, each=3, **options):
    relaxation = relaxation or relaxit.get("categorical", categories=4)
    chosen = TextVaeOptions(**{"hidden": (16,), "block": BLOCK, **options})
    return TextVae(relaxation, BLOCKS * each, TOKENS, chosen)


def passages(count=7):
    return torch.randint(CLASSES, (count, *TOKENS.shape), generator=seed(0))


@pytest.mark.parametrize("hidden", [(), (8,), (8, 12)])
@pytest.mark.parametrize("prior", ["uniform", "learned"])
@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
def test_sized_from_the_shapes_of_any_relaxation(relaxation, prior, hidden):
    vae = autoencoder(relaxation, hidden=hidden, prior=prior)
    params = vae.encode(passages())
    assert params.shape == vae.prior_like(params).shape == (7, 3 * BLOCKS, *relaxation.param_shape)
    q = relaxation(params)
    several = q.rsample((2,))
    assert vae.decode(several).shape == (2, 7, BLOCKS * BLOCK * CLASSES)
    # Row by row: leading dimensions are not mixed.
    alone = vae.decode(several[1, 3:4])[0]
    assert torch.allclose(vae.decode(several)[1, 3], alone, atol=1e-5)


@pytest.mark.parametrize(("hidden", "reach"), [((), 0), ((8,), 1), ((8, 8), 2)])
def test_a_block_sees_its_neighbours_only(hidden, reach):
    vae = autoencoder(hidden=hidden)
    x = passages()
    params = vae.encode(x).unflatten(1, (BLOCKS, -1))
    for position in range(BLOCKS * BLOCK):
        changed = x.clone()
        changed[:, position] = (changed[:, position] + 1) % CLASSES
        other = vae.encode(changed).unflatten(1, (BLOCKS, -1))
        moved = (params != other).flatten(2).any(2).any(0).tolist()
        assert moved == [abs(position // BLOCK - b) <= reach for b in range(BLOCKS)]
    z = vae.prior_like(vae.encode(x)).clone().requires_grad_()
    for block in range(BLOCKS):
        logits = vae.decode(z).unflatten(-1, (BLOCKS, -1))[:, block]
        (gradient,) = torch.autograd.grad(logits.square().sum(), z)
        felt = gradient.unflatten(1, (BLOCKS, -1)).flatten(2).abs().sum((0, 2)) > 0
        assert all(abs(block - b) <= reach for b in felt.nonzero().flatten().tolist())


def test_weights_are_the_same_at_all_positions():
    """A passage whose blocks are those of another one, moved by one, has its params moved."""
    vae, x = autoencoder(), passages()
    moved = x.roll(BLOCK, 1)
    one, other = (vae.encode(p).unflatten(1, (BLOCKS, -1)) for p in (x, moved))
    # The blocks at both ends see the border.
    assert torch.allclose(one[:, 1:-2], other[:, 2:-1], atol=1e-6)


def test_the_prior_of_a_block_is_that_of_all_blocks():
    vae = autoencoder()
    with torch.no_grad():
        vae.prior_params.normal_(generator=seed(1))
    prior = vae.prior_like(vae.encode(passages())).unflatten(1, (BLOCKS, -1))
    assert torch.equal(prior, vae.prior_params.expand_as(prior))
    assert autoencoder(prior="uniform").prior_params is None


def test_the_decoder_starts_at_the_frequencies_of_the_characters():
    vae, x = autoencoder(), passages(500)
    x[x == 3] = 0
    vae.fit_mean(vae.likelihood.encode(x).mean(0))
    torch.nn.init.zeros_(vae.decoder.last.weight)
    outputs = vae.decode(torch.zeros(1, 3 * BLOCKS, 4))
    probabilities = outputs.unflatten(-1, (-1, CLASSES)).softmax(-1)[0]
    counts = torch.bincount(x.flatten(), minlength=CLASSES)
    expected = (counts / counts.sum()).expand_as(probabilities)
    assert torch.allclose(probabilities, expected, atol=1e-3)


@pytest.mark.parametrize("categories", [4, 64])
def test_first_weights_keep_the_signal_of_one_hot_inputs(categories):
    """The variance of all outputs is of the order of 1, whatever the number of categories."""
    torch.manual_seed(0)
    relaxation = relaxit.get("categorical", categories=categories)
    vae = autoencoder(relaxation, hidden=(400,))
    hard = relaxation(torch.zeros(200, 3 * BLOCKS, categories)).sample_hard()
    for outputs in (vae.encode(passages(200)), vae.decode(hard)):
        assert 0.3 < float(outputs.detach().square().mean()) < 3


def test_no_weight_is_stored_twice():
    state = autoencoder().state_dict()
    stored = {value.data_ptr() for value in state.values() if value.numel()}
    assert len(stored) == sum(value.numel() > 0 for value in state.values())
