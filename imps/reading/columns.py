"""Columns of text become numbers, sexes, ages, periods and labels.

Each distinct text is read once, so that a table of 100,000 rows costs little
more than its distinct cells. What a text could not be read as is collected with
all its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.draft import END, FIRST, ROW, Draft
from imps.reading.findings import Collector
from imps.reading.grid import object_array
from imps.reading.header import TITLE, Cells
from imps.reading.kinds import ACCOUNT, EVENTS, FLOW_TABLE, SHARES, STOCK, Schema
from imps.reading.labels import (
    ALL_AGES,
    Moment,
    age_label,
    ages_for,
    read_age,
    read_period,
    read_sex,
    serial_guess,
)
from imps.reading.numbers import THREE_DECIMALS, Reading, read_number
from imps.reading.options import MID_YEAR, PERIODS, SAME_PERIODS, UNITS, ReadOptions, nearest
from imps.reading.parts_of_years import LAST_MONTH, PART, PARTS, year_of

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
_UNSCALED: Final = ("contacts", "cv", "share")
_OPTIONAL_LABELS: Final = ("vintage", "citizenship", "basis", "reference")


def read_columns(cells: Cells, schema: Schema, options: ReadOptions, log: Collector) -> Draft:
    """Interpret every column; what cannot be read goes to the log."""
    frame = pd.DataFrame({ROW: pd.Series(cells.rows, dtype=object)})
    draft = Draft(frame, schema, options, log, cells.headers)
    _read_texts(draft, cells)
    _read_unit(draft, cells)
    if "flow" in cells.columns:
        _read_flow(draft, cells)
    if "sex" in cells.columns:
        sexes = _each(draft, cells, "sex", lambda t: read_sex(t, options.sex_codes))
        _set(draft, "sex", _spread(*sexes))
    _read_ages(draft, cells)
    _read_periods(draft, cells)
    for name in schema.values:
        if name in cells.columns:
            _read_numbers(draft, cells, name)
    return draft


def _set(draft: Draft, name: str, values: np.ndarray) -> None:
    """Keep texts as plain objects, which are quicker to compare than typed strings."""
    draft.frame[name] = pd.Series(values, index=draft.frame.index, dtype=object)


def _each(
    draft: Draft, cells: Cells, name: str, read: Callable[[str], Reading]
) -> tuple[list[Any], np.ndarray]:
    """Read each distinct text of a column: its value, None if unreadable, and its place by row."""
    codes, texts = pd.factorize(cells.columns[name])
    readings = [read(str(text)) for text in texts]
    _report(draft, cells, name, codes, readings)
    return [r.value for r in readings], codes


def _spread(values: list[Any], codes: np.ndarray) -> np.ndarray:
    return object_array(values)[codes]


def _report(
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
    if code == "PERIOD_UNREADABLE" and (guess := serial_guess(first)):
        return f"{code}.serial", {"date": guess}
    return code, {}


# Labels and metadata


def _read_texts(draft: Draft, cells: Cells) -> None:
    for name in ("area", "vintage", "source", "citizenship", "basis", "reference"):
        if name in cells.columns:
            codes, distinct = pd.factorize(cells.columns[name])
            texts = _spread([_label(text) for text in distinct], codes)
            _set(draft, name, texts)
            if name not in _OPTIONAL_LABELS:
                draft.find(texts == "", "LABEL_EMPTY", column=name)
    for name in ("geography", "definition", "special_populations"):
        _read_metadata(draft, cells, name)
    draft.metadata |= {
        name: value
        for name in ("vintage", "basis", "anchored_to")
        if (value := getattr(draft.options, name))
    }


def _label(text: Any) -> str:
    """A label without spaces around it and without the mark that escapes a formula."""
    plain = str(text).strip()
    return plain[1:] if plain[:1] == "'" and plain[1:2] in ("=", "+", "-", "@") else plain


def _read_metadata(draft: Draft, cells: Cells, name: str) -> None:
    declared = getattr(draft.options, name)
    found = {_label(t) for t in set(cells.columns.get(name, ()))} - {""}
    if declared:
        found.add(declared)
    if len(found) > 1:
        draft.add("METADATA_MIXED", column=name, found=found, name=name)
    elif found:
        draft.metadata[name] = found.pop()


def _read_unit(draft: Draft, cells: Cells) -> None:
    """Find the unit: declared, in the header or in a column; two that differ are refused."""
    stated = {t.strip().casefold() for t in set(cells.columns.get("unit", ()))} - {""}
    stated |= {u for u in (*cells.units.values(), draft.options.unit) if u}
    general = "unit" in cells.columns or draft.options.unit is not None or TITLE in cells.units
    if cells.units and draft.schema.value not in cells.units and not general:
        stated |= {
            f"{u} in '{n}' and none in '{draft.schema.value}'" for n, u in cells.units.items()
        }
    unknown = sorted(stated - set(UNITS))
    if len(stated) > 1 or unknown:
        draft.add("UNIT_MIXED", column="unit" if "unit" in cells.headers else "", units=stated)
        return
    if not stated and draft.schema.nature == FLOW_TABLE:
        draft.add("UNIT_NEEDED.flows", column=draft.schema.value)
    draft.unit_stated = bool(stated)
    draft.metadata["unit"] = stated.pop() if stated else "persons"


def _read_flow(draft: Draft, cells: Cells) -> None:
    def read(text: str) -> Reading:
        word = FLOW_WORDS.get(text.strip().casefold())
        if word is None:
            return Reading(None, "LABEL_UNKNOWN" if text.strip() else "LABEL_EMPTY")
        return Reading(word, "" if text == word else "LABEL_FORMAT")

    _set(draft, "flow", _spread(*_each(draft, cells, "flow", read)))


# Ages and periods


def _read_ages(draft: Draft, cells: Cells) -> None:
    name = next((n for n in ("age", "age_group") if n in cells.columns), "")
    if not name:
        return
    values, codes = _each(draft, cells, name, read_age)
    bounds = np.array(
        [
            [ages_for(sex, v) if v is not None else (-9, -9) for v in values]
            for sex in ("persons", "male")
        ]
    )
    male = draft.frame["sex"].eq("male").to_numpy(int) if "sex" in draft.frame else 0
    draft.frame[[FIRST, END]] = bounds[male, codes]
    labels = [age_label(v) if v is not None else "" for v in values]
    _set(draft, "age_group", _spread(labels, codes))
    draft.headers.setdefault("age_group", draft.headers.get(name, name))


def is_all_ages(frame: pd.DataFrame) -> pd.Series:
    """Rows that hold the total of all ages."""
    return frame[FIRST] == ALL_AGES[0]


def _read_periods(draft: Draft, cells: Cells) -> None:
    o = draft.options
    moments, codes = _each(
        draft, cells, "year", lambda t: read_period(t, split_year=o.split_year, century=o.century)
    )
    read = np.array([m is not None for m in moments])[codes]
    draft.frame["year"] = np.array([m.year if m is not None else -1 for m in moments])[codes]
    if draft.schema.nature == STOCK:
        _stock_dates(draft, cells, moments, codes, read)
    elif draft.schema.nature in (EVENTS, FLOW_TABLE):
        _flow_periods(draft, cells, moments, codes, read)
    elif draft.schema.nature in (ACCOUNT, SHARES):
        draft.metadata["period"] = o.period or MID_YEAR


BARE_YEARS = "bare years"
"""Metadata of a table of stocks whose dates are years without a day."""
QUARTER_ENDS = {"03-31", "06-30", "09-30", "12-31"}


def _stock_dates(
    draft: Draft,
    cells: Cells,
    moments: list[Moment | None],
    codes: np.ndarray,
    read: np.ndarray,
) -> None:
    """Stocks stand at 30 June or another declared end of the year, or on a census day.

    The first of January is the end of the year before.
    """
    stands = draft.options.year_ends or "06-30"
    ends = "12-31" if stands == "01-01" else stands
    if any(m is not None and m.kind == "year" for m in moments):
        draft.metadata["dates"] = BARE_YEARS

    def day(moment: Moment | None) -> str:
        if moment is None:
            return ""
        if moment.kind == "year" and stands == "01-01":
            return f"{moment.year - 1:04d}-{ends}"
        if ends == "12-31" and moment.day.endswith("-01-01") and moment.kind == "date":
            return f"{moment.year - 1:04d}-12-31"
        return f"{moment.year:04d}-{ends}" if moment.kind == "year" else moment.day

    days = [day(m) for m in moments]
    _set(draft, "date", _spread(days, codes))
    span = np.array([m is not None and m.kind not in ("year", "date") for m in moments])[codes]
    texts = cells.columns["year"]
    draft.find(span, "PERIOD_UNREADABLE.stock", column="year", texts=texts[span])
    if ends == "12-31":
        draft.frame["year"] = np.array([int(d[:4]) if d else -1 for d in days])[codes]
    allowed = [d.endswith(f"-{ends}") or d in draft.options.census_days for d in days]
    other = read & ~span & ~np.array(allowed)[codes]
    found = sorted(set(draft.frame["date"].to_numpy()[read]))
    ends_of = {date[5:] for date in found}
    if ends_of <= QUARTER_ENDS and ends in ends_of and len(ends_of) > 1:
        draft.metadata["quarters"] = ends
        return
    dates = sorted(set(draft.frame["date"].to_numpy()[other]))
    one = {date[5:] for date in dates}
    code = "STOCK_DATE.year_end" if len(one) == 1 and len(dates) > 1 else "STOCK_DATE"
    day_of_all = "12-31" if one == {"01-01"} else min(one, default="")
    draft.find(other, code, column="year", texts=texts[other], dates=dates, ends=ends,
               day=day_of_all)  # fmt: skip


def _flow_periods(
    draft: Draft,
    cells: Cells,
    moments: list[Moment | None],
    codes: np.ndarray,
    read: np.ndarray,
) -> None:
    """Flows need a period of twelve months; a bare year does not say which."""
    stated = _stated_period(draft, cells)
    kinds = _spread([m.kind if m is not None else "" for m in moments], codes)
    texts = cells.columns["year"]
    dated = kinds == "date"
    draft.find(dated, "PERIOD_UNREADABLE.date", column="year", texts=texts[dated])
    bare = kinds == "year"
    if bare.any() and stated is None:
        draft.find(bare, "PERIOD_AMBIGUOUS.bare", column="year", texts=texts[bare])
    kinds[bare] = stated or ""
    _read_parts(draft, cells, moments, codes, kinds, stated)
    found = sorted(set(kinds[read & ~dated]) - {""})
    if len(found) > 1:
        first = kinds != found[0]
        draft.find(
            first & read, "PERIOD_MIXED", column="year", texts=texts[first & read], periods=found
        )
    _set(draft, "period", kinds)
    draft.metadata["period"] = found[0] if found else ""


def _read_parts(
    draft: Draft,
    cells: Cells,
    moments: list[Moment | None],
    codes: np.ndarray,
    kinds: np.ndarray,
    stated: str | None,
) -> None:
    """Quarters or months of the stated period, which are then summed to its years."""
    for kind in PARTS:
        part, texts = kinds == kind, cells.columns["year"]
        if not part.any():
            continue
        if stated not in LAST_MONTH:
            draft.find(part, "PARTS_OF_YEARS.period", column="year", texts=texts[part], kind=kind)
            continue
        days = _spread([m.day if m is not None else "" for m in moments], codes)
        _set(draft, PART, days)
        draft.metadata["parts"] = kind
        years = np.array([year_of(day, str(stated)) for day in days[part]])
        draft.frame.loc[part, "year"] = years
        kinds[part] = stated


def _stated_period(draft: Draft, cells: Cells) -> str | None:
    if "period" not in cells.columns:
        return draft.options.period
    written = {str(t).strip() for t in set(cells.columns["period"])} - {""}
    found = {SAME_PERIODS.get(text, text) for text in written}
    bad = sorted(found - set(PERIODS))
    if draft.options.period:
        found.add(draft.options.period)
    if bad or len(found) > 1:
        draft.add("PERIOD_MIXED.declared", column="period", periods=found, known=PERIODS)
        return bad[0] if bad else sorted(found)[0]
    return found.pop() if found else None


# Numbers


def _read_numbers(draft: Draft, cells: Cells, name: str) -> None:
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
    _report(draft, cells, name, codes, readings)
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
    return np.round(values * factor, 9)


def _keep_companions(
    draft: Draft, cells: Cells, codes: np.ndarray, readings: list[Reading], name: str
) -> None:
    """Keep why a cell is missing and what flag it bears; kinds given in the file are kept."""
    missing = _spread([r.missing for r in readings], codes)
    for column, found in (
        (draft.schema.missing_column, missing),
        (draft.schema.flag_column, _spread([r.flag for r in readings], codes)),
    ):
        given = cells.columns.get(column)
        if given is not None:
            stated = np.array([_label(t) for t in given], dtype=object)
            found = np.where((stated != "") & ((found == "") | (found == "empty")), stated, found)
        _set(draft, column, found)
    kinds = draft.frame[draft.schema.missing_column].to_numpy()
    unread = np.isnan(draft.frame[name].to_numpy()) & (kinds == "")
    draft.frame.loc[unread, draft.schema.missing_column] = "unreadable"
    contradicted = ~np.isnan(draft.frame[name].to_numpy()) & (kinds != "")
    draft.frame.loc[contradicted, draft.schema.missing_column] = ""
    draft.find(contradicted, "COLUMN_IGNORED.contradicted", column=draft.schema.missing_column)


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
