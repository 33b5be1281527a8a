"""A run as an object: what it does with its model, and how it is loaded again."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.errors import CheckpointError, Unsupported
from tests.api.quick import QUICK, without_times


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return relaxit.train(out=tmp_path_factory.mktemp("runs") / "run", **QUICK)


@pytest.fixture
def loaded(trained):
    return relaxit.load_run(trained.path, device="cpu")


def test_a_loaded_run_is_the_same(trained, loaded):
    assert loaded.config == trained.config
    assert loaded.metrics == trained.metrics
    state, again = trained.model.state_dict(), loaded.model.state_dict()
    assert state.keys() == again.keys()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert torch.equal(loaded.sample(3, seed=5), trained.sample(3, seed=5))
    assert not loaded.model.training


@pytest.mark.parametrize("batch", [1, 5])
def test_codes_are_those_of_the_model(loaded, batch):
    images = torch.rand(batch, 8, 8, generator=torch.Generator().manual_seed(0))
    q = loaded.encode(images)
    with torch.no_grad():
        params = loaded.model.encode(images)
        pixels = loaded.model.decode(q.discrete.mode).sigmoid()
    assert torch.equal(q.params, params)
    assert q.batch_shape == (batch, 4)
    assert q.temperature == pytest.approx(loaded.metrics[-1]["temperature"])
    assert torch.equal(loaded.decode(q.discrete.mode), pixels.unflatten(-1, (8, 8)))


def test_evaluation_is_that_of_the_last_epoch(trained, loaded):
    from relaxit.training.seeds import derive

    found = loaded.evaluate("test", seed=derive(0, "evaluation"))
    assert found["test_elbo_discrete"] == trained.metrics[-1]["test_elbo_discrete"]
    more = loaded.evaluate("test", importance_samples=20)
    assert more["test_importance_weighted_bound"] >= found["test_elbo_discrete"] - 0.5


def test_rows_and_figures_are_shown_in_a_notebook(trained):
    assert without_times(trained.metrics)[0]["epoch"] == 1
    assert trained.metrics.column("test_kl") == [row["test_kl"] for row in trained.metrics]
    table = trained.metrics.to_html()
    assert table.count("<tr>") == 3  # headings and two epochs
    assert trained.figures.keys() == {"reconstructions.png", "samples.png", "curves.png"}
    assert trained.figures.to_html().count("data:image/png;base64,") == 3
    assert "vae: 4 x Categorical(categories=10)" in trained.to_html()


def test_a_data_frame_has_one_row_per_epoch(trained):
    pytest.importorskip("pandas")
    frame = trained.metrics.to_pandas()
    assert list(frame.index) == [1, 2]
    assert list(frame["test_kl"]) == trained.metrics.column("test_kl")


def test_a_task_without_a_prior_says_so(tmp_path):
    run = relaxit.train(
        task="polynomial", epochs=1, batch_size=6400, out=tmp_path / "p", device="cpu",
        progress=False,
    )  # fmt: skip
    with pytest.raises(Unsupported, match="'polynomial' has no examples to sample"):
        run.sample(1)
    with pytest.raises(Unsupported, match="has no encoder"):
        run.encode(torch.zeros(1, 128))
    with pytest.raises(Unsupported, match="has no decoder"):
        run.decode(torch.zeros(1, 128))


def test_what_is_no_run_is_rejected(tmp_path):
    with pytest.raises(CheckpointError, match="is not a run directory"):
        relaxit.load_run(tmp_path)
