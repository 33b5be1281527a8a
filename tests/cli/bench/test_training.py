"""``relaxit bench training``: steps of both, whole runs, and seconds of an epoch."""

import json

from relaxit.cli.app import run


def test_training_on_given_images(images, capsys, monkeypatch):
    from relaxit.bench.processes import programs

    asked = []
    monkeypatch.setattr(
        programs,
        "run_program",
        lambda program, directory, threads: asked.append((program, threads)) or programs.Run(2.0),
    )
    arguments = [
        "--steps",
        "2",
        "--rounds",
        "1",
        "--only",
        "tutorial",
        "--only",
        "products float32",
    ]
    arguments += ["--data-dir", images, "--total", "4", "--threads", "1", "--device", "cpu"]
    assert run(["bench", "training", *arguments, "--json"]) == 0
    blocks, total = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["outcome"] for each in blocks["implementations"]] == ["done", "done"]
    assert (blocks["options"]["steps"], blocks["options"]["images"]) == (2, "MNIST")
    assert list(blocks["lower_bound"]["parts"]) == ["products float32"]
    assert [row["seconds"]["median"] for row in total["rows"]] == [2.0, 2.0]
    assert {threads for _, threads in asked} == {1}
    for program, _ in asked:
        assert program.command[program.command.index("--epochs") + 1] == "4"
        assert images in program.command


def test_programs_are_shown_with_their_parts(capsys):
    from relaxit.bench.processes.programs import Program, Run, time_programs
    from relaxit.cli.bench.training import show

    def takes(program):
        if program.name == "fails":
            raise ValueError("exit code 1: no list")
        return Run(float(len(program.name)), {"first line": 1.25})

    one = Program("one", (), "a note", reference=True)
    programs = [one, Program("twelve", (), marks={"first line": "d"}), Program("fails", ())]
    show(time_programs("total", "seconds", programs, takes, rounds=2), steps=1)
    lines = capsys.readouterr().out.splitlines()
    rows = {line.strip().partition("  ")[0]: line.split() for line in lines}
    assert rows["one"][1:] == ["3.00", "3.00", "3.00", "1.00"]
    assert rows["twelve"][-1] == "2.00"
    assert rows["to first line"][-3:] == ["1.25", "1.25", "1.25"]
    assert rows["fails"][1] == "failed"
    assert "  2 rounds; ratios to one" in lines
    assert "  one: a note" in lines
    assert "  fails: failed: ValueError: exit code 1: no list" in lines


def test_training_is_shown_as_seconds_of_an_epoch(images, capsys):
    from relaxit.bench import BenchmarkReport, LowerBound, Measurement, Spread
    from relaxit.cli.bench.training import show
    from relaxit.tasks.vae.benchmarks.training_steps import TrainingSteps

    report = BenchmarkReport(
        TrainingSteps(steps=50, data_dir=images), lower_bound=LowerBound(0.25, {"least": 0.25})
    )
    spread = Spread(0.5, 0.4, 0.75)
    report.measurements = [Measurement("one", "", False, seconds=spread, times_lower_bound=2.0)]
    show(report, steps=50)  # of 600
    lines = capsys.readouterr().out.splitlines()
    assert "(steps 50, images MNIST)" in lines[0]
    assert "s per epoch" in lines[1]
    (row,) = [line.split() for line in lines if line.split()[:1] == ["one"]]
    assert row == ["one", "6", "4.8", "9", "-", "2"]
    assert "  lower bound 3 s per epoch: least 3" in lines
