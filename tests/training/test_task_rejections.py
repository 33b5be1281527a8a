"""Tasks reject data and settings that do not fit, and mistakes of their authors are named."""

import types

import pytest
import torch

import relaxit
from relaxit.cli.app import run
from relaxit.data import Dataset, Examples, Splits
from relaxit.errors import ConfigurationError, PluginError, ShapeError, Unsupported
from relaxit.plugins import registry
from relaxit.training.assembly import build_task
from relaxit.training.display import Display
from relaxit.training.runs.loading import open_run
from relaxit.training.setup import Setup
from relaxit.training.task import Terms
from tests.training.chooser import FLAGS, TASK, Chooser
from tests.training.small import small_config
from tests.training.small_runs import run_at

pytestmark = pytest.mark.usefixtures("chooser_registered")


class Unlabelled(Dataset):
    api, name, summary = 2, "test-unlabelled", "images without labels"

    def load(self, directory, download=False):
        pixels = Examples.of(inputs=torch.zeros(40, 8, 8))
        return Splits(train=pixels, test=pixels.take(torch.arange(8)))


@pytest.fixture(autouse=True)
def unlabelled():
    relaxit.register(Unlabelled)
    yield
    relaxit.unregister(Unlabelled)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--dataset test-unlabelled", "needs a column 'targets' (one integer per example"),
        ("--kl relaxed", "test-chooser has no option kl; it has: price"),
        ("--kl-warmup 0.5", "test-chooser has no option kl_warmup"),
        ("--prior-temperature 2", "test-chooser has no option prior_temperature"),
        ("--latents 63", "needs --latents 64"),
        ("--relaxation categorical -o categories=3", "needs a gate for each pixel"),
        ("--task-option price=-1", "price"),
        ("--task-option prize=1", "prize"),
        ("--task-option price", "-t takes KEY=VALUE"),
        ("--task test-choser", "Did you mean test-chooser"),
        ("--latents 1000000000000", "GiB"),
    ],
)
def test_what_does_not_fit_is_rejected_before_anything_is_written(tmp_path, capsys, flags, said):
    assert run(["train", *FLAGS, *flags.split()]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_an_option_of_the_default_task_is_not_overlooked(capsys):
    assert run(["train", "--task-option", "price=1", "--dry-run"]) == 2
    assert (
        "vae has no option price (did you mean prior?); it has: kl, prior_temp"
        in capsys.readouterr().err
    )


def test_a_run_whose_task_has_gone_says_what_it_needs(tmp_path):
    run_at(tmp_path / "run", TASK, {"epochs": 1})
    relaxit.unregister(Chooser)
    try:
        with pytest.raises(PluginError, match="needs task 'test-chooser', which came from session"):
            open_run(tmp_path / "run")
    finally:
        relaxit.register(Chooser)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda terms: Terms(terms.loss.mean(), terms.metrics),
        lambda terms: Terms(terms.loss, {"kept": terms.loss, "wrong": terms.loss}),
        lambda terms: Terms(terms.loss, {"wrong": terms.loss}),
        lambda terms: Terms(terms.loss, {"wrong": terms.loss.mean(), "kept": terms.loss}),
        lambda terms: Terms(terms.loss, {"wrong": terms.loss[1:], "kept": terms.loss}),
    ],
)
def test_terms_of_another_shape_or_order_are_rejected(tmp_path, monkeypatch, wrong):
    terms = Chooser.terms
    monkeypatch.setattr(Chooser, "terms", lambda *args: wrong(terms(*args)))
    with pytest.raises(ShapeError, match=r"expected a loss \[E\] and metrics \['wrong', 'kept'\]"):
        run_at(tmp_path / "run", TASK)


def test_a_plugin_brings_a_task_and_an_unfinished_one_is_named():
    class Unfinished(Chooser):
        name = "test-unfinished"
        evaluate = relaxit.Task.evaluate

    class Fine(Chooser):
        name = "test-fine"

    module = types.ModuleType("module")
    module.relaxit_tasks = relaxit.hookimpl(lambda: [Fine, Unfinished])
    own = registry.Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("choosers", "dist", "1", "module")
    own.add(plugin, module)
    assert plugin.provides == {"task": ["test-fine"]}
    assert plugin.problems == ["task 'test-unfinished' does not implement evaluate"]
    assert own.find("task", "test-fine")(price=0.5) == Fine(price=0.5)


def test_absent_parts_are_typed_errors():
    setup = Setup(relaxit.get("binary"), relaxit.estimator("pathwise"), latents=3)
    with pytest.raises(Unsupported, match="no examples to sample"):
        Chooser().sample_prior(setup, torch.nn.Identity(), 1, 0)
    assert issubclass(Unsupported, ConfigurationError)
    assert setup.params_shape == (3, *relaxit.get("binary").param_shape)


def test_build_task_checks_without_data():
    with pytest.raises(ConfigurationError, match="a gate for each pixel"):
        build_task(small_config({"task": {"name": "test-chooser"}}))


def test_a_display_that_cannot_be_filled_shows_at_once():
    assert Display().fill("{a:.1f} {b:.1f}", {"a": 1.0}) == "1.0 nan"
    with pytest.raises(ValueError, match="format"):
        Display(line="{train_loss:.2q}")
