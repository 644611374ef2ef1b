"""What all commands share: exit codes, options, refusals, lines of progress, tables."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    import pandas as pd

    from imps.account.priors import Priors

REFUSED, USAGE, NOT_TO_BE_USED, DIFFERENT, STOPPED = 1, 2, 3, 4, 130

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the results of an earlier run.")]
Draws = Annotated[
    int | None, typer.Option(min=100, help="Draws of each chain: 1000 exact, 2000 by NUTS.")
]
PriorChanges = Annotated[
    list[str] | None,
    typer.Option("--prior", help="NAME=MEAN,SD, or NAME=MEAN to leave its sd; repeated."),
]
TablesOnly = Annotated[bool, typer.Option("--tables-only", help="Write no figures and no report.")]


@contextmanager
def refusals() -> Iterator[None]:
    """Errors and warnings as one message each on standard error, and the exit code of errors."""
    from imps.errors import ImpsError

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _plain(warnings.showwarning)
            yield
    except (ImpsError, OSError) as error:
        refuse(error)
    except KeyboardInterrupt:
        typer.echo(
            "stopped; finished chains are kept, the same command continues the run", err=True
        )
        raise typer.Exit(STOPPED) from None


def _plain(other: Callable[..., None]) -> Callable[..., None]:
    """Warnings of the package without the line of code that they were met in."""
    from imps.errors import ImpsWarning

    def show(message: Warning | str, category: type[Warning], *place: object, **more: Any) -> None:
        if issubclass(category, ImpsWarning):
            typer.echo(f"{category.__name__}: {message}", err=True)
        else:
            other(message, category, *place, **more)

    return show


def refuse(error: Exception) -> NoReturn:
    from imps.errors import ImpsError

    words = str(error)
    if isinstance(error, OSError) and not isinstance(error, ImpsError) and error.strerror:
        place = f"'{error.filename}': " if error.filename else ""
        words = f"{place}{error.strerror.lower()}. Make room, or choose another folder."
    typer.echo(f"{type(error).__name__}: {words}", err=True)
    raise typer.Exit(REFUSED)


def with_changes(priors: Priors, texts: list[str] | None) -> Priors:
    """The table of priors with NAME=MEAN,SD for some, as :meth:`imps.Priors.replace` takes them."""
    changes = {}
    for text in texts or ():
        name, _, numbers = text.partition("=")
        try:
            mean, *sd = (float(number) for number in numbers.split(","))
            changes[name.strip()] = {"mean": mean} | ({"sd": sd.pop()} if sd else {})
        except ValueError:
            sd = [0.0]
        if sd:
            raise typer.BadParameter(
                f"'{text}' is not NAME=MEAN,SD, such as emigration_bias_level=-0.05,0.2",
                param_hint="--prior",
            )
    return priors.replace(**changes)


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
