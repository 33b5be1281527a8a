"""A plugin in one file: its source, and the commands that are tried with it."""

from __future__ import annotations

from pathlib import Path

import relaxit
from relaxit.cli.app import run
from relaxit.plugins.registry import load_file, unload_file

SOURCE = '''
import math

import torch

import relaxit
from relaxit import Capabilities, PerturbAndRelax, constraints, hookimpl


class Pick(PerturbAndRelax):
    """One of three."""

    api, name, summary = 1, "mine", "one of three"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=True)
    event_shape = param_shape = torch.Size([3])
    support, vertices = constraints.simplex, constraints.one_hot

    def relax(self, scores, temperature):
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores):
        return torch.eye(3, dtype=scores.dtype, device=scores.device)[scores.argmax(-1)]

    def kl_to_uniform(self, params):
        log_p = params.log_softmax(-1)
        return (log_p.exp() * (log_p + math.log(3))).sum(-1)
'''
HOOK = """

@hookimpl
def relaxit_relaxations():
    return [Pick]
"""
DECORATED = SOURCE.replace("class Pick", "@relaxit.register\nclass Pick")
SMALL = ["--epochs", "1", "--batch-size", "300", "--device", "cpu", "--latents", "2"]


def write(source=SOURCE + HOOK, name="mine.py"):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return str(path)


def rejection(capsys, *arguments, code=5):
    """The error message, one line, of a command that is rejected."""
    assert run([*arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    return err


def class_of(path):
    load_file(path)
    found = relaxit.relaxations()["mine"]
    unload_file(path)
    return found
