"""All that a CUDA machine which is there for ten minutes can tell, in one command.

    python .ci/gpu_check.py --out DIR [--data-dir DATA] [--minutes 8]

GPU tests, conformance checks, benchmarks, training in each engine and precision, and one cell of a
stored study. Each part has a share of the time that is left, and its commands are ended there with
their children. ``gpu-check.json`` and ``gpu-check.md`` in DIR are written anew after each command,
whole or not at all, so that a machine that vanishes leaves what was found until then.
``docs/gpu.md`` is the page about it. The standard library is all that this file needs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = "gpu-check"
WIDTH = 80  # of the page's tables and sentences
GRACE = 5.0  # seconds between Ctrl-C and the end: `relaxit bench` writes what it has in them
HURRY = 2.0  # the same after a signal to this command, whose sender may not wait
LEAST = 3.0  # seconds without which a part is not begun
EPOCH = 600  # steps of `relaxit bench training` in an epoch of MNIST
OWN = "relaxit-framework"

# What the console script does; it need not be on PATH.
RELAXIT = (sys.executable, "-c", "from relaxit.cli import main; main()")
REPORTS = "GPU_CHECK_REPORTS"  # where pytest's workers are told the file of the tests' outcomes

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


# --- what differs between the real thing and a dry run ----------------------------------------


@dataclass(frozen=True)
class Sizes:
    """How much of everything is done.

    Attributes:
        relaxations, estimators: how many are checked at most.
        check: further words of `relaxit check`.
        sampling: sizes of draws, the most telling first; all benchmarks run at each.
        structures: names of benchmarks and further words; all that plugins bring if empty.
        bench, training: further words of the benchmarks.
        ways: engine and precision of training runs, the most telling first.
        train: further words of them.
        seeds, most_epochs: of the cell of a study.
    """

    relaxations: int = 1000
    estimators: int = 1000
    check: tuple[str, ...] = ()
    sampling: tuple[tuple[int, int, int], ...] = (
        (4096, 30, 10),
        (100, 30, 10),
        (1024, 1, 1000),
        (64, 1, 32_000),
    )
    structures: tuple[str, ...] = ()
    bench: tuple[str, ...] = ("--rounds", "100", "--seconds", "0.5")
    training: tuple[str, ...] = ("--steps", "100", "--rounds", "5", "--seconds", "15")
    ways: tuple[tuple[str, str], ...] = (
        ("graph", "float32"),
        ("eager", "float32"),
        ("compile", "float32"),
        ("graph", "bfloat16"),
        ("graph", "tf32"),
        ("compile", "bfloat16"),
        ("compile", "tf32"),
        ("eager", "bfloat16"),
        ("eager", "tf32"),
    )
    train: tuple[str, ...] = ("--epochs", "3")
    seeds: int = 10
    most_epochs: int = 1000


DRY = Sizes(
    relaxations=1,
    estimators=1,
    check=("--only", "is_registrable", "--only", "options_round_trip"),
    sampling=((10, 3, 5),),
    structures=("subset-slopes", "-o", "n=20", "-o", "k=3", "-o", "batch=4"),
    bench=("--rounds", "3", "--seconds", "0", "--no-compile"),
    training=("--steps", "2", "--rounds", "3", "--seconds", "0", "--no-compile"),
    ways=(("eager", "float32"), ("eager", "bfloat16")),
    train=("--epochs", "2", "--validation", "1000"),  # 437 pictures are left
    seeds=2,
    most_epochs=1,
)

ESTIMATORS = (  # and what plugins bring
    *("pathwise", "straight-through", "st-gumbel", "gumbel-rao"),
    *("reinmax", "rloo", "rebar", "relax"),
)


# --- commands, with their children and an end -------------------------------------------------


class Stop:
    """A context in which SIGINT and SIGTERM are noted, and nothing is torn apart by them."""

    number = 0

    def __enter__(self) -> Stop:
        both = (signal.SIGINT, signal.SIGTERM)
        self.former = {each: signal.signal(each, self._note) for each in both}
        return self

    def __exit__(self, *exc: object) -> None:
        for each, handler in self.former.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: object) -> None:
        del frame
        self.number = number

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name


@dataclass(frozen=True)
class Command:
    """A command line; its name is that of its files of output too."""

    name: str
    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        return self.name.replace(" ", "-")


@dataclass
class Ended:
    """What came of a command.

    Attributes:
        code: its exit code; None if it was not begun.
        cut: why it did not come to its own end; empty if it did.
        out, err: what it said.
    """

    code: int | None
    seconds: float
    cut: str
    out: Path
    err: Path

    @property
    def last_line(self) -> str:
        """Its last word, which is the reason if it failed."""
        for path in (self.err, self.out):
            lines = path.read_text(errors="replace").split("\n") if path.exists() else []
            if said := next((line.strip() for line in reversed(lines) if line.strip()), ""):
                return said
        return f"exit code {self.code}"

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON on its stdout; None if there is none."""
        return read_json(self.out)


