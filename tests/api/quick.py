"""Settings of runs that take a fraction of a second."""

from __future__ import annotations

QUICK = {
    "epochs": 2,
    "batch_size": 300,
    "latents": 4,
    "device": "cpu",
    "progress": False,
    "task": {"name": "vae", "options": {"hidden": [16]}},
}
_WORDS = "--epochs 2 --batch-size 300 --latents 4 --device cpu --quiet --task vae -t hidden=[16]"
FLAGS = _WORDS.split()
"""The same on the command line."""


def without_times(rows):
    times = ("seconds", "examples_per_second")
    return [{key: value for key, value in row.items() if key not in times} for row in rows]
