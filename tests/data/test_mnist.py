"""Data sets: the bundled one, small idx files made here, and the real MNIST where it lies."""

import os
from pathlib import Path

import pytest
import torch
from relaxit.data.batches import read_batch
from scipy import stats

from relaxit.data.dataset import Format, Images
from relaxit.data.digits import Digits
from relaxit.data.mnist import FashionMnist, Kmnist, Mnist
from relaxit.errors import ConfigurationError, DataError
from relaxit.testing import ALPHA
from tests.data.idx_files import write_idx, write_set

SETS = [Mnist, FashionMnist, Kmnist]


@pytest.mark.parametrize("kind", SETS)
def test_reads_idx_files_as_stored(tmp_path, kind):
    raw = write_set(tmp_path, kind.torchvision_name)
    images = kind().load(tmp_path)
    assert images.train.dtype == torch.uint8
    assert (images.train.shape, images.test.shape, images.size) == ((7, 784), (3, 784), (28, 28))
    stored = (raw / "train-images-idx3-ubyte").read_bytes()[16:]
    assert images.train.flatten().tolist() == list(stored)


@pytest.mark.parametrize("kind", SETS)
def test_reads_labels_as_stored(tmp_path, kind):
    write_set(tmp_path, kind.torchvision_name, train=12)
    images = kind().load(tmp_path)
    part = images.part("train", labels=True)
    assert part.labels.dtype == torch.int64
    assert part.labels.tolist() == [n % 10 for n in range(12)]
    assert images.part("test", labels=True).labels.tolist() == [0, 1, 2]
    assert images.part("train").labels is None  # unless they are asked for
    assert images.format == Format((28, 28), 255, 10)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_missing_label_file_is_told_from_a_missing_set(tmp_path, part):
    raw = write_set(tmp_path, "MNIST")
    (raw / f"{part}-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"mnist has only 3 of its 4 files in .*--download"):
        Mnist().load(tmp_path)


def test_as_many_labels_as_images(tmp_path):
    raw = write_set(tmp_path, "MNIST")
    write_idx(raw / "t10k-labels-idx1-ubyte", torch.arange(2))
    with pytest.raises(DataError, match=r"labels of shape \[2\] for 3 test images"):
        Mnist().load(tmp_path)


@pytest.mark.parametrize("kind", SETS)
def test_a_missing_set_names_the_way_out(tmp_path, kind):
    with pytest.raises(DataError) as caught:
        kind().load(tmp_path)
    for word in (f"--dataset {kind.name}", "--download", "digits", str(tmp_path)):
        assert word in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("keep", [0, 3, 10, 16, -1])
def test_a_truncated_file_is_named_with_both_sizes(tmp_path, keep):
    path = write_set(tmp_path, "MNIST") / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    with pytest.raises(DataError) as caught:
        Mnist().load(tmp_path)
    assert path.name in str(caught.value)
    assert f"found {len(whole[:keep])}" in str(caught.value)


def test_images_of_two_sizes_are_rejected(tmp_path):
    raw = write_set(tmp_path, "MNIST")
    write_idx(raw / "t10k-images-idx3-ubyte", torch.zeros(3, 20, 20))
    with pytest.raises(DataError, match="expected"):
        Mnist().load(tmp_path)


@pytest.mark.skipif(
    not (Path(os.environ.get("RELAXIT_DATA_DIR", "data")) / "MNIST").is_dir(),
    reason="the original MNIST is not here (set RELAXIT_DATA_DIR)",
)
def test_the_original_mnist():
    images = Mnist().load(Path(os.environ.get("RELAXIT_DATA_DIR", "data")))
    assert (images.train.shape, images.test.shape) == ((60_000, 784), (10_000, 784))
    # Mean grey level of the training part, as published: 0.1307.
    assert float(images.train.float().mean() / 255) == pytest.approx(0.1307, abs=1e-4)


def test_digits_parts_are_disjoint_and_use_all_levels():
    images = Digits().load(Path())
    assert len(images.train) + len(images.test) == 1797
    assert int(images.train.max()) == images.levels == 16


def test_hold_out_splits_without_loss_and_always_alike():
    rows = torch.arange(50, dtype=torch.uint8)[:, None]
    whole = Images(train=rows, test=rows[:5], size=(1, 1))
    once, again = whole.hold_out(20), whole.hold_out(20)
    assert sorted(torch.cat([once.train, once.validation]).flatten().tolist()) == list(range(50))
    assert len(once.validation) == 20
    assert torch.equal(once.validation, again.validation)
    assert torch.equal(once.test, whole.test)
    with pytest.raises(ConfigurationError, match="leaves none"):
        whole.hold_out(50)


def labelled(count=50):
    rows = torch.arange(count, dtype=torch.uint8)[:, None]
    labels = torch.arange(count, dtype=torch.uint8) % 7
    return Images(rows, rows[:5], (1, 1), train_labels=labels, test_labels=labels[:5])


def test_labels_follow_their_images():
    held = labelled().hold_out(20)
    for name, count in (("train", 30), ("validation", 20), ("test", 5)):
        part = held.part(name, labels=True)
        assert len(part) == count
        assert torch.equal(part.labels, part.images[:, 0].long() % 7)
        batch = part.take(torch.tensor([3, 1]))
        assert batch.labels.tolist() == [n % 7 for n in batch.images[:, 0].tolist()]
        batches = list(part.split(4))
        assert [len(b) for b in batches[:-1]] == [4] * (len(batches) - 1)
        assert torch.equal(torch.cat([b.labels for b in batches]), part.labels)
        assert torch.equal(torch.cat([b.images for b in batches]), part.images)
    assert held.format.classes == 7
    assert labelled().part("validation", labels=True).labels is None


def test_a_set_may_have_no_labels_but_not_half_of_them():
    rows = torch.arange(50, dtype=torch.uint8)[:, None]
    bare = Images(rows, rows[:5], (1, 1))
    assert not bare.labelled
    assert not bare.hold_out(3).labelled
    assert bare.format.classes == 0
    assert bare.part("train", labels=True).labels is None
    with pytest.raises(DataError, match="the 5 test images have no labels"):
        Images(rows, rows[:5], (1, 1), train_labels=rows[:, 0])
    with pytest.raises(DataError, match=r"labels of shape \[50, 1\] for 50 train images"):
        Images(rows, rows[:5], (1, 1), train_labels=rows, test_labels=rows[:5, 0])


def test_labels_go_to_the_device_with_the_images(device):
    moved = labelled().hold_out(20).to(device)
    for name in ("train", "validation", "test"):
        part = moved.part(name, labels=True)
        assert part.images.device.type == part.labels.device.type == device.type
        assert torch.equal(part.labels, part.images[:, 0].long() % 7)
    assert moved.format == labelled().format


def test_every_bundled_digit_has_its_label():
    """By what a nearest neighbour says, which is right for almost all digits."""
    images = Digits().load(Path())
    distances = torch.cdist(images.test.float(), images.train.float())
    guessed = images.train_labels[distances.argmin(1)]
    assert (guessed == images.test_labels).float().mean() > 0.95


def test_grey_and_threshold():
    stored = torch.arange(17, dtype=torch.uint8)[None]
    assert torch.allclose(read_batch(stored, 16), torch.arange(17)[None] / 16)
    assert torch.equal(read_batch(stored, 16, "threshold"), (torch.arange(17)[None] > 8).float())
    assert stored.tolist() == [list(range(17))]  # not changed in place


@pytest.mark.parametrize("level", [0, 1, 5, 16])
def test_dynamic_draws_each_pixel_with_its_grey_level(level):
    stored = torch.full((200, 100), level, dtype=torch.uint8)
    x = read_batch(stored, 16, "dynamic", torch.Generator().manual_seed(1))
    assert set(x.unique().tolist()) <= {0.0, 1.0}

    def p_value(probability):
        return stats.binomtest(int(x.sum()), x.numel(), probability).pvalue

    assert p_value(level / 16) > ALPHA
    assert p_value(min(1, max(0, level / 16 + 0.02 if level < 16 else 0.98))) < ALPHA  # has power


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([0.0, 0.7, 1.4]),
        torch.tensor([-2, 0, 1]),
        torch.tensor([0.0, torch.nan, 1.0]),
        torch.tensor([0, 1, 10**12]),
    ],
)
def test_labels_that_are_no_classes_are_rejected(labels):
    images = torch.zeros(3, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match="labels"):
        Images(images, images, (2, 2), train_labels=labels, test_labels=labels)


