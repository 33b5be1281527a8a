"""A study that trains in a second: a small network on the bundled digits."""

from __future__ import annotations

from pathlib import Path

BASE = """
summary = "a small study"
source = "nowhere: the numbers are made up"
note = "what a reader must know"
seeds = 3
tolerance = 2.0

[columns]
train = { metric = "train_elbo_discrete", sign = -1 }
test = { metric = "test_elbo_discrete", sign = -1 }

[error]
least = 0.06
most = 0.4
seeds = 10

[recipe]
epochs = 3
batch_size = 500
latents = 4
relaxation = { name = "categorical", options = { categories = 3 } }
data = { name = "digits" }
task = { name = "vae", options = { hidden = [8] } }
"""

CELL = """
[[cells]]
size = "{size}"
estimator = "{estimator}"
targets = [{{ epoch = 1, values = {{ train = {train}, test = {test} }}{more} }}]
[cells.recipe]
estimator = {{ name = "{estimator}" }}
{recipe}
"""


def cell(size="4x3", estimator="st-gumbel", train=30.0, test=30.0, more="", recipe=""):
    return CELL.format(**locals())


def write_study(directory: Path, *cells: str, base: str = BASE, name: str = "small") -> Path:
    path = directory / f"{name}.toml"
    path.write_text(base + "".join(cells or [cell()]), encoding="utf-8")
    return path
