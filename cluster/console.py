"""What every command shares: its settings options, its output, its progress bar and its exit codes."""

from __future__ import annotations

import functools
import inspect
import json
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pydantic import ValidationError

    from configs.schema import Settings

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
NOTE_S = 10.0
"""Time between two notes where there is no terminal."""


class Progress(Protocol):
    """Told how far a stage is; a note says what is known meanwhile."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show it."""
        ...


Cell = str | tuple[str, str]
"""A text, or a text and its style."""

Profile = Annotated[
    str | None,
    typer.Option("--profile", help="Profile to start from: a name or a YAML file.", metavar="NAME|FILE"),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting; may be repeated.", metavar="ROOM.FIELD=VALUE"),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Machine-readable result on stdout, all else on stderr.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Logs, and a traceback where something fails.")]


@dataclass
class Shell:
    """One run of a command: how it is set, and how it talks."""

    profile: str | None = None
    assignments: list[str] = field(default_factory=list)
    as_json: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        self.err = Console(stderr=True, highlight=False)
        self.out = self.err if self.as_json else Console(highlight=False)

    @functools.cached_property
    def settings(self) -> Settings:
        """The resolved settings.

        Raises:
            SettingsError: a profile, variable or assignment is wrong.
        """
        from configs.load import load

        return load(self.profile, self.assignments)

    def say(self, text: str = "") -> None:
        """A line for people, as it is."""
        self.out.print(text, markup=False, soft_wrap=True)

    def table(self, title: str, columns: list[str], rows: Sequence[Sequence[Cell]]) -> None:
        """A table for people. Columns whose name starts with `>` are right-aligned."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        style = {"title_justify": "left", "title_style": "bold", "header_style": "dim"}
        table = Table(title=title or None, box=box.SIMPLE_HEAD, pad_edge=False, **style)  # type: ignore[arg-type]
        for number, column in enumerate(columns):
            right = column.startswith(">")
            justify: Literal["left", "right"] = "right" if right else "left"
            table.add_column(column.removeprefix(">"), justify=justify, no_wrap=right or number == 0)
        for row in rows:
            table.add_row(*(Text(*cell) if isinstance(cell, tuple) else Text(cell) for cell in row))
        self.out.print(table)

    def result(self, data: Any) -> None:
        """The machine's answer, printed in `--json` only."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress bar a stage on stderr; on something that is no terminal, one line a stage."""
        if not self.err.is_terminal:
            yield _line_progress(self.err)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with Bars(*columns, console=self.err, transient=True) as bars:
            tasks: dict[str, Any] = {}

            def update(stage: str, done: int, total: int, note: str = "") -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=max(total, 1), note="")
                bars.update(tasks[stage], completed=done, total=max(total, 1), note=note)

            yield update

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn an error into one sentence on stderr and an exit code."""
        try:
            yield
        except KeyboardInterrupt:
            self._fail("Interrupted", "stopped by Ctrl-C", INTERRUPTED)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except (
            Exception
        ) as error:  # whatever a library raises: people get a sentence, --verbose the traceback
            self._fail(*self._explained(error))

    def _explained(self, error: Exception) -> tuple[str, str, int]:
        """(kind, sentence, exit code) of an error."""
        from pydantic import ValidationError

        from actors.errors import AtelierError, BadInput
        from configs.load import SettingsError

        kind = type(error).__name__
        if isinstance(error, ValidationError):
            return "BadInput", explain(error), BAD_INPUT
        if isinstance(error, (SettingsError, BadInput)):
            return kind, str(error), BAD_INPUT
        if isinstance(error, AtelierError):
            return kind, str(error), FAILED
        hint = "" if self.verbose else " (--verbose shows where)"
        return kind, f"{kind}: {error}{hint}", FAILED

    def _fail(self, kind: str, message: str, code: int) -> typing.NoReturn:
        if self.verbose and code != INTERRUPTED:
            self.err.print_exception()
        self.err.print("[bold red]error:[/] ", end="")
        self.err.print(message, markup=False, soft_wrap=True)
        self.result({"error": {"kind": kind, "message": message}})
        raise typer.Exit(code) from None


def command(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(shell, ...)` as a command that also takes `--profile --set --json --verbose`."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]
        shared = {"profile": Profile, "assignments": Assignments, "as_json": AsJson, "verbose": Verbose}
        defaults = {"profile": None, "assignments": None, "as_json": False, "verbose": False}

        @functools.wraps(function)
        def wrapped(**given: Any) -> None:
            chosen = {key: given.pop(key) for key in shared}
            shell = Shell(**{**chosen, "assignments": chosen["assignments"] or []})
            with shell.guarded():
                function(shell, **given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [p.replace(annotation=hints[p.name], kind=keyword) for p in own]
        parameters += [
            inspect.Parameter(key, keyword, default=defaults[key], annotation=hint)
            for key, hint in shared.items()
        ]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name)(wrapped)
        return function

    return register


def explain(error: ValidationError) -> str:
    """The first problem that pydantic found, as a sentence that names field and value."""
    problem = error.errors()[0]
    field_name = ".".join(str(part) for part in problem["loc"]) or error.title
    message = problem["msg"].removeprefix("Value error, ")
    shown = repr(problem["input"])
    shown = (
        "" if isinstance(problem["input"], dict) else f" {shown if len(shown) <= 60 else shown[:57] + '...'}"
    )
    return f"{field_name}{shown}: {message}"


def _line_progress(console: Console) -> Progress:
    seen: set[str] = set()
    noted = time.monotonic()

    def update(stage: str, done: int, total: int, note: str = "") -> None:
        nonlocal noted
        if stage not in seen:
            seen.add(stage)
            console.print(f"{stage} ...", markup=False)
        if note and time.monotonic() - noted > NOTE_S:
            noted = time.monotonic()
            console.print(f"{stage} {done}/{total}: {note}", markup=False, soft_wrap=True)

    return update
