"""The tutorial's script computes what its page says, from noise that the test knows."""

import math

import pytest
import torch
from torch import optim

from relaxit.tasks.vae.benchmarks import tutorial
from relaxit.tasks.vae.benchmarks.random_mnist import write_random

CPU = torch.device("cpu")


def uniforms(shape, seed: int):
    """What the script draws after ``torch.manual_seed(seed)``."""
    torch.manual_seed(seed)
    return torch.rand(shape).double()


@pytest.fixture
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield tutorial.TutorialVae(), torch.rand(5, 1, 28, 28)


def loss_by_hand(model: tutorial.TutorialVae, images, draw) -> float:
    """Cross-entropy and KL, one entry at a time in float64, of the draw that ``draw`` makes."""
    weights = [(m.weight.double(), m.bias.double()) for m in model.children() if hasattr(m, "bias")]
    encoder, decoder = weights[:3], weights[3:]
    h = images.view(-1, 784).double()
    for weight, bias in encoder:
        h = (h @ weight.T + bias).clamp(min=0)
    logits = h.view(-1, 30, 10)
    z = draw(logits).flatten(1)
    for weight, bias in decoder[:2]:
        z = (z @ weight.T + bias).clamp(min=0)
    shown = 1 / (1 + (-(z @ decoder[2][0].T + decoder[2][1])).exp())
    x = images.view(-1, 784).double()
    cross = -(x * shown.log() + (1 - x) * (1 - shown).log()).sum() / len(x)
    q = logits.exp() / logits.exp().sum(-1, keepdim=True)
    divergence = sum(p * math.log(p * 10) for p in q.flatten().tolist()) / len(x)
    return float(cross) + divergence


def test_the_relaxed_loss_is_the_formula(seeded):
    model, images = seeded
    u = uniforms((5, 30, 10), seed=4)

    def draw(logits):
        scores = (logits - (-u.log()).log()).exp()
        return scores / scores.sum(-1, keepdim=True)

    torch.manual_seed(4)
    with torch.no_grad():
        shown, q = model(images, 1.0)
        loss = tutorial.loss_function(shown, images, q)
        assert loss.item() == pytest.approx(loss_by_hand(model, images, draw), rel=1e-5)
        # Another temperature is another draw: the noise does enter.
        torch.manual_seed(4)
        shown, q = model(images, 0.1)
        other = tutorial.loss_function(shown, images, q)
    assert abs(other - loss) > 1e-3


def test_the_unrelaxed_draw_is_one_hot(seeded):
    logits = torch.randn(7, 3, 4)
    hard = tutorial.gumbel_softmax(logits, 1.0, evaluate=True)
    assert hard.shape == logits.shape
    assert set(hard.flatten().tolist()) == {0.0, 1.0}
    assert (hard.sum(-1) == 1).all()


def test_a_step_moves_the_weights_and_gives_both_losses(seeded):
    model, images = seeded
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    torch.manual_seed(4)
    relaxed, unrelaxed = tutorial.train_batch(model, optimizer, images)
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert relaxed > 0 < unrelaxed != relaxed
    losses = [tutorial.train_batch(model, optimizer, images)[0] for _ in range(30)]
    assert max(losses[-5:]) < 0.97 * relaxed  # noise: it cannot be had for much less


def test_the_whole_script_runs_on_files_of_that_format(tmp_path, capsys):
    write_random(tmp_path, train=150, test=50)
    out = tmp_path / "samples.png"
    with torch.random.fork_rng(devices=[]):
        tutorial.main(["--data-dir", str(tmp_path), "--epochs", "1", "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Epoch: 1 Average loss relaxed: ")
    assert lines[1].startswith("Eval loss: ")
    assert out.stat().st_size > 1000


def test_images_are_read_one_by_one_as_numbers_in_the_unit_interval(tmp_path):
    write_random(tmp_path, train=120, test=10)
    train, test = tutorial.loaders(tmp_path, CPU)
    sizes = [len(data) for data, _ in train]
    assert (sizes, len(test)) == ([100, 20], 1)
    data, labels = next(iter(test))
    assert data.shape == (10, 1, 28, 28)
    assert data.dtype == torch.float32
    assert 0 <= data.min() < 0.01
    assert 0.99 < data.max() <= 1
    assert set(labels.tolist()) <= set(range(10))
