"""The command line: `imps cases`, `imps reconcile CASE`, `imps init DIR`, `imps check PATH`.

Exit codes: 0 done; 1 refused, with the reason on standard error; 2 wrong usage.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Explain the gap between a census and the rolled-forward population estimates.",
)


def _refuse(error: Exception) -> NoReturn:
    """The reason on standard error, without a traceback, and exit code 1."""
    typer.echo(f"{type(error).__name__}: {error}", err=True)
    raise typer.Exit(1)


def _version(show: bool) -> None:
    if show:
        from imps import __version__

        typer.echo(f"imps {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that belong to no command."""


@app.command()
def cases() -> None:
    """List the shipped cases."""
    from imps.cases import case_title
    from imps.cases import cases as names

    for name in names():
        typer.echo(f"{name:24s} {case_title(name)}")


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make; it must not hold a project.")],
) -> None:
    """Make a project folder: settings with every default, templates, logs, README."""
    from imps.errors import ImpsError
    from imps.project_template import write_project

    try:
        settings = write_project(directory)
    except (ImpsError, OSError) as error:
        _refuse(error)
    typer.echo(f"project written; settings in {settings}")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Project folder or settings file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run every check of the inputs without fitting; exit code 0 or 1."""
    import json

    from imps.errors import ImpsError
    from imps.project import check_project

    try:
        report = check_project(path)
    except (ImpsError, OSError) as error:
        _refuse(error)
    typer.echo(json.dumps(report.record(), indent=1) if as_json else str(report))
    raise typer.Exit(0 if report.passed else 1)


@app.command()
def reconcile(
    case: Annotated[str, typer.Argument(help="Name of a shipped case, see `imps cases`.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    seed: Annotated[int, typer.Option(help="One integer; the same seed repeats the run.")] = 1,
    draws: Annotated[
        int | None, typer.Option(min=100, help="Draws of each chain: 1000 exact, 2000 by NUTS.")
    ] = None,
    chains: Annotated[int, typer.Option(min=2, help="Number of chains.")] = 4,
    method: Annotated[str, typer.Option(help="auto, exact or nuts.")] = "auto",
    force: Annotated[bool, typer.Option(help="Replace a folder that is already there.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing.")] = False,
) -> None:
    """Fit a case and write tables, figures and a report."""
    from imps.errors import ImpsError

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    try:
        from imps.runs import run

        done = run(
            case,
            out=out,
            seed=seed,
            draws=draws,
            chains=chains,
            method=method,
            force=force,
            progress=not quiet and sys.stderr.isatty(),
            say=say,
        )
    except ImpsError as error:
        _refuse(error)
    if not quiet:
        typer.echo(repr(done))


def main() -> None:
    """Entry point of the console script."""
    app()
