"""From a grid of text to named columns: header, notes below, blank rows, wide layout."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from imps.reading.findings import Collector
from imps.reading.grid import Grid, object_array
from imps.reading.kinds import Schema, column_name
from imps.reading.labels import read_age, read_period, read_sex
from imps.reading.numbers import read_number
from imps.reading.options import ReadOptions

SEARCHED_ROWS: Final = 40
TITLE: Final = "(title)"
"""Stands for the rows around a table among the columns that state a unit."""

_THOUSANDS: Final = re.compile(r"\bthousands?\b|\b000'?s\b|'000\b", re.IGNORECASE)
_THOUSANDS_ALONE: Final = re.compile(
    r"[\W_]*(units?\W+)?((all )?(figures|numbers|data|estimates)( are)? )?(in )?"
    r"(thousands?|000'?s|'000)( of (persons|people))?[\W_]*",
    re.IGNORECASE,
)
_ODD_YEAR: Final = re.compile(r"[0-9]{4}\W*\D{1,12}|\D{1,12}[0-9]{4}")
_FOOTER = re.compile(
    r"^(sources?|notes?|footnotes?|copyright|©|crown copyright|contact|n\.?b\.?|\[note|released|"
    r"this (table|worksheet)|data (are|is)|download)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Cells:
    """Named columns of text.

    Attributes
    ----------
    columns : dict of str to ndarray of str
        Texts by canonical column name.
    headers : dict of str to str
        The header of each column as it stands in the file.
    rows : ndarray
        Spreadsheet rows or index labels.
    units : dict of str to str
        Units stated in headers, by canonical column name, and above the table.
    comma_decimal_possible : bool
        Whether an undeclared comma inside a number may be a decimal mark.
    """

    columns: dict[str, np.ndarray]
    headers: dict[str, str]
    rows: np.ndarray
    units: dict[str, str]
    comma_decimal_possible: bool


def find_columns(grid: Grid, schema: Schema, options: ReadOptions, log: Collector) -> Cells | None:
    """Find the header, cut off the notes, and name the columns; faults give None."""
    at = _header_position(grid, schema, options, log)
    if at is None:
        return None
    header = [str(name) for name in grid.cells[at]]
    body, rows = _body(grid, at, header, schema, options, log)
    thousands, place = _thousands_around(grid, at, len(body))
    if grid.blank_rows:
        log.add("BLANK_ROWS", total=grid.blank_rows)
    if log.failed:
        return None
    if not body:
        log.add("NO_DATA_ROWS")
        return None
    cells = _named(header, body, rows, schema, options, log)
    if cells is None or not thousands:
        return cells
    if _THOUSANDS_ALONE.fullmatch(thousands):
        return replace(cells, units={**cells.units, TITLE: "thousands"})
    if not cells.units and "unit" not in cells.columns and options.unit is None:
        log.add("UNIT_NEEDED.title", rows=[place], texts=[thousands])
        return None
    return cells


def _thousands_around(grid: Grid, at: int, size: int) -> tuple[str, Any]:
    """What titles and notes say of thousands, and in which row; one that says only this first."""
    outside = [*range(at), *range(at + 1 + size, len(grid.cells))]
    texts = [(" ".join(" ".join(grid.cells[i]).split()), grid.rows[i]) for i in outside]
    found = [pair for pair in texts if _THOUSANDS.search(pair[0])]
    alone = [pair for pair in found if _THOUSANDS_ALONE.fullmatch(pair[0])]
    return next(iter([*alone, *found]), ("", None))


# Header


def _header_position(
    grid: Grid, schema: Schema, options: ReadOptions, log: Collector
) -> int | None:
    if grid.header_given:
        return 0
    if options.header_row is not None:
        return _declared_header(grid, options.header_row, log)
    scores = [_score(cells, schema) for cells in grid.cells[:SEARCHED_ROWS]]
    best = int(np.argmax(scores))
    if best > 0 and scores[best] >= 2 and scores[best] > scores[0]:
        row = grid.rows[best]
        log.add(
            "HEADER_ROW",
            rows=[grid.rows[0]],
            texts=[" ".join(grid.cells[0])],
            row=row,
            names=grid.cells[best],
        )
        return None
    return 0


def _declared_header(grid: Grid, row: int, log: Collector) -> int | None:
    if row not in grid.rows:
        log.add("HEADER_ROW.declared", row=row)
        return None
    at = grid.rows.index(row)
    if at:
        log.add("ROWS_SKIPPED.header", rows=grid.rows[:at])
    return at


def _score(cells: Sequence[str], schema: Schema) -> int:
    names = {schema.aliases.get(name, name) for name in (column_name(c)[0] for c in cells)}
    return len(names & set(schema.known))


# Rows below the header


def _body(
    grid: Grid, at: int, header: list[str], schema: Schema, options: ReadOptions, log: Collector
) -> tuple[list[list[str]], list[Any]]:
    """Rows of data: notes below them are cut off if declared, and asked about if not."""
    cells, rows = grid.cells[at + 1 :], grid.rows[at + 1 :]
    if grid.header_given:
        return cells, rows
    if options.footer_row is not None:
        end = next((i for i, row in enumerate(rows) if row >= options.footer_row), len(rows))
        if rows[end:]:
            log.add("ROWS_SKIPPED.footer", rows=rows[end:])
        cells, rows = cells[:end], rows[:end]
    else:
        start = _footer_start(cells, len(header))
        if start is not None:
            log.add(
                "FOOTER_ROWS",
                rows=[rows[start]],
                texts=[" ".join(filter(None, cells[start]))],
                number=len(rows) - start,
                row=rows[start],
            )
            return cells[:start], rows[:start]
    _check_widths(cells, rows, len(header), log)
    return cells, rows


def _footer_start(cells: list[list[str]], width: int) -> int | None:
    """Position of the first row of a block of notes that runs to the end."""
    firsts = {row[0].strip() for row in cells}
    if "" not in firsts and not any(map(_FOOTER.match, firsts)):
        return None
    for i, row in enumerate(cells):
        first = next((c.strip() for c in row if c.strip()), "")
        if not first[:1].isdigit() and _FOOTER.match(first):
            if not any(_looks_like_data(later, width) for later in cells[i + 1 :]):
                return i
            return None
    return None


def _looks_like_data(row: list[str], width: int) -> bool:
    filled = sum(bool(c.strip()) for c in row)
    numbers = sum(read_number(c).value is not None for c in row)
    return len(row) == width and filled >= min(width, 3) and numbers >= min(width - 1, 2)


def _check_widths(cells: list[list[str]], rows: list[Any], width: int, log: Collector) -> None:
    bad = [(row, len(c)) for c, row in zip(cells, rows, strict=True) if len(c) != width]
    if bad:
        log.add(
            "ROW_WIDTH",
            rows=[row for row, _ in bad],
            texts=[f"{n} fields" for _, n in bad],
            fields=bad[0][1],
            width=width,
        )


# Columns


def _named(
    header: list[str],
    body: list[list[str]],
    rows: list[Any],
    schema: Schema,
    options: ReadOptions,
    log: Collector,
) -> Cells | None:
    columns = [list(column) for column in zip(*body, strict=True)]
    names: dict[str, int] = {}
    extra: list[int] = []
    units = {}
    by_sex = _sex_columns(header, schema)
    for j, text in enumerate(header):
        plain, unit = column_name(text)
        name = _canonical(plain, schema, header)
        if name not in schema.known or j in by_sex:
            extra.append(j)
        elif name in names:
            _duplicate(name, names[name], j, header, log)
        else:
            names[name] = j
            units[name] = unit
            _renamed(text, name, log)
    _check_twins(header, extra, log)
    texts = {name: np.array(columns[j], dtype=object) for name, j in names.items()}
    headers = {name: header[j] for name, j in names.items()}
    places = object_array(rows)
    extra = _without_nameless(extra, header, columns, log)
    melted = _wide(texts, headers, places, extra, header, columns, schema, options, log)
    if melted is None:
        return None
    texts, headers, places, extra = melted
    _add_constants(texts, headers, schema, options, len(places))
    _report_columns(texts, extra, header, schema, log)
    stated = {name: unit for name, unit in units.items() if unit}
    comma = options.delimiter not in (None, ",")
    return None if log.failed else Cells(texts, headers, places, stated, comma)


def _sex_columns(header: list[str], schema: Schema) -> list[int]:
    """Columns named after a sex, "Persons" among them, in a table that has none of sexes."""
    named = {column_name(text)[0] for text in header}
    if "sex" not in schema.known or any(schema.aliases.get(n, n) == "sex" for n in named):
        return []
    sexes = {j: read_sex(text).value for j, text in enumerate(header)}
    return [j for j, sex in sexes.items() if sex] if {"male", "female"} <= {*sexes.values()} else []


def _canonical(name: str, schema: Schema, header: list[str]) -> str:
    """The package's name of a column; an alias gives way to the name itself."""
    target = schema.aliases.get(name, name)
    if target != name and name not in schema.known:
        return target
    if name == "period" and "period" in schema.known and not _has_year(header):
        return "year"
    return target


