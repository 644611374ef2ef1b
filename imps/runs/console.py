"""What all commands share: exit codes, options, refusals, lines of progress, tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    import pandas as pd

REFUSED, USAGE, NOT_TO_BE_USED, DIFFERENT, STOPPED = 1, 2, 3, 4, 130

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the results of an earlier run.")]
Draws = Annotated[
    int | None, typer.Option(min=100, help="Draws of each chain: 1000 exact, 2000 by NUTS.")
]
TablesOnly = Annotated[bool, typer.Option("--tables-only", help="Write no figures and no report.")]


@contextmanager
def refusals() -> Iterator[None]:
    """Errors as one message on standard error, without a traceback, and their exit code."""
    from imps.errors import ImpsError

    try:
        yield
    except (ImpsError, OSError) as error:
        refuse(error)
    except KeyboardInterrupt:
        typer.echo(
            "stopped; finished chains are kept, the same command continues the run", err=True
        )
        raise typer.Exit(STOPPED) from None


def refuse(error: Exception) -> NoReturn:
    from imps.errors import ImpsError

    words = str(error)
    if isinstance(error, OSError) and not isinstance(error, ImpsError) and error.strerror:
        place = f"'{error.filename}': " if error.filename else ""
        words = f"{place}{error.strerror.lower()}. Make room, or choose another folder."
    typer.echo(f"{type(error).__name__}: {words}", err=True)
    raise typer.Exit(REFUSED)


def teller(quiet: bool) -> Callable[[str], None]:
    """Plain lines of progress on standard error, none if quiet."""
    return (lambda _: None) if quiet else (lambda line: typer.echo(line, err=True))


def show(frame: pd.DataFrame, title: str) -> None:
    """A table: drawn by rich on a terminal, plain text elsewhere."""
    if not sys.stdout.isatty():
        typer.echo(f"{title}\n{frame.to_string(index=False)}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in frame:
        table.add_column(str(column), justify="left" if frame[column].dtype == object else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    Console().print(table)
