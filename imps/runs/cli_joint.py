"""Commands of joint accounts: a chain of censuses, and all areas of a nation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imps.runs.console import (
    NOT_TO_BE_USED,
    Draws,
    Force,
    PriorChanges,
    Quiet,
    TablesOnly,
    refusals,
    teller,
    with_changes,
)


def chain_of(
    periods: Annotated[list[str], typer.Argument(help="Cases or project folders, in order.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed repeats the run.")] = 1,
    draws: Draws = None,
    chains: Annotated[int, typer.Option(min=2, help="Chains of draws.")] = 4,
    revised: Annotated[
        list[str] | None, typer.Option(help="Period whose base is a revised figure; repeated.")
    ] = None,
    prior: PriorChanges = None,
    apart: Annotated[bool, typer.Option("--apart", help="Without links, to compare.")] = False,
    tables_only: TablesOnly = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fit periods between several censuses as one account, and write the results of each.

    Priors are those of the projects, [priors.NAME] in their settings, with those of --prior;
    bias_between_periods is the correlation of biases over periods.
    """
    with refusals():
        from imps.runs.chain import run_chain
        from imps.shipped import project_of
        from imps.shipped.chains import priors_of

        projects = [project_of(period) for period in periods]
        found = run_chain(
            [project or period for project, period in zip(projects, periods, strict=True)],
            priors=with_changes(priors_of(projects), prior), out=out, seed=seed, draws=draws,
            chains=chains, linked=not apart, revised=revised or [], force=force,
            tables_only=tables_only, say=teller(quiet),
        )  # fmt: skip
    if not quiet:
        pages = "" if tables_only else f"; a report of each period in {out}/PERIOD/report.html"
        typer.echo(f"{found!r}\nresults in {out}{pages}")
    raise typer.Exit(0 if found.passed else NOT_TO_BE_USED)


def areas(
    case: Annotated[str, typer.Argument(help="Case with areas: shipped, or a project folder.")],
    out: Annotated[Path, typer.Option(help="Folder for table, pages and record.")],
    area: Annotated[
        list[str] | None, typer.Option(help="Code or name of an area that gets a page; repeat it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    draws: Annotated[int, typer.Option(help="Joint draws.")] = 1000,
    ages: Annotated[
        str, typer.Option(help="First ages of the groups, such as 0,15,30; 23 groups unless told.")
    ] = "",
    move_nation: Annotated[
        bool, typer.Option("--move-nation", help="Areas may move the errors of the nation.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Folder of finished draws; the same command goes on there.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Share the gaps of all areas of a case among their sources, coherent with the nation."""
    with refusals():
        from imps.runs.areas import LOWER_AGES, run_areas

        cut = _ages(ages) if ages else LOWER_AGES
        made = run_areas(case, out=out, seed=seed, areas=area or (), draws=draws, workers=workers,
                         move_nation=move_nation,
                         lower_ages=cut, keep=keep, force=force, say=teller(quiet))  # fmt: skip
    if not quiet:
        typer.echo(repr(made))
    raise typer.Exit(0 if made.verdict.passed else NOT_TO_BE_USED)


def _ages(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(age) for age in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no list of ages, such as 0,15,30") from None
