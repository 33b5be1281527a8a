"""Data sets: the bundled one, small idx files made here, and the real MNIST where it lies."""

import os
import struct
from pathlib import Path

import pytest
import torch
from scipy import stats

from relaxit.data.batches import read
from relaxit.data.dataset import Images
from relaxit.data.digits import Digits
from relaxit.data.vision import FashionMnist, Kmnist, Mnist
from relaxit.errors import ConfigurationError, DataError

ALPHA = 2e-5  # false-alarm rate of each statistical test
SETS = [Mnist, FashionMnist, Kmnist]


def write_idx(path: Path, values: torch.Tensor) -> None:
    head = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    path.write_bytes(head + values.to(torch.uint8).numpy().tobytes())


def write_set(folder: Path, name: str, train: int = 7, test: int = 3, side: int = 28) -> Path:
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", train), ("t10k", test)):
        pixels = torch.randint(0, 256, (count, side, side), generator=generator)
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.arange(count) % 10)
    return raw


@pytest.mark.parametrize("kind", SETS)
def test_reads_idx_files_as_stored(tmp_path, kind):
    raw = write_set(tmp_path, kind.torchvision_name)
    images = kind().load(tmp_path)
    assert images.train.dtype == torch.uint8
    assert (images.train.shape, images.test.shape, images.size) == ((7, 784), (3, 784), (28, 28))
    stored = (raw / "train-images-idx3-ubyte").read_bytes()[16:]
    assert images.train.flatten().tolist() == list(stored)


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


def test_pictures_of_two_sizes_are_refused(tmp_path):
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


def test_grey_and_threshold():
    stored = torch.arange(17, dtype=torch.uint8)[None]
    assert torch.allclose(read(stored, 16), torch.arange(17)[None] / 16)
    assert torch.equal(read(stored, 16, "threshold"), (torch.arange(17)[None] > 8).float())
    assert stored.tolist() == [list(range(17))]  # not changed in place


@pytest.mark.parametrize("level", [0, 1, 5, 16])
def test_dynamic_draws_each_pixel_with_its_grey_level(level):
    stored = torch.full((200, 100), level, dtype=torch.uint8)
    x = read(stored, 16, "dynamic", torch.Generator().manual_seed(1))
    assert set(x.unique().tolist()) <= {0.0, 1.0}

    def p_value(probability):
        return stats.binomtest(int(x.sum()), x.numel(), probability).pvalue

    assert p_value(level / 16) > ALPHA
    assert p_value(min(1, max(0, level / 16 + 0.02 if level < 16 else 0.98))) < ALPHA  # has power