class Process:
    """A command that runs, as the leader of a session of its own."""

    def __init__(self, command: Command, folder: Path, env: Mapping[str, str], end: float) -> None:
        self.name, self.end = command.name, end
        self.out, self.err = folder / f"{command.stem}.out", folder / f"{command.stem}.err"
        self.began = time.monotonic()
        self.asked: float | None = None  # when it was asked to end
        self.reason = ""
        self.children: dict[int, int] = {}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command.words,
                cwd=folder,
                env={**env, **command.env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def exited(self) -> bool:
        """Whether it has ended. It is not waited for, so that nobody else gets its number."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None

    def ask(self, reason: str) -> None:
        """Ask it to end, as Ctrl-C does."""
        if self.asked is None:
            self.asked, self.reason = time.monotonic(), reason
            self.children = descendants(self.process.pid)  # while it is their parent
            self.process.send_signal(signal.SIGINT)

    def finish(self) -> Ended:
        """Kill what is left of it and of its children, in whatever session, and report."""
        left = {**self.children, **descendants(self.process.pid)}
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid, birth in left.items():
            if born(pid) == birth:  # or the number has gone to somebody else
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        code = self.process.wait()
        return Ended(code, time.monotonic() - self.began, self.reason, self.out, self.err)


def _stat(pid: int) -> list[str]:
    """Fields of a process from its state on; none if it is gone, or the system has no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def born(pid: int) -> int | None:
    """When a process began, in ticks; None if it is gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def descendants(pid: int) -> dict[int, int]:
    """Children of a process and theirs, each with its birth; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(path.name)):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found: dict[int, int] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            birth = born(child)
            if birth is not None:
                found[child] = birth
                waiting.append(child)
    return found


def run_commands(
    commands: Sequence[Command],
    folder: Path,
    env: Mapping[str, str],
    stop: Stop,
    end: float,
    grace: float = GRACE,
    jobs: int = 1,
    done: Callable[[str, Ended], None] = lambda name, ended: None,
) -> dict[str, Ended]:
    """Run commands until they are done, or time is up, or a signal came.

    One that is not the last to begin has half of the time that is left, so that one that hangs
    does not cost all others.

    Args:
        commands: what to run, in this order; names are unique.
        folder: where they run, and where their output goes.
        env: their environment.
        stop: a signal that ends all of them.
        end: instant of the monotonic clock by which all are gone.
        grace: seconds before it at which they are asked to end.
        jobs: how many run at once.
        done: told of each.

    Returns:
        What came of each, in their order.
    """
    waiting, running = list(commands), list[Process]()
    found: dict[str, Ended] = {}

    def conclude(name: str, ended: Ended) -> None:
        found[name] = ended
        done(name, ended)

    try:
        while waiting or running:
            now, last = time.monotonic(), end - grace
            if stop.number or now >= last:
                for each in running:
                    each.ask(f"stopped by {stop.name}" if stop.number else bound(now - each.began))
                why = f"stopped by {stop.name}" if stop.number else "no time was left"
                for command in waiting:
                    conclude(command.name, Ended(None, 0.0, why, folder, folder))
                waiting = []
            while waiting and len(running) < jobs:
                command = waiting.pop(0)
                until = now + (last - now) / 2 if waiting else last
                running.append(Process(command, folder, env, until))
            patience = min(grace, HURRY) if stop.number else grace
            for each in list(running):
                if each.exited() or (each.asked is not None and now >= each.asked + patience):
                    running.remove(each)
                    conclude(each.name, each.finish())
                elif now >= each.end:
                    each.ask(bound(now - each.began))
            time.sleep(0.02)
    finally:
        for each in running:
            each.finish()
    return {command.name: found[command.name] for command in commands}


def bound(seconds: float) -> str:
    """What is said of a command that took too long."""
    return f"ended after {seconds:.0f} s, its share of the time"


# --- the run, and what it leaves --------------------------------------------------------------


@dataclass
class Result:
    """What came of a part; all of it goes into the JSON.

    Attributes:
        outcome: ``not run``, ``running``, ``passed``, ``failed``, ``cut``.
        seconds, share: that it took, and that it could have had.
        failures: what is wrong: ``what`` and ``why``.
        cuts: what was not run to its end, likewise.
        notes: sentences that a reader of the figures must know.
        figures: what the page shows.
        documents: what the commands said, by their name.
    """

    name: str
    title: str
    outcome: str = "not run"
    seconds: float = 0.0
    share: float = 0.0
    failures: list[dict[str, str]] = field(default_factory=list)
    cuts: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)

    def fail(self, what: str, why: str) -> None:
        self.failures.append({"what": what, "why": " ".join(why.split())[:300]})

    def cut(self, what: str, why: str) -> None:
        self.cuts.append({"what": what, "why": why})

    def judge(self) -> str:
        """The outcome of a part that has ended."""
        return "failed" if self.failures else "cut" if self.cuts else "passed"


@dataclass
class Session:
    """One run of this command.

    Attributes:
        out: where JSON and page go.
        files: where the commands run, with all that they leave.
        device: that the commands are given.
        data_dir: MNIST's files, if they are there.
        facts: of the machine.
        listed: what `relaxit list` says.
        end, grace: of the part that runs.
    """

    out: Path
    files: Path
    device: str
    sizes: Sizes
    data_dir: Path | None
    minutes: float
    facts: dict[str, Any]
    stop: Stop
    env: dict[str, str]
    results: list[Result] = field(default_factory=list)
    listed: dict[str, Any] = field(default_factory=dict)
    state: str = "running"
    end: float = 0.0
    grace: float = GRACE

    @property
    def dry(self) -> bool:
        return self.device == "cpu"

    @property
    def jobs(self) -> int:
        """Commands at once where nothing is timed: each has its own thread, and two stay free."""
        return max(1, min(12, (os.cpu_count() or 1) - 2))

    @property
    def data(self) -> tuple[str, ...]:
        """The flag of the data, if there are any."""
        return ("--data-dir", str(self.data_dir)) if self.data_dir else ()

    def result(self, name: str) -> Result | None:
        """Of another part, if it has one."""
        return next((each for each in self.results if each.name == name), None)

    def run(self, result: Result, commands: Sequence[Command], jobs: int = 1) -> dict[str, Ended]:
        """Run commands within the part's bound; what they did not come to is entered as cut."""

        def done(name: str, ended: Ended) -> None:
            if ended.cut:
                result.cut(name, ended.cut)
            self.write()

        return run_commands(
            commands, self.files, self.env, self.stop, self.end, self.grace, jobs, done
        )

    def left(self) -> float:
        """Seconds that the part may still use."""
        return self.end - self.grace - time.monotonic()

    def document(self) -> dict[str, Any]:
        """All of it, in values that JSON has."""
        whole = {
            "format": 1,
            "state": self.state,
            "dry": self.dry,
            "minutes": self.minutes,
            "data": "MNIST" if self.data_dir else "the bundled digits and random pictures",
            "facts": self.facts,
            "parts": [dataclasses.asdict(each) for each in self.results],
        }
        clean: dict[str, Any] = finite(whole)
        return clean

    def write(self) -> None:
        """Write both files anew."""
        document = self.document()
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write_whole(self.out / f"{NAME}.json", text)
        write_whole(self.out / f"{NAME}.md", page(document))


