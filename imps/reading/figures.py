"""Columns of texts and of figures in persons, with why a cell is missing and what flag it bears.

A column is read once for each distinct text.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.grid import Draft, object_array
from imps.reading.kinds import EVENTS, FLOW_TABLE, STOCK
from imps.reading.labels import serial_guess
from imps.reading.naming import TITLE, Cells
from imps.reading.numbers import THREE_DECIMALS, Reading, read_number, status_words
from imps.reading.options import UNITS, nearest, unit_of

FLOW_WORDS: Final = MappingProxyType(
    {
        "immigration": "immigration",
        "emigration": "emigration",
        "net": "net",
        "net migration": "net",
        "net_migration": "net",
        "inflow": "immigration",
        "outflow": "emigration",
        "in": "immigration",
        "out": "emigration",
        "arrivals": "immigration",
        "departures": "emigration",
    }
)


def set_texts(draft: Draft, name: str, values: np.ndarray) -> None:
    """Keep texts as plain objects, which are quicker to compare than typed strings."""
    draft.frame[name] = pd.Series(values, index=draft.frame.index, dtype=object)


def each(
    draft: Draft, cells: Cells, name: str, read: Callable[[str], Reading]
) -> tuple[list[Any], np.ndarray]:
    """Read each distinct text of a column: its value, None if unreadable, and its place by row."""
    codes, texts = pd.factorize(cells.columns[name])
    readings = [read(str(text)) for text in texts]
    report(draft, cells, name, codes, readings)
    return [r.value for r in readings], codes


def spread_texts(values: list[Any], codes: np.ndarray) -> np.ndarray:
    return object_array(values)[codes]


def report(
    draft: Draft, cells: Cells, name: str, codes: np.ndarray, readings: list[Reading]
) -> None:
    """Collect the texts that were not written as the package writes them, by kind."""
    found = np.array([r.code for r in readings], dtype=object)
    for code in dict.fromkeys(c for c in found if c and c != "CELLS_MISSING"):
        chosen = (found == code)[codes]
        texts = cells.columns[name][chosen]
        cause, fields = _particulars(code, name, texts)
        draft.add(cause, column=name, rows=cells.rows[chosen], texts=texts, **fields)


def _particulars(code: str, name: str, texts: np.ndarray) -> tuple[str, dict[str, Any]]:
    """Cause of a finding about texts, and what its words name."""
    first = str(texts[0])
    if code == "LABEL_UNKNOWN":
        words = ("male", "female", "persons") if name == "sex" else tuple(FLOW_WORDS)[:3]
        return code, {"words": words, "instead": nearest(first, words)}
    if code == "CODE_UNKNOWN":
        counts = pd.Series(texts).value_counts()
        each = [f"'{text}' ({n})" for text, n in counts.items()]
        return code, {"codes": each, "first": counts.index[0]}
    if code == "SEX_CODES":
        found = sorted({str(text).strip() for text in texts})
        meant = dict(zip(found, ("persons", "male", "female") if "0" in found else
                         ("male", "female", "persons"), strict=False))  # fmt: skip
        return code, {"pairs": ", ".join(f'"{c}" = "{sex}"' for c, sex in meant.items())}
    if code == "PERIOD_UNREADABLE" and (guess := serial_guess(first)):
        return f"{code}.serial", {"date": guess}
    return code, {}


def label(text: Any) -> str:
    """A label without spaces around it and without the mark that escapes a formula."""
    plain = str(text).strip()
    return plain[1:] if plain[:1] == "'" and plain[1:2] in ("=", "+", "-", "@") else plain


_UNSCALED: Final = ("contacts", "cv", "share")
_POWERS: Final = {"0": "persons", "1": "tens", "2": "hundreds", "3": "thousands", "6": "millions"}
"""Units of SDMX: powers of ten."""


def read_unit(draft: Draft, cells: Cells) -> None:
    """Find the unit: declared, in headers or columns; two that differ are refused."""
    scale = _stated(cells, "scale")
    stated = _stated(cells, "unit") - ({"persons"} if scale else set())
    stated |= scale | {u for u in (*cells.units.values(), draft.options.unit) if u}
    general = {"unit", "scale"} & set(cells.columns) or TITLE in cells.units
    general = general or draft.options.unit is not None
    if cells.units and draft.schema.value not in cells.units and not general:
        stated |= {
            f"{u} in '{n}' and none in '{draft.schema.value}'" for n, u in cells.units.items()
        }
    unknown = sorted(stated - set(UNITS))
    if len(stated) > 1 or unknown:
        column = next((c for c in ("unit", "scale") if c in cells.headers), "")
        draft.add("UNIT_MIXED", column=column, units=stated, known=list(UNITS))
        return
    if not stated and draft.schema.nature == FLOW_TABLE:
        draft.add("UNIT_NEEDED.flows", column=draft.schema.value)
    draft.unit_stated = bool(stated)
    draft.metadata["unit"] = stated.pop() if stated else "persons"


def _stated(cells: Cells, name: str) -> set[str]:
    """Units in a column, in the package's words where they are known."""
    texts = {t.strip() for t in set(cells.columns.get(name, ()))} - {""}
    powers = _POWERS if name == "scale" else {}
    return {powers.get(t) or unit_of(t) or t.casefold() for t in texts}


