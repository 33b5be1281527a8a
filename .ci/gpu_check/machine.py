"""The machine: its properties, the environment of the commands, and what is registered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from commands import Command, Stop, relaxit, run_commands
from page import table, wrap
from results import Result
from session import NAME, OWN, ROOT, Session

FACTS = """
import json, platform, sys
import torch
facts = {"torch": torch.__version__, "CUDA": torch.version.cuda,
         "Python": platform.python_version(), "there": torch.cuda.is_available()}
if facts["there"]:
    one = torch.cuda.get_device_properties(0)
    facts["device"] = one.name
    facts["compute capability"] = f"{one.major}.{one.minor}"
    facts["GPU memory"] = f"{one.total_memory / 2**30:.0f} GiB"
print(json.dumps(facts))
"""


def find_facts(stop: Stop, revision: str) -> tuple[dict[str, Any], str]:
    """Return the facts about the machine, or why torch could not state them; done first of all."""
    with tempfile.TemporaryDirectory(prefix=NAME) as place:
        command = Command("facts", (sys.executable, "-c", FACTS))
        end = time.monotonic() + 90  # a cold disk
        (ended,) = run_commands([command], Path(place), os.environ, stop, end)
        facts, reason = ended.document, ended.cut or ended.last_line
    if facts is None:
        return {}, f"torch cannot describe the machine: {reason}"
    facts["Triton"] = version_of("triton")
    facts["driver"] = first_line(
        "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"
    )
    facts["CPU cores"] = os.cpu_count()
    facts["revision"] = revision or git_revision()
    facts["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    return facts, ""


def version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def first_line(*words: str) -> str:
    """Return the first line of a program's output; ``unknown`` if it cannot be run."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.partition("\n")[0].strip()


def git_revision() -> str:
    """Return the revision of the checkout, and whether there are changes on top of it."""
    git = ("git", "-C", str(ROOT))
    head = first_line(*git, "rev-parse", "--short=12", "HEAD")
    changed = head != "unknown" and first_line(*git, "status", "--porcelain")
    return f"{head}, with changes" if changed else head


def environment(files: Path, data_dir: Path | None, dry: bool) -> dict[str, str]:
    """Return the environment of the commands, with the packages of the checkout on PYTHONPATH.

    This is for packages that are not installed. They have no metadata, and so no entry points by
    which their plugins are found, so these are written into ``files`` from their pyproject.toml.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("RELAXIT_")}
    if data_dir:
        env["RELAXIT_DATA_DIR"] = str(data_dir)
    if dry:
        env["OMP_NUM_THREADS"] = "1"  # its tensors are tiny, and other programs are running
    places = [str(ROOT / ".ci")]  # where pytest finds its plugin in gpu_check
    for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]:
        settings = tomllib.loads(path.read_text())
        if version_of(settings["project"]["name"]) == "not installed":
            places += [
                *sources(path.parent, settings),
                write_metadata(files / "metadata", settings),
            ]
    places += [env["PYTHONPATH"]] if env.get("PYTHONPATH") else []
    return {**env, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}


def sources(directory: Path, settings: Mapping[str, Any]) -> list[str]:
    """Return the directories with the packages and modules of a project's wheel."""
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    inside = [*wheel["packages"], *wheel.get("force-include", {})]
    return [str((directory / each).parent) for each in inside]


def write_metadata(place: Path, settings: Mapping[str, Any]) -> str:
    """Write a project's name, version and entry points, as if it were installed."""
    name, version = settings["project"]["name"], settings["project"]["version"]
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head)
    lines = []
    for group, entries in settings["project"].get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return str(place)


def work(session: Session, result: Result) -> None:
    """Enter the facts, and what is registered here."""
    session.facts["relaxit"] = where_relaxit_is(session.files)
    result.figures = {"facts": {k: v for k, v in session.facts.items() if k != "there"}}
    result.figures["registered"] = {
        kind: [each["name"] for each in entries]
        for kind, entries in listed(session, result).items()
    }


def where_relaxit_is(files: Path) -> str:
    """Return which files the commands run: results of other files are not the checkout's."""
    if (files / "metadata").exists():
        return "the checkout, not installed"
    url = json.loads(metadata.distribution(OWN).read_text("direct_url.json") or "{}")
    here = url.get("url") == ROOT.as_uri() and url.get("dir_info", {}).get("editable")
    return "the checkout, installed" if here else "installed, NOT this checkout"


def listed(session: Session, result: Result) -> dict[str, Any]:
    """Return what is registered, asking only once."""
    for name, words in (("strict list", ["--strict-plugins"]), ("list", [])):
        if session.listed:
            break
        (ended,) = session.run(result, [relaxit(name, *words, "list", "--json")])
        if ended.code == 0 and ended.document:
            session.listed = ended.document
        elif not ended.cut:  # without --strict-plugins, sound plugins are listed
            result.fail(f"relaxit {' '.join([*words, 'list'])}", ended.last_line)
    return session.listed


def show(figures: dict[str, Any]) -> Iterator[str]:
    yield table(["", ""], [[key, str(value)] for key, value in figures["facts"].items()], left=2)
    counts = [f"{len(v)} {k}s" for k, v in figures.get("registered", {}).items()]
    yield wrap(f"Registered: {', '.join(counts)}.") if counts else ""
