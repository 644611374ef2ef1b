"""Runs: one command from published figures to a folder of results.

A run that is under way lies in `NAME.unfinished`, beside the folder NAME of its results:
its manifest first, then each finished chain. Results are written last and the folder NAME
appears when it is whole. A run that was cut off is continued by the same command.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from imps.account.latents import Resolution
from imps.account.linear import linear_model
from imps.account.open_end import open_end as open_sources
from imps.account.prior_sets import doubts
from imps.account.priors import Priors, default_priors
from imps.account.variant import Variant
from imps.errors import SavedFileError, SourceError
from imps.posterior.fit import Fit, fit
from imps.posterior.given_model import allowed, linear_part
from imps.posterior.pymc_model import build_model
from imps.posterior.saved_fits import CHAINS_FOLDER, FIT_FILE, load_fit, load_saved_case
from imps.project.case import SHIPPED, Case
from imps.project.check import ImportReport
from imps.project.settings import SETTINGS_FILE, inspect_settings
from imps.reading.table import published_path
from imps.results.attribution import Attribution, attribute
from imps.results.checks import Checks, check
from imps.results.reconciliation import Reconciliation, reconcile
from imps.results.verdict import Verdict
from imps.runs.manifest import (
    FINISHED,
    MANIFEST_FILE,
    computation,
    digest,
    first_part,
    last_part,
    read_manifest,
    write_manifest,
)
from imps.runs.working_folder import (
    at_work,
    check_replaceable,
    put_in_place,
    working_folder,
)
from imps.sampling import Sampling
from imps.shipped import project_of
from imps.sources import Sources
from imps.tables.printed import PrintedTable
from imps.tables.run import run_tables

if TYPE_CHECKING:
    from imps.runs.chain import ChainRun

REPORT_FILE = "report.html"
NOTES_FILE = "NOTES.md"


one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""With more threads BLAS sums in another order, and the last bits of a table move."""


@dataclass(frozen=True)
class Run:
    """Everything that one run found.

    Attributes
    ----------
    case : Case
    fit : Fit
    checks : Checks
    attribution : Attribution
    reconciliation : Reconciliation
    folder : Path or None
        Where the results were written.
    """

    case: Case
    fit: Fit
    checks: Checks
    attribution: Attribution
    reconciliation: Reconciliation
    folder: Path | None

    @one_thread
    def tables(self) -> dict[str, PrintedTable]:
        """The tables of every run, by file name."""
        return run_tables(
            self.fit,
            self.attribution,
            self.reconciliation,
            self.checks,
            later=self.case.later_series,
        )

    def write_pages(self, path: Path, manifest: Mapping[str, Any]) -> list[Path]:
        """Write the report; the paths of its files."""
        write_page(self, path, manifest)
        return [path]

    def __repr__(self) -> str:
        where = "" if self.folder is None else f"\nresults in {self.folder}"
        return repr(self.attribution) + where