def read_numbers(draft: Draft, cells: Cells, name: str) -> None:
    """Read a column of figures into persons, with the kind of each missing cell and flags."""
    codes, texts = pd.factorize(cells.columns[name])
    o = draft.options
    share = name in ("share", "cv")
    readings = [
        read_number(
            str(text),
            decimal=o.decimal,
            percent=share,
            missing=o.missing,
            flags=o.flags,
            comma_groups=not cells.comma_decimal_possible,
        )
        for text in texts
    ]
    report(draft, cells, name, codes, readings)
    cut = {str(text).strip() for text in texts}
    if set(o.missing) & cut:
        draft.log.use("missing")
    if any(text.endswith(suffix) for suffix in o.flags for text in cut):
        draft.log.use("flags")
    distinct = np.array([np.nan if r.value is None else r.value for r in readings], dtype=float)
    values = distinct[codes]
    counts = draft.schema.nature in (STOCK, EVENTS, FLOW_TABLE) and name == draft.schema.value
    if counts and draft.metadata.get("unit") == "persons" and not o.fractional_counts:
        _ask_about_thousands(draft, cells, codes, readings, name)
    if name not in _UNSCALED:
        values = _scaled(draft, values, name)
    draft.frame[name] = values
    if name == draft.schema.value:
        _keep_companions(draft, cells, codes, readings, name)
        draft.metadata["decimals"] = str(max(map(_decimals, map(str, texts)), default=0))
        _name_breaks(draft)
        _check_fractions(draft, values, name)


def _ask_about_thousands(draft: Draft, cells: Cells, codes: np.ndarray, readings: list[Reading],
                         name: str) -> None:  # fmt: skip
    """Persons come whole: figures with decimals throughout are thousands, or points that group.

    In "5.204" the point groups thousands if every figure with a point has three digits behind
    it and no figure of a thousand or more has none.
    """
    values = np.array([np.nan if r.value is None else r.value for r in readings], dtype=float)
    texts = cells.columns[name]
    with np.errstate(invalid="ignore"):
        fraction = values != np.round(values)
        fraction &= np.isfinite(values)
        whole_thousands = (~fraction & (np.abs(values) >= 1000)).any()
    grouped = [bool(THREE_DECIMALS.fullmatch(str(texts[codes == i][0]))) for i in
               np.flatnonzero(fraction)]  # fmt: skip
    rows = fraction[codes]
    if len(grouped) >= 3 and all(grouped) and not whole_thousands and draft.options.decimal is None:
        draft.find(rows, "DECIMAL_MARK.persons", column=name, texts=texts[rows])
    elif draft.schema.nature == STOCK and not draft.unit_stated and rows.sum() > len(rows) / 2:
        draft.find(rows, "UNIT_NEEDED", column=name, texts=texts[rows])


def _decimals(text: str) -> int:
    return len(text.rpartition(".")[2]) if "." in text and text[-1:].isdigit() else 0


def _scaled(draft: Draft, values: np.ndarray, name: str) -> np.ndarray:
    factor = UNITS.get(draft.metadata.get("unit", "persons"), 1.0)
    if factor == 1.0:
        return values
    known = np.isfinite(values)
    if known.any():
        draft.add("UNIT_CONVERTED", column=name, total=int(known.sum()), factor=factor)
    return np.round(values * (factor**2 if name == "variance" else factor), 9)


def _keep_companions(
    draft: Draft, cells: Cells, codes: np.ndarray, readings: list[Reading], name: str
) -> None:
    """Keep why a cell is missing and what flag it bears; kinds given in the file are kept."""
    missing = spread_texts([r.missing for r in readings], codes)
    for column, found in (
        (draft.schema.missing_column, missing),
        (draft.schema.flag_column, spread_texts([r.flag for r in readings], codes)),
    ):
        given = cells.columns.get(column)
        if given is not None:
            codes_given, texts = pd.factorize(given)
            words = [_status(t) if column == draft.schema.flag_column else label(t) for t in texts]
            stated = spread_texts(words, codes_given)
            found = np.where((stated != "") & ((found == "") | (found == "empty")), stated, found)
        set_texts(draft, column, found)
    kinds = draft.frame[draft.schema.missing_column].to_numpy()
    unread = np.isnan(draft.frame[name].to_numpy()) & (kinds == "")
    draft.frame.loc[unread, draft.schema.missing_column] = "unreadable"
    contradicted = ~np.isnan(draft.frame[name].to_numpy()) & (kinds != "")
    draft.frame.loc[contradicted, draft.schema.missing_column] = ""
    draft.find(contradicted, "COLUMN_IGNORED.contradicted", column=draft.schema.missing_column)


def _status(text: str) -> str:
    """Letters for the status of an observation in words; another flag as it stands."""
    return "; ".join(status_words(label(text))) or label(text)


def _name_breaks(draft: Draft) -> None:
    """Years from which a series is flagged as broken are told: an era may begin there."""
    flags = draft.frame[draft.schema.flag_column].to_numpy()
    broken = {f for f in set(flags) if "break in series" in f}
    if not broken:
        return
    rows, column = np.isin(flags, list(broken)), draft.schema.flag_column
    years = sorted({int(year) for year in draft.frame["year"][rows]})
    if draft.schema.nature == FLOW_TABLE:
        last = int(draft.frame["year"].max())
        draft.find(rows, "BREAK_FLAGGED.flows", column=column, years=years, first=years[0],
                   last=last)  # fmt: skip
    else:
        draft.find(rows, "BREAK_FLAGGED", column=column, years=years)


def _check_fractions(draft: Draft, values: np.ndarray, name: str) -> None:
    """Registered events are whole; persons with decimals are odd elsewhere."""
    with np.errstate(invalid="ignore"):
        part = np.isfinite(values) & (np.abs(values - np.round(values)) > 1e-6)
    nature = draft.schema.nature
    allowed = draft.options.fractional_counts
    if nature in (STOCK, FLOW_TABLE) and not allowed:
        draft.find(part, "FRACTIONAL_COUNT", column=name)
    elif nature == EVENTS and not allowed:
        draft.find(part, "FRACTIONAL_COUNT.events", column=name)
