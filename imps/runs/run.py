"""Runs: one command from published figures to a folder of results.

A run that is under way lies in `NAME.unfinished`, beside the folder NAME of its results:
its manifest first, then each finished chain. Results are written last and the folder NAME
appears when it is whole. A run that was cut off is continued by the same command.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from imps.account.latents import Resolution
from imps.account.linear import linear_model
from imps.account.priors import Priors, default_priors
from imps.errors import (
    ImpsError,
    OutputExistsError,
    RunBusyError,
    RunChangedError,
    SavedFileError,
)
from imps.posterior.fit import Fit, allowed, fit
from imps.posterior.pymc_model import build_model, linear_part
from imps.posterior.saved_fits import CHAINS_FOLDER, FIT_FILE, load_fit, load_saved_case
from imps.posterior.variant import Variant
from imps.project.check import ImportReport, project_of
from imps.project.settings import SETTINGS_FILE, inspect_settings
from imps.reading.table import published_path
from imps.report.report import html_report
from imps.report.sections import figure_png, report_figures
from imps.results.attribution import Attribution, attribute
from imps.results.checks import Checks, check
from imps.results.reconciliation import Reconciliation, reconcile
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
from imps.sampling import Sampling
from imps.shipped.loading import Case, load_case
from imps.sources import Sources
from imps.tables.account import (
    back_series_table,
    by_sex_table,
    closure_by_age_table,
    net_and_gross_table,
    new_base_table,
)
from imps.tables.fit import (
    Table,
    attribution_table,
    closure_table,
    gap_table,
    groups_table,
    net_migration_table,
    priors_table,
    response_table_of,
    roll_forward_table,
    sources_table,
)

UNFINISHED = ".unfinished"
RESULTS_FOLDER = "results"
LOCK_FILE = ".lock"
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
    def tables(self) -> dict[str, Table]:
        """The tables of every run, by file name."""
        return {
            "attribution": attribution_table(self.attribution),
            "attribution_groups": groups_table(self.attribution),
            "net_migration": net_migration_table(self.reconciliation),
            "attribution_by_sex": by_sex_table(self.attribution),
            "net_and_gross": net_and_gross_table(self.attribution),
            "gap": gap_table(self.fit, checks=self.checks),
            "closure": closure_table(self.fit, checks=self.checks),
            "closure_by_sex_and_age": closure_by_age_table(self.fit, self.attribution),
            "back_series": back_series_table(self.reconciliation, later=self.case.later_series),
            "new_base": new_base_table(self.fit, self.attribution),
            "response": response_table_of(self.fit, checks=self.checks),
            "roll_forward": roll_forward_table(self.fit, checks=self.checks),
            "priors": priors_table(self.fit, checks=self.checks),
            "sources": sources_table(self.fit, checks=self.checks),
        }

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
    imported: Mapping[str, Any] | None = None,
    force: bool = False,
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
    imported : mapping, optional
        `ImportReport.record()` of the files behind the case, for the manifest; a
        project brings its own.
    force : bool
        Replace the results of an earlier run, and discard an unfinished one that differs.
    progress : bool
    say : callable, optional
        Told in a line what is going on.

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
        _check_replaceable(target, force)
    tell = say or (lambda _: None)
    started = dt.datetime.now(dt.UTC)
    project = project_of(case)
    loaded = case if isinstance(case, Case) else project.case if project else load_case(str(case))
    if project is not None:
        priors, imported = priors or project.priors, imported or project.record()
    asked = {"seed": seed, "draws": draws, "chains": chains, "tune": tune,
             "target_accept": target_accept, "cores": cores, "method": method}  # fmt: skip
    sampling = _sampling(project, asked)
    tell(f"{loaded.title}: gap {loaded.sources.gap:+,.0f} persons (rolled-forward minus census)")
    of = Variant(likelihood, student_t, flows, switchers, switcher_shares or {})
    model = variant_model(loaded.sources, priors or default_priors(), of, resolution)
    allowed(model, sampling)
    shown: dict[str, Any] = {**vars(sampling), "progress": progress, "say": tell}
    if target is None:
        return _results_of(loaded, fit(model, **shown), None)
    request = {**sampling.record(), "variant": of.record()}
    manifest = first_part(loaded, linear_part(model), request, imported)
    manifest |= {"cores_used": sampling.cores, "started": started.isoformat(timespec="seconds")}
    working = _working_folder(target, manifest, force, tell)
    kept, refused = working / CHAINS_FOLDER, True
    try:
        with alone(working):
            found = fit(model, **shown, keep=kept)
            refused = False
            done = _results_of(loaded, found, target)
            _check_replaceable(target, force)  # once more: it was long ago
            tell("writing tables, figures and report")
            _write(done, target, working, read_manifest(working))
    except RunBusyError:
        raise
    except ImpsError:
        if refused and not any(kept.glob("*-*.nc")):
            shutil.rmtree(working, ignore_errors=True)  # with nothing to lose
        raise
    shutil.rmtree(working, ignore_errors=True)
    return done


def _sampling(project: ImportReport | None, asked: Mapping[str, Any]) -> Sampling:
    """What was asked for, else the settings of the project, else the defaults."""
    given = {name: value for name, value in asked.items() if value is not None}
    settings = None if project is None else project.settings
    return Sampling(**{**(vars(settings.fit) if settings else {}), **given})


def variant_model(
    sources: Sources, priors: Priors, of: Variant, resolution: Resolution | None = None
) -> object:
    """The model of a run: matrices alone where PyMC is not needed for the likelihood."""
    if of.normal_rows:
        return linear_model(sources, priors, resolution, form=of.form)
    return build_model(sources, priors, resolution=resolution, **of.options())


@one_thread
def load_run(folder: str | Path) -> Run:
    """A finished run as it was: its fit is loaded, and every result made from it again.

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
    if case is None:
        raise SavedFileError(f"'{place.name}' holds a fit without its case.")
    found, reasons = load_fit(place), changed_inputs(manifest, place)
    return _results_of(case, replace(found, stale=(*found.stale, *reasons)), place)