@dataclass(frozen=True)
class Part:
    """A part of the run.

    Attributes:
        weight: its share of the time is this over the sum of those that are still to come.
        work: runs its commands, and enters what came of them.
        show: lines of the page about its figures.
    """

    name: str
    title: str
    weight: float
    work: Callable[[Session, Result], None]
    show: Callable[[dict[str, Any]], Iterator[str]]


def run_parts(session: Session, parts: Sequence[Part], end: float) -> int:
    """Run all parts and return the exit code.

    Args:
        session: that is filled in.
        parts: the most telling first.
        end: instant of the monotonic clock by which everything has ended.
    """
    session.results = [Result(part.name, part.title) for part in parts]
    session.write()
    for number, (part, result) in enumerate(zip(parts, session.results, strict=True)):
        began = time.monotonic()
        weights = [each.weight for each in parts[number:]]
        result.share = max(0.0, (end - began) * weights[0] / sum(weights))
        if session.stop.number or result.share < LEAST:
            why = f"stopped by {session.stop.name}" if session.stop.number else "no time was left"
            result.cut("all of it", why)
            continue
        say(f"{result.title}: {result.share:.0f} s at most")
        session.end, session.grace = began + result.share, min(GRACE, result.share / 5)
        result.outcome = "running"
        session.write()
        try:
            part.work(session, result)
        except Exception as error:  # one part's surprise must not cost the others
            result.fail(part.name, f"{type(error).__name__}: {error}")
        result.seconds = time.monotonic() - began
        result.outcome = result.judge()
        say(f"{result.title}: {result.outcome}, {result.seconds:.0f} s")
        session.write()
    stopped = session.stop.number
    session.state = f"stopped by {session.stop.name}" if stopped else "finished"
    session.write()
    return 128 + stopped if stopped else int(any(r.outcome != "passed" for r in session.results))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, and onto the disk."""
    other = path.with_name(path.name + ".part")
    with other.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    other.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON document; None if there is none, or it is not whole."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    except (OSError, ValueError):
        return None


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def relaxit(name: str, *words: object, **env: str) -> Command:
    return Command(name, (*RELAXIT, *map(str, words)), env)


# --- the machine ------------------------------------------------------------------------------


def find_facts(stop: Stop, revision: str) -> tuple[dict[str, Any], str]:
    """What is known of the machine, and why torch could not say more; asked before all else."""
    with tempfile.TemporaryDirectory(prefix=NAME) as place:
        command = Command("facts", (sys.executable, "-c", FACTS))
        end = time.monotonic() + 90  # a cold disk
        ended = run_commands([command], Path(place), os.environ, stop, end)["facts"]
        facts, reason = ended.document, ended.cut or ended.last_line
    if facts is None:
        return {}, f"torch does not say what there is: {reason}"
    facts["Triton"] = version_of("triton")
    facts["driver"] = said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    facts["CPU cores"] = os.cpu_count()
    facts["revision"] = revision or git_revision()
    facts["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    return facts, ""


def version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def said(*words: str) -> str:
    """The first line that a program says; ``unknown`` if it cannot be run."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.partition("\n")[0].strip()


def git_revision() -> str:
    """Of the checkout, and whether there are changes on top of it."""
    git = ("git", "-C", str(ROOT))
    found = said(*git, "rev-parse", "--short=12", "HEAD")
    changed = found != "unknown" and said(*git, "status", "--porcelain")
    return f"{found}, with changes" if changed else found


def environment(files: Path, data_dir: Path | None, dry: bool) -> dict[str, str]:
    """What the commands inherit, with the checkout's packages where they are not installed.

    A package that is only on PYTHONPATH has no metadata, and so no entry points by which its
    plugins are found. They are written into ``files``, from its pyproject.toml.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RELAXIT_")}
    if data_dir:
        kept["RELAXIT_DATA_DIR"] = str(data_dir)
    if dry:
        kept["OMP_NUM_THREADS"] = "1"  # its tensors are tiny, and other programs are running
    places = [str(ROOT / ".ci")]  # where pytest finds this file
    for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]:
        table = tomllib.loads(path.read_text())
        if version_of(table["project"]["name"]) == "not installed":
            places += [*sources(path.parent, table), write_metadata(files / "metadata", table)]
    places += [kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else []
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}


def sources(folder: Path, table: Mapping[str, Any]) -> list[str]:
    """Folders that hold a project's packages and modules, as its wheel would."""
    wheel = table["tool"]["hatch"]["build"]["targets"]["wheel"]
    inside = [*wheel["packages"], *wheel.get("force-include", {})]
    return [str((folder / each).parent) for each in inside]


