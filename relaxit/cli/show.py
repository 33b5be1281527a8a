"""``relaxit show``: everything about one relaxation, estimator, data set, task and so on."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from relaxit.cli.document_cache import cached_document
from relaxit.cli.flags import build
from relaxit.cli.lookup import find_any, kind_of
from relaxit.cli.output import print_json
from relaxit.cli.plugin_option import PluginFiles
from relaxit.cli.tables import print_notes, print_table
from relaxit.errors import ConfigurationError

__all__ = ["show"]

_UNSUPPORTED = "unsupported"


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a registered relaxation, estimator, data set, task, benchmark or problem."
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--option",
            help="Option KEY=VALUE of a relaxation, to show its shapes; may be repeated.",
        ),
    ] = None,
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Show the options, shapes, capabilities and references of a registered name."""
    fresh = bool(plugin_files or options)
    facts = cached_document(f"show-{name}", lambda: _facts(name, options or []), fresh)
    if json:
        print_json(facts)
        return
    print_notes(f"{facts['name']} ({facts['kind']}): {facts['summary']}", indent=0)
    if facts["aliases"]:
        print_notes(f"also called {', '.join(facts['aliases'])}")
    print_notes(*facts["references"])
    if facts.get("structure"):
        print_notes(f"belongs to {facts['structure']}")
    rows = [[o["name"], o["type"], o["default"], o["description"]] for o in facts["options"]]
    print_table("options", ["name", "type", "default", "description"], rows)
    for title in ("shapes", "capabilities"):
        if facts[title]:
            rows = [[k, v] for k, v in facts[title].items() if not isinstance(v, dict)]
            print_table(title, ["", ""], [[k, _word(v)] for k, v in rows])
    for name, reason in facts["capabilities"].get(_UNSUPPORTED, {}).items():
        print_notes(f"does not support {name}: {reason}", indent=0)


def _facts(name: str, options: list[str]) -> dict[str, Any]:
    cls = find_any(name)
    if options and cls.kind != "relaxation":
        raise ConfigurationError(
            f"{cls.name!r} is {kind_of(cls)}; leave out -o, which shows the shapes of a relaxation"
        )
    facts: dict[str, Any] = {
        "name": cls.name,
        "kind": cls.kind,
        "summary": cls.summary,
        "aliases": list(vars(cls).get("aliases", ())),
        "options": _options(cls),
        "shapes": _shapes(cls, options),
        "capabilities": _capabilities(cls),
        "references": list(cls.references),
    }
    if cls.kind == "benchmark":
        facts["structure"] = cls.structure
    return facts


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value) or "none"


def _options(cls: Any) -> list[dict[str, str]]:
    return [
        {
            "name": key,
            "type": getattr(field.annotation, "__name__", str(field.annotation)),
            "default": "required" if field.is_required() else repr(field.default),
            "description": field.description or "",
        }
        for key, field in cls.Options.model_fields.items()
    ]


def _shapes(cls: Any, texts: list[str]) -> dict[str, str]:
    """Return the shapes of the object with these options, or of the last example."""
    if cls.kind != "relaxation":
        return {}
    examples = cls.examples()
    if not texts and not examples:
        return {"example": "give -o KEY=VALUE to see them"}
    built = build(cls, texts, "-o") if texts else examples[-1]
    return {
        "example": repr(built),
        "params": f"[*batch{''.join(f', {n}' for n in built.param_shape)}]",
        "value": f"[*sample, *batch{''.join(f', {n}' for n in built.event_shape)}]",
        "support": type(built.support).__name__.strip("_"),
        "vertices": type(built.vertices).__name__.strip("_"),
    }


def _capabilities(cls: Any) -> dict[str, Any]:
    if cls.kind == "estimator":
        return _of_estimator(cls)
    if cls.kind == "task":
        return {
            "further variables": ", ".join(cls.variables) or "none",
            "bfloat16": "supported" if cls.autocasts else "not supported",
            "metrics of a step": ", ".join(("loss", *cls.metrics)),
        }
    if cls.kind != "relaxation":
        return {}
    claims = dataclasses.asdict(cls.capabilities)
    claims["dtypes"] = ", ".join(str(dtype).removeprefix("torch.") for dtype in claims["dtypes"])
    return claims


def _of_estimator(cls: Any) -> dict[str, Any]:
    """Return what an estimator claims, and which relaxations it supports with its defaults."""
    from relaxit.errors import ConfigurationError
    from relaxit.estimators import SampleEstimator, StatefulEstimator

    claims: dict[str, Any] = {
        "cost is evaluated on": "hard samples" if cls.hard else "soft samples",
        "costs for which it is unbiased": cls.unbiased or "none claimed",
        "acts through its sample": issubclass(cls, SampleEstimator),
        "keeps a state": issubclass(cls, StatefulEstimator),
    }
    try:
        built = cls()
    except ConfigurationError:
        return claims  # an option is required
    counts, unsupported = _tried(built)
    least, most = (min(counts.values()), max(counts.values())) if counts else (0, 0)
    spread = f"{least} to {most}, for one or two variables of the examples"
    claims["evaluations of the cost"] = str(least) if least == most else spread
    claims["works on"] = ", ".join(sorted({name for name, _ in counts}))
    claims[_UNSUPPORTED] = unsupported
    return claims


def _tried(estimator: Any) -> tuple[dict[tuple[str, int], int], dict[str, str]]:
    """Return evaluations by relaxation and number of variables, and why others do not work."""
    from relaxit.errors import Unsupported
    from relaxit.plugins import default_registry

    counts: dict[tuple[str, int], int] = {}
    unsupported: dict[str, str] = {}
    for name, relaxation in default_registry().items("relaxation").items():
        for example in relaxation.examples()[-1:]:
            try:
                estimator.check(example)
            except Unsupported as error:
                unsupported[name] = str(error)
                continue
            for variables in (1, 2):
                counts[name, variables] = estimator.evaluations(example, variables)
    return counts, unsupported