def changed_inputs(manifest: Mapping[str, Any], folder: Path) -> list[str]:
    """In words, which settings and files of the project around a run are not what they were."""
    if manifest["input_settings"] is None:
        return []
    project = next((p for p in folder.resolve().parents if (p / SETTINGS_FILE).is_file()), None)
    if project is None:
        return []
    settings, _ = inspect_settings(project)
    lines = []
    if settings is None or settings.resolved() != manifest["input_settings"]:
        lines.append(f"the settings in {SETTINGS_FILE} have changed")
    given = {published_path(t.file): project / t.file for t in settings.tables} if settings else {}
    for entry in manifest["inputs"]:
        file = given.get(entry["file"], project / entry["file"])
        if not file.is_file():
            lines.append(f"the input {entry['file']} is gone")
        elif digest(file.read_bytes()) != entry["sha256"]:
            lines.append(f"the input {entry['file']} has changed")
    return lines


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


def _check_replaceable(target: Path, force: bool) -> None:
    """A folder is replaced only if that was asked for and it is the folder of a run."""
    if not target.exists():
        return
    if not force:
        raise OutputExistsError(
            f"the folder '{target}' is already there. Choose another, or say --force "
            "(force=True) to replace it."
        )
    empty = target.is_dir() and not any(target.iterdir())
    if not empty and not (target / MANIFEST_FILE).is_file():
        raise OutputExistsError(
            f"'{target}' is not the folder of a run (it has no {MANIFEST_FILE}), so it is not "
            "replaced. Choose another."
        )


def _working_folder(
    target: Path, manifest: Mapping[str, Any], force: bool, tell: Callable[[str], None]
) -> Path:
    """The folder of a run under way: a new one with its manifest, or the one that was cut off."""
    working = target.with_name(target.name + UNFINISHED)
    if working.exists():
        with alone(working):
            reasons = _other_run(working, manifest)
        if not reasons:
            tell(f"continuing the run in {working.name}")
            return working
        if not force or not (working / MANIFEST_FILE).is_file():
            raise RunChangedError(
                f"'{working}' holds an unfinished run that differs: {'; '.join(reasons)}. Give "
                "its own command to continue it, remove the folder, or say --force (force=True) "
                "to discard it."
            )
        shutil.rmtree(working)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{working.name}-", dir=target.parent))
    new.chmod(0o755)
    try:
        write_manifest(new / MANIFEST_FILE, manifest)
        os.replace(new, working)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        if working.exists():  # since a moment ago
            raise _busy(working) from None
        raise
    return working


@contextmanager
def alone(working: Path) -> Iterator[None]:
    """Hold the folder of a run under way, so that no other process works in it.

    The hold ends with the process, however it ends.

    Raises
    ------
    RunBusyError
        If another process holds it.
    """
    try:
        held = (working / LOCK_FILE).open("ab")
    except FileNotFoundError:  # it ended a moment ago
        raise _busy(working) from None
    with held:
        try:
            _lock(held.fileno())
        except OSError as fault:
            if fault.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise _busy(working) from None
        yield


