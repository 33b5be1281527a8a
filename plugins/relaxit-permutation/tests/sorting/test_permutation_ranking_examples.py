"""The script that learns an order, run as a reader would run it."""

from __future__ import annotations

import re

from permutation_scripts import run


def test_learned_order_improves(tmp_path):
    printed = run("learned_order.py", cwd=tmp_path)
    before, after = map(float, re.findall(r"training: ([\d.]+)", printed))
    assert before < 0.6 < 0.9 < after < 1
