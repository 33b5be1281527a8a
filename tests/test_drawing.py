"""Figures are written whatever backend the user's environment asks for, and cost no run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from matplotlib.image import imread

from relaxit.drawing import errors_as_warnings
from relaxit.errors import CheckpointError

DRAW = """
import numpy, pathlib, sys
from relaxit.drawing import blank_figure, write_figure, write_image
first, second = (write_image, write_figure)[:: int(sys.argv[1])]
for write in (first, second):
    if write is write_image:
        write(numpy.zeros((3, 4)), pathlib.Path("image.png"), cmap="gray", vmin=0, vmax=1)
    else:
        figure = blank_figure(2, 1)
        figure.subplots().plot([0, 1])
        write(figure, pathlib.Path("figure.png"))
import matplotlib
print(matplotlib.rcParams._get("backend"))
"""


def draw(tmp_path, order=1, **environment):
    """Draw in a process of its own, where matplotlib has not been imported; return the backend."""
    return subprocess.run(
        [sys.executable, "-c", DRAW, str(order)],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("backend", ["nonsense", "module://nowhere", "qtagg", "agg", ""])
def test_any_backend(tmp_path, backend, order):
    done = draw(tmp_path, order, MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert imread(tmp_path / "image.png").shape[:2] == (3, 4)
    assert imread(tmp_path / "figure.png")[..., :3].min() < 0.9
    if backend in ("qtagg", "agg", "module://nowhere"):  # the user's choice stays a setting
        assert done.stdout.strip() == backend


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = draw(tmp_path, MPLCONFIGDIR=str(tmp_path / "file"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure.png").is_file()


@pytest.mark.parametrize("error", [ImportError("no fonts"), ValueError("a\nb"), MemoryError()])
def test_an_error_becomes_a_warning(error):
    message = f"no figures: {type(error).__name__}"
    with pytest.warns(UserWarning, match=message) as caught, errors_as_warnings():
        raise error
    assert "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("error", [CheckpointError("disk full"), KeyboardInterrupt()])
def test_errors_on_purpose_and_interrupts_stay_errors(error):
    with pytest.raises(type(error)), errors_as_warnings():
        raise error