@one_thread
def run(
    case: str | Path | Case | ImportReport,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    draws: int | None = None,
    chains: int | None = None,
    tune: int | None = None,
    target_accept: float | None = None,
    cores: int | None = None,
    method: str = "auto",
    priors: Priors | None = None,
    likelihood: str = "normal",
    student_t: Sequence[str] = (),
    flows: str = "linear",
    switchers: str = "normal",
    switcher_shares: Mapping[str, float] | None = None,
    resolution: Resolution | None = None,
    open_end: int | None = None,
    imported: Mapping[str, Any] | None = None,
    force: bool = False,
    tables_only: bool = False,
    time_limit: float | None = None,
    on_fallback: str = "nuts",
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Fit a case and write its run folder.

    Parameters
    ----------
    case : str, path, Case or ImportReport
        Name of a shipped case, folder or settings file of a project, a case, or a project
        of :func:`imps.load_project`.
    out : path, optional
        Folder for the results; nothing is written unless told. While the run is under way
        it is kept in `OUT.unfinished`; called again with the same inputs and settings, a run
        that was cut off draws the missing chains only.
    seed, draws, chains, tune, target_accept, cores, method
        As in :func:`imps.fit`; those of the settings of a project unless told, and seed 1.
    priors : Priors, optional
        Those of the project unless told, else the default ones.
    likelihood, student_t, flows, switchers, switcher_shares, resolution
        Variant of the model, as in :func:`imps.build_model`.
    open_end : int, optional
        Year at whose end the account stops, without a census (:func:`imps.open_end`); 0 is the
        last year of the case. The report says how sure the roll-forward is.
    imported : mapping, optional
        `ImportReport.record()` of the files behind the case, for the manifest; a
        project brings its own.
    force : bool
        Replace the results of an earlier run, and discard an unfinished one that differs.
    tables_only : bool
        Write the fit, its manifest and the tables, without figures and report.
    time_limit, on_fallback
        As in :func:`imps.fit`; a run that was given up is continued by the same call.
    progress : bool
    say : callable, optional
        Told in a line what is going on.

    Returns
    -------
    Run

    Raises
    ------
    OutputExistsError
        If the folder exists and `force` is not set, or is not the folder of a run, or an
        unfinished run with other settings is there; nothing is touched.
    UnknownCaseError, PriorError, ImpsError
        Before anything is fitted or written.
    """
    target = None if out is None else Path(out)
    if target is not None:
        check_replaceable(target, force)
    tell = say or (lambda _: None)
    started = dt.datetime.now(dt.UTC)
    project = project_of(case)
    loaded = _case_of(case if project is None else project.case, open_end)
    if project is not None:
        priors, imported = priors or project.priors, imported or project.record()
    asked = {"seed": seed, "draws": draws, "chains": chains, "tune": tune,
             "target_accept": target_accept, "cores": cores, "method": method}  # fmt: skip
    sampling = _sampling(project, asked)
    gap = f"gap {loaded.sources.gap:+,.0f} persons (rolled-forward minus census)"
    tell(f"{loaded.title}: {'no census at its end' if loaded.sources.open_end else gap}")
    of = Variant(likelihood, student_t, flows, switchers, switcher_shares or {})
    model = variant_model(loaded.sources, priors or default_priors(), of, resolution)
    allowed(model, sampling)
    for doubt in doubts(linear_part(model)):
        tell(f"look: {doubt}")
    shown: dict[str, Any] = {**vars(sampling), "progress": progress, "say": tell}
    shown |= {"time_limit": time_limit, "on_fallback": on_fallback}
    if target is None:
        return _results_of(loaded, fit(model, **shown), None)
    request = {**sampling.record(), "variant": of.record()}
    request |= {} if open_end is None else {"open_end": loaded.sources.last_year}
    manifest = first_part(loaded, linear_part(model), request, imported)
    manifest |= {"cores_used": sampling.cores, "started": started.isoformat(timespec="seconds")}
    working = working_folder(target, manifest, force, tell)
    done = _in_folder(loaded, model, shown, target, working, force=force, tables_only=tables_only)
    shutil.rmtree(working, ignore_errors=True)
    return done


def _case_of(case: object, open_end: int | None) -> Case:
    if not isinstance(case, Case):
        raise TypeError(
            f"a case is a name, a path, a Case or a project, not a {type(case).__name__}."
        )
    if open_end is None and case.sources.open_end:
        last = case.sources.said(case.sources.last_year)
        raise SourceError(
            f"'{case.title}' has no census at {last}, and there is no gap to explain. Say --open "
            "(open_end=0) to ask how sure its roll-forward is, or add the census."
        )
    return case if open_end is None else without_census(case, open_end)


def without_census(case: Case, last_year: int = 0) -> Case:
    """The case of an open end: its last census withheld, everything after a year left out.

    It is a case of its own: figures that it does not have are not those of the shipped one.
    """
    opened = open_sources(case.sources, last_year or None)
    name = f"{case.title}: without a census, to {opened.said(opened.last_year)}"
    title = case.title if case.sources.open_end else name
    return replace(case, sources=opened, title=title, origin="")


def _in_folder(
    case: Case,
    model: object,
    shown: Mapping[str, Any],
    target: Path,
    working: Path,
    *,
    force: bool,
    tables_only: bool,
) -> Run:
    """Fit and write, holding the working folder."""
    with at_work(working):
        found = fit(model, **shown, keep=working / CHAINS_FOLDER)
        done = _results_of(case, found, target)
        check_replaceable(target, force)  # once more: it was long ago
        shown["say"]("writing tables" if tables_only else "writing tables, figures and report")
        manifest = read_manifest(working) | last_part(found, done.checks, done.reconciliation)
        put_in_place(
            working, target, manifest, lambda to: _write_results(done, to, manifest, tables_only)
        )
    return done


def _sampling(project: ImportReport | None, asked: Mapping[str, Any]) -> Sampling:
    """What was asked for, else the settings of the project, else the defaults."""
    given = {name: value for name, value in asked.items() if value is not None}
    own = None if project is None or project.shipped else project.settings
    return Sampling(**{**(vars(own.fit) if own else {}), **given})


def variant_model(
    sources: Sources, priors: Priors, of: Variant, resolution: Resolution | None = None
) -> object:
    """The model of a run: matrices alone where PyMC is not needed for the likelihood."""
    if of.normal_rows:
        return linear_model(sources, priors, resolution, form=of.form)
    return build_model(sources, priors, resolution=resolution, **of.options())


@one_thread
def load_run(folder: str | Path) -> Run | ChainRun:
    """A finished run as it was: its fit is loaded, and every result made from it again.

    Parameters
    ----------
    folder : path
        Of a finished run of :func:`imps.run` or :func:`imps.run_chain`.

    Returns
    -------
    Run, or ChainRun of a chain of censuses

    Raises
    ------
    SavedFileError
        If the folder holds no finished run.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    if manifest["status"] != FINISHED:
        raise SavedFileError(
            f"'{place.name}' is not finished; give the command again to continue it."
        )
    case = load_saved_case(place / FIT_FILE)
    if not case:
        raise SavedFileError(f"'{place.name}' holds a fit without its case.")
    found, reasons = load_fit(place), changed_inputs(manifest, place)
    found = replace(found, stale=(*found.stale, *reasons))
    if found.periods:
        from imps.runs.chain import results_of_chain

        return results_of_chain(case, found, place)
    return _results_of(case, found, place)


def changed_inputs(manifest: Mapping[str, Any], folder: Path) -> list[str]:
    """In words, which settings and files of the project around a run are not what they were."""
    if manifest["input_settings"] is None or manifest.get("origin") == SHIPPED:
        return []
    project = next((p for p in folder.resolve().parents if (p / SETTINGS_FILE).is_file()), None)
    if project is None:
        return []
    settings, _ = inspect_settings(project)
    lines = []
    if settings is None or _stated(settings.resolved()) != _stated(manifest["input_settings"]):
        lines.append(f"the settings in {SETTINGS_FILE} have changed")
    given = {published_path(t.file): project / t.file for t in settings.tables} if settings else {}
    for entry in manifest["inputs"]:
        file = given.get(entry["file"], project / entry["file"])
        if not file.is_file():
            lines.append(f"the input {entry['file']} is gone")
        elif digest(file.read_bytes()) != entry["sha256"]:
            lines.append(f"the input {entry['file']} has changed")
    return lines


def _stated(settings: Any) -> Any:
    """Settings without what is empty, for a release may add settings that are empty before."""
    if not isinstance(settings, Mapping):
        return settings
    found = {key: _stated(value) for key, value in settings.items()}
    return {key: value for key, value in found.items() if value not in ("", None, [], {})}


def _results_of(case: Case, found: Fit, folder: Path | None) -> Run:
    checks = check(found)
    return Run(
        case=case,
        fit=found,
        checks=checks,
        attribution=attribute(found, checks=checks),
        reconciliation=reconcile(found, checks=checks),
        folder=folder,
    )


def _write_results(done: Run, folder: Path, manifest: Mapping[str, Any], tables_only: bool) -> None:
    done.fit.save(folder / FIT_FILE, case=done.case)
    tables = done.tables()
    write_tables(tables, done.checks.verdict, folder / "tables")
    done.checks.table.to_csv(folder / "tables" / "checks.csv", index=False)
    if tables_only:
        return
    from imps.report.report import figure_png

    figures = _figures(done)
    write_page(done, folder / REPORT_FILE, manifest, figures, tables)
    (folder / "figures").mkdir()
    for name, figure in figures.items():
        (folder / "figures" / f"{name}.png").write_bytes(figure_png(figure))


def write_tables(tables: Mapping[str, PrintedTable], verdict: Verdict, folder: Path) -> None:
    """Tables as CSV and LaTeX, and the notes that belong to the CSV files."""
    folder.mkdir()
    (folder / NOTES_FILE).write_text(_notes_of(tables, verdict), encoding="utf-8")
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv")
        (folder / f"{name}.tex").write_text(table.to_latex(), encoding="utf-8")


def _notes_of(tables: Mapping[str, PrintedTable], verdict: Verdict) -> str:
    """Verdict, caption and notes of every table, for the CSV files, which hold numbers only."""
    parts = ["# Notes of the tables", f"Fit: {verdict}."]
    for name, table in tables.items():
        parts += [f"## {name}.csv", f"{table.caption}."]
        parts.append("\n".join(f"- {note}" for note in table.notes if note))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(done: Run) -> dict[str, Any]:
    from imps.report.report import report_figures

    return report_figures(
        done.fit, done.attribution, done.reconciliation, done.checks, case=done.case
    )


def rebuild_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Make the report of a finished run again from its saved fit, without fitting.

    Parameters
    ----------
    folder : path
    out : path, optional
        The report of the run is replaced unless told, and its digest in the manifest with it.
    """
    place = Path(folder)
    done, manifest = load_run(place), read_manifest(place)
    target = place / REPORT_FILE if out is None else Path(out)
    pages = done.write_pages(target, manifest)
    if out is None:
        for page in pages:
            name = page.relative_to(place).as_posix()
            manifest["outputs"][name] = digest(page.read_bytes())
        write_manifest(place / MANIFEST_FILE, manifest)
    return target


def write_page(
    done: Run,
    path: Path,
    manifest: Mapping[str, Any],
    figures: dict[str, Any] | None = None,
    tables: dict[str, PrintedTable] | None = None,
) -> None:
    """The report of a run, written whole or not at all.

    Figures that were saved before are laid out a little differently: give fresh ones.
    """
    from imps.report.report import html_report

    page = html_report(
        done.fit,
        done.attribution,
        done.reconciliation,
        figures or _figures(done),
        case=done.case,
        computation=computation(manifest),
        checks=done.checks,
        tables=tables,
    )
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
