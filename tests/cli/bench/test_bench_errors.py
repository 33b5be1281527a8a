"""Mistakes in arguments and in benchmarks are named in one line."""

import pytest

import relaxit
from relaxit.cli.app import run
from tests.bench.implementations import Known
from tests.cli.bench.quick import QUICK


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("test-knwn", "Did you mean test-known?"),
        ("test-known -o m=3", "test-known has no option m; it has: n"),
        ("test-known -o n=0", "test-known: -o n must be at least 1, got 0"),
        ("test-known -o n", "KEY=VALUE"),
        ("test-known --device cuda:99", "--device auto"),
        ("test-known --rounds 0", "--rounds"),
        ("test-known --seconds nan", "--seconds"),
        ("test-known --seconds -1", "--seconds"),
        ("test-known --threads 0", "--threads"),
        ("test-known --threads 1000000", "--threads"),
        ("test-known --against tourch", "Did you mean torch?"),
        ("test-known --against tourch", "Known: relaxit, torch."),
        ("test-known --only rihgt", "Did you mean right?"),
        ("test-known --out nowhere/file.json", "--out"),
        ("test-known --out .", "--out"),
        ("--plugin absent.py", "absent.py"),
    ],
)
def test_bad_arguments_are_one_line(known, capsys, arguments, said):
    code = run(["bench", "structures", *arguments.split()])
    out, err = capsys.readouterr()
    assert code == (5 if "--plugin" in arguments else 2)
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""  # nothing was begun


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("training --steps 0", 2, "--steps must be at least 1, got 0"),
        ("training --total 0", 2, "--total must be at least 1, got 0"),
        ("training --rounds 0", 2, "--rounds"),
        ("training --threads 0", 2, "--threads"),
        ("training --out .", 2, "--out"),
        ("training --data-dir nowhere --device cpu", 4, "mnist is not in nowhere"),
        ("training --against pyro --device cpu --data-dir files", 2, "Known: relaxit, tutorial."),
        ("training --only tutrial --device cpu --data-dir files", 2, "Did you mean tutorial?"),
        ("training --device cuda:99", 2, "--device auto"),
    ],
)
def test_bad_arguments_of_the_larger_ones_are_one_line(images, capsys, arguments, code, said):
    assert run(["bench", *arguments.split()]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_benchmark_that_gives_no_figure_is_a_failure(capsys):
    class Wrong(Known):
        api, name = 1, "test-wrong"

        def oracle(self, device):
            raise ValueError("there is no answer")

    relaxit.register(Wrong)
    try:
        assert run(["bench", "structures", "test-wrong", *QUICK]) == 5
    finally:
        relaxit.unregister(Wrong)
    assert "failed: ValueError: there is no answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("api, name = 2, 'bad'\n    implementations = lambda self, device: []", "api 2"),
        ("api, name = 1, 'Bad Name'\n    implementations = lambda self, device: []", "lower-case"),
        ("api, name = 1, 'bad'", "does not implement implementations"),
    ],
)
def test_a_defect_is_named(tmp_path, capsys, body, problem):
    (tmp_path / "bad.py").write_text(
        "import relaxit\nfrom relaxit.bench import Benchmark\n"
        f"@relaxit.register\nclass Bad(Benchmark):\n    {body}\n"
    )
    assert run(["bench", "structures", "--plugin", "bad.py"]) == 5
    assert problem in capsys.readouterr().err
