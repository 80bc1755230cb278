"""Commands whose modules are imported when they are called, so that ``asknotes --help`` need not wait for PyTorch.

The group lists its commands by name and one line of help. Calling one imports its module and takes the Typer
app there, named ``app``; that module imports whatever it needs at its top, as every other module does.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from index.errors import AsknotesError
from service.commands.console import print_error

FAILED = 1


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is defined, and its line in the list."""

    module: str
    help: str


def plain_app(**settings: Any) -> typer.Typer:
    """Return a Typer app with plain help, which reads the same in a terminal, a pipe and docs/CLI.md."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **settings)


class LazyGroup(TyperGroup):
    """A group of lazy commands; it is also where a refusal becomes a message and exit status 1."""

    lazy_commands: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, lazy in self.lazy_commands.items():
            self.add_command(TyperCommand(name, help=lazy.help), name)

    def load(self, name: str) -> None:
        """Replace the listed command by the one that its module defines."""
        command = get_command(importlib.import_module(self.lazy_commands[name].module).app)
        command.name = name
        self.add_command(command, name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the module of the command that is called."""
        if args[0] in self.lazy_commands:
            self.load(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an AsknotesError is printed with its remedy, without a traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, where Typer handles it, not at interpreter exit
        except AsknotesError as error:
            print_error(error)
            raise typer.Exit(FAILED) from error
        return result
