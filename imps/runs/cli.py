"""The command line: from a folder of figures to a report, and back from a manifest.

Lines that say what is going on go to standard error, results to standard output. Exit codes
are constants of :mod:`imps.runs.console`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from imps.runs.cli_joint import areas, chain_of
from imps.runs.console import (
    DIFFERENT,
    NOT_TO_BE_USED,
    REFUSED,
    Draws,
    Force,
    PriorChanges,
    Quiet,
    TablesOnly,
    refusals,
    show,
    teller,
    with_changes,
)

EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, with the reason on standard error; 2 wrong usage; "
    "3 done, but the checks say 'do not use'; 4 rerun: came out different; 130 stopped by the user."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing rich for it takes twice as long as all else
    help="Explain the gap between a census and the rolled-forward population estimates.",
    epilog=EXIT_CODES,
)


def _version(show: bool) -> None:
    if show:
        from imps._version import __version__

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
    """List the shipped cases, and the fictitious accounts apart from them."""
    from imps.shipped import case_title, fictitious
    from imps.shipped import cases as names

    for name in names():
        typer.echo(f"{name:24s} {case_title(name)}")
    typer.echo("fictitious, every figure invented:")
    for name in fictitious():
        typer.echo(f"{name:24s} {case_title(name)}")


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make; it must not hold a project.")],
    kind: Annotated[str, typer.Option(help="survey, register, cards, or area.")] = "survey",
    quiet: Quiet = False,
) -> None:
    """Make a project folder: settings, tables of invented figures, logs, README."""
    from imps.project.template import write_project

    with refusals():
        settings = write_project(directory, kind=kind)
    if not quiet:
        typer.echo(f"project written; settings in {settings}")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Project folder or settings file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run every check of the inputs without fitting; exit code 0 or 1."""
    import json

    from imps.project.check import check_project

    with refusals():
        report = check_project(path)
    if not quiet:
        typer.echo(json.dumps(report.record(), indent=1) if as_json else str(report))
    raise typer.Exit(0 if report.passed else REFUSED)


@app.command()
def prior(
    case: Annotated[str, typer.Argument(help="Shipped case, or a project folder.")],
    changes: PriorChanges = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 1,
    draws: Annotated[int, typer.Option(min=100, help="Draws from the priors.")] = 4000,
) -> None:
    """Print the table of priors, and what they alone say about the gap."""
    with refusals():
        from imps.account.linear import linear_model
        from imps.account.prior_sets import doubts
        from imps.intervals import Unit
        from imps.posterior.prior_predictive import prior_predictive
        from imps.results.verdict import priors_in_words
        from imps.shipped import project_of

        project = project_of(case)
        assert project is not None  # a name is a project, or refused
        model = linear_model(project.sources, with_changes(project.priors, changes))
        found = prior_predictive(model, seed=seed, draws=draws)
    columns = ["name", "distribution", "unit", "meaning"]
    show(priors_in_words(model)[columns], "Priors (shares per one)")
    said = found.summary()
    numbers = said.columns.drop("quantity")
    unit = Unit.of(model.sources.census.total)
    said[numbers] = said[numbers].map(unit.said)
    show(said, f"What the priors alone say, {unit.persons}")
    typer.echo(repr(found))
    for doubt in doubts(model):
        typer.echo(f"look: {doubt}")


CaseName = Annotated[
    str,
    typer.Argument(help="Shipped case, see `imps cases`; or a project folder, `imps init`."),
]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.")]
Seed = Annotated[
    int | None, typer.Option(min=0, help="The same seed repeats the run; 1 unless told.")
]
ChainCount = Annotated[int | None, typer.Option(min=2, help="Chains; 4 unless told.")]
Tune = Annotated[int | None, typer.Option(min=0, help="Warm-up draws of NUTS; 600 unless told.")]
Cores = Annotated[int | None, typer.Option(min=1, help="Chains of NUTS at a time; 2 unless told.")]
Method = Annotated[str, typer.Option(help="auto, exact or nuts.")]
Likelihood = Annotated[str, typer.Option(help="normal, student_t or contacts.")]
StudentT = Annotated[
    list[str] | None, typer.Option(help="Source with heavy tails; may be repeated.")
]
Flows = Annotated[str, typer.Option(help="linear or log.")]
Switchers = Annotated[str, typer.Option(help="normal or beta.")]
SwitcherShare = Annotated[
    list[str] | None, typer.Option(help="SOURCE=SHARE of --switchers beta; repeated.")
]
TimeLimit = Annotated[
    float | None, typer.Option(min=0.001, help="Seconds after which the fit is given up.")
]
OnFallback = Annotated[str, typer.Option(help="Where the exact way does not suit: nuts, or skip.")]
OpenEnd = Annotated[
    bool, typer.Option("--open", help="Withhold the last census: how sure is the roll-forward?")
]
OpenYear = Annotated[int, typer.Option(min=0, help="The same, to the end of this year.")]


