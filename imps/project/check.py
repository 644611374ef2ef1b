"""A project of files: every check of settings, tables and priors, without sampling.

The cases of the package are such projects too. One that passes is a case:

    project = imps.load_project("my_country")
    model = imps.linear_model(project.sources, project.priors)
    imps.reconcile(imps.fit(model, seed=1))

or all of it with ``imps.run(project.case, out="results")``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.account.prior_rows import LAYOUT_PRIORS
from imps.account.priors import OPTIONAL_PRIORS, Priors, default_priors
from imps.errors import PriorError, how_many
from imps.names import AREA
from imps.project.arithmetic import cell_population
from imps.project.assemble import inspect_sources
from imps.project.between import MID_YEARS_END, check_between, in_account_years
from imps.project.case import COLUMNS, FOLDER, SHIPPED, Beside, Case, read_beside
from imps.project.interviews import inspect_records
from imps.project.sections import TableSettings
from imps.project.settings import Settings, inspect_settings, shown_name
from imps.reading.findings import CONVERT, WARN, Collector, Finding, ImportLog
from imps.reading.kinds import STOCK, schema
from imps.reading.options import ACCOUNT_YEAR
from imps.reading.table import Table, inspect_table, published_path
from imps.sources import Sources

_NO_FIGURES: Final = ("fit", "output")
CONFLICT_SDS: Final = 5.0
"""Prior standard deviations between prior and data that are worth a warning."""


@dataclass(frozen=True)
class ImportReport:
    """Every check of a project, without sampling.

    Attributes
    ----------
    settings : Settings or None
        None if the settings file cannot be used.
    tables : tuple of Table
        The tables that can be used.
    log : ImportLog
        All findings of all files.
    assembled : Sources or None
        The sources of the account; None if anything is refused or asked.
    beside : mapping of setting to Beside
        Tables that no likelihood holds.
    totals : tuple of Beside
        Files of totals behind the weights of interviews; the records are in `tables`, as cells.
    shipped : str
        Name of the case of the package that it is; empty for a folder of the user's.
    """

    settings: Settings | None
    tables: tuple[Table, ...]
    log: ImportLog
    assembled: Sources | None = None
    beside: Mapping[str, Beside] = field(default_factory=dict)
    totals: tuple[Beside, ...] = ()
    shipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing is refused or asked."""
        return self.log.passed

    @property
    def sources(self) -> Sources:
        """The sources of the account, as :func:`imps.build_model` takes them.

        Raises
        ------
        InputError
            If anything is refused or asked.
        """
        self.log.raise_faults()
        assert self.assembled is not None  # without a fault there are sources
        return self.assembled

    @property
    def priors(self) -> Priors:
        """The table of priors with the changes of the settings."""
        sources = self.sources
        assert self.settings is not None  # without a fault there are settings
        return _priors(self.settings, sources)

    @property
    def case(self) -> Case:
        """The project as a case, which :func:`imps.run` takes.

        Its notes are those of the settings, and what was converted, left out or warned
        about on reading.
        """
        sources = self.sources
        assert self.settings is not None  # without a fault there are settings
        account, told = self.settings.account, self.settings.case
        first, last = sources.said(sources.first_year), sources.last_year
        until = last if sources.year_ends == MID_YEARS_END else sources.said(last)
        title = account.name or f"{sources.area}, {first} to {until}"
        notes = [str(f) for f in self._published_findings() if f.outcome in (CONVERT, WARN)]
        tables = {name: pd.DataFrame(columns=list(COLUMNS[name])) for name in COLUMNS}
        tables["references"] = pd.DataFrame(
            [(t.cited, t.kind, t.content_hash) for t in self.tables],
            columns=["key", "kind", "content_sha256"],
        )
        tables |= {name: table.frame for name, table in self.beside.items()}
        return Case(
            name=self.shipped or _case_name(title),
            title=title,
            licence=told.licence,
            sources=sources,
            notes=(*told.notes, *notes),
            origin=SHIPPED if self.shipped else FOLDER,
            digest=self.digest,
            inputs=tuple(self.record()["inputs"]),
            **tables,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the settings of the account and of every figure."""
        record = self.record()
        settings = {k: v for k, v in (record["settings"] or {}).items() if k not in _NO_FIGURES}
        files = [(entry["file"], entry["content_sha256"]) for entry in record["inputs"]]
        return hashlib.sha256(json.dumps([settings, files]).encode("utf-8")).hexdigest()

    def of(self, kind: str) -> tuple[Table, ...]:
        """Tables of one kind."""
        return tuple(t for t in self.tables if t.kind == kind)

    def record(self) -> dict[str, Any]:
        """The report as plain values, for JSON and for the manifest."""
        references = self.beside.get("references")
        return {
            "passed": self.passed,
            "settings": self.settings.resolved() if self.settings else None,
            "inputs": [
                {
                    "file": t.cited,
                    "kind": t.kind,
                    "rows": len(t.frame),
                    "vintage": [*_vintages(t), *_published(t.frame, references)],
                    "sha256": t.file_hash,
                    "content_sha256": t.content_hash,
                    "metadata": dict(t.metadata),
                }
                for t in self.tables
            ]
            + [
                {
                    "file": table.file,
                    "kind": name,
                    "rows": len(table.frame),
                    "vintage": _published(table.frame, references),
                    "sha256": table.sha256,
                    "content_sha256": table.sha256,
                    "metadata": {},
                }
                for name, table in [*self.beside.items(), *(("totals", t) for t in self.totals)]
            ],
            "findings": [f.record() for f in self._published_findings()],
        }

    def _published_findings(self) -> list[Finding]:
        """The findings without the folders of this computer, whichever file they speak of."""

        def published(text: str) -> str:
            for table in self.tables:
                text = text.replace(table.name, table.cited)
            return text

        return [
            replace(f, file=published_path(f.file), problem=published(f.problem))
            for f in self.log.findings
        ]

    def __str__(self) -> str:
        faults = len(self.log.faults)
        verdict = "passed" if self.passed else f"{how_many(faults, 'fault')}: nothing can be run"
        tables = f"{how_many(len(self.tables), 'table')} read, {verdict}"
        return f"{tables}\n{self.log}" if self.log.findings else tables


def _vintages(table: Table) -> list[str]:
    """Vintages in a table, or the one that was declared; empty if none is stated."""
    found = set(table.frame["vintage"]) if "vintage" in table.frame else set()
    return sorted({*found, table.metadata.get("vintage", "")} - {""})


def _published(frame: pd.DataFrame, references: Beside | None) -> list[str]:
    """When the references behind a table were published, where that is told."""
    if references is None or "reference" not in frame:
        return []
    dates = dict(zip(references.frame["reference"], references.frame["published"], strict=True))
    keys = {key for cell in frame["reference"].astype(str).unique() for key in cell.split(";")}
    return [f"{key}, published {dates[key]}" for key in sorted(keys & set(dates))]


# Checking a project


def check_project(
    path: str | os.PathLike[str],
    *,
    prior_names: Iterable[str] | None = None,
    beside_priors: bool = True,
) -> ImportReport:
    """Run every check of a project: settings, files, tables, priors; nothing is sampled.

    Parameters
    ----------
    path : path
        A project folder, or its settings file.
    prior_names : iterable of str
        Priors that the settings may change; those of the package unless told.
    beside_priors : bool
        Whether stocks are compared with what the priors lead to expect, which writes the account
        down once more.

    Returns
    -------
    ImportReport
        `passed` says whether it may be run; faults never raise.
    """
    settings, log = inspect_settings(path, prior_names=prior_names)
    if settings is None:
        return ImportReport(None, (), log)
    tables: list[Table] = []
    behind: tuple[Beside, ...] = ()
    for entry in settings.tables:
        if entry.records is not None:
            table, found, more = inspect_records(settings.folder, entry)
            behind += more
        else:
            options = {**_end_of_years(settings, entry), **entry.options}
            table, found = inspect_table(settings.folder / entry.file, entry.kind, options,
                                         name=entry.file)  # fmt: skip
        log += found
        if table is not None:
            tables.append(table)
    told = Collector(shown_name(path))
    tables = in_account_years(tables, settings.account, told)
    log += check_between(tables, settings.account)
    _check_priors_used(settings, tables, told)
    _check_priors_apply(settings, told)
    _check_coverage(settings, tables, told)
    beside = read_beside(settings.folder, settings.case, told)
    log += told.log()
    if not log.passed:
        return ImportReport(settings, tuple(tables), log)
    coverage = {entry.file: entry.coverage for entry in settings.tables if entry.coverage}
    streams = {entry.file: entry.stream for entry in settings.tables if entry.stream}
    priors = partial(_priors, settings) if beside_priors else None
    sources, found = inspect_sources(tables, settings.account, coverage, streams, priors)
    return ImportReport(settings, tuple(tables), log + found, sources, beside, totals=behind)


def _priors(settings: Settings, sources: Sources) -> Priors:
    """The table of priors with the changes of the settings."""
    changes = settings.priors
    asked = [name for name in (*OPTIONAL_PRIORS, *LAYOUT_PRIORS) if name in changes]
    kinds = [k for k in settings.account.own_kinds if k.sd > 0]
    residents = sources.base.total if settings.priors_kind == AREA else None
    made = default_priors(*asked, *kinds, as_of=settings.priors_as_of,
                          kind=settings.priors_kind, residents=residents)  # fmt: skip
    return made.replace(**changes)


def _end_of_years(settings: Settings, entry: TableSettings) -> dict[str, str]:
    """Where stocks with a bare year stand, and account years end, if not at mid-year."""
    ends = settings.account.year_ends
    own = schema(entry.kind).nature == STOCK or entry.options.get("period") == ACCOUNT_YEAR
    return {"year_ends": ends} if own and ends != MID_YEARS_END else {}


def load_project(
    path: str | os.PathLike[str],
    *,
    prior_names: Iterable[str] | None = None,
    beside_priors: bool = True,
) -> ImportReport:
    """Like `check_project`, but faults raise one `InputError` and oddities warn.

    Parameters
    ----------
    path : path
        Project folder, or its settings file.
    prior_names : iterable of str, optional
        Priors that the settings may change; those of the package unless told.
    beside_priors : bool
        As in :func:`check_project`.

    Returns
    -------
    ImportReport
        With `sources`, `priors`, `case` and the log of what was converted.

    Raises
    ------
    InputError
        With every fault: code, file, row, column and one next step.
    """
    report = check_project(path, prior_names=prior_names, beside_priors=beside_priors)
    report.log.raise_faults()
    report.log.warn()
    return report


def _case_name(title: str) -> str:
    """A name that may be a folder: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:60] or "own-case"


