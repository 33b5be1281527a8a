"""Files like those of MNIST, with random images."""

import pytest

from relaxit.tasks.vae.benchmarks.random_mnist import write_random


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    write_random(path, train=150, test=10)  # an epoch of two batches, the second of another size
    return path
