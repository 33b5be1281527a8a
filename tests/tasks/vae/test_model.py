"""The autoencoder: its shapes, and the weights that it starts with."""

import pytest
import torch

import relaxit
from relaxit import Capabilities
from relaxit.tasks.vae.model import Vae
from tests.training.signs import Sign

RELAXATIONS = [r for cls in relaxit.relaxations().values() for r in cls.examples()] + [Sign()]


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
@pytest.mark.parametrize("init", ["torch", "scaled"])
def test_sized_from_the_shapes_of_any_relaxation(relaxation, init):
    vae = Vae(relaxation, latents=3, pixels=20, hidden=(16, 8), init=init)
    params = vae.encode(torch.rand(5, 20))
    assert params.shape == (5, 3, *relaxation.param_shape)
    q = relaxation(params)
    assert vae.decode(q.rsample((2,))).shape == (2, 5, 20)
    assert vae.decode(q.sample_hard()).shape == (5, 20)


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
def test_scaled_weights_keep_the_signal_of_hard_values(relaxation):
    torch.manual_seed(0)
    vae = Vae(relaxation, latents=20, pixels=784)
    hard = relaxation(torch.zeros(500, 20, *relaxation.param_shape)).sample_hard()
    variance = vae.decoder[0](hard.flatten(1)).square().mean().detach()
    assert 1.0 < float(variance) < 4.0  # He: 2; torch's default gives below 0.2 for one-hot input


class Nothing(Sign):
    """A structure of one value, which is zero, such as the tree of one node."""

    name = "test-nothing"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)

    def relax(self, scores, temperature):
        return 0 * scores

    def argmax(self, scores):
        return torch.zeros_like(scores)

    def hard(self, soft):
        return torch.zeros_like(soft)


def test_weights_are_finite_where_all_samples_are_zero():
    vae = Vae(Nothing(), latents=2, pixels=5)
    assert all(weight.isfinite().all() for weight in vae.parameters())
    assert vae.decode(Nothing()(torch.zeros(3, 2, 1)).sample_hard()).isfinite().all()


def test_the_decoder_starts_at_the_mean_image():
    vae = Vae(RELAXATIONS[0], latents=2, pixels=6)
    mean = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0, 0.3])
    vae.fit_mean(mean)
    torch.nn.init.zeros_(vae.decoder[-1].weight)
    z = RELAXATIONS[0](torch.zeros(1, 2, *RELAXATIONS[0].param_shape)).sample_hard()
    assert torch.allclose(vae.decode(z).sigmoid()[0], mean.clamp(1e-3, 1 - 1e-3), atol=1e-5)
    assert torch.equal(vae.mean_image, mean)


def test_the_tutorials_relu_bounds_the_parameters():
    vae = Vae(RELAXATIONS[-1], latents=4, pixels=10, params_activation="relu", init="torch")
    params = vae.encode(torch.randn(50, 10))
    assert float(params.detach().min()) == 0
    assert Vae(RELAXATIONS[-1], latents=4, pixels=10).encode(torch.randn(50, 10)).min() < 0