# Priors beside the data


def _check_priors_used(settings: Settings, tables: list[Table], log: Collector) -> None:
    """A prior for a source that is not in the data changes nothing, and is refused."""
    administrative = [t for t in tables if t.kind == "administrative_flows"]
    read = sum(t.kind in ("administrative_flows", "stays") for t in settings.tables)
    if len(administrative) < read:
        return  # a file that cannot be read may hold the source
    sources = {str(s) for t in administrative for s in t.frame["source"].unique()}
    sources |= {s for shares in settings.account.expected_shares.values() for s in shares}
    named = (*settings.account.part_names, *OPTIONAL_PRIORS)
    named = (*named, *(kind.name for kind in settings.account.kinds))
    for prior in settings.priors:
        if prior in named and prior not in sources:
            log.add("PRIOR_UNUSED", column=f"priors.{prior}", texts=[prior], sources=sources)


def _check_priors_apply(settings: Settings, log: Collector) -> None:
    """A mean for a prior that is a scale, and the like."""
    known = default_priors(*OPTIONAL_PRIORS, *LAYOUT_PRIORS)
    for prior, change in settings.priors.items():
        if prior in known and (beyond := _beyond_a_share(known[prior].unit, change)):
            log.add("PRIOR_BAD", column=f"priors.{prior}", texts=[dict(change)], problem=beyond)
            continue
        try:
            known.replace(**{prior: change})
        except PriorError as error:
            if prior in known:
                log.add(
                    "PRIOR_BAD",
                    column=f"priors.{prior}",
                    texts=[dict(change)],
                    problem=str(error).rstrip("."),
                )


