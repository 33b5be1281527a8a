"""Gradient estimators against the exact gradient: bias, variance, cosine, squared error.

    from relaxit.gradients import Case, GradientProblem, Point, Surroundings

A plugin returns its :class:`GradientProblem` classes from the hook ``relaxit_gradient_problems``,
and ``relaxit bench gradients`` measures every estimator that applies; :func:`measure_problem` does
so from Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.gradients.figure import ENDINGS as ENDINGS
    from relaxit.gradients.figure import draw_bias_and_variance as draw_bias_and_variance
    from relaxit.gradients.problem import Case as Case
    from relaxit.gradients.problem import GradientProblem as GradientProblem
    from relaxit.gradients.problem import Point as Point
    from relaxit.gradients.problem import Surroundings as Surroundings
    from relaxit.gradients.report import Measurement as Measurement
    from relaxit.gradients.report import Report as Report
    from relaxit.gradients.run import measure_problem as measure_problem
    from relaxit.gradients.settings import Settings as Settings

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.gradients.figure": ["ENDINGS", "draw_bias_and_variance"],
        "relaxit.gradients.problem": ["Case", "GradientProblem", "Point", "Surroundings"],
        "relaxit.gradients.report": ["Measurement", "Report"],
        "relaxit.gradients.run": ["measure_problem"],
        "relaxit.gradients.settings": ["Settings"],
    },
)
