"""``relaxit check``: put a relaxation or an estimator to the conformance kit."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from relaxit.cli.flags import key_values
from relaxit.cli.lookup import find_any
from relaxit.cli.output import console, print_json, print_table, tell
from relaxit.cli.plugin_option import PluginFiles
from relaxit.errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from relaxit.testing import Case, Result

__all__ = ["check"]


def check(
    name: Annotated[str, typer.Argument(help="Registered relaxation or estimator.")],
    options: Annotated[
        list[str] | None,
        typer.Option("-o", "--option", help="KEY=VALUE of the object; its examples if absent."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run this check alone; may be given again.")
    ] = None,
    plugin_files: PluginFiles = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Check the laws that a relaxation or an estimator has to keep. Exits with 5 if one is broken.

    Checks compare with enumeration, so choose options with few values. Those of capabilities that
    are not claimed do not apply.
    """
    del plugin_files  # loaded by the option itself
    given = _cases(find_any(name), options or (), device)
    found = _run(given, set(only or ()))
    failed = any(result.outcome == "fail" for result in found)
    if json:
        _print_json(name, device, found, failed)
    else:
        _print(given, found)
    raise typer.Exit(PluginError.exit_code if failed else 0)


def _cases(cls: Any, options: Sequence[str], device: str) -> list[Case]:
    from relaxit.environment import choose_device
    from relaxit.testing import cases

    if cls.kind not in ("relaxation", "estimator"):
        raise ConfigurationError(f"there are no checks for a {cls.kind}")
    subject = cls(**cls.Options.parse(key_values(options, "-o"))) if options else cls
    return cases(subject, choose_device(device))


def _run(given: Sequence[Case], only: set[str]) -> list[Result]:
    from relaxit.testing import results

    found: list[Result] = []
    try:
        with console().status("checking") as status:
            for case in given:
                for result in results(case, only):
                    status.update(f"{case}: {result.check}")
                    found.append(result)
    except KeyboardInterrupt as error:  # typer would end without a word
        raise typer.Abort from error
    return found


def _print_json(name: str, device: str, found: Sequence[Result], failed: bool) -> None:
    print_json(
        {
            "name": name,
            "device": device,
            "passed": not failed,
            "counts": Counter(result.outcome for result in found),
            "results": [dataclasses.asdict(result) for result in found],
        }
    )


def _print(given: Sequence[Case], found: Sequence[Result]) -> None:
    from relaxit.testing import Outcome

    grouped: dict[str, list[Result]] = {}
    for result in found:
        grouped.setdefault(result.check, []).append(result)
    rows = [row for name, group in grouped.items() for row in _rows(name, group)]
    print_table(", ".join(map(str, given)), ["check", "outcome", "why"], rows)
    _print_statements({r.check for r in found if r.outcome == "fail"})
    counts = Counter(result.outcome for result in found)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))
    tell(f"{summary}; {sum(r.seconds for r in found):.1f} s")


def _rows(check_name: str, group: Sequence[Result]) -> list[list[str]]:
    """One row for the check if all subjects agree, else one for each that did not pass."""
    if len({(r.outcome, r.reason) for r in group}) == 1:
        return [[check_name, group[0].outcome, group[0].reason]]
    return [
        [check_name, result.outcome, f"{result.subject}: {result.reason}"]
        for result in group
        if result.outcome != "pass"
    ]


def _print_statements(failed: set[str]) -> None:
    from relaxit.testing import checks

    for each in checks():
        if each.name in failed:
            print(f"{each.name}: {each.statement} Why: {each.why}")
