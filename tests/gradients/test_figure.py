"""The figure of bias and variance is written as an image of the kind of its ending."""

import pytest

import relaxit
from relaxit.gradients import GradientSettings, Surroundings, measure_problem
from relaxit.gradients.figure import draw_bias_and_variance
from tests.gradients.subjects import Tiny


@pytest.mark.parametrize("temperatures", [(1.0,), (0.5, 2.0)])
def test_the_image(tmp_path, temperatures):
    names = ("straight-through", "st-gumbel", "pathwise")
    estimators = {name: relaxit.estimator(name) for name in names}
    settings = GradientSettings(draws=20, temperatures=temperatures)
    reports = list(measure_problem(Tiny(), estimators, Surroundings(settings=settings)))
    path = tmp_path / "found.png"
    draw_bias_and_variance(reports, path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(("ending", "first"), [(".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_the_image_is_of_the_kind_of_its_ending(tmp_path, ending, first):
    path = tmp_path / f"found{ending}"
    draw_bias_and_variance([], path)
    assert path.read_bytes().startswith(first)
