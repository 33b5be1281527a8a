"""The pytest decorator of the kit."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from relaxit.errors import ConfigurationError
from relaxit.testing import parametrize_with_checks
from tests.testing.sound import choices


class NoExamples(choices.Choice):
    @classmethod
    def examples(cls):
        return []


@pytest.mark.parametrize("nothing", [[], [NoExamples]])
def test_nothing_to_check_is_an_error(nothing):
    with pytest.raises(ConfigurationError):
        parametrize_with_checks(nothing)


def test_outcomes_in_pytest(tmp_path):
    """Pass, skip, xfail and fail, in a separate process."""
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            from relaxit.testing import parametrize_with_checks
            from tests.testing.broken.relaxations import discrete
            from tests.testing.expected_failures import Declared, Stale
            from tests.testing.sound import choices

            SUBJECTS = [choices.Choice(), Declared(), Stale(), discrete.WrongMode()]

            @parametrize_with_checks(SUBJECTS)
            def test_contract(check):
                check()
            """
        )
    )
    few = "mode_by or low_temperature_gives_hard_values or kl_to_uniform_by or log_prob_is_finite"
    flags = ["-rfxX", "-p", "no:cacheprovider", "-k", few]
    command = [sys.executable, "-m", "pytest", *flags, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = done.stdout.splitlines()
    failed = sorted(line.split("[")[1].split("]")[0] for line in summary if "FAILED" in line)
    assert failed == [
        "Stale(size=3)-low_temperature_gives_hard_values",
        "WrongMode(size=3)-mode_by_enumeration",
    ]
    assert "copied from elsewhere" in next(line for line in summary if line.startswith("XFAIL"))
    assert " 1 xfailed" in summary[-1]
    assert " skipped" in summary[-1]
    assert "xpassed" not in summary[-1]