def write_metadata(place: Path, table: Mapping[str, Any]) -> str:
    """A project's name, version and entry points, as if it was installed."""
    project = table["project"]
    name, version = project["name"], project["version"]
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head)
    points = project.get("entry-points", {})
    lines = [
        line
        for group, entries in points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return str(place)


def work_machine(session: Session, result: Result) -> None:
    """The facts, and what is registered here."""
    session.facts["relaxit"] = where_relaxit_is(session.files)
    result.figures = {"facts": {k: v for k, v in session.facts.items() if k != "there"}}
    result.figures["registered"] = {
        kind: [each["name"] for each in entries]
        for kind, entries in listed(session, result).items()
    }


def where_relaxit_is(files: Path) -> str:
    """Whose files the commands run: figures of others are not the checkout's."""
    if (files / "metadata").exists():
        return "the checkout, not installed"
    url = json.loads(metadata.distribution(OWN).read_text("direct_url.json") or "{}")
    here = url.get("url") == ROOT.as_uri() and url.get("dir_info", {}).get("editable")
    return "the checkout, installed" if here else "installed, NOT this checkout"


def listed(session: Session, result: Result) -> dict[str, Any]:
    """What is registered, asked once."""
    for name, words in (("strict list", ["--strict-plugins"]), ("list", [])):
        if session.listed:
            break
        ended = session.run(result, [relaxit(name, *words, "list", "--json")])[name]
        if ended.code == 0 and ended.document:
            session.listed = ended.document
        elif not ended.cut:  # without --strict-plugins the sound ones are there
            result.fail(f"relaxit {' '.join([*words, 'list'])}", ended.last_line)
    return session.listed


def show_machine(figures: dict[str, Any]) -> Iterator[str]:
    rows = [[key, str(value)] for key, value in figures.get("facts", {}).items()]
    yield table(["", ""], rows, left=2)
    counts = [f"{len(v)} {k}s" for k, v in figures.get("registered", {}).items()]
    if counts:
        yield wrap(f"Registered: {', '.join(counts)}.")


# --- the GPU tests ----------------------------------------------------------------------------


def work_tests(session: Session, result: Result) -> None:
    """All tests marked ``gpu``, several at once where xdist is there."""
    reports = session.files / "tests.jsonl"
    where = [ROOT / "tests", *sorted(ROOT.glob("plugins/*/tests"))]
    words = [
        *("-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "-p", "gpu_check"),
        # The project's own options are for all tests: doctests, and five minutes for each.
        *("-o", "addopts=", "--strict-markers", "-c", ROOT / "pyproject.toml"),
        *("--basetemp", session.files / "tests"),
    ]
    if importlib.util.find_spec("pytest_timeout"):
        words.append(f"--timeout={max(1, min(60, session.left() / 2)):.0f}")
    if importlib.util.find_spec("xdist") and not session.dry and session.jobs > 1:
        words += ["-n", session.jobs]
    command = Command(
        "pytest", (sys.executable, *map(str, [*words, *where])), {REPORTS: str(reports)}
    )
    ended = session.run(result, [command])["pytest"]
    rows = [json.loads(line) for line in lines_of(reports)]
    counts = Counter(row["outcome"] for row in rows)
    skips = Counter(row["why"] for row in rows if row["outcome"] == "skipped")
    slowest = sorted(rows, key=lambda row: -row["seconds"])[:5]
    result.figures = {
        "counts": dict(counts),
        "skips": dict(skips),
        "slowest": [row for row in slowest if row["seconds"] >= 1],
    }
    for row in rows:
        if row["outcome"] in ("failed", "error"):
            result.fail(row["test"], row["why"])
    if ended.code not in (0, 1) and not ended.cut:
        result.fail("pytest", ended.last_line)
    elif not session.dry and not ended.cut and not counts["passed"]:
        result.fail("pytest", "no test passed")


def lines_of(path: Path) -> list[str]:
    """Whole lines of a file, none if it is not there; the last may be torn."""
    text = path.read_text() if path.exists() else ""
    return text.splitlines()[: text.count("\n")]


def pytest_runtest_logreport(report: Any) -> None:
    """pytest calls this, as it loads this file as a plugin: a line for each test, at once."""
    if report.when == "call" or not report.passed:
        outcome = "error" if report.failed and report.when != "call" else report.outcome
        _report(report, outcome)


def pytest_collectreport(report: Any) -> None:
    """A file that cannot be read."""
    if report.failed:
        _report(report, "error")


def _report(report: Any, outcome: str) -> None:
    path = os.environ.get(REPORTS)
    if not path or "PYTEST_XDIST_WORKER" in os.environ:  # whose reports come here anyway
        return
    seconds = getattr(report, "duration", 0.0)
    row = {"test": report.nodeid, "outcome": outcome, "seconds": seconds, "why": _why(report)}
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _why(report: Any) -> str:
    """The reason of a skip, or the first line of a failure."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def show_tests(figures: dict[str, Any]) -> Iterator[str]:
    counts = figures.get("counts", {})
    known = ("passed", "failed", "error", "skipped")
    yield table(list(known), [[str(counts.get(each, 0)) for each in known]], left=0)
    for why, number in figures.get("skips", {}).items():
        yield wrap(f"{number} skipped: {why}", "- ")
    for row in figures.get("slowest", []):
        yield wrap(f"{row['seconds']:.0f} s: `{row['test']}`", "- ")


# --- the laws ---------------------------------------------------------------------------------


def work_checks(session: Session, result: Result) -> None:
    """`relaxit check` of all relaxations and the main estimators, several at once."""
    there = listed(session, result)
    relaxations = [each["name"] for each in there.get("relaxation", [])]
    known = {each["name"]: each["distribution"] for each in there.get("estimator", [])}
    main = [name for name in ESTIMATORS if name in known]
    main += [name for name, distribution in known.items() if distribution != OWN]
    names = relaxations[: session.sizes.relaxations] + main[: session.sizes.estimators]
    if not names:
        result.fail("relaxit list", "it named nothing to check")
    own = {"OMP_NUM_THREADS": "1"}  # several at once, and small tensors
    words = ("--device", session.device, "--json", *session.sizes.check)
    commands = [relaxit(f"check {name}", "check", name, *words, **own) for name in names]
    result.figures = {"rows": []}
    for name, ended in session.run(result, commands, session.jobs).items():
        if ended.cut:
            continue
        document = ended.document
        if document is None:
            result.fail(f"relaxit {name}", ended.last_line)
            continue
        result.documents[name] = document
        counts, seconds = document["counts"], sum(r["seconds"] for r in document["results"])
        result.figures["rows"].append({"name": document["name"], **counts, "seconds": seconds})
        for each in document["results"]:
            if each["outcome"] == "fail":
                result.fail(
                    f"{document['name']}: {each['check']} of {each['subject']}", each["reason"]
                )


def show_checks(figures: dict[str, Any]) -> Iterator[str]:
    kinds = ("pass", "fail", "expected failure", "not applicable", "not run")
    rows = [
        [row["name"], *(str(row.get(kind, 0)) for kind in kinds), f"{row['seconds']:.0f}"]
        for row in figures.get("rows", [])
    ]
    heads = ["", "pass", "fail", "expected", "not appl.", "not run", "s"]
    yield table(heads, rows)


# --- benchmarks -------------------------------------------------------------------------------


def work_benchmarks(session: Session, result: Result, commands: Sequence[Command]) -> None:
    """Run benchmark commands, each with a file of its figures, and condense them."""
    result.figures = {"tables": []}
    with_files = [
        dataclasses.replace(each, words=(*each.words, "--json", "--out", f"{each.stem}.json"))
        for each in commands
    ]
    ends = session.run(result, with_files)
    for name, stem in ((each.name, each.stem) for each in commands):
        ended, document = ends[name], read_json(session.files / f"{stem}.json")
        if document is None:
            if not ended.cut:
                result.fail(f"relaxit {name}", ended.last_line)
            continue
        result.documents[name] = document  # of a command that was cut too: what it had by then
        for benchmark in document["benchmarks"]:
            found = condense(benchmark)
            result.figures["tables"].append(found)
            if found["reason"]:
                result.fail(found["name"], found["reason"])
            for row in found["rows"]:
                if row["outcome"] == "failed":
                    result.fail(f"{found['name']}: {row['name']}", row["reason"])


def condense(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a benchmark."""
    rows = benchmark["contenders"]
    medians = {row["name"]: row["seconds"]["median"] for row in rows if row["seconds"]}
    compiled = compiled_form(benchmark, medians)
    kept = (
        "name",
        "outcome",
        "reason",
        "ratio",
        "floors",
        "memory_bytes",
        "compiled",
        "first_seconds",
    )
    options = {k: v for k, v in benchmark["options"].items() if k != "data_dir"}
    return {
        "name": benchmark["name"],
        "summary": benchmark["summary"],
        "options": options,
        "reason": benchmark["reason"],
        "reference": benchmark["reference"],
        "compiled": compiled,
        "rounds": benchmark["rounds"],
        "floor": (benchmark["floor"] or {}).get("seconds"),
        "rows": [
            {
                **{key: row[key] for key in kept},
                "seconds": medians.get(row["name"]),
                "to_compiled": medians[row["name"]] / medians[compiled]
                if compiled and row["name"] in medians
                else None,
            }
            for row in rows
        ],
    }


def compiled_form(benchmark: Mapping[str, Any], medians: Mapping[str, float]) -> str | None:
    """PyTorch's own way compiled, the fastest of them; else the reference compiled."""
    rows = [row for row in benchmark["contenders"] if row["compiled"] and row["name"] in medians]
    torchs = [row["name"] for row in rows if row["peer"] == "torch"]
    same = [row["name"] for row in rows if row["name"] == f"{benchmark['reference']} compiled"]
    return min(torchs or same, key=lambda name: medians[name], default=None)


def show_benchmarks(figures: dict[str, Any]) -> Iterator[str]:
    for each in figures.get("tables", []):
        yield from show_benchmark(each)


def show_benchmark(each: Mapping[str, Any]) -> Iterator[str]:
    """A heading, a table and a sentence."""
    options, steps = dict(each["options"]), each["options"].get("steps")
    factor, unit = (EPOCH / steps, "s/epoch") if steps else (1e3, "ms")
    yield f"### {each['name']}: {', '.join(f'{k} {v}' for k, v in options.items())}"
    rows = [
        [
            row["name"],
            number(row["seconds"], factor) if row["outcome"] == "done" else row["outcome"],
            number(row["ratio"]),
            number(row["to_compiled"]),
            number(row["floors"]),
            number(row["memory_bytes"], 2**-20),
        ]
        for row in each["rows"]
        if row["outcome"] != "skipped"  # named below, with the reason
    ]
    heads = ["", unit, "ratio", "/ comp.", "floors", "MiB"]
    yield table(heads, rows, drop_empty=True)
    said = f"{each['rounds']} rounds; ratios to {each['reference']}"
    said += f"; / comp.: to {each['compiled']}" if each["compiled"] else ""
    said += f"; lower bound {number(each['floor'], factor)} {unit}" if each["floor"] else ""
    yield wrap(f"{said}.")
    if first := {row["name"]: row["first_seconds"] for row in each["rows"] if row["compiled"]}:
        calls = ", ".join(f"{name} {number(s)} s" for name, s in first.items() if s is not None)
        yield wrap(f"first calls: {calls}", "- ") if calls else ""
    reasons: dict[str, list[str]] = {}
    for row in each["rows"]:
        if row["outcome"] == "skipped":
            reasons.setdefault(row["reason"], []).append(row["name"])
    for why, names in reasons.items():
        yield wrap(f"skipped: {', '.join(names)}: {why}", "- ")


def work_sampling(session: Session, result: Result) -> None:
    commands = []
    for size in session.sizes.sampling:
        flags = [f"{key}={value}" for key, value in zip(SIZE, size, strict=True)]
        words = [word for flag in flags for word in ("-o", flag)]
        name = f"bench sampling {'x'.join(map(str, size))}"
        words += ["--device", session.device, *session.sizes.bench]
        commands.append(relaxit(name, "bench", "sampling", *words))
    work_benchmarks(session, result, commands)


SIZE = ("batch", "latents", "categories")


def work_training(session: Session, result: Result) -> None:
    words = ("--device", session.device, *session.data, *session.sizes.training)
    work_benchmarks(session, result, [relaxit("bench training", "bench", "training", *words)])
    if not session.data_dir:
        result.notes.append("Random pictures in the place of MNIST's; a step takes as long.")


def work_structures(session: Session, result: Result) -> None:
    """What plugins bring: a command for each package, so that one does not cost the other."""
    found: dict[str, list[str]] = {}
    for each in listed(session, result).get("benchmark", []):
        if each["distribution"] != OWN:
            found.setdefault(each["distribution"], []).append(each["name"])
    if session.sizes.structures:
        found = {session.sizes.structures[0]: list(session.sizes.structures)}
    words = ("--device", session.device, *session.sizes.bench)
    work_benchmarks(
        session,
        result,
        [
            relaxit(f"bench structures {name}", "bench", "structures", *benchmarks, *words)
            for name, benchmarks in found.items()
        ],
    )


# --- training runs ----------------------------------------------------------------------------


def work_epochs(session: Session, result: Result) -> None:
    """`relaxit train` in each engine and precision; the first epoch, which compiles, apart."""
    recipe = ("--recipe", "tutorial-mnist", "--quiet", "--json", "--overwrite")
    data = session.data or ("--dataset", "digits")
    commands = [
        relaxit(
            f"train {engine} {precision}",
            *("train", *recipe, *data, *session.sizes.train, "--device", session.device),
            *("--engine", engine, "--precision", precision, "--out", f"{engine}-{precision}"),
        )
        for engine, precision in session.sizes.ways
    ]
    blocks = seconds_by_name(session.result("training"))
    script = blocks.get("tutorial") if session.data_dir else None  # of as many pictures
    result.figures = {"script": script, "rows": []}
    if not session.data_dir:
        result.notes.append(
            "Trained on the bundled digits, 8 x 8 pixels, as MNIST's files were not given: these "
            "times are no epoch of MNIST, and are not compared with the script's."
        )
    for (engine, precision), (name, ended) in zip(
        session.sizes.ways, session.run(result, commands).items(), strict=True
    ):
        lines = lines_of(session.files / f"{engine}-{precision}" / "metrics.jsonl")
        rows = [row for row in map(json.loads, lines) if "partial" not in row]
        if not ended.cut and ended.code != 0:
            result.fail(f"relaxit {name}", ended.last_line)
        if rows:
            result.documents[name] = rows
            result.figures["rows"].append(
                {"engine": engine, "precision": precision, **figures_of(rows, script)}
            )


def seconds_by_name(result: Result | None) -> dict[str, float]:
    """Seconds of an epoch by contender, of the part that times blocks of steps."""
    tables = result.figures.get("tables", []) if result else []
    return {
        row["name"]: row["seconds"] * EPOCH / each["options"]["steps"]
        for each in tables
        for row in each["rows"]
        if row["seconds"]
    }


def figures_of(rows: Sequence[Mapping[str, Any]], script: float | None) -> dict[str, Any]:
    """What the page shows of a run: its epochs after the first, and where it got to."""
    later = [row["seconds"] for row in rows[1:]]
    seconds = statistics.median(later) if later else None
    return {
        "epochs": len(rows),
        "first": rows[0]["seconds"],
        "seconds": seconds,
        "speed": script / seconds if script and seconds else None,
        "test_elbo": rows[-1].get("test_elbo_discrete"),
    }


def show_epochs(figures: dict[str, Any]) -> Iterator[str]:
    rows = [
        [
            f"{row['engine']}, {row['precision']}",
            number(row["seconds"]),
            number(row["first"]),
            number(row["speed"]),
            str(row["epochs"]),
            "-" if row["test_elbo"] is None else f"{row['test_elbo']:.2f}",
        ]
        for row in figures.get("rows", [])
    ]
    if script := figures.get("script"):
        rows.insert(0, ["the tutorial's script", number(script), "-", "1", "-", "-"])
    heads = ["", "s an epoch", "the first", "speed", "epochs", "test ELBO"]
    yield table(heads, rows, drop_empty=True)
    yield wrap(
        "Steps only; the first epoch has compilation in it and does not count. Speed: the script's "
        "time over this one. Test ELBO: discrete, in nats a picture, after so few epochs."
    )


# --- a cell of a study ------------------------------------------------------------------------


def work_reproduce(session: Session, result: Result) -> None:
    """One cell of a stored study, all seeds as one; a short try says how many epochs fit."""
    study, size, estimator = CELLS[bool(session.data_dir)]
    words = ("reproduce", study, "--sizes", size, "--estimators", estimator, *session.data)
    words += ("--seeds", str(session.sizes.seeds), "--device", session.device)

    def attempt(name: str, epochs: int) -> dict[str, Any] | None:
        more = ("--epochs", epochs, "--out", f"{name}.json")
        ended = session.run(result, [relaxit(name, *words, *more)])[name]
        document = read_json(session.files / f"{name}.json")
        if document is None and not ended.cut:
            result.fail(f"relaxit {name}", ended.last_line)
        return document

    began = time.monotonic()
    document = attempt("reproduce-try", TRY)
    if document is None:
        return
    seconds = document["cells"][0]["seconds"] / TRY
    start = time.monotonic() - began - seconds * TRY
    most = min(session.sizes.most_epochs, document["study"]["recipe"]["epochs"])
    epochs = min(most, fitting(session.left(), start, seconds))
    if epochs > TRY:
        document = attempt("reproduce", epochs) or document
    cell = document["cells"][0]
    result.documents["reproduce"] = document
    result.figures = {
        "cell": f"{study}, {size}, {estimator}",
        "way": cell["way"],
        "seeds": session.sizes.seeds,
        "epochs": max((len(rows) for rows in cell["rows"].values()), default=0),
        "seconds": cell["seconds"],
        "comparisons": document["comparisons"],
        "foot": document["foot"],
    }
    for each in document["comparisons"]:
        if each["verdict"] in ("off", "diverged"):
            what = f"{result.figures['cell']}, epoch {each['epoch']}, {each['column']}"
            result.fail(what, f"{each['verdict']}: z {number(each['z'])}")


def fitting(left: float, start: float, seconds: float) -> int:
    """Epochs that fit into a time, less a fifth of it: a cell that is cut gives nothing.

    Args:
        left: seconds that there are.
        start: of them, until the first epoch begins.
        seconds: of an epoch.
    """
    return int((0.8 * left - start) / max(seconds, 1e-3))


TRY = 2  # epochs
CELLS = {
    True: ("estimators-mnist", "8x4", "st-gumbel"),
    False: ("polynomial", "p=2", "straight-through"),  # needs no data
}


def show_reproduce(figures: dict[str, Any]) -> Iterator[str]:
    if not figures:
        return
    way = "as one ensemble" if figures["way"] == "ensemble" else "in turn"
    seeds, epochs, seconds = figures["seeds"], figures["epochs"], figures["seconds"]
    yield wrap(f"{figures['cell']}: {seeds} seeds {way}, {epochs} epochs in {seconds:.0f} s.")
    rows = [
        [
            f"{each['column']}, epoch {each['epoch']}",
            with_error(each["mean"], each["error"]),
            with_error(each["target"], each["target_error"]),
            number(each["z"]),
            each["verdict"],
        ]
        for each in figures["comparisons"]
    ]
    yield table(["", "ours", "target", "z", "verdict"], rows)
    yield "\n\n".join(wrap(line) for line in figures["foot"])


def with_error(value: float | None, error: float | None) -> str:
    """A value and its standard error, where they are known."""
    if value is None:
        return "-"
    return f"{value:.6g}" if error is None else f"{value:.6g} ± {error:.2g}"


# --- the page ---------------------------------------------------------------------------------


def page(document: Mapping[str, Any]) -> str:
    """The whole page, from the JSON alone."""
    facts, parts = document["facts"], document["parts"]
    device = facts.get("device", "CPU")
    head = [
        "# GPU check" + (", dry: on the CPU" if document["dry"] else ""),
        wrap(
            f"{facts.get('date', '')[:10]}, {device}, torch {facts.get('torch')}, revision "
            f"{facts.get('revision')}, {document['minutes']:g} minutes at most, data: "
            f"{document['data']}. State: {document['state']}."
        ),
    ]
    if document["dry"]:
        head.append(wrap("Sizes are tiny and the device is the CPU: no figure here means much."))
    rows = [
        [
            *(p["title"], p["outcome"], f"{p['seconds']:.0f}", f"{p['share']:.0f}"),
            *(str(len(p["failures"])), str(len(p["cuts"]))),
        ]
        for p in parts
    ]
    head.append(table(["part", "outcome", "s", "at most", "failures", "cuts"], rows, left=2))
    head += ["## What failed", bullets(parts, "failures", "`{what}`: `{why}`")]
    head += ["## What was cut, and why", bullets(parts, "cuts", "{part}: {what}: {why}")]
    shows = {part.name: part.show for part in PARTS}
    for part in parts:
        head += [f"## {part['title']}", *map(wrap, part["notes"])]
        lines = list(shows[part["name"]](part["figures"])) if part["name"] in shows else []
        head += lines if part["figures"] else ["No figures."]
    return joined(head)


def joined(blocks: Sequence[str]) -> str:
    """Blocks with empty lines between, but none between the items of a list."""
    text = ""
    for block in filter(None, blocks):
        close = block.startswith("- ") and text.rpartition("\n\n")[2].startswith("- ")
        text += ("\n" if close else "\n\n") * bool(text) + block
    return text + "\n"


def bullets(parts: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
    """Failures or cuts of all parts as a list."""
    lines = [
        wrap(form.format(part=part["title"], **{k: plain(v) for k, v in each.items()}), "- ")
        for part in parts
        for each in part[key]
    ]
    return "\n".join(lines) or "Nothing."


def plain(text: str) -> str:
    """Text that may stand between backticks."""
    return text.replace("`", "'")


def wrap(text: str, start: str = "") -> str:
    """A paragraph, or an item of a list, in lines that fit."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def number(value: float | None, factor: float = 1.0) -> str:
    """Three digits, in six characters at most as long as there is no millionth and no million."""
    if value is None:
        return "-"
    found = value * factor
    size = abs(found)
    if size and not 1e-3 <= size < 1e6:
        return f"{found:.1e}".replace("e-0", "e-").replace("e+0", "e")
    if size >= 1000:
        return f"{found:.0f}"
    return f"{found:.4f}" if 0 < size < 0.01 else f"{found:.3g}"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    drop_empty: bool = False,
) -> str:
    """A table in Markdown, aligned, the first column shortened so that it fits.

    Args:
        heads: of the columns.
        rows: at least one, or there is no table.
        left: so many columns hold words and begin on the left.
        drop_empty: leave out columns of which nothing is known.
    """
    if not rows:
        return ""
    columns = [[head, *cells] for head, *cells in zip(heads, *rows, strict=True)]
    if drop_empty:
        columns = [c for n, c in enumerate(columns) if not n or any(x != "-" for x in c[1:])]
    columns = [[cell.replace("|", "/") for cell in column] for column in columns]
    rest = sum(max(3, *map(len, column)) + 3 for column in columns[1:])
    columns[0] = [shortened(cell, WIDTH - 4 - rest) for cell in columns[0]]
    widths = [max(3, *map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if n < left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rules = ["-" * w if n < left else "-" * (w - 1) + ":" for n, w in enumerate(widths)]
    head, *body = zip(*columns, strict=True)
    return "\n".join([line(head), line(rules), *map(line, body)])


def shortened(text: str, width: int) -> str:
    """Text of at most that many characters, though of ten at least."""
    width = max(10, width)
    return text if len(text) <= width else text[: width - 3] + "..."


# --- from the command line --------------------------------------------------------------------

PARTS = (
    Part("machine", "Machine", 8, work_machine, show_machine),
    Part("tests", "GPU tests", 18, work_tests, show_tests),
    Part("checks", "Conformance", 16, work_checks, show_checks),
    Part("sampling", "Sampling", 16, work_sampling, show_benchmarks),
    Part("training", "Training steps", 14, work_training, show_benchmarks),
    Part("structures", "Structures", 10, work_structures, show_benchmarks),
    Part("epochs", "Training runs", 20, work_epochs, show_epochs),
    Part("reproduce", "A stored study", 14, work_reproduce, show_reproduce),
)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_check.py", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--out", type=Path, required=True, help=f"folder of {NAME}.json, {NAME}.md and the rest")
    add("--data-dir", type=Path, help="folder of MNIST's files; the bundled digits if absent")
    add("--minutes", type=float, default=8.0, help="in which everything ends (8)")
    add(
        "--parts",
        default="",
        help="only these, with commas between, in the usual order: "
        + ", ".join(part.name for part in PARTS),
    )
    add("--revision", default="", help="of the checkout, where git cannot tell")
    add("--dry", action="store_true", help="the same on the CPU in tiny sizes, to try the command")
    asked = parser.parse_args(words)
    if not 0 < asked.minutes < math.inf:
        parser.error(f"--minutes must be above 0, got {asked.minutes:g}")
    if asked.data_dir and not (asked.data_dir / "MNIST").is_dir():
        parser.error(f"--data-dir has no folder MNIST: {asked.data_dir}")
    names = [name.strip() for name in asked.parts.split(",") if name.strip()]
    if unknown := set(names) - {part.name for part in PARTS}:
        parser.error(f"--parts: unknown: {', '.join(sorted(unknown))}")
    asked.parts = [part for part in PARTS if not names or part.name in names]
    return asked


def prepare(out: Path) -> Path:
    """The folder, and an empty one in it for what the commands leave.

    Raises:
        OSError: if it cannot be written.
    """
    files = out.resolve() / f"{NAME}-files"
    shutil.rmtree(files, ignore_errors=True)  # or an old figure is taken for a new one
    files.mkdir(parents=True)
    return files


def main(words: Sequence[str] | None = None) -> int:
    """The whole command; its exit code."""
    asked = arguments(words)
    end = time.monotonic() + 60 * asked.minutes
    with Stop() as stop:
        facts, reason = find_facts(stop, asked.revision)
        if stop.number:
            return 128 + stop.number
        if not facts.get("there") and not (asked.dry and facts):
            say(f"error: {reason or 'there is no CUDA device here; --dry tries it on the CPU'}")
            return 2
        try:
            files = prepare(asked.out)
        except OSError as error:
            say(f"error: --out {asked.out} cannot be written: {error.strerror}")
            return 2
        data_dir = asked.data_dir.resolve() if asked.data_dir and not asked.dry else None
        session = Session(
            out=asked.out.resolve(),
            files=files,
            device="cpu" if asked.dry else "cuda",
            sizes=DRY if asked.dry else Sizes(),
            data_dir=data_dir,
            minutes=asked.minutes,
            facts=facts,
            stop=stop,
            env=environment(files, data_dir, asked.dry),
        )
        code = run_parts(session, asked.parts, end)
    say(f"written: {session.out / NAME}.json, {session.out / NAME}.md")
    return code


if __name__ == "__main__":
    sys.exit(main())
