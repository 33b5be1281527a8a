"""Studies are data: complete, checked, and what they say can be trained."""

from __future__ import annotations

import pytest

from relaxit.errors import ConfigurationError, UnknownName
from relaxit.reproduce.study import find_study, read_study, studies
from relaxit.tasks.polynomial.theory import METHODS, Problem, follow
from relaxit.training.assembly import build_task
from tests.reproduce.small import BASE, cell, write_study

EACH = pytest.mark.parametrize("name", sorted(studies()))


@EACH
def test_every_cell_can_be_trained(name):
    study = find_study(name)
    assert study.name == name
    for each in study.cells:
        config = study.config(each)
        assert config.estimator.name == each.estimator
        build_task(config)  # names, options and bound all fit
        assert [t.epoch for t in each.targets] == sorted({t.epoch for t in each.targets})
        assert each.targets[-1].epoch == config.epochs
    assert len({each.label for each in study.cells}) == len(study.cells)


def test_the_published_study_is_told_as_it_was():
    study = find_study("estimators-mnist")
    assert len(study.cells) == 10
    found = {each.label: study.config(each) for each in study.cells}
    for label, config in found.items():
        size = (config.latents, config.relaxation.options["categories"])
        assert size == {"8x4": (4, 8), "10x30": (30, 10)}[label.split()[0]]
        assert (config.batch_size, config.epochs) == (100, 160)
        options = build_task(config)[0].options
        assert (options.hidden, options.init) == ((512, 256), "torch")
        assert (options.params_activation, options.kl, options.kl_warmup) == ("none", "discrete", 0)
        assert (config.data.name, config.data.options) == ("mnist", {})
        assert config.temperature.schedule == config.optimizer.schedule == "constant"
        assert config.optimizer.method == ("adam" if size == (4, 8) else "radam")
    settings = {
        label: (config.optimizer.lr, config.temperature.initial) for label, config in found.items()
    }
    assert settings == {
        "8x4 st-gumbel": (3e-4, 0.5), "10x30 st-gumbel": (5e-4, 0.5),
        "8x4 gumbel-rao": (5e-4, 0.5), "10x30 gumbel-rao": (5e-4, 1.0),
        "8x4 gapped-st": (5e-4, 1.0), "10x30 gapped-st": (5e-4, 0.5),
        "8x4 straight-through": (1e-3, 1.3), "10x30 straight-through": (7e-3, 1.4),
        "8x4 reinmax": (5e-4, 1.3), "10x30 reinmax": (5e-4, 1.3),
    }  # fmt: skip
    assert found["8x4 gumbel-rao"].estimator.options == {"draws": 100}
    assert found["8x4 gapped-st"].estimator.options == {"gap": 1.0}
    last = {each.label: each.targets[-1].values for each in study.cells}
    assert last["8x4 reinmax"] == {"train": 125.08, "test": 127.27}
    assert last["10x30 st-gumbel"] == {"train": 99.80, "test": 101.74}


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("method", ["straight-through", "st-gumbel", "reinmax", "rloo"])
def test_targets_of_the_polynomial_study_are_those_of_the_theory(p, method):
    (found,) = find_study("polynomial").select([f"p={p:g}"], [method])
    steps = 200 * found.targets[-2].epoch  # the last one, at twice as many, takes its time
    costs = follow(Problem(p), METHODS[method], steps)
    for target in found.targets[:-1]:
        assert target.values["cost"] == pytest.approx(costs[200 * target.epoch - 1], abs=1e-6)


def test_cells_are_chosen_by_size_and_estimator():
    study = find_study("estimators-mnist")
    assert len(study.select()) == 10
    assert len(study.select(["8x4"])) == 5
    labels = [each.label for each in study.select(["10x30"], ["reinmax", "st-gumbel"])]
    assert labels == ["10x30 st-gumbel", "10x30 reinmax"]  # in the order of the table
    with pytest.raises(UnknownName, match=r"size of study 'estimators-mnist': '8x3'.*mean 8x4"):
        study.select(["8x3"])
    with pytest.raises(UnknownName, match="Did you mean reinmax"):
        study.select([], ["reinmx"])


def test_no_cell_of_both_is_said(tmp_path):
    path = write_study(tmp_path, cell("a", "st-gumbel"), cell("b", "pathwise"))
    with pytest.raises(ConfigurationError, match="no cell of size a by pathwise"):
        read_study(path).select(["a"], ["pathwise"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary = ", "Invalid value"),
        (BASE.replace("seeds = 3", "seeds = 0"), "seeds"),
        (BASE.replace("seeds = 3", "sedes = 3"), "sedes"),
        (BASE.replace("tolerance = 2.0", "tolerance = 2001-01-01"), "not JSON serializable"),
        (BASE.replace("test = {", "other = {"), "names a column that does not exist"),
        (
            BASE.replace("[error]\nleast = 0.06\nmost = 0.4\nseeds = 10\n", ""),
            "a target has no error",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read_study(write_study(tmp_path, base=text))


def test_unknown_studies_and_files():
    with pytest.raises(UnknownName, match="Did you mean polynomial"):
        find_study("polinomial")
    with pytest.raises(ConfigurationError, match="does not exist"):
        find_study("absent.toml")
