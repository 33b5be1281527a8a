"""``relaxit zoo``: training recipes."""

from __future__ import annotations

from typing import Annotated

import typer

from relaxit.cli.output import print_json, print_table

__all__ = ["zoo"]

zoo = typer.Typer(help="List and show training recipes.", no_args_is_help=True)


@zoo.command("list")
def list_recipes(
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List recipes; the first use of each is `relaxit train --recipe NAME`."""
    from relaxit import zoo as recipes

    found = {name: recipes.recipe_summary(path) for name, path in recipes.recipes().items()}
    if json:
        print_json(found)
        return
    rows = [
        [name + (" (default)" if name == recipes.DEFAULT else ""), s] for name, s in found.items()
    ]
    print_table("recipes", ["name", "summary"], rows)


@zoo.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="Recipe.")],
    json: Annotated[bool, typer.Option("--json", help="The resolved configuration.")] = False,
) -> None:
    """Print a recipe: a file to copy, edit, and pass to `relaxit train --recipe FILE`."""
    from relaxit import zoo as recipes

    if json:
        from relaxit.training import resolve

        print_json(resolve(recipes.recipe_layers(name)).model_dump(mode="json"))
        return
    print(recipes.find_recipe(name).read_text(encoding="utf-8"), end="")
