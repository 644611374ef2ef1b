"""Runs of a chain: from cases or project folders to a folder of results for all periods."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from imps.account.chained import ChainModel
from imps.account.priors import Priors
from imps.posterior.fit import Fit, fit
from imps.posterior.saved_fits import CHAINS_FOLDER, FIT_FILE
from imps.project.case import SHIPPED, Case
from imps.results.chain import ChainResults, chain_results
from imps.results.checks import Checks, check
from imps.runs.manifest import computation, digest, first_part, last_part, read_manifest
from imps.runs.run import REPORT_FILE, one_thread, write_tables
from imps.runs.working_folder import at_work, check_replaceable, put_in_place, working_folder
from imps.sampling import Sampling
from imps.shipped import project_of
from imps.shipped.chains import Period, chain
from imps.sources import Sources
from imps.tables.printed import PrintedTable
from imps.tables.run import chain_tables


@dataclass(frozen=True)
class ChainRun:
    """Everything that one run of a chain of censuses found.

    Attributes
    ----------
    cases : tuple of Case
        Of each period, in order.
    fit : Fit
    checks : Checks
    results : ChainResults
    folder : Path or None
        Where the results were written.
    """

    cases: tuple[Case, ...]
    fit: Fit
    checks: Checks
    results: ChainResults
    folder: Path | None

    @property
    def case(self) -> Case:
        """What is told of the cases of all periods together; its sources are of the last."""
        return _together(self.cases, self.fit.model)  # type: ignore[arg-type]

    @one_thread
    def tables(self) -> dict[str, PrintedTable]:
        """The tables of every run of a chain, by file name."""
        return chain_tables(self.fit, self.results)

    def write_pages(self, path: Path, manifest: Mapping[str, Any]) -> list[Path]:
        """Write the report of each period, into a folder of its name beside `path`."""
        from imps.report.report import write_report

        pages = []
        for case, (name, part) in zip(self.cases, self.fit.periods.items(), strict=True):
            page = path.parent / name / path.name
            page.parent.mkdir(exist_ok=True)
            said = computation(manifest)
            pages.append(write_report(part, page, case=case, computation=said))
        return pages

    def __repr__(self) -> str:
        where = "" if self.folder is None else f"\nresults in {self.folder}"
        return repr(self.results) + where


def run_chain(
    periods: Sequence[Period],
    *,
    out: str | Path,
    seed: int = 1,
    draws: int | None = None,
    chains: int = Sampling.chains,
    priors: Priors | None = None,
    linked: bool = True,
    revised: Sequence[str] = (),
    force: bool = False,
    tables_only: bool = False,
    say: Callable[[str], None] | None = None,
) -> ChainResults:
    """Fit a chain of censuses and write its folder.

    The folder holds the fit, the manifest, tables and the figure of all periods, and the report
    of each period in a folder of its name; :func:`imps.rerun`, :func:`imps.load_run` and the
    commands `imps rerun`, `imps report` and `imps replicate` take it as that of a single
    account. A run that was cut off lies in `OUT.unfinished`; the same call continues it.

    Parameters
    ----------
    periods, priors, linked, revised
        As in :func:`imps.chain`.
    out : path
    seed, draws, chains
        As in :func:`imps.fit`.
    force : bool
        Replace the results of an earlier run.
    tables_only : bool
        No figure and no reports.
    say : callable, optional
        Told in a line what is going on.

    Returns
    -------
    ChainResults

    Raises
    ------
    OutputExistsError
        If the folder exists and `force` is not set, or an unfinished run of another kind is there.
    """
    request = {"seed": seed, "draws": draws, "chains": chains, "linked": linked,
               "revised": list(revised)}  # fmt: skip
    shown = {"force": force, "tables_only": tables_only, "say": say}
    return chain_run(periods, priors, out, request, **shown).results


@one_thread
def chain_run(
    periods: Sequence[Period],
    priors: Priors | None,
    out: str | Path | None,
    request: Mapping[str, Any],
    *,
    force: bool = False,
    tables_only: bool = False,
    say: Callable[[str], None] | None = None,
) -> ChainRun:
    """A run of a chain as its manifest asks for it; nothing is written without a folder."""
    tell = say or (lambda _: None)
    if out is not None:
        check_replaceable(Path(out), force)
    linked, revised = request["linked"], request["revised"]
    model = chain(periods, priors, linked=linked, revised=revised)
    cases = tuple(map(_case_of, periods))
    asked = {name: request[name] for name in ("seed", "draws", "chains")}
    asked |= {"progress": False, "say": tell}
    case = _together(cases, model)
    tell(f"{case.title}: one account of {len(model.names)} periods")
    if out is None:
        return results_of_chain(cases, fit(model, **asked), None)
    target = Path(out)
    manifest = first_part(case, model, request, None) | {
        "periods": list(model.names),
        "cases": [own.name if own.origin == SHIPPED else "" for own in cases],
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    working = working_folder(target, manifest, force, tell)
    with at_work(working):
        found = fit(model, **asked, keep=working / CHAINS_FOLDER)
        done = results_of_chain(cases, found, target)
        check_replaceable(target, force)  # once more: it was long ago
        tell("writing tables" if tables_only else "writing tables, figure and reports")
        reconciled = done.results.reconciliations.values()
        manifest = read_manifest(working) | last_part(found, done.checks, *reconciled)
        put_in_place(working, target, manifest, lambda to: _write(done, to, manifest, tables_only))
    shutil.rmtree(working, ignore_errors=True)
    return done


def results_of_chain(cases: tuple[Case, ...], found: Fit, folder: Path | None) -> ChainRun:
    """Everything that a fit of a chain says."""
    return ChainRun(cases, found, check(found), chain_results(found), folder)


def _case_of(period: Period) -> Case:
    """The case of a period; of sources alone one that says no more than they do."""
    project = project_of(period)
    if project is not None:
        return project.case
    if isinstance(period, Case):
        return period
    assert isinstance(period, Sources)  # a chain was made of it
    nothing = pd.DataFrame()
    name = f"{period.first_year}-{period.last_year}"
    return Case(name, f"{period.area} {name}", "", period, nothing, nothing, nothing, ())


def _together(cases: Sequence[Case], model: ChainModel) -> Case:
    """The cases of a chain as one."""
    tables = {
        name: pd.concat([getattr(own, name) for own in cases], ignore_index=True)
        for name in ("published_afterwards", "later_series", "references")
    }
    return Case(
        name=" and ".join(own.name for own in cases),
        title=f"{model.sources.area}, {model.period_in_words}",
        licence="; ".join(dict.fromkeys(filter(None, (own.licence for own in cases)))),
        sources=model.sources,
        notes=tuple(dict.fromkeys(note for own in cases for note in own.notes)),
        origin=SHIPPED if all(own.origin == SHIPPED for own in cases) else "",
        digest=digest("".join(own.digest for own in cases).encode("utf-8")),
        inputs=tuple(file for own in cases for file in own.inputs),
        **{name: table.drop_duplicates() for name, table in tables.items()},
    )


def _write(done: ChainRun, folder: Path, manifest: Mapping[str, Any], tables_only: bool) -> None:
    done.fit.save(folder / FIT_FILE, case=done.cases)
    write_tables(done.tables(), done.checks.verdict, folder / "tables")
    if tables_only:
        return
    from imps.plots import plot_chain
    from imps.report.report import figure_png

    (folder / "figures").mkdir()
    (folder / "figures" / "chain.png").write_bytes(figure_png(plot_chain(done.results)))
    done.write_pages(folder / REPORT_FILE, manifest)
