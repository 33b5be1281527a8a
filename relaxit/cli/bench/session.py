"""What the commands have in common that time implementations side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relaxit.cli.session import Session
from relaxit.errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from relaxit.bench import BenchmarkReport, BenchmarkSettings
    from relaxit.bench.processes import ProgramReport

    Figures = BenchmarkReport | ProgramReport

__all__ = ["BenchmarkSession"]


@dataclass(kw_only=True)
class BenchmarkSession(Session["Figures"]):
    """A session of benchmarks: one table per benchmark, and the rounds of one that was stopped.

    Attributes:
        settings: how the measurements are made.
    """

    settings: BenchmarkSettings

    def document(self) -> dict[str, Any]:
        return {
            **self.facts,
            "settings": self.settings.model_dump(mode="json"),
            "stopped": self.stopped,
            "benchmarks": [report.to_json() for report in self.done],
        }

    def judge(self) -> int:
        if not any(report.measured or report.broken for report in self.done):
            reasons = dict.fromkeys(text for report in self.done for text in report.excuses)
            raise ConfigurationError(
                f"nothing was measured: {'; '.join(reasons) or 'no implementation'}"
            )
        return PluginError.exit_code if any(report.broken for report in self.done) else 0
