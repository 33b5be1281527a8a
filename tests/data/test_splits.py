"""All examples of a data set: parts of one form, their format, and what is held out."""

from __future__ import annotations

import pytest
import torch

from relaxit.data import ColumnFormat, Examples, ImageReader, Splits
from relaxit.errors import ConfigurationError, DataError
from tests.data.test_examples import KEPT, SHAPES, Doubling, column
from tests.helpers import seed

NAMES = ("train", "validation", "test")


def numbered(count=50, reader=None):
    rows = torch.arange(count, dtype=torch.uint8)
    return Examples.of(reader, inputs=rows[:, None].float(), targets=rows % 7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", KEPT)
def test_the_format_is_that_of_the_columns(dtype, shape, device):
    values = column(dtype, shape, count=3)  # 20 and 21 in the last row
    splits = Splits(Examples.of(inputs=values[:2]), Examples.of(inputs=values[2:])).to(device)
    name = str(dtype).removeprefix("torch.")
    classes = int(values.max()) + 1 if dtype in (torch.uint8, torch.int64) else 0
    assert splits.format.inputs == splits.format["inputs"] == ColumnFormat(name, shape, classes)
    assert splits.format.inputs.entries == values[0].numel()
    assert splits.limits("inputs", "train") == (float(values[:2].min()), float(values[:2].max()))
    assert splits.limits("inputs", "test") == (float(values[2:].min()), float(values[2:].max()))


def test_the_format_is_that_after_reading_and_draws_nothing_from_the_global_generator():
    stored = torch.randint(0, 17, (9, 4, 5), generator=seed(1)).to(torch.uint8)
    before = torch.get_rng_state()
    splits = Splits(Examples({"inputs": stored, "targets": column(torch.int64, (), 9)},
                             ImageReader(16, "dynamic")))  # fmt: skip
    assert splits.format.inputs == ColumnFormat("float32", (4, 5))
    assert splits.format.targets.classes == int(splits.train.targets.max()) + 1
    assert splits.limits("inputs", "train") == (0.0, float(stored.max()) / 16)
    assert torch.equal(torch.get_rng_state(), before)
    assert Splits(numbered(reader=Doubling())).limits("inputs", "train") == (0, 50)
    assert Splits(numbered(reader=Doubling())).limits("targets", "train") == (0, 6)


def test_the_number_of_classes_may_be_stated():
    assert Splits(numbered(), classes={"targets": 10}).format.targets.classes == 10
    held = Splits(numbered(), classes={"targets": 10}).hold_out(3).to(torch.device("cpu"))
    assert held.select(["targets"]).format.targets.classes == 10
    assert Splits(Examples.of(targets=[-2, -1])).format.targets.classes == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_limits_show_values_that_are_not_finite(bad):
    low, high = Splits(Examples.of(inputs=[[0.5, bad], [0.1, 0.2]])).limits("inputs", "train")
    assert not torch.tensor([low, high]).isfinite().all()
    assert Splits(Examples.of(inputs=torch.zeros(3, 0))).limits("inputs", "train") == (0, 0)


def test_hold_out_splits_without_loss_and_always_alike():
    whole = Splits(numbered(), numbered(5))
    once, again = whole.hold_out(20), whole.hold_out(20)
    kept = torch.cat([once.train.inputs, once.validation.inputs]).flatten()
    assert sorted(kept.tolist()) == list(range(50))
    assert (len(once.train), len(once.validation), len(once.test)) == (30, 20, 5)
    for name in NAMES:
        assert torch.equal(once.part(name).inputs, again.part(name).inputs)
        assert torch.equal(once.part(name).targets, once.part(name).inputs[:, 0].long() % 7)
    assert once.format == whole.format
    assert len(whole.validation) == 0
    assert not torch.equal(whole.hold_out(0).train.inputs, whole.train.inputs)  # in another order
    for count in (50, 51):
        with pytest.raises(ConfigurationError, match=r"--validation.*leaves none") as caught:
            whole.hold_out(count)
        assert caught.value.exit_code == 2


def test_parts_move_and_are_selected_together(device):
    moved = Splits(numbered(), numbered(5)).hold_out(20).to(device)
    for name in NAMES:
        assert moved.part(name).device.type == device.type
        assert list(moved.select(["targets"]).part(name).columns) == ["targets"]
    only_train = Splits(numbered()).select(["inputs"])
    assert (len(only_train.test), len(only_train.validation)) == (0, 0)
    assert list(only_train.format.columns) == ["inputs"]


GOOD = {"inputs": torch.zeros(4, 3), "targets": torch.zeros(4, dtype=torch.int64)}
WRONG = {
    "other columns": (
        {"inputs": torch.zeros(2, 3)},
        "the {part} part has columns inputs, the training part inputs, targets",
    ),
    "lengths": (
        {**GOOD, "targets": torch.zeros(3, dtype=torch.int64)},
        r"column 'targets' of the {part} part has 3 rows, the first column 4",
    ),
    "type": (
        {**GOOD, "inputs": torch.zeros(4, 3, dtype=torch.float64)},
        "column 'inputs' of the {part} part is of torch.float64, expected uint8, bool, int64 or",
    ),
    "another type": (
        {**GOOD, "targets": torch.zeros(4)},
        r"column 'targets' of the {part} part holds torch.float32 of shape \[\] per example, that "
        r"of the training part torch.int64 of shape \[\]",
    ),
    "another shape": (
        {**GOOD, "inputs": torch.zeros(4, 5)},
        r"column 'inputs' of the {part} part holds torch.float32 of shape \[5\] per example",
    ),
}


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize(("columns", "said"), WRONG.values(), ids=WRONG)
def test_parts_that_do_not_belong_together_are_named(part, columns, said):
    with pytest.raises(DataError, match=said.format(part=part)) as caught:
        Splits(Examples(GOOD), **{part: Examples(columns)})
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["lengths", "type"])
def test_the_training_part_is_checked_too(name):
    columns, said = WRONG[name]
    with pytest.raises(DataError, match=said.format(part="train")):
        Splits(Examples(columns))
    with pytest.raises(DataError, match=r"^the training part has no examples$"):
        Splits(Examples.of(inputs=torch.zeros(0, 3)))


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(("stated", "fits"), [(3, False), (4, True), (9, True)])
def test_no_class_is_beyond_those_that_are_stated(part, stated, fits):
    low, high = Examples.of(targets=[0, 1]), Examples.of(targets=[2, 3])
    train, test = (high, low) if part == "train" else (low, high)
    splits = Splits(train, test, classes={"targets": stated})
    if fits:
        assert splits.format.targets.classes == stated
        return
    with pytest.raises(
        DataError, match="has the class 3, but only 3 classes are stated, from 0 to"
    ):
        _ = splits.format
