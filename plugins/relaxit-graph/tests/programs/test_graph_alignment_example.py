"""The example `alignment.py`: relaxed paths align what single frames cannot."""

from __future__ import annotations

import re

from matplotlib.image import imread

from tests.scripts import examples_of, run

EXAMPLES = examples_of(__file__)


def test_relaxed_paths_align_curves_better_than_attention(tmp_path):
    """Without a path, the points of the frames are ambiguous, for the true model as well."""
    text = run(EXAMPLES / "alignment.py", "--steps", "100", "--plot", "alignment.png", cwd=tmp_path)
    rows = re.findall(r"^(\w+ ?\w*) +([\d.]+) +([\d.]+)$", text, re.M)
    points, paths = ({name.strip(): float(row[i]) for name, *row in rows} for i in (0, 1))
    assert paths["true model"] < paths["expected path"] < 0.5 < paths["softmax attention"]
    assert paths["true model"] < paths["relaxed sample"] < 0.5 < paths["untrained"]
    assert 1 < points["true model"] < points["expected path"] < points["untrained"]
    image = imread(tmp_path / "alignment.png")[..., :3]
    assert min(image.shape[:2]) > 300
    for rows in (image[: len(image) // 2], image[len(image) // 2 :]):
        for panel in (rows[:, : rows.shape[1] // 2], rows[:, rows.shape[1] // 2 :]):
            assert (panel.max(-1) - panel.min(-1) > 0.2).mean() > 0.02  # paths have a colour
