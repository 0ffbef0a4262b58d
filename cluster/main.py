"""The `atelier` command. A command's file is imported when it is used, heavy libraries later still."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Any

import typer
import typer.core
import typer.main

COMMANDS = {
    "imagine": "imagine",
    "batch": "batch",
    "evaluate": "evaluate",
    "score": "score",
    "synthesize": "synthesize",
    "train": "train",
    "evolve": "evolve",
    "loop": "loop",
    "judge": "judge",
    "dataset": "dataset",
    "demo": "loop",
    "crawl": "crawl",
    "serve": "serve",
    "keys": "keys",
    "up": "up",
    "down": "up",
    "status": "up",
    "doctor": "doctor",
}
"""Command -> its file in `cluster/commands/`, in the order of `--help`."""


class LazyGroup(typer.core.TyperGroup):
    """A group that knows its commands by name and imports the file of the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, without importing."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import one command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"cluster.commands.{COMMANDS[cmd_name]}")
            group = typer.main.get_group(module.app)
            for name in group.list_commands(ctx):
                found = group.get_command(ctx, name)
                if found is not None:
                    self.commands[name] = found
        return self.commands[cmd_name]


app = typer.Typer(
    cls=LazyGroup,
    name="atelier",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A studio of models on Ray: a query goes in, an admitted picture comes out.",
)


@app.callback()
def _root() -> None:
    """A studio of models on Ray: a query goes in, an admitted picture comes out."""


def main() -> None:
    """Entry point of `atelier`."""
    signal.signal(signal.SIGTERM, _end)
    app(prog_name="atelier")


def _end(*_: object) -> None:
    """End by way of the `finally` blocks, which stop what was started; a second SIGTERM must not cut in."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)
