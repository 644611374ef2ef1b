"""Age bands of a table: nested bands, overlaps, gaps, and the open age group.

Totals among parts are settled here too, with people whose age or sex is not stated, who are in
the total alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.grid import END, FIRST, ROW, Draft, has_no_age, is_all_ages
from imps.reading.labels import ALL_AGES, NO_AGE, NOT_STATED, OPEN, age_label
from imps.reading.totals import (
    check_total,
    compare,
    describe,
    key_columns,
    rounding_error,
    summed,
)

Band = tuple[int, int]
OLD_AGES = (60, 99)
"""Ages of whom there are more above than one year below, in any population of some size."""

LEAST_OF_AN_AGE = 100
"""People of one age below which fewer in the group above it may be chance."""

WHOLE = ("population", "deaths", "survey_flows")
"""Kinds of which all ages together may be what was published."""

_NO_BANDS = {ALL_AGES, NO_AGE}


@dataclass(frozen=True)
class Bands:
    """What a set of age bands amounts to.

    Attributes
    ----------
    nested : dict of band to list of bands
        Bands that others fill exactly.
    overlaps : tuple of pairs of bands
    gaps : tuple of (first age, end)
    """

    nested: dict[Band, list[Band]]
    overlaps: tuple[tuple[Band, Band], ...]
    gaps: tuple[Band, ...]


def classify(bands: Iterable[Band]) -> Bands:
    """Sort bands into those that others fill, and find overlaps and gaps in the rest."""
    ordered = sorted(set(bands))
    nested = {band: parts for band in ordered if (parts := _filling(band, ordered))}
    rest = [band for band in ordered if band not in nested]
    pairs = list(pairwise(rest))
    return Bands(
        nested,
        tuple((a, b) for a, b in pairs if b[0] < a[1]),
        tuple((a[1], b[0]) for a, b in pairs if b[0] > a[1]),
    )


def _filling(band: Band, ordered: Sequence[Band]) -> list[Band]:
    """The largest number of smaller bands that fill a band exactly, or none."""
    if band[1] == band[0] + 1:
        return []
    chains: dict[int, list[Band]] = {band[0]: []}
    for part in ordered:  # by first age: what ends where a part begins has been seen
        if part[0] in chains and part[1] <= band[1] and part != band:
            chain = [*chains[part[0]], part]
            if len(chain) > len(chains.get(part[1], ())):
                chains[part[1]] = chain
    return chains.get(band[1], [])


def check_nested(draft: Draft) -> None:
    """Bands that finer ages fill are totals: check them and take them out.

    What is left is the finest partition of the ages; every union of its bands is a check.
    """
    pairs = set(zip(draft.frame[FIRST], draft.frame[END], strict=True)) - _NO_BANDS
    if not classify(pairs).nested:
        return
    series = _series(draft)
    _check_nested(draft, series, {bands: classify(bands) for bands in set(series["_bands"])})


def check_ages(draft: Draft) -> None:
    """Refuse overlaps, gaps and unclear open groups."""
    _read_whole(draft)
    _check_shape(draft, _series(draft))
    if not draft.log.failed:
        _check_open_age(draft)


def _read_whole(draft: Draft) -> None:
    """All ages, where no finer age was published beside them, are one open group from 0."""
    whole = draft.frame[FIRST] == ALL_AGES[0]
    if draft.schema.kind in WHOLE and whole.any():
        draft.frame.loc[whole, [FIRST, END]] = 0, OPEN
        draft.frame.loc[whole, "age_group"] = age_label((0, OPEN))


def _series(draft: Draft) -> pd.DataFrame:
    """The set of bands of each series, with the position of its rows."""
    by = key_columns(draft, "age_group")
    group = draft.frame.groupby(by, sort=False, dropna=False).ngroup().to_numpy()
    codes = draft.frame.groupby([FIRST, END]).ngroup().to_numpy()
    pairs = sorted(set(zip(draft.frame[FIRST], draft.frame[END], strict=True)))
    order = np.lexsort((codes, group))
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    members, bands = np.split(order, cuts), np.split(codes[order], cuts)
    sets = {c.tobytes(): c for c in bands}  # most series have the same bands
    distinct = {key: frozenset(pairs[i] for i in c) - _NO_BANDS for key, c in sets.items()}
    return pd.DataFrame({"_rows": members, "_bands": [distinct[c.tobytes()] for c in bands]})


def _check_nested(draft: Draft, series: pd.DataFrame, kinds: dict[frozenset[Band], Bands]) -> None:
    """Compare bands with the sum of the finer ages that fill them, and take them out."""
    value = draft.schema.value
    records, drop = [], []
    frame = draft.frame
    values = frame[value].to_numpy(float)
    firsts, ends = frame[FIRST].to_numpy(), frame[END].to_numpy()
    for rows, bands in zip(series["_rows"], series["_bands"], strict=True):
        for band, parts in kinds[bands].nested.items():
            at = {(firsts[i], ends[i]): i for i in rows}
            cells = np.array([values[at[part]] for part in parts])
            records.append((at[band], np.nansum(cells), len(parts), np.isfinite(cells).sum()))
            drop.append(at[band])
    if not records:
        return
    index, sums, sizes, known = zip(*records, strict=True)
    joined = frame.loc[list(index)].assign(_sum=sums, _parts=sizes, _known=known)
    compare(draft, joined, key_columns(draft), "band of ages that are also given singly")
    draft.frame = frame.drop(index=drop).reset_index(drop=True)


def _check_shape(draft: Draft, series: pd.DataFrame) -> None:
    """Refuse overlaps and gaps, each pair of bands once with all its rows."""
    places: dict[tuple[str, Band, Band], list[int]] = {}
    shapes: dict[frozenset[Band], Bands] = {}
    firsts, ends = draft.frame[FIRST].to_numpy(), draft.frame[END].to_numpy()
    for rows, bands in zip(series["_rows"], series["_bands"], strict=True):
        if bands not in shapes:
            shapes[bands] = classify(bands)
        shape = shapes[bands]
        if not shape.overlaps and not shape.gaps:
            continue
        at = {(firsts[i], ends[i]): i for i in rows}
        for one, two in shape.overlaps:
            places.setdefault(("AGE_OVERLAP", one, two), []).extend((at[one], at[two]))
        for lost in shape.gaps:
            if draft.options.open_age is not None and lost[0] >= draft.options.open_age:
                continue  # the ages above are summed, as far as there are any
            after = min((band for band in at if band[0] == lost[1]), default=lost)
            places.setdefault(("AGE_GAP", lost, after), []).append(at[after])
    for (code, one, two), rows in places.items():
        _report_shape(draft, code, one, two, rows)


def _report_shape(draft: Draft, code: str, one: Band, other: Band, rows: list[int]) -> None:
    found = draft.frame.loc[rows]
    last = one[1] - 1
    words = (
        {"one": age_label(one), "other": age_label(other)}
        if code == "AGE_OVERLAP"
        else {"ages": f"age {one[0]} is" if last == one[0] else f"ages {one[0]} to {last} are"}
    )
    draft.add(
        code,
        column="age_group",
        rows=found[ROW],
        texts=found["age_group"],
        where=describe(found, key_columns(draft, "age_group"))[0],
        **words,
    )


# The open age group


def _check_open_age(draft: Draft) -> None:
    declared = draft.options.open_age
    by = key_columns(draft, "age_group")
    last = draft.frame.loc[draft.frame.groupby(by, sort=False, dropna=False)[FIRST].idxmax()]
    if declared is not None:
        alone = last[(last[FIRST] == declared) & (last[END] == declared + 1)]
        if not alone.empty and draft.options.jumps is None and _is_one_age(draft, alone):
            draft.add(
                "OPEN_AGE_NEEDED.refuted",
                column="age_group",
                rows=alone[ROW],
                texts=alone["age_group"],
                age=declared,
                after=declared + 1,
            )
            return
        _sum_open_age(draft, declared)
        return
    closed = last[(last[END] != OPEN) & (last[FIRST] != ALL_AGES[0])]
    if not closed.empty:
        _ask_about_last(draft, closed)
        return
    _ask_about_changes(draft, last)


def _ask_about_last(draft: Draft, closed: pd.DataFrame) -> None:
    """A last age without a plus sign is an open group, or nobody above it is in the table."""
    age, start = closed["age_group"].iloc[0], int(closed[FIRST].iloc[0])
    where: dict[str, Any] = {"rows": closed[ROW], "texts": closed["age_group"]}
    if _is_one_age(draft, closed):
        after = int(closed[END].iloc[0])
        draft.add("OPEN_AGE_NEEDED.closed", column="age_group", age=age, after=after, **where)
    else:
        draft.add("OPEN_AGE_NEEDED", column="age_group", age=age, start=start, **where)


def _is_one_age(draft: Draft, last: pd.DataFrame) -> bool:
    """Whether the last age of people or deaths holds fewer than the single age before it.

    An open group from the ages of `OLD_AGES` on holds more, of people and of deaths alike.
    """
    frame, value = draft.frame, draft.schema.value
    age = int(last[FIRST].iloc[0])
    if draft.schema.nature not in ("stock", "events") or not OLD_AGES[0] <= age <= OLD_AGES[1]:
        return False
    before = frame[(frame[FIRST] == age - 1) & (frame[END] == age)]
    here = last[last[FIRST] == age]
    fewer = LEAST_OF_AN_AGE <= before[value].sum() > here[value].sum() > 0
    return bool(fewer and len(before) == len(here))


def _ask_about_changes(draft: Draft, last: pd.DataFrame) -> None:
    """The open group has to be the same in all years of a table."""
    table = [k for k in ("area", "source", "flow", "citizenship", "sex") if k in last]
    groups = last.groupby(table, sort=False) if table else [("", last)]
    for _, series in groups:
        ordered = series.sort_values("year")
        starts = ordered[FIRST].to_numpy()
        changed = np.flatnonzero(np.diff(starts)) + 1
        if changed.size:
            at = ordered.iloc[changed]
            draft.add(
                "OPEN_AGE_CHANGES.years",
                column="age_group",
                rows=at[ROW],
                texts=at["age_group"],
                before=starts[changed[0] - 1],
                after=starts[changed[0]],
                year=at["year"].iloc[0],
                low=int(starts.min()),
            )
            return


def _sum_open_age(draft: Draft, age: int) -> None:
    frame = draft.frame
    across = (frame[FIRST] < age) & (frame[END] > age)
    if draft.find(
        across,
        "OPEN_AGE_CHANGES.across",
        column="age_group",
        age=age,
        low=int(frame[FIRST][across].min() if across.any() else 0),
    ):
        return
    upper = frame[FIRST] >= age
    finer = upper & ~((frame[FIRST] == age) & (frame[END] == OPEN))
    if not finer.any():
        return
    frame = frame.copy()
    frame.loc[upper, FIRST], frame.loc[upper, END] = age, OPEN
    frame.loc[upper, "age_group"] = age_label((age, OPEN))
    rows = frame.loc[finer, ROW]
    by = key_columns(draft)
    top = summed(frame[upper], by, draft)
    draft.frame = pd.concat([frame[~upper], top], ignore_index=True)
    draft.add("OPEN_AGE_SUMMED", column="age_group", rows=rows, age=age)


CITIZENSHIP_TOTALS: Final = ("all", "total", "all citizenships", "all nationalities", "_t")
LARGEST_REMAINDER: Final = 0.1
"""Share of a total that may be people of unknown age or sex without a row of their own."""

_WORDS: Final = {"sex": "sex", "age_group": "age"}


def use_totals_as_checks(draft: Draft) -> None:
    """Check totals of citizenship, sex and age against their parts and take them out.

    People of unknown sex or age are parts of such totals, and are settled behind them. Of ages
    the finest partition is the data, and every union of its bands is a total.
    """
    if "citizenship" in draft.frame:
        labels = draft.frame["citizenship"].str.casefold()
        check_total(draft, "citizenship", labels.isin(CITIZENSHIP_TOTALS))
    if "sex" in draft.frame:
        _remainder_is_not_stated(draft, "sex")
        check_total(draft, "sex", draft.frame["sex"] == "persons")
        _settle(draft, "sex")
    if "age_group" in draft.frame and not draft.frame.empty:
        check_nested(draft)
        _remainder_is_not_stated(draft, "age_group")
        check_total(draft, "age_group", is_all_ages(draft.frame))
        _settle(draft, "age_group")


def _totals(draft: Draft, column: str) -> pd.Series:
    return is_all_ages(draft.frame) if column == "age_group" else draft.frame["sex"] == "persons"


def _unknown(draft: Draft, column: str) -> pd.Series:
    return has_no_age(draft.frame) if column == "age_group" else draft.frame["sex"] == NOT_STATED


def _remainder_is_not_stated(draft: Draft, column: str) -> None:
    """What a total holds beyond its parts becomes a row of people not stated, if so declared."""
    if draft.options.not_stated is None:
        return
    frame, value, by = draft.frame, draft.schema.value, key_columns(draft, column)
    is_total, unknown = _totals(draft, column), _unknown(draft, column)
    sums = frame[~is_total].groupby(by, sort=False, dropna=False)[value]
    parts = sums.agg(_sum="sum", _parts="size", _known="count")
    told = frame[unknown & frame[value].notna()].groupby(by, sort=False, dropna=False)[value]
    parts["_told"] = told.sum().reindex(parts.index).notna()
    parts["_blank"] = frame[unknown].groupby(by, sort=False).size().reindex(parts.index).fillna(0)
    joined = frame[is_total].merge(parts.reset_index(), on=by, how="inner")
    rest = joined[value] - joined["_sum"]
    slack = rounding_error(draft) * joined["_parts"] + 1e-9
    found = (rest > slack) & (rest <= LARGEST_REMAINDER * joined[value]) & ~joined["_told"]
    found &= joined["_known"] + joined["_blank"] == joined["_parts"]
    if not found.any():
        return
    new = joined.loc[found, list(frame.columns)].assign(**{value: rest[found]})
    if column == "sex":
        new = new.assign(sex=NOT_STATED)
    else:
        new = new.assign(age_group=NOT_STATED, **{FIRST: NO_AGE[0], END: NO_AGE[1]})
    blank = unknown & frame[value].isna()
    draft.frame = pd.concat([frame[~blank], new], ignore_index=True)


def _settle(draft: Draft, column: str) -> None:
    """Share out people not stated in proportion, or leave them out, as declared; else ask."""
    unknown, value = _unknown(draft, column), draft.schema.value
    if not unknown.any():
        return
    frame, words = draft.frame, _WORDS[column]
    people = float(frame[value][unknown].sum())
    if draft.options.not_stated is None:
        draft.find(unknown, "NOT_STATED", column=column, what=words, people=people)
        return
    draft.log.use("not_stated")
    kept = frame[~unknown].reset_index(drop=True)
    share = people / max(people + float(kept[value].sum()), 1e-300)
    if draft.options.not_stated == "leave-out":
        draft.find(unknown, "NOT_STATED_LEFT_OUT", column=column, what=words, people=people,
                   share=share)  # fmt: skip
    elif "standard_error" in frame and frame["standard_error"].notna().any():
        draft.find(unknown, "NOT_STATED.errors", column=column, what=words)
    else:
        new, left = _apportioned(kept, frame[unknown], key_columns(draft, column), column, value)
        if left:
            draft.find(unknown, "NOT_STATED.nobody", column=column, what=words, people=left)
        draft.find(unknown, "NOT_STATED_APPORTIONED", column=column, what=words, people=people,
                   share=share)  # fmt: skip
        kept = kept.assign(**{value: new})
    draft.frame = kept


def _apportioned(
    kept: pd.DataFrame, unknown: pd.DataFrame, by: list[str], column: str, value: str
) -> tuple[np.ndarray, float]:
    """Figures with the people not stated shared out in proportion, and how many found no cell.

    Whole figures stay whole, by the largest remainders, so that every total is met exactly. The
    sexes of a cell without anyone share by those of its year.
    """
    extra = unknown.groupby(by, sort=False, dropna=False)[value].sum().rename("_more")
    merged = kept[by].merge(extra.reset_index(), on=by, how="left")
    more = merged["_more"].fillna(0.0).to_numpy()
    given = np.nan_to_num(kept[value].to_numpy(float))
    group = kept.groupby(by, sort=False, dropna=False).ngroup().to_numpy()
    weight, total = given, np.bincount(group, given)
    if column == "sex":
        year = kept.groupby([k for k in (*by, "sex") if k not in ("age_group", FIRST, END)],
                            sort=False, dropna=False).ngroup().to_numpy()  # fmt: skip
        weight = np.where(total[group] > 0, given, np.bincount(year, given)[year])
        total = np.bincount(group, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(total[group] > 0, more * weight / total[group], 0.0)
    exact = given + part
    if np.array_equal(given, np.round(given)) and np.array_equal(more, np.round(more)):
        whole = np.floor(exact + 1e-9)
        lacking = np.round(np.bincount(group, exact - whole))[group]
        order = pd.Series(exact - whole).groupby(group).rank(method="first", ascending=False)
        exact = whole + (order.to_numpy() <= lacking)
    missing = np.isnan(kept[value].to_numpy(float)) & (exact == 0)
    left = float(unknown[value].sum() - (exact - given).sum())
    return np.where(missing, np.nan, exact), left if abs(left) > 0.5 else 0.0
