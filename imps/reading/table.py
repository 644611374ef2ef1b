"""Official tables, read as text first and interpreted by the package.

`read_table` gives one table or one error with all its faults; `inspect_table`
gives the findings without raising. Figures are persons, sexes are male and
female, ages are single years or labelled groups of which the last is open, and a
missing cell stays missing with its kind beside it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.errors import LabelError, how_many
from imps.reading.checks import check_account_rows
from imps.reading.findings import Collector, ImportLog
from imps.reading.grid import END, FIRST, ROW, Draft, number_text
from imps.reading.kinds import Schema, schema
from imps.reading.numbers import THREE_DECIMALS
from imps.reading.options import ReadOptions, read_options
from imps.reading.rows import refuse_unused, rows_of

_ORDER: Final = (
    "area",
    "vintage",
    "source",
    "year",
    "date",
    "period",
    "basis",
    "flow",
    "citizenship",
    "sex",
    "age",
    "age_group",
)
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Table:
    """One official table, checked and in the package's own units and labels.

    Attributes
    ----------
    kind : str
        population, births, deaths, survey_flows, administrative_flows, stocks,
        components or shares.
    name : str
        File name as the user gave it, or the name of a data frame.
    frame : DataFrame
        Labels first (vintage, source, year, date or period, flow, sex, age,
        age_group), then figures in persons; missing figures are NaN with their
        kind in `<value>_missing` and flags in `<value>_flag`. `age` is the first
        age of the group; of the open group `age_group` ends in "+".
    metadata : mapping
        unit ("persons"), period, geography, vintage, definition and the like, as
        declared or found.
    options : ReadOptions
        What was declared.
    log : ImportLog
        What was converted, ignored, missing or warned about.
    content_hash : str
        SHA-256 of the figures and labels, whatever the container and row order.
    file_hash : str
        SHA-256 of the bytes of the file; empty for a data frame.
    """

    kind: str
    name: str
    frame: pd.DataFrame
    metadata: Mapping[str, str]
    options: ReadOptions
    log: ImportLog
    content_hash: str
    file_hash: str

    @property
    def cited(self) -> str:
        """Name under which results cite the table: without the folders of one computer."""
        return published_path(self.name)

    def references(self, rows: pd.DataFrame | None = None) -> str:
        """Keys of the references behind rows, if the file has them; else the name of the file."""
        rows = self.frame if rows is None else rows
        cells = rows["reference"].unique() if "reference" in rows else ()
        keys = {key.strip() for cell in cells for key in str(cell).split(";")} - {""}
        return ", ".join(sorted(keys)) or self.cited

    @property
    def value(self) -> str:
        """Name of the column of figures."""
        return schema(self.kind).value

    @property
    def open_age(self) -> int | None:
        """Start of the open age group, or None without ages."""
        if "age_group" not in self.frame:
            return None
        groups = [g for g in self.frame["age_group"].unique() if str(g).endswith("+")]
        last = self.frame["age"][self.frame["age_group"].isin(groups)]
        return int(last.max()) if len(last) else None

    @property
    def years(self) -> list[int]:
        """Years in the table, in order."""
        return sorted(int(year) for year in self.frame["year"].unique())

    def coverage(self) -> pd.DataFrame:
        """Observed and missing cells by source or flow and year, gaps included."""
        by = next((c for c in ("source", "flow") if c in self.frame), None)
        rows = self.frame.assign(_series=self.frame[by] if by else self.kind)
        observed = rows[self.value].notna()
        table = pd.crosstab(rows["_series"], rows["year"], observed, aggfunc="sum")
        years = range(self.years[0], self.years[-1] + 1)
        return table.reindex(columns=years, fill_value=0).fillna(0).astype(int)

    def __str__(self) -> str:
        years = f"{self.years[0]} to {self.years[-1]}" if len(self.frame) else "no years"
        missing = int(self.frame[self.value].isna().sum())
        found = ", ".join(f"{code} ({self.log.count(code):,})" for code in self.log.codes)
        return (
            f"{self.kind} from {self.name}: {len(self.frame):,} cells, {years}, persons, "
            f"{missing} missing\n{how_many(len(self.log.findings), 'finding')}: {found}"
        )


def read_table(
    data: str | os.PathLike[str] | pd.DataFrame,
    kind: str,
    *,
    name: str | None = None,
    **options: Any,
) -> Table:
    """Read and check one official table.

    Parameters
    ----------
    data : path or DataFrame
        CSV, XLSX or Parquet file, or a data frame, which is not changed.
    kind : str
        population, births, deaths, survey_flows, administrative_flows, stocks,
        components or shares.
    name : str, optional
        How the table is called in messages; by default the path as given.
    **options
        The fields of `ReadOptions`: unit, period, vintage, missing and so on.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        With all faults of the table together.

    Warns
    -----
    InputWarning
        Once per kind of fault that was accepted.
    """
    table, log = inspect_table(data, kind, options, name=name)
    log.raise_faults()
    log.warn()
    assert table is not None  # without a fault there is a table
    return table


def inspect_table(
    data: str | os.PathLike[str] | pd.DataFrame,
    kind: str,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    name: str | None = None,
) -> tuple[Table | None, ImportLog]:
    """Read and check one table without raising: the table, if it may be used, and the log."""
    expected = schema(kind)
    log = Collector(name or _name(data, kind))
    declared = read_options(options, log, kind)
    read = rows_of(data, expected, declared, log)
    if read is None:
        return None, log.log()
    grid, cells, draft, whole = read
    if whole:
        check_account_rows(draft)
    if not log.failed:
        refuse_unused(grid, cells, draft)
    if log.failed:
        return None, log.log()
    frame = _tidy(draft)
    metadata = {**draft.metadata, "unit": "persons"}
    metadata.pop("decimals", None)
    finished = Table(
        kind=kind,
        name=log.file,
        frame=frame,
        metadata=MappingProxyType(metadata),
        options=declared,
        log=log.log(),
        content_hash=content_hash(frame, kind),
        file_hash=grid.file_hash,
    )
    return finished, finished.log


def _name(data: object, kind: str) -> str:
    if isinstance(data, pd.DataFrame):
        return f"{kind} (data frame)"
    if isinstance(data, str | os.PathLike):
        return str(data)
    raise LabelError(f"a table is a path or a pandas DataFrame, not a {type(data).__name__}.")


def _tidy(draft: Draft) -> pd.DataFrame:
    """Sorted rows with the package's columns only."""
    frame = draft.frame.drop(columns=[ROW])
    if FIRST in frame:
        frame = frame.rename(columns={FIRST: "age"})
    value = draft.schema
    lead = [c for c in _ORDER if c in frame]
    figures = [c for c in value.values if c in frame]
    beside = (value.missing_column, value.flag_column, "reference")
    companions = [c for c in beside if c in frame]
    keys = [c for c in (*lead, END) if c in frame and c != "age_group"]
    if "sex" in frame:
        frame["sex"] = pd.Categorical(frame["sex"], ["male", "female", "persons"], ordered=True)
    ordered = frame.sort_values(keys, kind="stable", ignore_index=True)
    texts = [c for c in ordered if not pd.api.types.is_numeric_dtype(ordered[c])]
    ordered[texts] = ordered[texts].astype(object)
    return ordered[[*lead, *figures, *companions]]


