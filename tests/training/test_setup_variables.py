"""Models with several variables: nested costs, each variable with its estimator and schedule."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from relaxit.errors import ConfigurationError
from relaxit.training.assembly import build_task
from relaxit.training.building import build, build_members
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import resolve
from relaxit.training.ensembles import Ensemble
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.loading import open_run
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Step
from relaxit.training.trainer import Trainer
from tests.helpers import seed
from tests.training.chooser import TASK
from tests.training.small import small_config
from tests.training.small_runs import StopAfter, run_at
from tests.training.two_choices import BITS, GROUPS, TWO, cost_of

pytestmark = pytest.mark.usefixtures("toys_registered")


def two(first, second, **options):
    """Two variables with these estimators."""
    given = ({"name": name, "options": options.get(name, {})} for name in (first, second))
    mine, theirs = given
    return {**TWO, "estimator": mine, "variables": {
        "group": {**TWO["variables"]["group"], "estimator": theirs},
    }}  # fmt: skip


def exact_gradients(model, x):
    """Gradients of the expected cost by enumeration of the values of both variables."""
    total = 0.0
    for bits in itertools.product((0.0, 1.0), repeat=BITS):
        z = torch.tensor(bits)
        log = (z * model.bits - torch.nn.functional.softplus(model.bits)).sum()
        for group in range(GROUPS):
            y = torch.eye(GROUPS)[group].view(1, GROUPS)
            mass = (log + model.group[0].log_softmax(-1)[group]).exp()
            value = cost_of(x, model.weight, z.expand(len(x), -1), y.expand(len(x), 1, -1))
            total = total + mass * value.mean()
    return torch.autograd.grad(total, [model.bits, model.group, model.weight])


def estimated(task, setup, model, x, generator):
    from relaxit.data import Examples

    step = Step(torch.tensor(1.0), generator, {"group": torch.tensor(0.7)}, {"share": 0.5})
    loss = task.terms(setup, model, Examples.of(inputs=x), step).loss
    return torch.autograd.grad(loss.mean(), [model.bits, model.group, model.weight])


def built(layer):
    task, setup = build_task(small_config(layer))
    model = build(small_config(layer)).model
    return task, setup, model


@pytest.mark.parametrize("latents", [1])
def test_exact_within_exact_is_the_gradient_by_enumeration(latents):
    task, setup, model = built(two("exact", "exact"))
    x = torch.rand(5, BITS, generator=seed(2))
    found = estimated(task, setup, model, x, seed(0))
    for mine, theirs in zip(found, exact_gradients(model, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


UNBIASED = [("exact", "reinforce"), ("reinforce", "exact"), ("rloo", "exact"), ("exact", "rloo"),
            ("reinforce", "reinforce"), ("disarm", "exact")]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), UNBIASED)
def test_unbiased_estimators_nested_have_the_exact_gradient_as_mean(first, second):
    # 6000 rows share one draw each; 19 t-tests at 5 standard errors: 1e-5 of false alarms.
    task, setup, model = built(two(first, second))
    x = torch.rand(1, BITS, generator=seed(2))
    exact = exact_gradients(model, x)
    draws, rows = 30, 200
    many = [estimated(task, setup, model, x.expand(rows, -1), seed(n)) for n in range(draws)]
    for index, wanted in enumerate(exact):
        values = torch.stack([each[index] for each in many])
        error = values.std(0) / math.sqrt(draws)
        # With 30 draws a t of 7 is as rare as a z of 5.
        assert bool(((values.mean(0) - wanted).abs() < 7 * error + 1e-5).all())
        far = (wanted.abs() > 14 * error + 1e-3) & (error > 1e-6)
        assert not bool(((values.mean(0) + wanted)[far].abs() < 7 * error[far]).any())  # has power


def test_a_biased_estimator_is_told_from_an_exact_one():
    task, setup, model = built(two("straight-through", "exact"))
    x = torch.rand(1, BITS, generator=seed(2))
    many = [estimated(task, setup, model, x.expand(200, -1), seed(n))[0] for n in range(30)]
    values, wanted = torch.stack(many), exact_gradients(model, x)[0]
    error = values.std(0) / math.sqrt(30)
    assert bool(((values.mean(0) - wanted).abs() > 7 * error).any())


LEARNED = {"variables": {"group": {"temperature": {"schedule": "learned", "initial": 1.5}}}}
SCHEDULES = {
    "temperature": {"schedule": "exponential", "initial": 1.0, "final": 0.25},
    "epochs": 3,
    "optimizer": {"lr": 0.05, "weight_decay": 0.1},
}


def test_each_variable_follows_its_own_schedule(tmp_path):
    e, outcome = run_at(tmp_path / "run", TWO, SCHEDULES)
    for row in outcome.rows:
        share = (row["step"] - 1) / e.steps
        assert row["temperature"] == pytest.approx(0.25**share)
        assert row["temperature_group"] == pytest.approx(1.5 - share)  # linear, to 0.5
        assert row["share"] == pytest.approx(share)
    saved = RunDirectory(tmp_path / "run").read_config()
    assert saved.variables["group"].relaxation.options == {"categories": GROUPS}
    again = open_run(tmp_path / "run")
    assert again.evaluate("test", 0) == e.evaluate("test", 0)


@pytest.mark.parametrize("calls", [1, 5, 9])
@pytest.mark.parametrize("group", ["st-gumbel", "relax"])
def test_interrupted_and_resumed_equals_undisturbed_to_the_bit(
    tmp_path, report_each_step, calls, group
):
    layers = (two("reinforce", group), SCHEDULES, LEARNED if group == "st-gumbel" else {})
    whole, _ = run_at(tmp_path / "whole", *layers)
    _, stopped = run_at(tmp_path / "run", *layers, report=StopAfter(calls))
    assert stopped.exit_code == 130
    resumed, outcome = run_at(tmp_path / "run", *layers, resume=True)
    assert outcome.exit_code == 0
    states = [{n: part.state_dict() for n, part in e.parts.items()} for e in (whole, resumed)]
    assert states[0].keys() == {"model", "temperature", "temperatures"}
    for part, tensors in states[0].items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, states[1][part][name]), (part, name)
    if group == "st-gumbel":
        assert whole.further["group"]().item() != pytest.approx(1.5, abs=1e-3)
    else:
        names = {name.partition(".")[0] for name in states[0]["model"]}
        assert {"estimator_state", "estimator_state_group"} <= names


@pytest.mark.parametrize(
    "layer",
    [two("pathwise", "st-gumbel"), two("reinforce", "relax"), two("rebar", "pathwise")],
    ids=["soft", "states", "score"],
)
@pytest.mark.parametrize("learned", [False, True])
def test_a_member_of_an_ensemble_is_its_run_alone(layer, learned):
    if learned and layer["variables"]["group"]["estimator"]["name"] == "relax":
        pytest.skip("it gives the temperature no gradient")
    config = small_config(layer, SCHEDULES, LEARNED if learned else {})
    ensemble = Ensemble(build_members(config, [3, 5]))
    alone = [Trainer(e) for e in build_members(config, [3, 5])]
    for _ in range(2):
        assert ensemble.run_epoch()
        rows = ensemble.rows()
        ensemble.next_epoch()
        for number, trainer in enumerate(alone):
            trainer.run_epoch(SilentCallback(), StopRequest())
            single = trainer.summary(True)
            trainer.next_epoch()
            shared = {key: single[key] for key in rows[number]}
            assert rows[number] == pytest.approx(shared, rel=1e-4, abs=1e-5)
            mine = ensemble.experiments[number].parts
            for name, part in trainer.experiment.parts.items():
                for key, tensor in part.state_dict().items():
                    ours = mine[name].state_dict()[key]
                    torch.testing.assert_close(ours, tensor, rtol=0, atol=2e-5)
    assert rows[0]["test_cost"] != rows[1]["test_cost"]


def test_weight_decay_leaves_temperatures_and_estimators_alone():
    trainer = Trainer(build(small_config(two("rebar", "rebar"), SCHEDULES)))
    decay = {id(p): g["weight_decay"] for g in trainer.optimizer.param_groups for p in g["params"]}
    for name, parameter in trainer.experiment.model.named_parameters():
        assert decay[id(parameter)] == (0 if name.startswith("estimator_state") else 0.1), name


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({**TWO, "variables": {}}, "no variables 'group'; set variables.group.relaxation in the"),
        (
            {**TWO, "variables": {**TWO["variables"], "other": TWO["variables"]["group"]}},
            "variables.other: task 'test-two-choices' has only group beside its first",
        ),
        (
            {**TASK, "variables": TWO["variables"]},
            "variables.group: task 'test-chooser' has none beside its first variable",
        ),
        (
            {**TWO, "variables": {"group": {**TWO["variables"]["group"], "latents": 10**12}}},
            "GiB",
        ),
        (two("pathwise", "disarm"), "disarm"),
        (
            {**TWO, "variables": {"group": {**TWO["variables"]["group"], "temperature": {
                "schedule": "exponential", "initial": 0.1}}}},
            "an exponential schedule must decrease",
        ),
    ],
)  # fmt: skip
def test_variables_that_do_not_fit_are_one_line(layer, said):
    with pytest.raises(ConfigurationError) as caught:
        build(small_config(layer))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_a_variable_that_are_not_given_are_defaults():
    config = resolve([{**TWO, "variables": {"group": {"relaxation": {"name": "binary"}}}}])
    group = config.variables["group"]
    assert (group.latents, group.estimator.name) == (1, "pathwise")
    assert group.temperature.schedule == "constant"
