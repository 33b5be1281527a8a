"""The relaxations that come with the kit."""

from __future__ import annotations

from relaxit.testing import check_relaxation
from relaxit.testing.toys import ThreeNumbers


def test_the_kits_own_relaxation_is_sound():
    assert {r.outcome for r in check_relaxation(ThreeNumbers())} == {"pass", "not applicable"}