def _beyond_a_share(unit: str, change: Mapping[str, float]) -> str:
    """What is wrong with a prior of a share that is above 1, such as 5 for 5 per cent."""
    high = [f"{key} = {value:g}" for key, value in change.items() if abs(value) > 1]
    if not unit.startswith("share") or not high:
        return ""
    return f"it is a {unit}, and {high[0]} is more than all of it; 5 per cent are 0.05"


def _check_coverage(settings: Settings, tables: list[Table], log: Collector) -> None:
    """Priors of coverage have to allow what the stocks say beside the population."""
    people = cell_population(tables)
    by_file = {t.name: t for t in tables if t.kind == "stocks"}
    for entry in settings.tables:
        table = by_file.get(entry.file)
        if entry.kind == "stocks" and table is not None and entry.coverage and len(people):
            _check_coverage_of(table, entry.coverage, people, log)


def _check_coverage_of(table: Table, prior: Mapping[str, Any], people: Any, log: Collector) -> None:
    frame = table.frame.merge(people.reset_index(), on=["year", "sex", "age"], how="inner")
    frame = frame[frame["count"].notna() & (frame["population"] > 0)]
    if frame.empty:
        return
    source = str(frame["source"].iloc[0])
    if prior["distribution"] == "uniform":
        noise = 3 * np.sqrt(frame["count"])
        above = frame["count"] - noise > prior["upper"] * frame["population"]
        below = frame["count"] + noise < prior["lower"] * frame["population"]
        bad = frame[above | below]
        cells = [
            f"{r.year} {r.sex} {r.age_group}: {r.count_:,.0f} beside {r.population:,.0f}"
            for r in bad.rename(columns={"count": "count_"}).itertuples()
        ]
        if cells:
            log.add(
                "PRIOR_EXCLUDES_DATA",
                file=table.name,
                column="count",
                texts=[f"{c:,.0f}" for c in bad["count"]],
                total=len(bad),
                source=source,
                lower=prior["lower"],
                upper=prior["upper"],
                cells=cells,
                mean=(share := float(bad["count"].sum() / bad["population"].sum())),
                sd=max(0.02, abs(share - (prior["lower"] + prior["upper"]) / 2)),
            )
        return
    ratio = frame.groupby("year")[["count", "population"]].sum()
    apart = (ratio["count"] / ratio["population"] - prior["mean"]).abs() / prior["sd"]
    far = apart[apart > CONFLICT_SDS]
    if len(far):
        log.add(
            "PRIOR_DATA_CONFLICT",
            file=table.name,
            column="count",
            total=len(far),
            source=source,
            years=[int(y) for y in far.index],
            distance=far.max(),
            mean=prior["mean"],
        )
