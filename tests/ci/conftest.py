"""A session of ``.ci/gpu_check`` in a directory of its own."""

from __future__ import annotations

import os

import pytest

from tests.architecture.house import ROOT

# A source distribution has no .ci.
collect_ignore_glob = [] if (ROOT / ".ci").is_dir() else ["test_gpu_check*"]


@pytest.fixture
def session(tmp_path):
    from tests.ci.gpu_check import Session, Stop

    files = tmp_path / "gpu-check-files"
    files.mkdir()
    return Session(
        out=tmp_path,
        files=files,
        parts=(),
        dry=True,
        data_dir=None,
        minutes=1.0,
        facts={"date": "2026-01-01T00:00:00", "torch": "2", "revision": "0123"},
        stop=Stop(),
        env=dict(os.environ),
    )
