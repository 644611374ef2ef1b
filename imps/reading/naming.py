"""From names in a file to the names of columns that a kind of table has."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from imps.reading.findings import Collector
from imps.reading.grid import object_array
from imps.reading.kinds import Schema, column_name
from imps.reading.labels import read_period, read_sex
from imps.reading.layouts import Block
from imps.reading.options import ReadOptions, nearest
from imps.reading.spread import Columns, is_pattern, keys_of, match, sex_columns, spread

TITLE: Final = "(title)"
"""Stands for the rows around a table among the columns that state a unit."""

_CONSTANTS: Final = {
    "source": "Add it, or set source to the name of the source if the whole file is one.",
    "flow": 'Add it, or set flow = "immigration" or flow = "emigration" for the whole file.',
}


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
    constants : frozenset of str
        Columns that are declared for the whole table and not in the file.
    """

    columns: dict[str, np.ndarray]
    headers: dict[str, str]
    rows: np.ndarray
    units: dict[str, str]
    comma_decimal_possible: bool
    constants: frozenset[str] = frozenset()


def name_columns(
    block: Block, schema: Schema, options: ReadOptions, log: Collector
) -> Cells | None:
    """Name the columns, bring a wide table to a long one, and say what is not used."""
    header = block.header
    columns = [list(column) for column in zip(*block.body, strict=True)]
    declared = _declared_names(header, schema, options, log)
    names, units = _known_names(header, declared, schema, log)
    extra = [j for j in range(len(header)) if j not in names.values() and declared.get(j) != ""]
    extra = _without_nameless(extra, header, columns, names, schema, log)
    _check_twins(header, extra, log)
    texts = {name: np.array(columns[j], dtype=object) for name, j in names.items()}
    headers = {name: header[j] for name, j in names.items()}
    found: Columns | None = Columns(texts, headers, object_array(block.rows), extra)
    found = spread(found, header, columns, schema, options, log)  # type: ignore[arg-type]
    if found is None or log.failed:
        return None
    constants = _add_constants(found, schema, options)
    _report_columns(found, header, schema, log)
    comma = options.delimiter not in (None, ",", "blanks", "\t")
    if log.failed:
        return None
    return Cells(found.texts, found.headers, found.rows, units, comma, constants)


def _declared_names(
    header: list[str], schema: Schema, options: ReadOptions, log: Collector
) -> dict[int, str]:
    """What was declared of columns by their header; "*" for one whose header is a pattern."""
    found: dict[int, str] = {}
    for given, name in options.columns.items():
        if is_pattern(given):
            here = [j for j, text in enumerate(header) if match(given, text)]
            unknown = [k for k in (name, *keys_of(given)) if k not in schema.known]
        else:
            here = [j for j, text in enumerate(header) if text.strip() == given.strip()]
            unknown = [name] if name and name not in schema.known else []
        if unknown:
            log.add("COLUMN_DECLARED.unknown", texts=[unknown[0]], kind=schema.kind,
                    known=schema.known, instead=nearest(unknown[0], schema.known))  # fmt: skip
        elif not here:
            log.add("COLUMN_DECLARED", texts=[given], present=header)
        found |= dict.fromkeys(here, "*" if is_pattern(given) else name)
    return found


def _known_names(
    header: list[str], declared: dict[int, str], schema: Schema, log: Collector
) -> tuple[dict[str, int], dict[str, str]]:
    """Position of each column of the kind, and the units in headers."""
    names = {name: j for j, name in declared.items() if name not in ("", "*")}
    units = {name: unit for name, j in names.items() if (unit := column_name(header[j])[1])}
    for name, j in names.items():
        _renamed(header[j], name, log)
    by_sex = sex_columns([text for j, text in enumerate(header) if j not in declared], schema)
    by_sex = by_sex and [j for j, text in enumerate(header) if read_sex(text).value]
    for j, text in enumerate(header):
        plain, unit = column_name(text)
        name = _canonical(plain, schema, header)
        if name not in schema.known or j in by_sex or j in declared:
            continue
        if name in names:
            if declared.get(names[name]) != name:
                _duplicate(name, names[name], j, header, log)
            continue
        names[name] = j
        if unit:
            units[name] = unit
        _renamed(text, name, log)
    return names, units


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
    extra: list[int], header: list[str], columns: list[list[str]], names: dict[str, int],
    schema: Schema, log: Collector,
) -> list[int]:  # fmt: skip
    """Leave out empty columns and running numbers; name a column of years or sexes by its cells."""
    kept = []
    for j in extra:
        nameless = not header[j].strip() or re.fullmatch(r"Unnamed: [0-9]+", header[j].strip())
        texts = [text.strip() for text in columns[j]]
        running = [str(i) for i in range(len(texts))]
        if nameless and (not any(texts) or texts == running):
            log.add("INDEX_COLUMN", number=j + 1)
        elif nameless and (name := _by_cells(set(texts), names, schema)):
            names[name] = j
            log.add("COLUMN_RENAMED.nameless", number=j + 1, name=name)
        else:
            kept.append(j)
    return kept


def _by_cells(texts: set[str], names: dict[str, int], schema: Schema) -> str:
    """What a column without a name is, if every cell of it is a year or a sex."""
    for name, read in (("year", read_period), ("sex", read_sex)):
        if name in schema.keys and name not in names and all(read(t).value for t in texts):
            return name
    return ""


def _add_constants(found: Columns, schema: Schema, options: ReadOptions) -> frozenset[str]:
    """What was declared for the whole table stands in for a column that is not there."""
    stated = [n for n in ("source", "flow", "vintage", "basis") if getattr(options, n) is not None]
    added = [n for n in stated if n in schema.known and n not in found.texts]
    for name in added:
        found.texts[name] = np.full(len(found.rows), getattr(options, name), dtype=object)
        found.headers[name] = name
    return frozenset(added)


def _report_columns(found: Columns, header: list[str], schema: Schema, log: Collector) -> None:
    missing = [name for name in schema.required if name not in found.texts]
    unknown = [header[j] for j in found.extra]
    for name in missing:
        log.add(
            "COLUMN_MISSING",
            name=name,
            missing=missing,
            present=header,
            instead=_meant(name, unknown) or _CONSTANTS.get(name, ""),
        )
    if not missing:
        for j in found.extra:
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
    if not close:
        return ""
    text = lower[close[0]]
    return f'Did you mean \'{text}\'? Set columns = {{"{text}" = "{name}"}}.'