def _lock(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _busy(working: Path) -> RunBusyError:
    return RunBusyError(
        f"another process is at work in '{working}'. Wait until it has ended, or choose another "
        "folder."
    )


SAME = ("case", "account_sha256", "imps", "python", "lock_sha256", "request")
"""Parts of the manifest that must agree for a run to be continued."""


def _other_run(working: Path, manifest: Mapping[str, Any]) -> list[str]:
    """In words, why an unfinished run is not this one."""
    try:
        then = read_manifest(working)
    except SavedFileError as fault:
        return [str(fault)]
    return changed_files(then, manifest) + other_parts(then, manifest, SAME)


def changed_files(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, which input files of two manifests differ."""
    before, after = ({f["file"]: f["sha256"] for f in m.get("inputs", [])} for m in (then, now))
    return [
        f"file '{name}' was changed" if name in before and name in after
        else f"file '{name}' is {'gone' if name in before else 'new'}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]  # fmt: skip


def other_parts(then: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """In words, which parts of two manifests differ."""
    lines = []
    for name in names:
        a, b = then.get(name), now.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            lines += [
                f"{k} {a.get(k)} then, {b.get(k)} now"
                for k in dict.fromkeys([*a, *b])
                if a.get(k) != b.get(k)
            ]
        elif name.endswith("_sha256"):
            lines.append(f"other {DIGESTED.get(name, name)}")
        else:
            lines.append(f"{name} {a} then, {b} now")
    return lines


DIGESTED = {"account_sha256": "figures or priors", "lock_sha256": "installed packages"}


def _write(done: Run, target: Path, working: Path, manifest: dict[str, Any]) -> None:
    """Write the results inside the working folder, then move them to their place in one step."""
    results = working / RESULTS_FOLDER
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    manifest |= last_part(done.fit, done.checks, done.reconciliation)
    _write_results(done, results, manifest)
    manifest["finished"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    manifest["outputs"] = {
        f.relative_to(results).as_posix(): digest(f.read_bytes())
        for f in sorted(results.rglob("*"))
        if f.is_file()
    }
    write_manifest(results / MANIFEST_FILE, {**manifest, "status": FINISHED})
    if target.exists():
        os.replace(target, Path(tempfile.mkdtemp(dir=working)) / target.name)
    os.replace(results, target)


def _write_results(done: Run, folder: Path, manifest: Mapping[str, Any]) -> None:
    done.fit.save(folder / FIT_FILE, case=done.case)
    (folder / "tables").mkdir()
    tables = done.tables()
    (folder / "tables" / NOTES_FILE).write_text(
        _notes_of(tables, done.checks.line), encoding="utf-8"
    )
    for name, table in tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv")
        (folder / "tables" / f"{name}.tex").write_text(table.to_latex(), encoding="utf-8")
    done.checks.table.to_csv(folder / "tables" / "checks.csv", index=False)
    figures = _figures(done)
    write_page(done, folder / REPORT_FILE, manifest, figures)
    (folder / "figures").mkdir()
    for name, figure in figures.items():
        (folder / "figures" / f"{name}.png").write_bytes(figure_png(figure))


def _notes_of(tables: Mapping[str, Table], verdict: str) -> str:
    """Verdict, caption and notes of every table, for the CSV files, which hold numbers only."""
    parts = ["# Notes of the tables", f"Fit: {verdict}."]
    for name, table in tables.items():
        parts += [f"## {name}.csv", f"{table.caption}."]
        parts.append("\n".join(f"- {note}" for note in table.notes if note))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(done: Run) -> dict[str, Any]:
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
    write_page(done, target, manifest)
    if out is None:
        manifest["outputs"][REPORT_FILE] = digest(target.read_bytes())
        write_manifest(place / MANIFEST_FILE, manifest)
    return target


def write_page(
    done: Run, path: Path, manifest: Mapping[str, Any], figures: dict[str, Any] | None = None
) -> None:
    """The report of a run, written whole or not at all.

    Figures that were saved before are laid out a little differently: give fresh ones.
    """
    page = html_report(
        done.fit,
        done.attribution,
        done.reconciliation,
        figures or _figures(done),
        case=done.case,
        computation=computation(manifest),
        checks=done.checks,
    )
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
