"""``relaxit zoo``: training recipes."""

from __future__ import annotations

from typing import Annotated

import typer

from relaxit.cli.document_cache import cached_document
from relaxit.cli.output import print_json
from relaxit.cli.tables import print_table

__all__ = ["zoo"]

zoo = typer.Typer(help="List and show training recipes.", no_args_is_help=True)


@zoo.command("list")
def list_recipes(
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """List the recipes that `relaxit train --recipe NAME` can run."""
    from relaxit.zoo import DEFAULT

    summaries: dict[str, str] = cached_document("zoo-list", _summaries)
    if json:
        print_json(summaries)
        return
    rows = [
        [name + (" (default)" if name == DEFAULT else ""), summary]
        for name, summary in summaries.items()
    ]
    print_table("recipes", ["name", "summary"], rows)


def _summaries() -> dict[str, str]:
    from relaxit import zoo as recipes

    return {name: recipes.recipe_summary(path) for name, path in recipes.recipes().items()}


@zoo.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="Name of a recipe.")],
    json: Annotated[
        bool, typer.Option("--json", help="Print the resolved configuration as JSON.")
    ] = False,
) -> None:
    """Print a recipe: a file to copy, edit, and pass to `relaxit train --recipe FILE`."""
    from relaxit import zoo as recipes

    if json:
        from relaxit.training import resolve

        print_json(resolve(recipes.recipe_layers(name)).model_dump(mode="json"))
        return
    print(recipes.find_recipe(name).read_text(encoding="utf-8"), end="")
