"""The work is cut into chunks that fit into memory, which change no figure."""

import math

import relaxit
from relaxit.gradients import GradientSettings, chunks
from tests.gradients import subjects
from tests.gradients.measuring import measured, one


def test_pieces_change_nothing(monkeypatch):
    whole = measured(relaxit.estimator("straight-through"))["quadratic"]
    monkeypatch.setattr(chunks, "BUDGET", 1)  # one row at a time
    cut = measured(relaxit.estimator("straight-through"))["quadratic"]
    a, b = one(whole).result.measures, one(cut).result.measures
    assert math.isclose(a.bias, b.bias, rel_tol=1e-9)
    assert math.isclose(a.variance, b.variance, rel_tol=1e-9)


def test_draws_come_in_pieces_that_fit(monkeypatch):
    rows = []
    original = subjects.Drawn.surrogate
    monkeypatch.setattr(
        subjects.Drawn,
        "surrogate",
        lambda self, q, *args: rows.append(q.batch_shape[0]) or original(self, q, *args),
    )
    monkeypatch.setattr(chunks, "BUDGET", 30_000)
    measured(subjects.Drawn(), settings=GradientSettings(draws=500))
    assert max(rows) < 500
    assert sum(rows) > 2 * 500
