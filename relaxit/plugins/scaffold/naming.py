"""The names of a new plugin, derived from the one that the user types."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from importlib import metadata
from typing import Self

from relaxit.errors import ConfigurationError
from relaxit.plugins.record import NAME
from relaxit.plugins.registry import default_registry

__all__ = ["TEMPLATE_IMPORTS", "Names"]

_LONGEST = 40

TEMPLATE_IMPORTS = {
    "Capabilities",
    "Constraint",
    "Field",
    "Options",
    "PerturbAndRelax",
    "Self",
    "Switches",
    "Tensor",
}
"""Classes that the module of the template imports; the class of a plugin has another name."""


@dataclass(frozen=True)
class Names:
    """The names of one plugin. Create them with :meth:`of`, which validates the name.

    Attributes:
        name: registered name, lower-case words joined by ``-``.
    """

    name: str

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the names of the plugin ``name``.

        Raises:
            ConfigurationError: if the name is not valid for a relaxation, or too long.

        Example:
            >>> names = Names.of("my-structure")
            >>> names.distribution, names.module, names.class_name
            ('relaxit-my-structure', 'relaxit_my_structure', 'MyStructure')
        """
        if len(name) > _LONGEST:
            raise ConfigurationError(
                f"a plugin's name has at most {_LONGEST} characters, got {len(name)}"
            )
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"a plugin's name must be lower-case words joined by '-', got {name!r}"
            )
        return cls(name)

    @property
    def distribution(self) -> str:
        """Name of the distribution, and of the directory that it is written to."""
        return f"relaxit-{self.name}"

    @property
    def module(self) -> str:
        """Name of the Python module."""
        return f"relaxit_{self.name.replace('-', '_')}"

    @property
    def class_name(self) -> str:
        """Name of the relaxation class, with a prefix if it is invalid or used by the template."""
        words = "".join(word.capitalize() for word in self.name.split("-"))
        legal = words.isidentifier() and not keyword.iskeyword(words)
        return words if legal and words not in TEMPLATE_IMPORTS else f"Relaxed{words}"

    def require_free(self) -> None:
        """Reject a name that would clash with something installed.

        Raises:
            ConfigurationError: naming the distribution that uses it.
        """
        registry = default_registry()
        for kind in ("relaxation", "estimator", "dataset", "task"):
            for label in registry.items(kind):
                if label.rpartition(":")[2] == self.name:
                    owner = registry.provider(kind, label).distribution
                    raise ConfigurationError(
                        f"{kind} {self.name!r} is already registered by {owner}; "
                        "choose another name"
                    )
        try:
            version = metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return
        raise ConfigurationError(
            f"the distribution {self.distribution} {version} is already installed; "
            "choose another name"
        )
