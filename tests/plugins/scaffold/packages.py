"""Names to write packages under, and the files of a package."""

from pathlib import Path

LONGEST = "a-bc" * 10
SHAPES = ["demo", "my-structure", "x1", "3d", "x", LONGEST, "3" * 40]


def written(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())
