"""The autoencoder as a task: every likelihood and prior trains, is evaluated and sampled from."""

from __future__ import annotations

import shutil

import pytest
import torch

import relaxit
from relaxit.data import Dataset, Examples, Splits
from relaxit.errors import Unsupported
from relaxit.tasks.vae.likelihood import REQUIRED
from relaxit.tasks.vae.task import VaeTask
from relaxit.training.building import build
from relaxit.training.loop import train
from relaxit.training.setup import Setup
from tests.helpers import seed
from tests.training.engines.comparison import apart, trained
from tests.training.signs import Sign
from tests.training.small import small_config
from tests.training.small_runs import run_at

SHAPES = [(), (6,), (2, 3)]
RELAXATIONS = {
    "categorical": {"name": "categorical", "options": {"categories": 3}},
    "binary": {"name": "binary", "options": {}},
}


class Groups(Dataset):
    """Examples of two kinds, which one bit tells apart."""

    api, name, summary = 2, "test-groups", "two kinds of examples"
    likelihood, shape = "bernoulli", (6,)

    def load(self, directory, download=False):
        kind = torch.arange(240) % 2
        noise = torch.rand(240, *self.shape, generator=seed(1))
        level = kind.view(-1, *[1] * len(self.shape)) * 0.8
        values = {
            "bernoulli": lambda: (noise < level + 0.1).float(),
            "categorical": lambda: (4 * level + noise).long(),
            "gaussian": lambda: 5 * level + noise,
        }[self.likelihood]()
        rows = Examples.of(inputs=values)
        return Splits(rows.take(torch.arange(200)), rows.take(torch.arange(200, 240)))


@pytest.fixture(autouse=True)
def registered():
    for each in (Groups, Sign):
        relaxit.register(each)
    yield
    for each in (Groups, Sign):
        relaxit.unregister(each)


def layer(likelihood, prior="uniform", shape=(6,), **more):
    Groups.likelihood, Groups.shape = likelihood, shape
    options = {"hidden": [16], "likelihood": likelihood, "prior": prior}
    return {
        "task": {"name": "vae", "options": options},
        "data": {"name": "test-groups"},
        "batch_size": 50,
        "epochs": 6,
        "optimizer": {"lr": 0.02},
        **more,
    }


@pytest.mark.parametrize("prior", ["uniform", "learned"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("likelihood", REQUIRED)
def test_training_raises_the_bound_of_held_out_examples(likelihood, shape, prior):
    e = build(small_config(layer(likelihood, prior, shape)))
    rows = train(e).rows
    if shape:  # a single number has nothing in common with others; it starts at its best
        assert rows[-1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"]
        assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert torch.tensor([row["test_elbo_discrete"] for row in rows]).isfinite().all()
    samples = e.task.sample_prior(e.setup, e.model, 5, seed=0)
    assert samples.shape == (5, *shape)
    if likelihood == "categorical":
        assert not samples.is_floating_point()
    bound = e.task.importance_weighted_bound(
        e.setup, e.model, e.data.test, 200, 0, lambda done: None
    )
    assert bound > rows[-1]["test_elbo_discrete"]


@pytest.mark.skipif(shutil.which("c++") is None, reason="the inductor needs a C++ compiler")
@pytest.mark.parametrize(
    ("likelihood", "prior"), [("categorical", "uniform"), ("gaussian", "learned")]
)
def test_compiled_training_is_the_eager_one(likelihood, prior):
    chosen = layer(likelihood, prior)
    fast, plain = trained(chosen, {"engine": "compile"}), trained(chosen)
    assert fast.engine.name == "compile"
    assert apart(fast, plain) < 1e-5


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("kl", ["discrete", "relaxed"])
def test_a_learned_prior_moves_and_is_that_of_the_samples(relaxation, kl):
    chosen = layer("bernoulli", "learned", relaxation=RELAXATIONS[relaxation])
    e = build(small_config(chosen, {"task": {"options": {"kl": kl}}, "epochs": 30}))
    assert not e.model.prior_params.any()  # uniform at first
    train(e)
    assert float(e.model.prior_params.detach().abs().max()) > 0.1
    with torch.no_grad():  # all mass on the first value
        value = torch.full_like(e.model.prior_params, -50.0)
        if relaxation == "categorical":
            value[..., 0] = 50.0
        e.model.prior_params.copy_(value)
    samples = e.task.sample_prior(e.setup, e.model, 8, seed=0)
    torch.testing.assert_close(samples, samples[:1].expand_as(samples))


def test_a_learned_prior_needs_a_discrete_distribution():
    class Soft(Sign):
        name = "test-soft"
        capabilities = relaxit.Capabilities(
            density=False, discrete_distribution=False, exact_rounding=False
        )

    setup = Setup(Soft(), relaxit.estimator("pathwise"))
    with pytest.raises(Unsupported, match="a discrete distribution, which prior = 'learned' needs"):
        VaeTask(prior="learned").check(setup)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("likelihood", REQUIRED)
def test_figures_of_examples_that_are_images_and_of_others(tmp_path, likelihood, shape):
    run_at(tmp_path / "run", layer(likelihood, shape=shape), {"epochs": 1})
    drawn = {path.name for path in (tmp_path / "run").glob("*.png")}
    images = len(shape) == 2 and likelihood != "categorical"
    figures = {"reconstructions.png", "samples.png"} if images else set()
    assert drawn == {"curves.png", *figures}
