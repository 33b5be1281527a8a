"""Every recipe resolves to a run, and those of tutorials are told as they were."""

import pytest

from relaxit import zoo
from relaxit.errors import ConfigurationError, UnknownName
from relaxit.plugins.registry import default_registry
from relaxit.training.assembly import build_task
from relaxit.training.config import resolve
from relaxit.training.schedules import temperature_schedule


@pytest.mark.parametrize("name", sorted(zoo.recipes()))
@pytest.mark.parametrize("dataset", [None, "digits", "mnist"])
def test_every_recipe_resolves_to_something_that_can_run(name, dataset):
    layers = zoo.recipe_layers(name)
    if dataset:
        layers.append({"data": {"name": dataset}})
    config = resolve(layers)
    build_task(config)  # names, options and bound all fit
    default_registry().find("dataset", config.data.name)
    t = config.temperature
    temperature_schedule(t.schedule, t.initial, t.final, 100, t.rate)
    assert zoo.recipe_summary(zoo.find_recipe(name))
    assert config.recipe == name


def test_the_tutorial_is_told_as_it_was():
    config = resolve(zoo.recipe_layers("tutorial-mnist"))
    options = {"hidden": [512, 256], "params_activation": "relu", "init": "torch"}
    assert config.task.options == options
    assert (config.latents, config.relaxation.options) == (30, {"categories": 10})
    assert (config.batch_size, config.epochs, config.optimizer.lr) == (100, 10, 1e-3)
    assert (config.temperature.schedule, config.temperature.initial) == ("constant", 1.0)
    assert (config.data.name, config.data.options, config.data.validation) == ("mnist", {}, 0)


def test_the_annealed_tutorial_anneals_by_global_step_and_is_hard():
    config = resolve(zoo.recipe_layers("tutorial-annealed"))
    t = config.temperature
    tau = temperature_schedule(t.schedule, t.initial, t.final, 6000, t.rate)
    assert tau(6000) == pytest.approx(0.8353, abs=1e-4)  # exp(-3e-5 * 6000)
    task, setup = build_task(config)
    assert task.statement(setup) == "negative ELBO of the discrete model"


def test_unknown_recipes_are_named():
    with pytest.raises(UnknownName, match="Did you mean tutorial-mnist"):
        zoo.recipe_layers("tutorial-mnst")
    with pytest.raises(ConfigurationError, match="does not exist"):
        zoo.recipe_layers("absent.toml")
