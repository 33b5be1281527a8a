"""The source tree as data: modules, what each imports, and which room it stands in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import relaxit

CORE = Path(relaxit.__file__).parent
ROOT = CORE.parent
SOURCES = {"relaxit": CORE} | {
    path.name: path for path in sorted((ROOT / "plugins").glob("*/src/*")) if path.is_dir()
}


@dataclass(frozen=True)
class Import:
    """One imported name.

    Attributes:
        module: that it is imported from.
        name: what is imported; empty for ``import module``.
        types: only for annotations.
    """

    module: str
    name: str
    types: bool

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}".rstrip(".")


@dataclass(frozen=True)
class Module:
    """A file of one of our packages."""

    name: str
    path: Path
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def imports(self) -> list[Import]:
        return list(self._imports(self.tree, types=False))

    def _imports(self, node: ast.AST, types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for each in child.body:
                    yield from self._imports(ast.Module([each], []), types=True)
                for each in child.orelse:
                    yield from self._imports(ast.Module([each], []), types)
            elif isinstance(child, ast.Import):
                yield from (Import(alias.name, "", types) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = self._base(child)
                yield from (Import(base, alias.name, types) for alias in child.names)
            else:
                if isinstance(child, ast.Call):
                    yield from by_name(child, types)
                yield from self._imports(child, types)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name if self.is_package else self.name.rpartition(".")[0]
        up = package.split(".")[: len(package.split(".")) - node.level + 1]
        return ".".join([*up, node.module] if node.module else up)


def by_name(call: ast.Call, types: bool) -> Iterator[Import]:
    """What ``import_module("a.b")`` imports."""
    if ast.unparse(call.func).endswith(("import_module", "__import__")):
        first = call.args[0] if call.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield Import(first.value, "", types)


def module_at(path: Path, source: str | None = None) -> Module:
    """The module of a file; with ``source``, as if that stood in it."""
    for top, directory in SOURCES.items():
        if path.is_relative_to(directory):
            parts = [top, *path.relative_to(directory).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            return Module(name, path, path.read_text() if source is None else source)
    raise ValueError(f"{path} is in none of our packages")


def read_house() -> dict[str, Module]:
    """All modules by name."""
    found = [
        module_at(p) for directory in SOURCES.values() for p in sorted(directory.rglob("*.py"))
    ]
    return {module.name: module for module in found}


HOUSE = read_house()


def room(name: str) -> str:
    """The first part below ``relaxit``, or the whole of a plugin package.

    relaxit.data.digits -> data; relaxit -> ''; relaxit_subset.hooks -> relaxit_subset.
    """
    top, *rest = name.split(".")
    return (rest[0] if rest else "") if top == "relaxit" else top


def is_ours(imported: Import) -> bool:
    return imported.module.split(".")[0] in SOURCES


def reached(imported: Import) -> str | None:
    """The module where an imported name is defined, looking through faces; None if not ours."""
    if imported.full in HOUSE:
        return imported.full
    module = HOUSE.get(imported.module)
    if module is None:
        return None
    if module.is_package:
        for other in module.imports:
            if other.name == imported.name and other.module != module.name:
                return reached(other)
    return module.name
