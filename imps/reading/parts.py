"""Totals among parts, and people whose age or sex is not stated, who are in the total alone."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from imps.reading.ages import check_nested
from imps.reading.grid import END, FIRST, Draft, has_no_age, is_all_ages
from imps.reading.labels import NO_AGE, NOT_STATED
from imps.reading.totals import check_total, key_columns, rounding_error

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
