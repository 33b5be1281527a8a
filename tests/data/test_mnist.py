"""Small idx files made here, and the real MNIST where it lies."""

import os
from pathlib import Path

import pytest
import torch

from relaxit.data.images import ImageReader
from relaxit.data.mnist import FashionMnist, Kmnist, Mnist
from relaxit.data.splits import ColumnFormat
from relaxit.errors import DataError
from tests.data.idx_files import write_idx, write_set

SETS = [Mnist, FashionMnist, Kmnist]


@pytest.mark.parametrize("kind", SETS)
def test_reads_idx_files_as_stored(tmp_path, kind):
    raw = write_set(tmp_path, kind.torchvision_name)
    images = kind().load(tmp_path)
    assert images.train.inputs.dtype == torch.uint8
    assert images.train.inputs.shape == (7, 28, 28)
    assert images.test.inputs.shape == (3, 28, 28)
    stored = (raw / "train-images-idx3-ubyte").read_bytes()[16:]
    assert images.train.inputs.flatten().tolist() == list(stored)
    assert torch.allclose(images.train.read().inputs, images.train.inputs / 255)


@pytest.mark.parametrize("kind", SETS)
def test_reads_labels_as_stored(tmp_path, kind):
    write_set(tmp_path, kind.torchvision_name, train=12)
    images = kind().load(tmp_path)
    assert images.train.targets.dtype == torch.int64
    assert images.train.targets.tolist() == [n % 10 for n in range(12)]
    assert images.test.targets.tolist() == [0, 1, 2]
    assert images.format.inputs == ColumnFormat("float32", (28, 28))
    assert images.format.targets == ColumnFormat("int64", (), 10)


@pytest.mark.parametrize("binarise", ["none", "threshold", "dynamic"])
def test_the_option_is_that_of_the_reader(tmp_path, binarise):
    write_set(tmp_path, "MNIST")
    images = Mnist(binarise=binarise).load(tmp_path)
    assert images.train.reader == images.test.reader == ImageReader(255, binarise)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_missing_label_file_is_told_from_a_missing_set(tmp_path, part):
    raw = write_set(tmp_path, "MNIST")
    (raw / f"{part}-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"mnist has only 3 of its 4 files in .*--download"):
        Mnist().load(tmp_path)


def test_as_many_labels_as_images(tmp_path):
    raw = write_set(tmp_path, "MNIST")
    write_idx(raw / "t10k-labels-idx1-ubyte", torch.arange(2))
    with pytest.raises(DataError, match="column 'targets' of the test part has 2 rows"):
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
    assert images.train.inputs.shape == (60_000, 28, 28)
    assert images.test.inputs.shape == (10_000, 28, 28)
    # Mean grey level of the training part, as published: 0.1307.
    assert float(images.train.inputs.float().mean() / 255) == pytest.approx(0.1307, abs=1e-4)
