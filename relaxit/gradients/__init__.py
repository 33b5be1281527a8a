"""Compare gradient estimators with the exact gradient: bias, variance, cosine, squared error.

    from relaxit.gradients import GradientProblem, Point, ProblemCase, Surroundings

A plugin returns its :class:`GradientProblem` classes from the hook ``relaxit_gradient_problems``,
and ``relaxit bench gradients`` measures every applicable estimator; :func:`measure_problem` does
the same from Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.gradients.figure import ENDINGS as ENDINGS
    from relaxit.gradients.figure import draw_bias_and_variance as draw_bias_and_variance
    from relaxit.gradients.measure import SubjectMeasures as SubjectMeasures
    from relaxit.gradients.moments import Measures as Measures
    from relaxit.gradients.problem import GradientProblem as GradientProblem
    from relaxit.gradients.problem import Point as Point
    from relaxit.gradients.problem import ProblemCase as ProblemCase
    from relaxit.gradients.problem import Surroundings as Surroundings
    from relaxit.gradients.report import EstimatorMeasurement as EstimatorMeasurement
    from relaxit.gradients.report import GradientReport as GradientReport
    from relaxit.gradients.run import measure_problem as measure_problem
    from relaxit.gradients.settings import GradientSettings as GradientSettings

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.gradients.figure": ["ENDINGS", "draw_bias_and_variance"],
        "relaxit.gradients.measure": ["SubjectMeasures"],
        "relaxit.gradients.moments": ["Measures"],
        "relaxit.gradients.problem": ["ProblemCase", "GradientProblem", "Point", "Surroundings"],
        "relaxit.gradients.report": ["EstimatorMeasurement", "GradientReport"],
        "relaxit.gradients.run": ["measure_problem"],
        "relaxit.gradients.settings": ["GradientSettings"],
    },
)
