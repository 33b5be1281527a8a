"""All checks of a CUDA machine that is available for ten minutes, in one command.

    python .ci/gpu_check --out DIR [--data-dir DATA] [--minutes 8]

Each part has a share of the remaining time; then its commands are stopped with their children.
``gpu-check.json`` and ``gpu-check.md`` in DIR are rewritten atomically after each command,
so that the results so far survive if the machine is lost. ``docs/evidence/gpu.md`` describes it.
The code in this directory needs only the standard library.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from pathlib import Path

import benchmarks
import checks
import machine
import study
import suite
import training
from commands import Stop
from session import NAME, Part, Session, run_parts, say

PARTS = (  # the most informative first
    Part("machine", "Machine", 8, machine.work, machine.show),
    Part("tests", "GPU tests", 18, suite.work, suite.show),
    Part("checks", "Conformance", 16, checks.work, checks.show),
    Part("sampling", "Sampling", 16, benchmarks.sampling, benchmarks.show),
    Part("training", "Training steps", 14, benchmarks.steps, benchmarks.show),
    Part("structures", "Structures", 10, benchmarks.structures, benchmarks.show),
    Part("epochs", "Training runs", 20, training.work, training.show),
    Part("reproduce", "A stored study", 14, study.work, study.show),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_check", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add(
        "--out",
        type=Path,
        required=True,
        help=f"directory of {NAME}.json, {NAME}.md and other files",
    )
    add("--data-dir", type=Path, help="directory of the MNIST files; the bundled digits if absent")
    add("--minutes", type=float, default=8.0, help="time budget of the whole command (8)")
    known = ", ".join(part.name for part in PARTS)
    add(
        "--parts",
        default="",
        help=f"run only these, separated by commas; the order is fixed: {known}",
    )
    add("--revision", default="", help="revision of the checkout, where git cannot tell")
    add(
        "--dry",
        action="store_true",
        help="do the same on the CPU in tiny sizes, to try the command",
    )
    options = parser.parse_args()
    if not 0 < options.minutes < math.inf:
        parser.error(f"--minutes must be above 0, got {options.minutes:g}")
    if options.data_dir and not (options.data_dir / "MNIST").is_dir():
        parser.error(f"--data-dir has no directory MNIST: {options.data_dir}")
    names = [name.strip() for name in options.parts.split(",") if name.strip()]
    if unknown := set(names) - {part.name for part in PARTS}:
        parser.error(f"--parts: unknown: {', '.join(sorted(unknown))}")
    options.parts = [part for part in PARTS if not names or part.name in names]
    return options


def main() -> int:
    """Run the command and return its exit code."""
    options = arguments()
    end = time.monotonic() + 60 * options.minutes
    stop = Stop()
    stop.listen()
    facts, reason = machine.find_facts(stop, options.revision)
    if stop.number:
        return 128 + stop.number
    if not facts.get("there") and not (options.dry and facts):
        say(f"error: {reason or 'there is no CUDA device here; use --dry for a trial on the CPU'}")
        return 2
    out = options.out.resolve()
    files = out / f"{NAME}-files"
    try:
        shutil.rmtree(files, ignore_errors=True)  # else an old result could be taken for a new one
        files.mkdir(parents=True)
    except OSError as error:
        say(f"error: --out {options.out} cannot be written: {error.strerror}")
        return 2
    data_dir = options.data_dir.resolve() if options.data_dir and not options.dry else None
    session = Session(
        out=out,
        files=files,
        parts=options.parts,
        dry=options.dry,
        data_dir=data_dir,
        minutes=options.minutes,
        facts=facts,
        stop=stop,
        env=machine.environment(files, data_dir, options.dry),
    )
    code = run_parts(session, end)
    say(f"written: {out / NAME}.json, {out / NAME}.md")
    return code


if __name__ == "__main__":
    sys.exit(main())
