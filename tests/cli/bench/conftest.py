"""A benchmark whose figures are known, and random images in files like those of MNIST."""

import pytest

import relaxit
from tests.bench.implementations import Known


@pytest.fixture
def known():
    relaxit.register(Known)
    yield "test-known"
    relaxit.unregister(Known)


@pytest.fixture
def images(tmp_path):
    from relaxit.tasks.vae.benchmarks.random_mnist import write_random

    write_random(tmp_path / "files", train=150, test=10)
    return str(tmp_path / "files")
