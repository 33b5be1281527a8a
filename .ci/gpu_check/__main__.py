"""All that a CUDA machine which is there for ten minutes can tell, in one command.

    python .ci/gpu_check --out DIR [--data-dir DATA] [--minutes 8]

Each part has a share of the time that is left, and its commands are ended there with their
children. ``gpu-check.json`` and ``gpu-check.md`` in DIR are written anew after each command, whole
or not at all, so that a machine that vanishes leaves what was found until then. ``docs/gpu.md`` is
the page about it. The standard library is all that this folder needs.
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

PARTS = (  # the most telling first
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
    add("--out", type=Path, required=True, help=f"folder of {NAME}.json, {NAME}.md and the rest")
    add("--data-dir", type=Path, help="folder of MNIST's files; the bundled digits if absent")
    add("--minutes", type=float, default=8.0, help="in which everything ends (8)")
    known = ", ".join(part.name for part in PARTS)
    add("--parts", default="", help=f"only these, with commas between, in this order: {known}")
    add("--revision", default="", help="of the checkout, where git cannot tell")
    add("--dry", action="store_true", help="the same on the CPU in tiny sizes, to try the command")
    asked = parser.parse_args()
    if not 0 < asked.minutes < math.inf:
        parser.error(f"--minutes must be above 0, got {asked.minutes:g}")
    if asked.data_dir and not (asked.data_dir / "MNIST").is_dir():
        parser.error(f"--data-dir has no folder MNIST: {asked.data_dir}")
    names = [name.strip() for name in asked.parts.split(",") if name.strip()]
    if unknown := set(names) - {part.name for part in PARTS}:
        parser.error(f"--parts: unknown: {', '.join(sorted(unknown))}")
    asked.parts = [part for part in PARTS if not names or part.name in names]
    return asked


def main() -> int:
    """The whole command; its exit code."""
    asked = arguments()
    end = time.monotonic() + 60 * asked.minutes
    stop = Stop()
    stop.listen()
    facts, reason = machine.find_facts(stop, asked.revision)
    if stop.number:
        return 128 + stop.number
    if not facts.get("there") and not (asked.dry and facts):
        say(f"error: {reason or 'there is no CUDA device here; --dry tries it on the CPU'}")
        return 2
    out = asked.out.resolve()
    files = out / f"{NAME}-files"
    try:
        shutil.rmtree(files, ignore_errors=True)  # or an old figure is taken for a new one
        files.mkdir(parents=True)
    except OSError as error:
        say(f"error: --out {asked.out} cannot be written: {error.strerror}")
        return 2
    data_dir = asked.data_dir.resolve() if asked.data_dir and not asked.dry else None
    session = Session(
        out=out,
        files=files,
        parts=asked.parts,
        dry=asked.dry,
        data_dir=data_dir,
        minutes=asked.minutes,
        facts=facts,
        stop=stop,
        env=machine.environment(files, data_dir, asked.dry),
    )
    code = run_parts(session, end)
    say(f"written: {out / NAME}.json, {out / NAME}.md")
    return code


if __name__ == "__main__":
    sys.exit(main())
