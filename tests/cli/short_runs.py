"""Flags of training runs that take a second, and what such a command says last."""

SMALL = ["--epochs", "2", "--batch-size", "300", "--device", "cpu", "--latents", "4"]


def last_line(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1] if lines else ""
