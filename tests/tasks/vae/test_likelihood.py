"""Likelihoods against torch.distributions, and a VAE with each of them learns."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal

from relaxit.data import ColumnFormat
from relaxit.tasks.vae.likelihood import REQUIRED, build_likelihood, pixel_loss
from tests.helpers import seed

SHAPES = [(), (3,), (4, 5)]
CLASSES = 6


def drawn(name, shape, rows=7, number=0):
    """Examples ``[rows, *shape]`` of a likelihood."""
    generator = seed(number)
    if name == "categorical":
        return torch.randint(0, CLASSES, (rows, *shape), generator=generator)
    if name == "bernoulli":
        return torch.rand((rows, *shape), generator=generator).round()
    return torch.randn((rows, *shape), generator=generator)


def made(name, shape):
    classes = CLASSES if name == "categorical" else 0
    return build_likelihood(name, ColumnFormat("any", shape, classes))


def reference(name, likelihood, outputs, x):
    """Negative log-likelihood by torch.distributions."""
    if name == "bernoulli":
        log = Bernoulli(logits=outputs, validate_args=False).log_prob(x)
    elif name == "gaussian":
        log = Normal(outputs, likelihood.log_scale.exp()).log_prob(x)
    else:
        log = Categorical(logits=outputs.unflatten(-1, (-1, CLASSES))).log_prob(x)
    return -log.sum(-1)


@pytest.mark.parametrize("samples", [(), (2,), (2, 3)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REQUIRED)
def test_losses_and_gradients_are_those_of_torch(name, shape, samples):
    likelihood, x = made(name, shape), drawn(name, shape)
    if name == "gaussian":
        with torch.no_grad():
            likelihood.log_scale.fill_(0.7)
    size = (*samples, 7, likelihood.outputs)
    outputs = torch.randn(size, generator=seed(1)).requires_grad_()
    flat = x.flatten(1) if shape else x[:, None]
    found, wanted = likelihood.loss(outputs, x), reference(name, likelihood, outputs, flat)
    assert found.shape == (*samples, 7)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    inputs = [outputs, *likelihood.parameters()]
    ours, theirs = (torch.autograd.grad(loss.sum(), inputs) for loss in (found, wanted))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REQUIRED)
def test_inputs_of_the_encoder_hold_the_example(name, shape):
    likelihood, x = made(name, shape), drawn(name, shape)
    encoded = likelihood.encode(x)
    assert (encoded.shape, encoded.dtype) == ((7, likelihood.features), torch.float32)
    back = encoded.unflatten(1, (-1, CLASSES)).argmax(-1) if name == "categorical" else encoded
    assert torch.equal(back.reshape(x.shape), x)
    if name == "categorical":
        assert torch.equal(likelihood.encode(x.to(torch.uint8)), encoded)


@pytest.mark.parametrize("name", REQUIRED)
def test_biases_from_the_mean_example_are_the_best_constant_outputs(name):
    likelihood, x = made(name, (3,)), drawn(name, (3,), rows=500)
    outputs = likelihood.biases(likelihood.encode(x).mean(0)).requires_grad_()
    assert outputs.shape == (likelihood.outputs,)
    loss = likelihood.loss(outputs.expand(500, -1), x).mean()
    (slope,) = torch.autograd.grad(loss, outputs)
    assert float(slope.abs().max()) < 1e-4  # at a minimum of a convex function
    assert likelihood.biases(torch.zeros(likelihood.features)).isfinite().all()


@pytest.mark.parametrize("name", REQUIRED)
def test_means_are_those_of_the_distribution(name):
    likelihood = made(name, (3,))
    outputs = torch.randn(2, 4, likelihood.outputs, generator=seed(2))
    mean = likelihood.mean(outputs)
    wanted = {
        "bernoulli": lambda: Bernoulli(logits=outputs).mean,
        "gaussian": lambda: outputs,
        "categorical": lambda: Categorical(logits=outputs.unflatten(-1, (3, CLASSES))).mode,
    }[name]()
    assert torch.equal(mean, wanted)
    assert mean.shape == (2, 4, 3)


def test_pixel_loss_takes_more_samples_than_images():
    logits, x = torch.randn(3, 4, 7), (torch.rand(4, 7) > 0.5).float()
    mass = Bernoulli(logits=logits).log_prob(x.expand(3, 4, 7)).sum(-1)
    assert torch.allclose(pixel_loss(logits, x), -mass, atol=1e-5)
