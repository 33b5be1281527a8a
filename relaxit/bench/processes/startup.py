"""What a user waits for after Enter: imports, listings, and a short run."""

from __future__ import annotations

import sys

from relaxit.bench.processes.programs import RELAXIT, Program

__all__ = ["REFERENCE", "startup_programs"]

REFERENCE = "import torch"


def startup_programs(device: str) -> list[Program]:
    """Return programs from the smallest to a whole run; they write into their working directory.

    Args:
        device: device of the training run.

    Example:
        >>> [program.name for program in startup_programs("cpu")][:2]
        ['python', 'import torch']
    """

    def python(name: str, code: str, note: str = "", reference: bool = False) -> Program:
        return Program(name, (sys.executable, "-c", code), note, reference)

    def relaxit(*words: str) -> Program:
        return Program(" ".join(["relaxit", *words]), (*RELAXIT, *words))

    train = ("train", "--epochs", "1")
    files = ("--device", device, "--out", "run", "--overwrite")
    return [
        python("python", "pass", "nothing can be faster"),
        python(REFERENCE, "import torch", "nothing that computes can be faster", reference=True),
        python("import torchvision", "import torchvision"),
        python("import relaxit", "import relaxit", "loads PyTorch when it is first needed"),
        relaxit("--help"),
        relaxit("list"),
        relaxit("show", "pathwise"),
        Program(
            " ".join(["relaxit", *train]),
            (*RELAXIT, *train, *files),
            "the default recipe on the bundled digits, with figures",
            marks={"first line": "device ", "first epoch": "epoch 1/"},
        ),
    ]
