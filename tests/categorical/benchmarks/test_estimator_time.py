"""What is timed is one estimate of each registered estimator, or there is a reason why not."""

import itertools

import pytest
import torch

import relaxit
from relaxit.bench import BenchmarkSettings, Unavailable, run_benchmark
from relaxit.plugins.registry import default_registry
from tests.gradients.subjects import Baseline, Failing, Rejecting, Score

CPU = torch.device("cpu")
GRID = [
    {"relaxation_options": ("categories=3",)},
    {"relaxation_options": ("categories=3",), "variables": 2},
    {"relaxation": "binary", "relaxation_options": (), "variables": 4},
]


class Counted(Score):
    """It says that it needs three evaluations of the cost."""

    name = "test-counted"

    def evaluations(self, relaxation, variables=1):
        return 3


class Kept(Baseline):
    """It notes the states that it gets."""

    name = "test-kept"
    seen = []

    def surrogate(self, q, cost, generator=None, state=None):
        self.seen.append(state)
        return super().surrogate(q, cost, generator, state)


class Late(Score):
    """It notices only at the first estimate that it does not apply."""

    name = "test-late"

    def surrogate(self, q, cost, generator=None):
        raise relaxit.Unsupported("not today")


def benchmark(**options):
    cls = default_registry().find("benchmark", "estimator-time")
    return cls(**{"entries": 24, **options})


def implementations(**options):
    return {each.name: each for each in benchmark(**options).implementations(CPU)}


@pytest.fixture
def registered():
    classes = (Failing, Rejecting, Counted, Kept, Late)
    for cls in classes:
        relaxit.register(cls)
    yield
    for cls in classes:
        relaxit.unregister(cls)


@pytest.mark.parametrize("options", GRID)
def test_every_estimator_gives_a_gradient_or_a_reason(options):
    params, _ = benchmark(**options).inputs(CPU)
    found = implementations(**options)
    known = default_registry().items("estimator")
    assert {name.removesuffix(" (warm)") for name in found} == set(known)
    assert {"reinforce (warm)", "rebar (warm)", "relax (warm)"} <= set(found)
    reasons = {}
    for name, implementation in found.items():
        try:
            gradient = implementation.make()()
        except Unavailable as error:
            reasons[name] = str(error)
        else:
            assert gradient.shape == params.shape, name
            assert gradient.isfinite().all(), name
            assert gradient.any(), name
    bits = options.get("relaxation") == "binary"
    assert set(reasons) == (set() if bits else {"arm", "disarm"})
    assert all("bits" in reason for reason in reasons.values())


@pytest.mark.parametrize("options", GRID)
def test_what_is_timed_is_the_gradient_of_the_cost(options):
    params, weights = benchmark(**options).inputs(CPU)
    made = benchmark(**options)
    relaxation = relaxit.get(
        made.options.relaxation,
        **({} if made.options.relaxation == "binary" else {"categories": 3}),
    )
    leaf = params.clone().requires_grad_()
    values = relaxation.enumerate_vertices()
    distribution = relaxation(leaf).discrete
    expected = 0
    for joint in itertools.product(values, repeat=made.options.variables):
        z = torch.stack(joint).expand(leaf.shape[:1] + weights.shape)
        mass = distribution.log_prob(z).sum(-1).exp()
        expected = expected + mass * (z * weights).flatten(1).sum(-1) ** 2
    (exact,) = torch.autograd.grad(expected.sum(), leaf)
    gradient = implementations(**options)["exact"].make()()
    torch.testing.assert_close(gradient, exact, rtol=1e-4, atol=1e-5)


def test_a_state_is_trained_where_it_is_warm(registered):
    Kept.seen.clear()
    found = implementations()
    found["test-kept"].make()()
    found["test-kept (warm)"].make()()
    without, state = Kept.seen
    assert without is None
    assert state.training
    assert state.level.dtype == torch.float32


def test_those_that_evaluate_the_cost_too_often_are_left_out(registered):
    small = {"relaxation_options": ("categories=3",)}
    found = implementations(**small, evaluations=2)
    for name in ("exact", "test-counted"):
        with pytest.raises(Unavailable, match=r"3 times .* more than evaluations = 2"):
            found[name].make()
    implementations(**small, evaluations=3)["exact"].make()()


def test_what_does_not_apply_is_skipped_and_what_fails_has_failed(registered):
    only = {"st-gumbel", "test-rejecting", "test-late", "test-failing"}
    settings = BenchmarkSettings(rounds=2, only=frozenset(only))
    report = run_benchmark(benchmark(), CPU, settings)
    assert {row.name: row.outcome for row in report.measurements} == {
        "st-gumbel": "done",
        "test-rejecting": "skipped",
        "test-late": "skipped",
        "test-failing": "failed",
    }
    assert report.reference == "st-gumbel"
    assert [row.ratio for row in report.measurements if row.outcome == "done"] == [1.0]
    assert "test-late: not today" in report.excuses


def test_presets_have_as_many_params():
    cls = type(benchmark())
    sizes = [cls(**preset).inputs(CPU)[0].numel() for preset in cls.presets]
    assert sizes == [64_000] * 4
    assert [cls(**preset).inputs(CPU)[0].shape[-1] for preset in cls.presets] == [
        10, 512, 32_000, 64,
    ]  # fmt: skip


def test_fewer_entries_than_a_row_has_are_one_row():
    params, _ = benchmark(relaxation_options=("categories=50",), entries=1).inputs(CPU)
    assert params.shape == (1, 1, 50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relaxation_options": ("categories",)}, "relaxation_options must be KEY=VALUE, got"),
        ({"relaxation": "catgorical"}, "unknown relaxation 'catgorical'"),
    ],
)
def test_mistakes_are_reported(options, message):
    report = run_benchmark(benchmark(**options), CPU, BenchmarkSettings(rounds=1))
    assert message in report.reason
    assert not report.measured
