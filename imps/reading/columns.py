"""Columns of text become sexes, ages, periods, labels and figures.

Each distinct text is read once, so that a table of 100,000 rows costs little
more than its distinct cells. What a text could not be read as is collected with
all its rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.figures import (
    FLOW_WORDS,
    each,
    label,
    read_numbers,
    read_unit,
    set_texts,
    spread_texts,
)
from imps.reading.findings import Collector
from imps.reading.grid import END, FIRST, ROW, Draft
from imps.reading.kinds import ACCOUNT, EVENTS, FLOW_TABLE, SHARES, STOCK, Schema
from imps.reading.labels import (
    LAST_OPEN,
    OPEN,
    STATISTIC,
    Moment,
    age_label,
    ages_for,
    code_of,
    read_age,
    read_period,
    read_sex,
)
from imps.reading.naming import Cells
from imps.reading.numbers import Reading
from imps.reading.options import (
    MID_YEAR,
    PART,
    PARTS,
    PERIODS,
    SAME_PERIODS,
    ReadOptions,
    last_month,
    year_of,
)
from imps.reading.totals import CODE
from imps.sources.kinds import KINDS

_MARKED_YEAR: Final = re.compile(r"\s*([0-9]{4})\s*([-+])\s*")

_OPTIONAL_LABELS: Final = ("vintage", "citizenship", "basis", "reference")


def read_columns(cells: Cells, schema: Schema, options: ReadOptions, log: Collector) -> Draft:
    """Interpret every column; what cannot be read goes to the log."""
    cells = _one_of_each_year(_without_statistics(cells, log), options, log)
    frame = pd.DataFrame({ROW: pd.Series(cells.rows, dtype=object)})
    draft = Draft(frame, schema, options, log, cells.headers)
    _read_texts(draft, cells)
    read_unit(draft, cells)
    if "flow" in cells.columns:
        _read_flow(draft, cells)
    if "sex" in cells.columns:
        sexes = each(draft, cells, "sex", lambda t: read_sex(t, options.sex_codes))
        _use_codes(draft, cells, "sex", "sex_codes")
        set_texts(draft, "sex", spread_texts(*sexes))
    _read_ages(draft, cells)
    _read_periods(draft, cells)
    _place_open_groups(draft)
    for name in schema.values:
        if name in cells.columns:
            read_numbers(draft, cells, name)
    return draft


# Rows that are no cells of the table


def _without_statistics(cells: Cells, log: Collector) -> Cells:
    """Leave out median and mean ages, which stand among the ages of some tables."""
    name = next((n for n in ("age", "age_group") if n in cells.columns), "")
    texts = cells.columns.get(name, np.array([], dtype=object))
    odd = [t for t in set(texts) if STATISTIC.fullmatch(str(t).strip())]
    return _kept(cells, ~np.isin(texts, odd), "statistics", log) if odd else cells


def _one_of_each_year(cells: Cells, options: ReadOptions, log: Collector) -> Cells:
    """Of a year given twice, before and after a change of territory, take the one declared."""
    texts = cells.columns.get("year", np.array([], dtype=object))
    marked = {t: m for t in set(texts) if (m := _MARKED_YEAR.fullmatch(str(t)))}
    if not marked:
        return cells
    wanted = options.year_mark
    if wanted is None:
        rows = np.isin(texts, list(marked))
        log.add("YEAR_TWICE", column=cells.headers["year"], rows=cells.rows[rows],
                texts=texts[rows])  # fmt: skip
        return cells
    log.use("year_mark")
    other = [t for t, m in marked.items() if m[2] != wanted]
    kept = _kept(cells, ~np.isin(texts, other), "year_mark", log)
    plain = [marked[t][1] if t in marked else t for t in kept.columns["year"]]
    return replace(kept, columns={**kept.columns, "year": np.array(plain, dtype=object)})


def _kept(cells: Cells, rows: np.ndarray, why: str, log: Collector) -> Cells:
    """The rows that are chosen; the others are counted."""
    if not rows.all():
        log.add(f"ROWS_SKIPPED.{why}", rows=cells.rows[~rows])
    columns = {name: texts[rows] for name, texts in cells.columns.items()}
    return replace(cells, columns=columns, rows=cells.rows[rows])


# Labels and metadata


def _read_texts(draft: Draft, cells: Cells) -> None:
    for name in ("area", "vintage", "source", "citizenship", "basis", "reference"):
        if name in cells.columns:
            codes, distinct = pd.factorize(cells.columns[name])
            texts = spread_texts([_plain_label(name, text) for text in distinct], codes)
            set_texts(draft, name, texts)
            if name not in _OPTIONAL_LABELS:
                draft.find(texts == "", "LABEL_EMPTY", column=name)
    for name in ("geography", "definition", "special_populations"):
        _read_metadata(draft, cells, name)
    _read_reporters(draft, cells)
    draft.metadata |= {
        name: value
        for name in ("vintage", "basis", "anchored_to")
        if (value := getattr(draft.options, name))
    }


def _plain_label(name: str, text: Any) -> str:
    """A label; codes of areas and names of known sources whatever their case and blanks."""
    plain = label(text)
    if name == "area" and CODE.fullmatch(plain.upper()):
        return plain.upper()
    known = re.sub(r"[\s-]+", "_", plain).casefold() if name == "source" else ""
    return known if known in KINDS else plain


def _read_metadata(draft: Draft, cells: Cells, name: str) -> None:
    declared = getattr(draft.options, name)
    found = {label(t) for t in set(cells.columns.get(name, ()))} - {""}
    if declared:
        found.add(declared)
    if len(found) > 1:
        draft.add("METADATA_MIXED", column=name, found=found, name=name)
    elif found:
        draft.metadata[name] = found.pop()


def _read_reporters(draft: Draft, cells: Cells) -> None:
    """Who reports a flow, and from which stay on: one answer for each source and direction."""
    for name in ("reporting_country", "duration"):
        declared = getattr(draft.options, name)
        found = {label(t) for t in set(cells.columns.get(name, ()))} - {""}
        if name in cells.columns:
            by = [cells.columns[k] for k in ("source", "flow") if k in cells.columns]
            answers = pd.Series(cells.columns[name])
            number = answers.groupby(by).nunique() if by else pd.Series([answers.nunique()])
            if (number > 1).any():
                draft.add("METADATA_MIXED", column=name, found=found, name=name)
        if declared is not None:
            found.add(str(declared))
            if len(found) > 1:
                draft.add("METADATA_MIXED", column=name, found=found, name=name)
        if found:
            draft.metadata[name] = "; ".join(sorted(found))
    if "duration" in draft.metadata:
        months = set(re.findall(r"[0-9]+", draft.metadata["duration"]))
        draft.metadata["duration"] = "; ".join(sorted(months, key=int))


def _read_flow(draft: Draft, cells: Cells) -> None:
    def read(text: str) -> Reading:
        word = FLOW_WORDS.get(text.strip().casefold())
        if word is None:
            return Reading(None, "LABEL_UNKNOWN" if text.strip() else "LABEL_EMPTY")
        return Reading(word, "" if text == word else "LABEL_FORMAT")

    set_texts(draft, "flow", spread_texts(*each(draft, cells, "flow", read)))


# Ages and periods


def _read_ages(draft: Draft, cells: Cells) -> None:
    name = next((n for n in ("age", "age_group") if n in cells.columns), "")
    if not name:
        return
    values, codes = each(draft, cells, name, lambda t: read_age(t, draft.options.age_codes))
    _use_codes(draft, cells, name, "age_codes")
    bounds = np.array(
        [
            [ages_for(sex, v) if v is not None else (-9, -9) for v in values]
            for sex in ("persons", "male")
        ]
    )
    male = draft.frame["sex"].eq("male").to_numpy(int) if "sex" in draft.frame else 0
    draft.frame[[FIRST, END]] = bounds[male, codes]
    labels = [age_label(v) if v is not None else "" for v in values]
    set_texts(draft, "age_group", spread_texts(labels, codes))
    draft.headers.setdefault("age_group", draft.headers.get(name, name))


def _use_codes(draft: Draft, cells: Cells, name: str, option: str) -> None:
    """Note that declared codes occur."""
    codes = getattr(draft.options, option)
    if codes and any(code_of(str(t), codes) is not None for t in set(cells.columns[name])):
        draft.log.use(option)


def _place_open_groups(draft: Draft) -> None:
    """An open group without a first age, "Y_OPEN", begins where the other ages of its rows end."""
    frame = draft.frame
    if FIRST not in frame or not (open_ := frame[FIRST] == LAST_OPEN[0]).any():
        return
    by = [k for k in ("area", "vintage", "source", "year", "flow", "sex") if k in frame]
    closed = frame[END].where((frame[END] < OPEN) & (frame[FIRST] >= 0), 0)
    first = closed.groupby([frame[k] for k in by], sort=False, dropna=False).transform("max")[open_]
    draft.frame.loc[open_, FIRST] = first
    labels = [age_label((int(age), OPEN)) for age in first]
    draft.frame.loc[open_, "age_group"] = labels


def _read_periods(draft: Draft, cells: Cells) -> None:
    o = draft.options
    moments, codes = each(
        draft, cells, "year", lambda t: read_period(t, split_year=o.split_year, century=o.century)
    )
    read = np.array([m is not None for m in moments])[codes]
    years = set(map(str, cells.columns["year"]))
    if o.century is not None and any(read_period(t).code == "YEAR_TWO_DIGITS" for t in years):
        draft.log.use("century")
    if o.split_year is not None and any(read_period(t).code == "PERIOD_AMBIGUOUS" for t in years):
        draft.log.use("split_year")
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
    set_texts(draft, "date", spread_texts(days, codes))
    span = np.array([m is not None and m.kind not in ("year", "date") for m in moments])[codes]
    texts = cells.columns["year"]
    draft.find(span, "PERIOD_UNREADABLE.stock", column="year", texts=texts[span])
    if ends == "12-31":
        draft.frame["year"] = np.array([int(d[:4]) if d else -1 for d in days])[codes]
    allowed = [d.endswith(f"-{ends}") or d in draft.options.census_days for d in days]
    other = read & ~span & ~np.array(allowed)[codes]
    found = sorted(set(draft.frame["date"].to_numpy()[read]))
    ends_of = {date[5:] for date in found}
    several_a_year = len(found) > len({date[:4] for date in found})
    if ends_of <= QUARTER_ENDS and ends in ends_of and several_a_year:
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
    kinds = spread_texts([m.kind if m is not None else "" for m in moments], codes)
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
    set_texts(draft, "period", kinds)
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
    texts, present = cells.columns["year"], [kind for kind in PARTS if (kinds == kind).any()]
    if len(present) > 1:
        both = np.isin(kinds, present)
        draft.find(both, "PARTS_OF_YEARS.overlap", column="year", texts=texts[both])
    for kind in present:
        part = kinds == kind
        last = last_month(stated, draft.options.year_ends, kind)
        if last is None:
            draft.find(part, "PARTS_OF_YEARS.period", column="year", texts=texts[part], kind=kind)
            continue
        days = spread_texts([m.day if m is not None else "" for m in moments], codes)
        set_texts(draft, PART, days)
        draft.metadata["parts"] = kind
        years = np.array([year_of(day, last) for day in days[part]])
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