def rows_of(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype)[:, None]


def test_rows_may_be_floats():
    numbers = torch.rand(50, 1)
    images = Images(numbers, numbers[:5], (1, 1), levels=1).hold_out(20)
    assert images.format == Format((1, 1), 1, 0)
    held = torch.cat([images.train, images.validation]).flatten()
    assert torch.equal(held.sort().values, numbers.flatten().sort().values)
    assert torch.equal(read_batch(images.part("test").images, 1), numbers[:5])


@pytest.mark.parametrize("levels", [1, 2])
def test_reading_floats_leaves_the_set_alone(levels):
    stored = torch.rand(50, 2)
    before = stored.clone()
    read_batch(stored, levels).add_(1)
    assert torch.equal(stored, before)


REJECTED = {
    "NaN": (rows_of(0.5, float("nan"), 0.1), 1, r"train images range from nan to nan"),
    "infinite": (rows_of(0.5, float("inf")), 1, r"range from 0.5 to inf, expected \[0, 1\]"),
    "negative": (rows_of(0.5, -0.25), 1, r"range from -0.25 to 0.5"),
    "above 1": (rows_of(0.5, 1.5), 1, r"range from 0.5 to 1.5"),
    "levels": (rows_of(0.5, 0.25), 255, r"levels must be 1, got 255"),
    "float64": (rows_of(0.5, dtype=torch.float64), 1, r"of torch.float64, expected torch.uint8 or"),
    "int64": (rows_of(3, dtype=torch.int64), 255, r"of torch.int64, expected"),
}


@pytest.mark.parametrize(("rows", "levels", "message"), REJECTED.values(), ids=REJECTED)
def test_rows_that_are_no_images_are_rejected(rows, levels, message):
    with pytest.raises(DataError, match=message):
        Images(rows, rows[:0], (1, 1), levels)


@pytest.mark.parametrize("part", ["test", "validation"])
def test_every_part_is_checked(part):
    good, bad = torch.rand(9, 1), torch.full((2, 1), 2.0)
    parts = {"test": good, "validation": good, part: bad}
    with pytest.raises(DataError, match=f"{part} images range from 2.0 to 2.0"):
        Images(good, size=(1, 1), levels=1, **parts)
    parts[part] = torch.ones(2, 1, dtype=torch.uint8)
    with pytest.raises(DataError, match=f"{part} images are of torch.uint8, training images of"):
        Images(good, size=(1, 1), levels=1, **parts)
