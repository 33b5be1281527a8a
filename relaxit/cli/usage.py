"""What is wrong with a command line, in one sentence, and where to read how to use the command."""

from __future__ import annotations

import difflib
from typing import Any

import typer

__all__ = ["is_help", "usage_message"]


def is_help(error: typer.TyperException) -> bool:
    """Whether help is requested by leaving out the command of a group, which is not an error."""
    return type(error).__name__ == "NoArgsIsHelpError"  # typer does not export it


def usage_message(error: typer.TyperException) -> str:
    """Return the message of an error that typer found in a command line.

    Example:
        >>> usage_message(typer.BadParameter("it is odd"))
        'Invalid value: it is odd'
    """
    message = _message(error).rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None or "id you mean" in message:
        return message
    return f"{message}. See {context.command_path} --help."


def _message(error: Any) -> str:
    parameter = getattr(error, "param", None)
    if parameter is not None and type(error).__name__ == "MissingParameter":
        return f"Missing {parameter.param_type_name} {_name(parameter)}"
    if parameter is not None and (text := _invalid(error.__cause__)):
        return f"{_name(parameter)}{_source(error.ctx, parameter)} {text}"
    if hasattr(error, "possibilities"):
        flags = {flag.strip("-"): flag for flag in error.possibilities or ()}
        near = difflib.get_close_matches(error.option_name.strip("-"), flags, n=1)
        suggestion = f". Did you mean {flags[near[0]]}?" if near else ""
        return f"No such option: {error.option_name}{suggestion}"
    return str(error.format_message())


def _invalid(cause: BaseException | None) -> str:
    """Return what a value must be, if typer had it checked by pydantic."""
    from pydantic import ValidationError

    from relaxit.validation import problems_of

    return problems_of(cause)[0].text if isinstance(cause, ValidationError) else ""


def _name(parameter: Any) -> str:
    """Return the flag of an option, or the name of an argument as its help shows it."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return str(max(parameter.opts, key=len))


def _source(context: Any, parameter: Any) -> str:
    """Return the environment variable that the value came from; empty for a flag."""
    source = context.get_parameter_source(parameter.name) if context else None
    if source is None or source.name != "ENVIRONMENT":
        return ""
    return f" (from {parameter.envvar})"
