"""From names in a file to the names of columns that a kind of table has.

Of wide tables, years, sexes or ages that stand in the names of columns become rows. What a name
holds is declared as a pattern, such as ``{"POP{year}" = "population"}``, or is the whole of it,
as in columns 2001, 2002 and 2003 of a table with ``layout = "wide"``.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from imps.reading.findings import Collector
from imps.reading.grid import STACK, Block, object_array
from imps.reading.kinds import Schema, column_name
from imps.reading.labels import read_age, read_period, read_sex
from imps.reading.options import ReadOptions, nearest

_ODD_YEAR: Final = re.compile(r"[0-9]{4}\W*\D{1,12}|\D{1,12}[0-9]{4}")
_PLACEHOLDER: Final = re.compile(r"\\\{([a-z_]+)\\\}")
_INSIDE: Final = (
    ("year", re.compile(r"(?<![0-9])(?:1[89]|2[01])[0-9]{2}(?![0-9])")),
    ("sex", re.compile(r"(?<![a-z])(?:males?|females?|men|women|persons)(?![a-z])", re.IGNORECASE)),
    ("age", re.compile(r"(?<![0-9])[0-9]{1,3}(?:\+|(?:-|_| to )[0-9]{1,3})?(?![0-9])")),
)

Labels = dict[str, str]


@dataclass(frozen=True)
class Columns:
    """Named columns of text on their way from a wide table to a long one."""

    texts: dict[str, np.ndarray]
    headers: dict[str, str]
    rows: np.ndarray
    extra: list[int]


def is_pattern(name: str) -> bool:
    """Whether a declared header holds labels of its cells, such as "POP{year}"."""
    return bool(_PLACEHOLDER.search(re.escape(name)))


def keys_of(pattern: str) -> list[str]:
    """Columns whose labels a declared header holds."""
    return _PLACEHOLDER.findall(re.escape(pattern))


def match(pattern: str, text: str) -> Labels | None:
    """The labels that a header holds where a pattern has its placeholders."""
    names = keys_of(pattern)
    wanted = _PLACEHOLDER.sub("(.+?)", re.escape(" ".join(pattern.split())))
    found = re.fullmatch(wanted, " ".join(text.split()), re.IGNORECASE)
    return dict(zip(names, found.groups(), strict=True)) if found else None


def sex_columns(header: list[str], schema: Schema) -> list[int]:
    """Columns named after a sex, "Persons" among them, in a table that has none of sexes."""
    named = {column_name(text)[0] for text in header}
    if "sex" not in schema.known or any(schema.aliases.get(n, n) == "sex" for n in named):
        return []
    sexes = {j: read_sex(text).value for j, text in enumerate(header)}
    return [j for j, sex in sexes.items() if sex] if {"male", "female"} <= {*sexes.values()} else []


def spread(
    found: Columns, header: list[str], columns: list[list[str]], schema: Schema,
    options: ReadOptions, log: Collector,
) -> Columns | None:  # fmt: skip
    """One row per cell, where labels stand in the names of columns and this was declared."""
    patterns = {name: to for name, to in options.columns.items() if is_pattern(name)}
    if patterns:
        held = _declared(patterns, header, found.extra)
        targets = {j: name for j, (name, _) in held.items()}
        return _long(found, header, columns, {j: key for j, (_, key) in held.items()}, targets)
    labels = _whole_names(found, header, schema)
    if schema.value in found.texts:
        return found
    if len(labels) < 2:
        return None if _ask_about_names(found, header, schema, log) else found
    keys = list(next(iter(labels.values())))
    if _unread_years(keys, [header[j] for j in found.extra if j not in labels], log):
        return None
    if options.layout != "wide":
        log.add("LAYOUT_WIDE", key=" and ".join(keys), columns=[header[j] for j in labels])
        return None
    log.use("layout")
    return _long(found, header, columns, labels, dict.fromkeys(labels, schema.value))


def _declared(
    patterns: Mapping[str, str], header: list[str], extra: list[int]
) -> dict[int, tuple[str, Labels]]:
    """Columns whose name fits a declared pattern: what they hold, and the labels of their cells."""
    found = {}
    for j in extra:
        for pattern, name in patterns.items():
            labels = match(pattern, header[j])
            if labels is not None and all(_reads(key, text) for key, text in labels.items()):
                found[j] = (name, labels)
    return found


def _reads(key: str, text: str) -> bool:
    """Whether a text is a label of a key; codes may be declared for sexes and ages."""
    if key == "year":
        reading = read_period(text)
        return reading.value is not None or reading.code == "PERIOD_AMBIGUOUS"
    return bool(text.strip())


def _whole_names(found: Columns, header: list[str], schema: Schema) -> dict[int, Labels]:
    """Columns whose name is a year, a sex, an age, or several of these one above the other."""
    absent: list[str] = [k for k in ("sex", "year", "age", "age_group") if k in schema.keys
              and k not in found.texts]  # fmt: skip
    stacked = any(STACK in header[j] for j in found.extra)
    if sexes := ([] if stacked else sex_columns(header, schema)):
        return {j: {"sex": header[j]} for j in sexes}
    if not stacked:
        absent = [k for k in absent if k != "sex"][:1]
    if "sex" in schema.optional_keys and "sex" not in found.texts and stacked:
        absent.append("sex")
    labels = {j: _labels(header[j].split(STACK), absent) for j in found.extra}
    usual = Counter(tuple(sorted(label)) for label in labels.values() if label)
    keys = usual.most_common(1)[0][0] if usual else ()
    return {j: label for j, label in labels.items() if label and tuple(sorted(label)) == keys}


def _labels(pieces: list[str], absent: list[str]) -> Labels:
    """Each piece of a name as the label of another key; nothing unless all are labels."""
    labels: Labels = {}
    for piece in pieces:
        key = next((k for k in absent if k not in labels and _is_label(k, piece)), "")
        if not key:
            return {}
        labels[key] = piece
    return labels


def _is_label(key: str, text: str) -> bool:
    if key == "sex":
        return read_sex(text).value is not None
    return _reads(key, text) if key == "year" else read_age(text).value is not None


def _ask_about_names(found: Columns, header: list[str], schema: Schema, log: Collector) -> bool:
    """Propose a pattern for names such as POP2010 and POP2011, which hold what no column has."""
    absent: list[str] = [k for k in ("year", "sex", "age", "age_group") if k in schema.keys
              and k not in found.texts]  # fmt: skip
    patterns: dict[str, list[str]] = {}
    for j in found.extra:
        patterns.setdefault(_pattern(header[j], absent), []).append(header[j])
    patterns.pop("", None)
    name, held = max(patterns.items(), key=lambda pair: len(pair[1]), default=("", []))
    if len(held) < 2:
        return False
    log.add("LAYOUT_WIDE.inside", key=" and ".join(keys_of(name)), columns=held, pattern=name,
            value=schema.value)  # fmt: skip
    return True


def _pattern(text: str, absent: list[str]) -> str:
    """A header with placeholders for the labels in it; empty unless it holds all that is absent."""
    for key, inside in _INSIDE:
        name = next((k for k in absent if k.startswith(key)), "")
        if name:
            text, times = inside.subn(f"{{{name}}}", text, count=1)
            if not times:
                return ""
    return text if is_pattern(text) else ""


def _unread_years(keys: list[str], headers: list[str], log: Collector) -> bool:
    """Record headers such as '2011p' beside columns of years: they may hold another year."""
    odd = [text for text in headers if keys == ["year"] and _ODD_YEAR.fullmatch(text.strip())]
    for text in odd:
        log.add("PERIOD_UNREADABLE.header", column=text, texts=[text])
    return bool(odd)


def _long(
    found: Columns, header: list[str], columns: list[list[str]], labels: dict[int, Labels],
    targets: dict[int, str],
) -> Columns:  # fmt: skip
    """The columns with one row for each cell of the spread ones."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, int]] = {}
    for j, label in labels.items():
        groups.setdefault(tuple(label.items()), {})[targets[j]] = j
    n, size = len(groups), len(found.rows)
    if not n:
        return found
    long = {name: np.repeat(column, n) for name, column in found.texts.items()}
    for key in dict.fromkeys(k for label in groups for k, _ in label):
        each = [dict(label).get(key, "") for label in groups]
        long[key] = np.tile(np.array(each, dtype=object), size)
    empty = [""] * size
    for name in dict.fromkeys(targets.values()):
        block = [columns[held[name]] if name in held else empty for held in groups.values()]
        long[name] = np.array(block, dtype=object).T.reshape(-1)
    names = [header[min(held.values())] for held in groups.values()]
    places = object_array([f"{row}, column '{name}'" for row in found.rows for name in names])
    rest = [j for j in found.extra if j not in labels]
    new = dict.fromkeys([k for k in long if k not in found.texts], "")
    return Columns(long, {**found.headers, **new}, places, rest)


TITLE: Final = "(title)"
"""Stands for the rows around a table among the columns that state a unit."""

_OF_ALL: Final = (
    'Add it, or say which header it has: columns = {{"HEADER" = "{}"}}; '
    "figures of {} together have '{}' in it."
)
_CONSTANTS: Final = {
    "source": "Add it, or set source to the name of the source if the whole file is one.",
    "flow": 'Add it, or set flow = "immigration" or flow = "emigration" for the whole file.',
    "sex": _OF_ALL.format("sex", "both sexes", "persons"),
    "age": _OF_ALL.format("age", "all ages", "all"),
    "age_group": _OF_ALL.format("age_group", "all ages", "all"),
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
