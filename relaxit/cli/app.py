"""The root command, which turns every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from relaxit.cli.bench import bench
from relaxit.cli.check import check
from relaxit.cli.doctor import doctor
from relaxit.cli.evaluate import evaluate
from relaxit.cli.list import list_all
from relaxit.cli.new_plugin import new_plugin
from relaxit.cli.plugins import plugins
from relaxit.cli.reproduce import reproduce
from relaxit.cli.sample import sample
from relaxit.cli.show import show
from relaxit.cli.train import train
from relaxit.cli.usage import is_help, usage_message
from relaxit.cli.zoo import zoo
from relaxit.errors import RelaxitError, one_line

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="relaxit",
    help=(
        "Train through discrete choices: relaxations, exact distributions and gradient estimators."
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
app.command()(train)
app.command()(evaluate)
app.command()(sample)
app.command("list")(list_all)
app.command()(show)
app.command()(plugins)
app.command()(check)
app.add_typer(bench, name="bench")
app.command()(reproduce)
app.command()(new_plugin)
app.add_typer(zoo, name="zoo")
app.command()(doctor)

_DEBUG = "RELAXIT_DEBUG"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        from relaxit.hooks import OWN_DISTRIBUTION

        print(version(OWN_DISTRIBUTION))
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", envvar=_DEBUG, help="Print the traceback of an error.")
    ] = False,
    strict_plugins: Annotated[
        bool,
        typer.Option(
            "--strict-plugins", help="Exit with an error if any plugin has a problem (for CI)."
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train through discrete choices: relaxations, exact distributions and gradient estimators."""
    del version
    if debug:
        os.environ[_DEBUG] = "1"
    if strict_plugins:
        from relaxit.plugins import default_registry

        default_registry().require_sound()


def _add_plugin_commands(arguments: Sequence[str]) -> None:
    """Look up a command that is not built in among the plugins, which imports them and torch."""
    built_in = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    built_in |= {group.name for group in app.registered_groups}
    command = next((word for word in arguments if not word.startswith("-")), None)
    if command is None or command in built_in:
        return
    from relaxit.plugins import default_registry

    if command in default_registry().items("command"):
        app.add_typer(default_registry().find("command", command), name=command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Messages for people go to stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _add_plugin_commands(arguments)
        result = app(args=arguments, prog_name="relaxit", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.TyperException as error:
        if is_help(error):
            if shown := error.format_message():  # empty if rich has printed it
                print(shown, file=sys.stderr)
            return 2
        return _say(usage_message(error), 2)
    except RelaxitError as error:
        _trace()
        return _say(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", 130)
    except BrokenPipeError:
        # The reader of our output is gone, which is not an error. Nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        _trace()
        return _say(f"unexpected {type(error).__name__}: {error} (--debug shows the traceback)", 1)


def main() -> None:
    """Run the console script."""
    sys.exit(run())


def _say(message: str, code: int) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


def _trace() -> None:
    if os.environ.get(_DEBUG):
        import traceback

        traceback.print_exc()
