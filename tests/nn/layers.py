"""Every structure with every estimator that acts through its sample."""

from __future__ import annotations

import pytest

import relaxit
from relaxit import SampleEstimator, Unsupported
from relaxit.plugins import default_registry

EXAMPLES = [cls.examples()[-1] for cls in relaxit.relaxations().values()]
ESTIMATORS = [
    cls() for cls in default_registry().items("estimator").values()
    if issubclass(cls, SampleEstimator)
]  # fmt: skip


def supports(estimator, relaxation):
    try:
        estimator.check(relaxation)
    except Unsupported:
        return False
    return True


PAIRS = [(r, e) for r in EXAMPLES for e in ESTIMATORS if supports(e, r)]
EACH_STRUCTURE = pytest.mark.parametrize("relaxation", EXAMPLES, ids=lambda r: r.name)
EACH_PAIR = pytest.mark.parametrize(
    ("relaxation", "estimator"), PAIRS, ids=[f"{r.name}-{e.name}" for r, e in PAIRS]
)
