"""Named parts become params and come back, with gradients."""

from __future__ import annotations

import pytest
import torch

from relaxit import ConfigurationError, ShapeError
from relaxit.parts import join, size_of, split
from tests.helpers import seed

PARTS = {"unary": torch.Size((4, 3)), "pair": torch.Size((2, 3, 3)), "bias": torch.Size(())}


def normal(*shape, number=7):
    return torch.randn(shape, generator=seed(number), dtype=torch.float64)


def given(*batch):
    return {name: normal(*batch, *shape, number=i) for i, (name, shape) in enumerate(PARTS.items())}


def test_size():
    assert size_of(PARTS) == (12 + 18 + 1,)
    assert size_of({"none": torch.Size((0, 3))}) == (0,)


@pytest.mark.parametrize("batch", [(), (5,), (2, 5), (0,)])
def test_parts_are_flattened_in_order_and_come_back(batch):
    parts = given(*batch)
    params = join("owner", PARTS, parts)
    assert params.shape == (*batch, 31)
    flat = [parts["unary"].reshape(*batch, 12), parts["pair"].reshape(*batch, 18)]
    assert torch.equal(params, torch.cat([*flat, parts["bias"].unsqueeze(-1)], -1))
    back = split("owner", PARTS, params)
    assert list(back) == list(PARTS)
    for name, part in parts.items():
        assert torch.equal(back[name], part)
    assert torch.equal(join("owner", PARTS, back), params)


def test_the_order_of_arguments_does_not_matter():
    parts = given(3)
    backwards = dict(reversed(parts.items()))
    assert torch.equal(join("owner", PARTS, backwards), join("owner", PARTS, parts))


@pytest.mark.parametrize(
    ("shapes", "batch"),
    [
        # A table for all rows; for each row; sizes of one; a scalar for all; fewer dimensions.
        ({"unary": (5, 4, 3), "pair": (2, 3, 3), "bias": ()}, (5,)),
        ({"unary": (4, 3), "pair": (5, 2, 3, 3), "bias": ()}, (5,)),
        ({"unary": (5, 4, 1), "pair": (1, 3, 3), "bias": (5,)}, (5,)),
        ({"unary": (5, 1, 4, 3), "pair": (6, 1, 1, 1), "bias": (5, 6)}, (5, 6)),
        ({"unary": (), "pair": (), "bias": ()}, ()),
        ({"unary": (3,), "pair": (3, 3), "bias": (7,)}, (7,)),
        ({"unary": (1,), "pair": (5, 1, 3, 1), "bias": (1,)}, (5,)),
    ],
)
def test_parts_broadcast(shapes, batch):
    parts = {name: normal(*shape) for name, shape in shapes.items()}
    back = split("owner", PARTS, join("owner", PARTS, parts))
    for name, part in parts.items():
        lead = max(part.dim() - len(PARTS[name]), 0)
        shape = (1,) * (len(batch) - lead) + part.shape[:lead]
        missing = (1,) * (len(PARTS[name]) - (part.dim() - lead))
        whole = part.reshape(torch.Size(shape + missing + part.shape[lead:]))
        assert torch.equal(back[name], whole.expand(torch.Size(batch) + PARTS[name]))


def test_gradients_add_up_in_a_shared_part():
    table = normal(3, 3).requires_grad_()
    bias = normal(5).requires_grad_()
    params = join("owner", PARTS, {"unary": normal(5, 4, 3), "pair": table, "bias": bias})
    weights = normal(5, 31, number=2)
    (params * weights).sum().backward()
    assert torch.allclose(table.grad, weights[:, 12:30].reshape(5, 2, 3, 3).sum((0, 1)))
    assert torch.equal(bias.grad, weights[:, 30])


def test_split_gives_views():
    params = torch.zeros(2, 31)
    split("owner", PARTS, params)["pair"].fill_(1.0)
    assert params.sum(-1).tolist() == [18.0, 18.0]


def test_a_table_of_a_module_is_saved_and_learns():
    class Scores(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = torch.nn.Parameter(torch.zeros(3, 3))

        def forward(self, unary):
            parts = {"unary": unary, "pair": self.pair, "bias": torch.zeros(())}
            return join("owner", PARTS, parts)

    scores = Scores()
    assert list(scores.state_dict()) == ["pair"]
    optimizer = torch.optim.SGD(scores.parameters(), lr=0.5)
    scores(torch.ones(5, 4, 3)).logsumexp(-1).sum().backward()
    optimizer.step()
    assert bool((scores.state_dict()["pair"] < 0).all())


def test_dtypes_are_promoted_as_torch_does():
    parts = given() | {"pair": torch.zeros(3, 3, dtype=torch.float32)}
    assert join("owner", PARTS, parts).dtype == torch.float64


def test_under_vmap():
    parts = given(6)
    joined = torch.func.vmap(lambda p: join("owner", PARTS, p))(parts)
    assert torch.equal(joined, join("owner", PARTS, parts))
    back = torch.func.vmap(lambda p: split("owner", PARTS, p))(joined)
    assert all(torch.equal(back[name], part) for name, part in parts.items())


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pair": None}, ConfigurationError, "have the parts unary, pair, bias; got unary, bias"),
        ({"other": torch.zeros(3)}, ConfigurationError, "got unary, pair, bias, other"),
        ({"unary": torch.zeros(4, 2)}, ShapeError, "part 'unary' must be [*, 4, 3], got [4, 2]"),
        ({"unary": torch.zeros(3, 3)}, ShapeError, "part 'unary' must be [*, 4, 3], got [3, 3]"),
        ({"unary": torch.zeros(4)}, ShapeError, "part 'unary' must be [*, 4, 3], got [4]"),
        ({"pair": torch.zeros(3, 3, 3)}, ShapeError, "part 'pair' must be [*, 2, 3, 3]"),
        ({"unary": torch.zeros(5, 4, 3), "bias": torch.zeros(2)}, ShapeError,
         "the batches of the parts do not fit: unary [5, 4, 3], pair [2, 3, 3], bias [2]"),
        ({"unary": [[0.0] * 3] * 4}, TypeError, "part 'unary' must be a tensor, got list"),
        ({"bias": 0.0}, TypeError, "part 'bias' must be a tensor, got float"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(change, error, words):
    parts = {name: part for name, part in (given() | change).items() if part is not None}
    with pytest.raises(error) as caught:
        join("owner", PARTS, parts)
    text = str(caught.value)
    assert text.startswith("owner: ")
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize("shape", [(30,), (5, 32), ()])
def test_params_of_another_size(shape):
    with pytest.raises(ShapeError, match=r"owner.*params"):
        split("owner", PARTS, torch.zeros(shape))


def test_without_parts():
    for attempt in (lambda: join("owner", {}, {}), lambda: split("owner", {}, torch.zeros(3))):
        with pytest.raises(ConfigurationError, match="owner: params have no parts"):
            attempt()
    with pytest.raises(ConfigurationError, match="got none"):
        join("owner", PARTS, {})
