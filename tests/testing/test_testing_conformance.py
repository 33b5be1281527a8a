"""Relaxations and estimators that come with relaxit pass every check of the kit."""

from __future__ import annotations

import pytest

from relaxit.testing import parametrize_with_checks
from tests.conftest import needs_cuda
from tests.helpers import own_classes


@parametrize_with_checks([*own_classes("relaxation"), *own_classes("estimator")])
def test_own_relaxations_and_estimators(check):
    check()


@pytest.mark.gpu
@needs_cuda
@parametrize_with_checks([*own_classes("relaxation"), *own_classes("estimator")], device="cuda")
def test_own_relaxations_and_estimators_on_a_gpu(check):
    check()