def _has_year(header: list[str]) -> bool:
    return any(column_name(text)[0] in ("year", "date") for text in header)


def _renamed(text: str, name: str, log: Collector) -> None:
    if text != name:
        log.add("COLUMN_RENAMED", column=text, name=name)


def _duplicate(name: str, first: int, second: int, header: list[str], log: Collector) -> None:
    log.add(
        "DUPLICATE_COLUMN",
        column=header[second],
        first=first + 1,
        second=second + 1,
        one=header[first],
        other=header[second],
        name=name,
    )


def _check_twins(header: list[str], extra: list[int], log: Collector) -> None:
    seen: dict[str, int] = {}
    for j in extra:
        name = column_name(header[j])[0]
        if name and name in seen:
            _duplicate(name, seen[name], j, header, log)
        seen.setdefault(name, j)


def _without_nameless(
    extra: list[int], header: list[str], columns: list[list[str]], log: Collector
) -> list[int]:
    """Leave out empty columns and the running numbers of a data-frame export."""
    kept = []
    for j in extra:
        nameless = not header[j].strip() or re.fullmatch(r"Unnamed: [0-9]+", header[j].strip())
        texts = [text.strip() for text in columns[j]]
        running = [str(i) for i in range(len(texts))]
        if nameless and (not any(texts) or texts == running):
            log.add("INDEX_COLUMN", number=j + 1)
        else:
            kept.append(j)
    return kept


