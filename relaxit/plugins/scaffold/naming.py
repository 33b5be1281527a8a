"""What a plugin is called: the name a user types, and all that follows from it."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from importlib import metadata
from typing import Self

from relaxit.errors import ConfigurationError
from relaxit.plugins.record import NAME
from relaxit.plugins.registry import default_registry

__all__ = ["Names"]

_LONGEST = 40

# Class names that the template has imported for its own use.
_TAKEN = {
    "Capabilities",
    "Constraint",
    "Field",
    "Options",
    "PerturbAndRelax",
    "Self",
    "Switches",
    "Tensor",
}


@dataclass(frozen=True)
class Names:
    """The names of one plugin. Take :meth:`of`, which checks.

    Attributes:
        name: registered name, lower-case words joined by ``-``.
    """

    name: str

    @classmethod
    def of(cls, name: str) -> Self:
        """The names of the plugin ``name``.

        Raises:
            ConfigurationError: if no relaxation may have this name, or it is too long.

        Example:
            >>> names = Names.of("my-structure")
            >>> names.distribution, names.module, names.class_name
            ('relaxit-my-structure', 'relaxit_my_structure', 'MyStructure')
        """
        if len(name) > _LONGEST:
            raise ConfigurationError(
                f"a plugin's name has {_LONGEST} characters at most, got {len(name)}"
            )
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"a plugin's name must be lower-case words joined by '-', got {name!r}"
            )
        return cls(name)

    @property
    def distribution(self) -> str:
        """What pip calls the package, and the folder it is written to."""
        return f"relaxit-{self.name}"

    @property
    def module(self) -> str:
        """What Python imports."""
        return f"relaxit_{self.name.replace('-', '_')}"

    @property
    def class_name(self) -> str:
        """Class of the relaxation; a prefix mends what Python or the template would not stand."""
        words = "".join(word.capitalize() for word in self.name.split("-"))
        legal = words.isidentifier() and not keyword.iskeyword(words)
        return words if legal and words not in _TAKEN else f"Relaxed{words}"

    def require_free(self) -> None:
        """Refuse a name that would clash with something installed.

        Raises:
            ConfigurationError: naming the distribution that has it.
        """
        registry = default_registry()
        for kind in ("relaxation", "estimator", "dataset", "task"):
            for label in registry.items(kind):
                if label.rpartition(":")[2] == self.name:
                    owner = registry.provider(kind, label).distribution
                    raise ConfigurationError(
                        f"{kind} {self.name!r} is registered already, by {owner}; "
                        "choose another name"
                    )
        try:
            version = metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return
        raise ConfigurationError(
            f"the distribution {self.distribution} {version} is installed already; "
            "choose another name"
        )
