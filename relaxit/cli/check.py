"""``relaxit check``: run the conformance kit on a relaxation or an estimator."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from relaxit.cli.flags import build
from relaxit.cli.lookup import find_any, kind_of
from relaxit.cli.output import console, print_json, tell
from relaxit.cli.plugin_option import PluginFiles
from relaxit.cli.tables import print_notes, print_table
from relaxit.errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from relaxit.testing import Case, Result

__all__ = ["check"]


def check(
    name: Annotated[str, typer.Argument(help="Name of a registered relaxation or estimator.")],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--option",
            help="Option KEY=VALUE of NAME; may be repeated. Its examples are checked if absent.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run only this check; may be repeated.")
    ] = None,
    plugin_files: PluginFiles = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:N or mps.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Run the conformance checks of a relaxation or an estimator. Exits with 5 if one fails.

    Checks compare with enumeration, so choose options with few values. Checks of capabilities
    that are not claimed do not apply.
    """
    del plugin_files  # loaded by the option itself
    subjects = _cases(find_any(name), options or (), device)
    outcomes = _run(subjects, set(only or ()))
    failed = any(result.outcome == "fail" for result in outcomes)
    if json:
        _print_json(name, device, outcomes, failed)
    else:
        _print(subjects, outcomes)
    raise typer.Exit(PluginError.exit_code if failed else 0)


def _cases(cls: Any, options: Sequence[str], device: str) -> list[Case]:
    from relaxit.environment import choose_device
    from relaxit.testing import cases

    if cls.kind not in ("relaxation", "estimator"):
        raise ConfigurationError(
            f"{cls.name!r} is {kind_of(cls)}; relaxations and estimators can be checked"
        )
    subject = build(cls, options, "-o") if options else cls
    return cases(subject, choose_device(device))


def _run(subjects: Sequence[Case], only: set[str]) -> list[Result]:
    from relaxit.testing import results

    outcomes: list[Result] = []
    try:
        with console().status("checking") as status:
            for case in subjects:
                for result in results(case, only):
                    status.update(f"{case}: {result.check}")
                    outcomes.append(result)
    except KeyboardInterrupt as error:  # typer would exit without a message
        raise typer.Abort from error
    return outcomes


def _print_json(name: str, device: str, outcomes: Sequence[Result], failed: bool) -> None:
    print_json(
        {
            "name": name,
            "device": device,
            "passed": not failed,
            "counts": Counter(result.outcome for result in outcomes),
            "results": [dataclasses.asdict(result) for result in outcomes],
        }
    )


def _print(subjects: Sequence[Case], outcomes: Sequence[Result]) -> None:
    from relaxit.testing import Outcome

    grouped: dict[str, list[Result]] = {}
    for result in outcomes:
        grouped.setdefault(result.check, []).append(result)
    rows = [row for name, group in grouped.items() for row in _rows(name, group)]
    print_table(", ".join(map(str, subjects)), ["check", "outcome", "why"], rows)
    _print_statements({r.check for r in outcomes if r.outcome == "fail"})
    counts = Counter(result.outcome for result in outcomes)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))
    tell(f"{summary}; {sum(r.seconds for r in outcomes):.1f} s")


def _rows(check_name: str, group: Sequence[Result]) -> list[list[str]]:
    """Return one row if all subjects agree, else one for each that did not pass."""
    if len({(r.outcome, r.reason) for r in group}) == 1:
        return [[check_name, group[0].outcome, group[0].reason]]
    return [
        [check_name, result.outcome, f"{result.subject}: {result.reason}"]
        for result in group
        if result.outcome != "pass"
    ]


def _print_statements(failed: set[str]) -> None:
    from relaxit.testing import checks

    for check in checks():
        if check.name in failed:
            print_notes(f"{check.name}: {check.statement} Why: {check.why}", indent=0)