def _wide(
    texts: dict[str, np.ndarray],
    headers: dict[str, str],
    rows: np.ndarray,
    extra: list[int],
    header: list[str],
    columns: list[list[str]],
    schema: Schema,
    options: ReadOptions,
    log: Collector,
) -> tuple[dict[str, np.ndarray], dict[str, str], np.ndarray, list[int]] | None:
    """Turn one column per year, age or sex into one row per cell, if this was declared."""
    key, spread = _spread_columns(texts, extra, header, schema)
    if schema.value in texts or len(spread) < 2:
        return texts, headers, rows, extra
    if _unread_years(key, [header[j] for j in extra if j not in spread], log):
        return None
    if options.layout != "wide":
        log.add("LAYOUT_WIDE", key=key, columns=[header[j] for j in spread])
        return None
    n = len(spread)
    long = {name: np.repeat(column, n) for name, column in texts.items()}
    long[key] = np.tile(np.array([header[j] for j in spread], dtype=object), len(rows))
    block = np.array([columns[j] for j in spread], dtype=object)
    long[schema.value] = block.T.reshape(-1)
    places = object_array([f"{row}, column '{header[j]}'" for row in rows for j in spread])
    rest = [j for j in extra if j not in spread]
    return long, {**headers, key: "", schema.value: ""}, places, rest


def _spread_columns(
    texts: dict[str, np.ndarray], extra: list[int], header: list[str], schema: Schema
) -> tuple[str, list[int]]:
    age = next((key for key in ("age", "age_group") if key in schema.keys), "")
    if sexes := _sex_columns(header, schema):
        return "sex", sexes
    if "year" not in texts:
        return "year", [j for j in extra if _is_year(header[j])]
    if age and age not in texts:
        return age, [j for j in extra if read_age(header[j]).value is not None]
    return "", []


def _unread_years(key: str, headers: list[str], log: Collector) -> bool:
    """Record headers such as '2011p' beside columns of years: they may hold another year."""
    odd = [text for text in headers if key == "year" and _ODD_YEAR.fullmatch(text.strip())]
    for text in odd:
        log.add("PERIOD_UNREADABLE.header", column=text, texts=[text])
    return bool(odd)


def _is_year(text: str) -> bool:
    reading = read_period(text)
    return reading.value is not None or reading.code == "PERIOD_AMBIGUOUS"


def _add_constants(
    texts: dict[str, np.ndarray],
    headers: dict[str, str],
    schema: Schema,
    options: ReadOptions,
    size: int,
) -> None:
    """What was declared for the whole table stands in for a column that is not there."""
    for name in ("source", "flow", "vintage", "basis"):
        declared = getattr(options, name)
        if name in schema.known and name not in texts and declared is not None:
            texts[name] = np.full(size, declared, dtype=object)
            headers[name] = name


def _report_columns(
    texts: dict[str, np.ndarray],
    extra: list[int],
    header: list[str],
    schema: Schema,
    log: Collector,
) -> None:
    missing = [name for name in schema.required if name not in texts]
    unknown = [header[j] for j in extra]
    for name in missing:
        log.add(
            "COLUMN_MISSING",
            name=name,
            missing=missing,
            present=header,
            instead=_meant(name, unknown),
        )
    if not missing:
        for j in extra:
            log.add(
                "COLUMN_IGNORED",
                column=header[j],
                number=j + 1,
                kind=schema.kind,
                known=schema.known,
            )


def _meant(name: str, unknown: list[str]) -> str:
    """The header that was probably meant, or nothing."""
    lower = {u.strip().casefold(): u for u in unknown}
    close = difflib.get_close_matches(name, list(lower), n=1, cutoff=0.6)
    return f"Did you mean '{lower[close[0]]}'? Rename it to '{name}'." if close else ""
