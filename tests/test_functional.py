"""Functions of tensors: any structure, any dimension, the registry's functions by name."""

from __future__ import annotations

import itertools

import pytest
import torch

import relaxit
import relaxit.functional as RF
from relaxit import ConfigurationError, DomainError, ShapeError, UnknownName, Unsupported
from relaxit.testing import wrong_frequencies

HALF = [torch.float16, torch.bfloat16]
STRUCTURES = [
    (name, example) for name, cls in relaxit.relaxations().items() for example in cls.examples()
]
EACH = pytest.mark.parametrize(
    ("name", "example"), STRUCTURES, ids=[repr(example) for _, example in STRUCTURES]
)


@EACH
@pytest.mark.parametrize("hard", [False, True])
def test_a_sample_is_that_of_the_estimator(name, example, hard):
    params = torch.randn(3, 2, *example.param_shape)
    torch.manual_seed(0)
    value = RF.sample(params, example, 0.5, hard=hard, sample_shape=(4,))
    torch.manual_seed(0)
    estimator = relaxit.estimator("st-gumbel" if hard else "pathwise")
    assert torch.equal(value, estimator.sample(example(params, 0.5), (4,)))
    drawn = RF.sample(params, example, hard=hard, generator=torch.Generator().manual_seed(1))
    again = RF.sample(params, example, hard=hard, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn, again)


@EACH
def test_sizes_come_from_the_tensor(name, example):
    sizes = type(example).sizes(torch.Size((7, *example.param_shape)))
    stated = {k: v for k, v in example.options if k not in sizes}
    assert {k: dict(example.options)[k] for k in sizes} == sizes
    params = torch.zeros(7, *example.param_shape)
    torch.manual_seed(0)
    value = RF.sample(params, name, **stated)
    torch.manual_seed(0)
    assert torch.equal(value, example(params).rsample())


@EACH
def test_any_dimensions(name, example):
    rank = len(example.param_shape)
    if rank == 0:
        with pytest.raises(ShapeError, match="dim="):
            RF.sample(torch.zeros(3), example, dim=0)
        return
    params = torch.randn(3, 2, *example.param_shape)
    torch.manual_seed(0)
    want = RF.sample(params, example, sample_shape=2)
    for dims in itertools.permutations(range(2 + rank), rank):
        moved = params.movedim(tuple(range(2, 2 + rank)), dims)
        for given in (dims, tuple(d - 2 - rank for d in dims)):
            torch.manual_seed(0)
            value = RF.sample(moved, example, sample_shape=2, dim=given if rank > 1 else given[0])
            if len(example.event_shape) == rank:
                value = value.movedim(tuple(d + 1 for d in dims), tuple(range(3, 3 + rank)))
            assert torch.equal(value, want)


@EACH
def test_masked_choices_are_never_made(name, example):
    if not example.capabilities.masks or example.param_shape != example.event_shape:
        pytest.skip("there are no masks of values")
    vertices = example.enumerate_vertices()
    kept = vertices[0].bool() | vertices[-1].bool()  # leaves a choice
    params = torch.randn(200, *example.param_shape)
    for hard in (False, True):
        value = RF.sample(params, example, hard=hard, mask=kept)
        assert not value[~kept.expand_as(value)].any()
        assert torch.isfinite(value).all()


def test_estimators_by_name():
    params = torch.randn(50, 4, requires_grad=True)
    value = RF.sample(params, "categorical", hard=True, estimator="reinmax")
    assert bool(relaxit.constraints.one_hot.check(value).all())
    assert torch.autograd.grad(value[:, 0].sum(), params)[0].any()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"relaxation": "categorcal"}, UnknownName, "Did you mean categorical"),
        ({"relaxation": "categorical", "k": 3}, ConfigurationError, "k"),
        ({"relaxation": "categorical", "estimator": "st-gumbel"}, ConfigurationError, "hard=True"),
        ({"relaxation": "categorical", "estimator": "pathwise", "hard": True},
         ConfigurationError, "omit hard=True"),
        ({"relaxation": "categorical", "estimator": "rloo"}, Unsupported, "surrogate"),
        ({"relaxation": "categorical", "dim": (0, 1)}, ShapeError, "dim="),
        ({"relaxation": "categorical", "temperature": 0}, DomainError, "temperature"),
        ({"relaxation": "categorical", "mask": torch.ones(4)}, TypeError, "mask must be a bool"),
        ({"relaxation": "categorical", "mask": torch.zeros(4, dtype=torch.bool)},
         DomainError, "every choice masked"),
        ({"relaxation": "categorical", "dim": 5}, IndexError, "Dimension out of range"),
    ],
)  # fmt: skip
def test_rejected(arguments, error, words):
    arguments = dict(arguments)
    with pytest.raises(error, match=words):
        RF.sample(torch.zeros(3, 4), arguments.pop("relaxation"), **arguments)