def content_hash(frame: pd.DataFrame, kind: str) -> str:
    """SHA-256 of labels and figures, independent of container, row order and flags."""
    columns = [c for c in sorted(frame.columns) if not c.endswith("_flag") and c != "reference"]
    labels = {
        c: pd.factorize(frame[c].to_numpy(), sort=True)
        for c in columns
        if not pd.api.types.is_float_dtype(frame[c])
    }
    order = np.lexsort([labels[c][0] for c in reversed(_ORDER) if c in labels])
    digest = hashlib.sha256(kind.encode())
    for name in columns:
        digest.update(f"\n{name}\n".encode())
        if name in labels:
            codes, distinct = labels[name]
            digest.update("\x1f".join(map(str, distinct)).encode())
            digest.update(codes[order].astype("<i8").tobytes())
        else:
            array = frame[name].to_numpy(dtype="<f8", copy=True)[order]
            array[np.isnan(array)] = np.nan
            digest.update((array + 0.0).tobytes())
    return digest.hexdigest()


def published_path(file: str) -> str:
    """A path that may be published: relative as written, or the name alone."""
    return PurePath(file).name if PurePath(file).is_absolute() else file


def of_kinds(tables: Iterable[Table], *kinds: str) -> list[Table]:
    """Tables of these kinds, such as "births"."""
    return [t for t in tables if t.kind in kinds]


def of_nature(tables: Iterable[Table], *natures: str) -> list[Table]:
    """Tables of this nature: stocks, registered events, flows."""
    return [t for t in tables if schema(t.kind).nature in natures]


# Writing


def write_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a checked table as CSV that reads back without a single conversion.

    Text that a spreadsheet would take for a formula is written with a leading
    apostrophe. The file appears whole or not at all.
    """
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    partial.write_text(table_text(table), encoding="utf-8", newline="")
    os.replace(partial, target)


def table_text(table: Table) -> str:
    """The checked table as CSV text."""
    frame, expected = table.frame, schema(table.kind)
    columns = _written_columns(frame, expected)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    extra = ["unit"]
    writer.writerow([*columns, *extra])
    texts = [_written(frame, source) for source in columns.values()]
    for cells in zip(*texts, strict=True):
        writer.writerow([*cells, "persons"])
    return out.getvalue()


def _written_columns(frame: pd.DataFrame, expected: Schema) -> dict[str, str]:
    """Header written for each column of the frame; dates and groups carry their own label."""
    columns: dict[str, str] = {}
    for name in frame.columns:
        if name == "date" or (name == "age" and "age_group" in frame):
            continue
        if name == "age_group":
            columns["age" if "age" in expected.keys else "age_group"] = name
        elif name == "year" and "date" in frame:
            columns["year"] = "date"
        else:
            columns[name] = name
    return columns


def _written(frame: pd.DataFrame, name: str) -> list[str]:
    values = frame[name]
    if name == "date":
        return [day[:4] if day.endswith("-06-30") else day for day in values]
    if pd.api.types.is_float_dtype(values):
        return ["" if np.isnan(v) else _unambiguous(number_text(float(v))) for v in values]
    if pd.api.types.is_numeric_dtype(values):
        return [str(v) for v in values]
    return [escape_formula(str(v)) for v in values]


def _unambiguous(number: str) -> str:
    """A number with a further 0 where its point could be taken for one that groups thousands."""
    return f"{number}0" if THREE_DECIMALS.fullmatch(number) else number


def escape_formula(text: str) -> str:
    """A text with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