@app.command()
def reconcile(
    case: CaseName,
    out: Out = None,
    seed: Seed = None,
    draws: Draws = None,
    chains: ChainCount = None,
    tune: Tune = None,
    cores: Cores = None,
    method: Method = "auto",
    likelihood: Likelihood = "normal",
    student_t: StudentT = None,
    flows: Flows = "linear",
    switchers: Switchers = "normal",
    switcher_share: SwitcherShare = None,
    time_limit: TimeLimit = None,
    on_fallback: OnFallback = "nuts",
    prior: PriorChanges = None,
    open_end: OpenEnd = False,
    open_year: OpenYear = 0,
    tables_only: TablesOnly = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fit a case and write tables, figures and a report.

    A run that was cut off lies in OUT.unfinished; the same command continues it. What is not
    told is taken from the settings of a project, its priors from [priors.NAME] there; its results
    go to the folder that they name.
    """
    with refusals():
        from imps.runs.run import run
        from imps.shipped import project_of

        project = project_of(case)
        if project is not None and project.settings is not None and not project.shipped:
            out = out or project.settings.results
            force = force or project.settings.output.overwrite

        done = run(
            project or case,
            out=out,
            seed=seed,
            draws=draws,
            chains=chains,
            tune=tune,
            cores=cores,
            method=method,
            likelihood=likelihood,
            student_t=tuple(student_t or ()),
            flows=flows,
            switchers=switchers,
            switcher_shares=_shares(switcher_share or []),
            open_end=open_year if open_end or open_year else None,
            force=force,
            tables_only=tables_only,
            time_limit=time_limit,
            on_fallback=on_fallback,
            priors=None if project is None else with_changes(project.priors, prior),
            progress=not quiet and sys.stderr.isatty(),
            say=teller(quiet),
        )
    if not quiet:
        typer.echo(repr(done))
    raise typer.Exit(0 if done.checks.passed else NOT_TO_BE_USED)


def _shares(texts: list[str]) -> dict[str, float]:
    """SOURCE=SHARE as a mapping."""
    shares = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            shares[name] = float(number)
        except ValueError:
            raise typer.BadParameter(
                f"'{text}' is not SOURCE=SHARE, such as visitor_switchers=0.03"
            ) from None
    return shares


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[
        Path | None, typer.Option(help="File for the report; report.html of the run unless told.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make the report of a run again from its saved fit, without fitting."""
    with refusals():
        from imps.runs.run import rebuild_report

        target = rebuild_report(folder, out)
    if not quiet:
        typer.echo(f"report written: {target}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders or saved fits.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, persons unrounded.")] = False,
) -> None:
    """Set the attributions of runs side by side."""
    with refusals():
        from imps.runs.rerun import compare_runs

        found = compare_runs(*runs)
    if as_csv:
        flat = found.copy()
        flat.columns = [f"{run}: {column}" for run, column in found.columns]
        typer.echo(flat.reset_index().to_csv(index=False), nl=False)
        return
    unit = found.attrs["unit"]
    names = list(dict.fromkeys(found.columns.get_level_values(0)))
    shown = found.index.to_frame(index=False)
    for name in names:
        rows = found[name].to_numpy()
        shown[name] = ["-" if r[0] != r[0] else unit.between(r[0], r[1], r[2]) for r in rows]
    show(shown, f"Sources of the gap, {unit.persons}: mean [95 % interval]")
    for name, verdict in found.attrs["verdicts"].items():
        typer.echo(f"{name}: {verdict}")


@app.command()
def rerun(
    manifest: Annotated[Path, typer.Argument(help="Manifest, or folder of a run.")],
    case: Annotated[
        str | None, typer.Option(help="Shipped case to take, where the run has no case beside it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    quiet: Quiet = False,
) -> None:
    """Repeat a run and say: identical, equal within Monte Carlo error, or different."""
    with refusals():
        from imps.runs.rerun import DIFFERENT as OTHER
        from imps.runs.rerun import rerun as repeat
        from imps.shipped import find_case

        found = repeat(
            manifest,
            case=None if case is None else find_case(case),
            out=out,
            progress=not quiet and sys.stderr.isatty(),
            say=teller(quiet),
        )
    if not quiet:
        typer.echo(repr(found))
    raise typer.Exit(DIFFERENT if found.verdict == OTHER else 0)


@app.command()
def replicate(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option(help="Replication folder to write.")],
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="Simulated figures where the real cannot be shared.")
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write a folder that reproduces the numbers of a run with one command."""
    with refusals():
        from imps.runs.replication import replicate as write

        target = write(folder, out, stand_in=stand_in, force=force, say=teller(quiet))
    if not quiet:
        typer.echo(f"replication folder written: {target}; in it: uv run replicate.py")


@app.command()
def doctor() -> None:
    """Check the installation: versions, libraries, and an exact answer that is known."""
    with refusals():
        from imps.runs.doctor import examine

        findings = examine()
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.what}: {finding.found}")
    raise typer.Exit(0 if all(finding.passed for finding in findings) else REFUSED)


app.command("chain")(chain_of)
app.command()(areas)


def main() -> None:
    """Entry point of the console script."""
    # Draws are taken and freed many times; clearing huge pages for them anew costs more than it
    # saves. NumPy reads this when it is imported.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    # xarray imports dask wherever it is installed, only to ask whether an array is one of its own.
    sys.modules.setdefault("dask", None)  # type: ignore[arg-type]
    try:
        if sys.argv[1:] == ["cases"]:
            return cases()  # reading arguments loads pydantic, which takes longer than all else
        app()
    except OSError as error:  # what it had to say could not be written
        print(f"OSError: the output could not be written: {error.strerror}", file=sys.stderr)
        sys.exit(REFUSED)