@pytest.mark.parametrize("params", [torch.zeros(3, dtype=torch.int64), [0.0, 1.0], None])
def test_params_that_are_not_floating_tensors(params):
    with pytest.raises(TypeError, match="sample: params must be a floating-point tensor, got"):
        RF.sample(params, "categorical")


# --- straight_through -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*HALF, torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_straight_through_is_exactly_hard_with_the_soft_gradient(dtype, dim):
    scores = torch.randn(3, 4, 5, dtype=dtype, requires_grad=True)
    soft = scores.softmax(dim)
    hard = RF.straight_through(soft, dim=dim)
    assert hard.dtype == dtype
    assert torch.equal(hard.sum(dim), torch.ones_like(hard.sum(dim)))
    assert torch.equal(hard.argmax(dim), soft.argmax(dim))
    weights = torch.randn_like(soft)
    want, = torch.autograd.grad((soft * weights).sum(), scores, retain_graph=True)  # fmt: skip
    got, = torch.autograd.grad((hard * weights).sum(), scores)  # fmt: skip
    assert torch.equal(got, want)


def test_straight_through_of_given_values_and_masks():
    soft = torch.tensor([[0.7, 0.2, 0.1]], requires_grad=True)
    hard = torch.tensor([[0, 0, 1]])
    value = RF.straight_through(soft, hard)
    assert torch.equal(value, hard.float())
    mask = torch.tensor([False, True, True])
    assert RF.straight_through(soft, mask=mask).tolist() == [[0.0, 1.0, 0.0]]
    with pytest.raises(ShapeError, match="differ in shape"):
        RF.straight_through(soft, hard[0])
    with pytest.raises(ConfigurationError, match="mask"):
        RF.straight_through(soft, hard, mask=mask)
    with pytest.raises(TypeError, match="soft must be"):
        RF.straight_through(hard)
    with pytest.raises(ShapeError, match="no choices"):
        RF.straight_through(torch.zeros(3, 0))


# --- functions of plugins -------------------------------------------------------------------------


def test_functions_are_found_by_name():
    assert RF.gumbel_softmax is relaxit.gumbel_softmax
    assert {"gumbel_softmax", "sample", "straight_through"} <= set(dir(RF))
    with pytest.raises(AttributeError, match="unknown function 'sorty'"):
        _ = RF.sorty
    assert not hasattr(RF, "_private")


def test_a_sample_of_every_vertex_has_its_probability():
    # A bit per row and a category per row, drawn through the function. alpha = 2e-5.
    logits = torch.tensor([0.5, -1.0, 0.0])
    value = RF.sample(logits.expand(50_000, 3), "categorical", hard=True)
    assert not wrong_frequencies(value.sum(0), logits.softmax(-1))
    assert wrong_frequencies(value.sum(0), torch.full((3,), 1 / 3))


@pytest.mark.parametrize("name", ["categorical", "binary"])
@pytest.mark.parametrize("layer", [False, True])
def test_dynamic_shapes_compile_in_one_graph(name, layer):
    module = relaxit.Relax(name)
    torch.compiler.reset()
    compiled = torch.compile(
        module if layer else lambda x: RF.sample(x, name),
        backend="eager",
        dynamic=True,
        fullgraph=True,
    )
    for rows in (20, 300):
        assert compiled(torch.zeros(rows, 5)).shape == (rows, 5)
