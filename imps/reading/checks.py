"""Checks of one whole table: keys, absences, signs, jumps and missing cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from imps.reading.ages import check_ages, use_totals_as_checks
from imps.reading.divided_ages import sum_divided_ages
from imps.reading.findings import listed
from imps.reading.grid import END, FIRST, ROW, Draft
from imps.reading.survey_checks import check_survey
from imps.reading.totals import (
    check_areas,
    check_series,
    describe,
    key_columns,
    rounding_unit,
    sum_parts,
    summed,
    tolerance,
)

AS_PUBLISHED = "streams"
"""Kind that may come for both sexes together, and in which a zero is a zero."""
WITHOUT_SEX = ("population", "deaths", "survey_flows")
"""Kinds that may come for persons only; a year that has both is ambiguous."""
MANY_VINTAGES = ("population", "population_totals")
"""Kinds of which base, census and roll-forward may stand in one file."""


def check_rows(draft: Draft) -> bool:
    """Run the checks of all rows, of whatever areas; False if nothing more can be said."""
    _choose_vintage(draft)
    _choose_quarter(draft)
    sum_parts(draft)
    _check_empty(draft)
    if draft.log.failed and _keys_failed(draft):
        return False
    _check_signs(draft)
    _check_duplicates(draft)
    if "birth" in draft.schema.kind:
        _split_births(draft)
    if draft.log.of_codes("DUPLICATE_KEY"):
        return False
    check_survey(draft)
    use_totals_as_checks(draft)
    if draft.log.of_codes("NOT_STATED"):
        return False
    _check_sexes(draft)
    if "age_group" in draft.frame and not draft.frame.empty:
        check_ages(draft)
    if not draft.log.failed and "age_group" in draft.frame:
        sum_divided_ages(draft)
    if not draft.log.of_codes("AGE_OVERLAP", "AGE_GAP", "OPEN_AGE_CHANGES"):
        _check_absent(draft)
    return True


def check_account_rows(draft: Draft) -> None:
    """Run the checks of the rows of the account: those of its areas, summed."""
    _sum_areas(draft)
    _check_account(draft)
    check_series(draft)
    _warn_about_missing(draft)


def _keys_failed(draft: Draft) -> bool:
    """Whether keys could not be read, so that checks of the whole table mean nothing."""
    numbers = {draft.headers.get(name, name) for name in draft.schema.values}
    return any(f.fatal and f.column not in numbers for f in draft.log.findings)


# Vintage, emptiness, signs, keys


def _choose_vintage(draft: Draft) -> None:
    """Several vintages in one file: the declared one is kept, otherwise it is asked for."""
    frame, wanted = draft.frame, draft.options.vintage
    if "vintage" not in frame:
        return
    found = [v for v in dict.fromkeys(frame["vintage"]) if v]
    if wanted is not None and wanted not in found and found:
        draft.add("LABEL_UNKNOWN.vintage", column="vintage", texts=[wanted], found=found)
    elif wanted is not None and len(found) > 1:
        other = frame["vintage"] != wanted
        draft.add("VINTAGE_CHOSEN", column="vintage", rows=frame[ROW][other], vintage=wanted)
        draft.frame = frame[~other].reset_index(drop=True)
    elif len(found) > 1 and draft.schema.kind not in MANY_VINTAGES:
        keys = key_columns(draft, "vintage")
        draft.add("VINTAGE_NEEDED", column="vintage", texts=found, found=found, last=found[-1],
                  differ=_differing(draft, frame, keys))  # fmt: skip


def _differing(draft: Draft, rows: pd.DataFrame, keys: list[str]) -> str:
    """Which cells of rows that share their keys have other figures, in words."""
    values = rows.groupby(keys, sort=False, dropna=False)[draft.schema.value]
    apart, number = values.nunique(dropna=False) > 1, int((values.size() > 1).sum())
    cells = describe(values.first()[apart].reset_index(), keys)
    if not cells:
        return f"all {number} cells given more than once are equal"
    return f"{int(apart.sum())} of {number} such cells differ ({listed(cells, 10)})"


def _choose_quarter(draft: Draft) -> None:
    """Of a stock of every quarter the end of each year of the account is kept, and census days."""
    ends = draft.metadata.pop("quarters", "")
    if ends:
        dates = draft.frame["date"]
        other = ~(dates.str.endswith(ends) | dates.isin(draft.options.census_days))
        draft.find(other, "QUARTERS_CHOSEN", column="year", ends=ends)
        draft.frame = draft.frame[~other].reset_index(drop=True)


def _check_empty(draft: Draft) -> None:
    value = draft.frame[draft.schema.value]
    by = draft.frame["source"] if "source" in draft.frame else pd.Series("", index=value.index)
    for source, values in value.groupby(by, sort=False):
        unread = draft.frame.loc[values.index, draft.schema.missing_column] == "unreadable"
        if values.isna().all() and not unread.any():
            name = f"source '{source}'" if source else "the table"
            draft.add("SOURCE_EMPTY", column=draft.schema.value, name=name, cells=len(values))


def _check_signs(draft: Draft) -> None:
    """Counts and gross flows are not negative; only net migration has a sign."""
    name, nature = draft.schema.value, draft.schema.nature
    if nature == "account":
        for column in ("opening", "closing", "births", "deaths"):
            _refuse_negative(draft, column, "NEGATIVE_COUNT")
    elif nature == "share":
        outside = ~draft.frame[name].between(0, 1) & draft.frame[name].notna()
        draft.find(outside, "SHARE_RANGE", column=name)
    elif nature == "flow":
        _turn_signs(draft)
        _refuse_negative(draft, name, "NEGATIVE_FLOW")
    else:
        _refuse_negative(draft, name, "NEGATIVE_COUNT")


def _refuse_negative(draft: Draft, name: str, code: str) -> None:
    if name in draft.frame:
        negative = draft.frame[name] < 0
        if "flow" in draft.frame:
            negative &= draft.frame["flow"] != "net"
        draft.find(negative, code, column=name)


def _turn_signs(draft: Draft) -> None:
    name, frame = draft.schema.value, draft.frame
    out = (frame["flow"] == "emigration") & frame[name].notna() & (frame[name] != 0)
    below = out & (frame[name] < 0)
    if below.any() or draft.options.sign == "positive":
        draft.log.use("sign")
    if not below.any():
        return
    if draft.options.sign == "emigration-negative":
        draft.find(below, "SIGN_TURNED", column=name)
        ends = [c for c in ("lower", "upper") if c in frame]
        turned = -frame.loc[below, [name, *ends]]
        draft.frame.loc[below, name] = turned[name]
        if len(ends) == 2:
            draft.frame.loc[below, "lower"] = turned["upper"]
            draft.frame.loc[below, "upper"] = turned["lower"]
    elif below.sum() == out.sum() and below.sum() > 1 and draft.options.sign is None:
        draft.find(below, "SIGN_CONVENTION", column=name)
        draft.frame.loc[below, name] *= -1


def _check_duplicates(draft: Draft) -> None:
    """One row per key; the values of the others are shown."""
    keys = key_columns(draft)
    again = draft.frame.duplicated(keys, keep=False).to_numpy()
    if not again.any():
        return
    rows = draft.frame[again]
    first = rows[(rows[keys] == rows[keys].iloc[0]).all(axis=1)]
    values = [f"{v:.15g}" for v in first[draft.schema.value]]
    dated = "vintage" in draft.frame or draft.schema.nature == "share"
    draft.add(
        "DUPLICATE_KEY" if dated else "DUPLICATE_KEY.vintages",
        column=draft.schema.value,
        rows=rows[ROW],
        texts=describe(rows, keys),
        where=describe(first, keys)[0],
        times=len(first),
        same="the same value" if len(set(values)) == 1 else "values",
        values=values,
        differ=_differing(draft, rows, keys),
    )


# Births and sexes


def _split_births(draft: Draft) -> None:
    """Births without sex are divided by a declared sex ratio, never silently."""
    frame, ratio = draft.frame, draft.options.sex_ratio
    if "sex" in frame and (frame["sex"] != "persons").any():
        return
    if ratio is None:
        draft.add("BIRTHS_NEED_SEX", column="births")
        return
    share = {"male": ratio / (1 + ratio), "female": 1 / (1 + ratio)}
    halves = [frame.assign(sex=sex, births=frame["births"] * part) for sex, part in share.items()]
    draft.frame = pd.concat(halves, ignore_index=True)
    draft.metadata["sex_ratio"] = f"{ratio:g}"
    draft.add("BIRTHS_SPLIT", rows=frame[ROW], ratio=ratio)


def _check_sexes(draft: Draft) -> None:
    """Persons alone cannot be divided; identical sexes are suspect."""
    frame = draft.frame
    if "sex" not in frame or frame.empty:
        return
    alone = frame["sex"] == "persons"
    if "age_group" in frame and draft.schema.kind != AS_PUBLISHED:
        divided = draft.schema.kind not in WITHOUT_SEX
        apart = (~alone).groupby([frame[k] for k in key_columns(draft, "sex", "age_group")])
        draft.find(alone & (divided | apart.transform("any")), "SEX_NEEDED", column="sex")
    value = draft.schema.value
    by = key_columns(draft, "sex")
    # Joined on the label, so that bands that differ by sex still meet.
    wide = frame[~alone].pivot_table(index=by, columns="sex", values=value, aggfunc="first")
    if {"male", "female"} <= set(wide) and len(wide.dropna()) >= 3:
        pairs = wide.dropna()
        if (pairs["male"] == pairs["female"]).all() and (pairs["male"] > 0).any():
            draft.add("SEXES_IDENTICAL", column=value, rows=frame[ROW].iloc[:1], cells=len(pairs))


# Absent cells and periods


def _check_absent(draft: Draft) -> None:
    if "sex" in draft.frame and not draft.frame.empty:
        _check_absent_cells(draft)
    if draft.schema.nature == "events":
        _check_gaps(draft)


def _check_absent_cells(draft: Draft) -> None:
    """Within a year, both sexes have the same ages; populations and deaths start at age 0."""
    keys = [k for k in key_columns(draft, "sex", "age_group") if k != "date"]
    absent: list[str] = []
    for rows in _incomplete(draft, keys):
        labels = set(rows["age_group"]) if "age_group" in rows else {""}
        found = set(zip(rows["sex"], rows.get("age_group", pd.Series("", index=rows.index)),
                        strict=True))  # fmt: skip
        where = describe(rows, keys)[0]
        for sex in ("male", "female"):
            lost = [label for label in labels if (sex, label) not in found]
            if len(lost) == len(labels):
                absent.append(f"{where} {sex}")
            else:
                absent += [f"{where} {sex} {label}" for label in sorted(lost)]
    absent += _absent_first_ages(draft, keys)
    if absent:
        draft.add("CELLS_ABSENT", column=draft.schema.value, total=len(absent), cells=absent)


def _incomplete(draft: Draft, keys: list[str]) -> list[pd.DataFrame]:
    """Groups of rows in which not every age has both sexes; persons alone have their own fault."""
    frame = draft.frame
    group = frame.groupby(keys, sort=False, dropna=False).ngroup()
    labels = frame["age_group"] if "age_group" in frame else pd.Series("", index=frame.index)
    distinct = labels.groupby(group).transform("nunique")
    short = labels.groupby(group).transform("size") != 2 * distinct
    short &= ~frame["sex"].eq("persons").groupby(group).transform("any")
    return [rows for _, rows in frame[short].groupby(group[short], sort=False)]


def _absent_first_ages(draft: Draft, keys: list[str]) -> list[str]:
    if "age_group" not in draft.frame:
        return []
    rows = draft.frame.groupby(keys, sort=False, dropna=False)[FIRST].min().reset_index()
    must_be_zero = draft.schema.kind in ("population", "deaths")
    low = rows[rows[FIRST] > (0 if must_be_zero else rows[FIRST].min())]
    words = describe(low, keys)
    return [
        f"{where} age {0 if must_be_zero else rows[FIRST].min()}"
        + (f" to {first - 1}" if first > 1 else "")
        for where, first in zip(words, low[FIRST], strict=False)
    ]


def _check_gaps(draft: Draft) -> None:
    """Births and deaths are needed in every year between the first and the last."""
    by = [k for k in ("area", "vintage") if k in draft.frame]
    groups: Any = draft.frame.groupby(by, sort=False) if by else [("", draft.frame)]
    for _, rows in groups:
        years = sorted(set(rows["year"]))
        lost = sorted(set(range(years[0], years[-1] + 1)) - set(years)) if years else []
        if lost:
            draft.add(
                "PERIOD_GAP",
                column="year",
                kind=draft.schema.kind,
                first=years[0],
                last=years[-1],
                years=lost,
            )


# Areas


def _sum_areas(draft: Draft) -> None:
    """Areas given apart are summed when the account is for all of them."""
    check_areas(draft)
    areas = draft.options.areas
    if "area" not in draft.frame or not areas or draft.log.failed:
        return
    lost = [area for area in areas if area not in set(draft.frame["area"])]
    if lost:
        draft.add("CELLS_ABSENT.area", column="area", texts=lost, there=set(draft.frame["area"]))
        return
    inside = draft.frame["area"].isin(areas)
    draft.find(~inside, "ROWS_SKIPPED.areas", column="area")
    chosen = draft.frame[inside]
    by = key_columns(draft, "area")
    counts = chosen.groupby(by, sort=False, dropna=False)["area"].nunique()
    if (counts != len(areas)).any():
        short = describe(counts[counts != len(areas)].reset_index(), by)
        draft.add("CELLS_ABSENT.areas", column="area", areas=areas, cells=short)
        return
    bounds = [c for c in (FIRST, END) if c in chosen]
    merged = summed(chosen.drop(columns="area"), [*by, *bounds], draft)
    error = "; standard errors were combined in quadrature" if "standard_error" in chosen else ""
    draft.frame = merged.assign(area="+".join(areas))
    draft.add("AREAS_SUMMED", column="area", rows=chosen[ROW], areas=areas, error=error)


# The published account


def _check_account(draft: Draft) -> None:
    """Opening + births - deaths + net migration against closing; the rest is other change."""
    parts = {"opening": 1.0, "births": 1.0, "deaths": -1.0, "net_migration": 1.0, "other": 1.0}
    frame = draft.frame
    if draft.schema.nature != "account" or not {"opening", "births", "deaths"} <= set(frame):
        return
    given = [name for name in parts if name in frame]
    expected = sum(parts[name] * frame[name].fillna(0.0 if name == "other" else np.nan)
                   for name in given)  # fmt: skip
    residual = frame["closing"] - expected
    slack = tolerance(rounding_unit(draft), len(given) + 1.0, frame["closing"])
    bad = residual.abs() > slack
    if bad.any():
        years = [f"{y}: {r:+,.10g}" for y, r in zip(frame["year"][bad], residual[bad], strict=True)]
        draft.find(bad, "ACCOUNT_RESIDUAL", column="closing", years=years)


# Missing cells


def _warn_about_missing(draft: Draft) -> None:
    """Empty cells are counted by source and year; other kinds were declared."""
    frame, kind = draft.frame, draft.schema.missing_column
    empty = frame[kind] == "empty"
    if not empty.any():
        _check_basis(draft)
        return
    by = [k for k in ("source", "flow", "year") if k in frame]
    counts = frame[empty].groupby(by, sort=True).size()
    words = [f"{_words(key)}: {n}" for key, n in counts.items()]
    draft.find(
        empty,
        "CELLS_MISSING",
        column=draft.schema.value,
        texts=["(empty)"] * int(min(empty.sum(), 20)),
        cells=words,
    )
    _check_basis(draft)


def _words(key: Any) -> str:
    return " ".join(str(k) for k in (key if isinstance(key, tuple) else (key,)))


def _check_basis(draft: Draft) -> None:
    """Registration and occurrence differ by the delay of registration."""
    frame = draft.frame
    if "basis" not in frame or frame["basis"].nunique() < 2:
        return
    counts = frame.groupby("basis")["year"].nunique()
    rare = counts.idxmin()
    years = {b: sorted(set(frame["year"][frame["basis"] == b])) for b in counts.index}
    described = "; ".join(f"{b or '(empty)'} in {listed(y)}" for b, y in years.items())
    draft.find(frame["basis"] == rare, "BASIS_MIXED", column="basis", bases=described)
