"""Gradient estimators against the exact gradient: bias, variance, cosine, squared error.

    from relaxit.gradients import Case, GradientProblem, Point, Surroundings

A plugin returns its :class:`GradientProblem` classes from the hook ``relaxit_gradient_problems``,
and ``relaxit bench gradients`` measures every estimator that applies; :func:`measure_problem` does
so from Python.
"""

from __future__ import annotations

from relaxit.gradients.problem import Case, GradientProblem, Point, Surroundings
from relaxit.gradients.report import Measurement, Report
from relaxit.gradients.run import measure_problem
from relaxit.gradients.settings import Settings

__all__ = [
    "Case",
    "GradientProblem",
    "Measurement",
    "Point",
    "Report",
    "Settings",
    "Surroundings",
    "measure_problem",
]
