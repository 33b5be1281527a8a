"""Random images lie in a directory that is removed; a given directory stays."""

from relaxit.tasks.vae.benchmarks.random_mnist import mnist_files, write_random


def test_random_images_go_and_given_ones_stay(directory, monkeypatch):
    from relaxit.tasks.vae.benchmarks import random_mnist

    monkeypatch.setattr(random_mnist, "write_random", lambda path: write_random(path, 3, 2))
    with mnist_files(None) as made:
        files = {path.name: path.stat().st_size for path in (made / "MNIST" / "raw").iterdir()}
    assert not made.exists()
    assert files == {
        "train-images-idx3-ubyte": 16 + 3 * 784,
        "train-labels-idx1-ubyte": 8 + 3,
        "t10k-images-idx3-ubyte": 16 + 2 * 784,
        "t10k-labels-idx1-ubyte": 8 + 2,
    }
    with mnist_files(directory) as same:
        assert same == directory
    assert directory.exists()
