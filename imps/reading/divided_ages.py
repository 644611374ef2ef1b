"""Single ages that were never counted: groups of five years, each divided by five."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from imps.reading.findings import listed
from imps.reading.grid import END, FIRST, ROW, Draft
from imps.reading.labels import age_label
from imps.reading.totals import describe, key_columns, summed

DIVIDED: Final = ("population", "deaths")
"""Kinds of which groups of five years may stand as single ages, each a fifth."""

SPREAD_BY_CHANCE: Final = 1e-6
"""Probability that single ages which were counted are taken for groups divided by five."""

FEW_COUNTED: Final = 2
FEW_ROUNDED: Final = 20
"""Units of a figure, persons and rounded ones, up to which five ages may be alike."""

WIDTH: Final = 5
"""Years of the age groups in which figures are published."""


def sum_divided_ages(draft: Draft) -> None:
    """Groups of five years that were divided by five are summed again: that was published."""
    if draft.schema.kind not in DIVIDED:
        return
    frame = draft.frame
    one = (frame[END] == frame[FIRST] + 1) & frame[draft.schema.value].notna()
    if not one.any():
        return
    low = frame[FIRST] // 5 * 5
    of = [k for k in ("vintage", "date", "year") if k in frame and draft.schema.nature == "stock"]
    series = frame.groupby(of, sort=False).ngroup() if of else pd.Series(0, index=frame.index)
    spread = one & series.isin(_evenly(draft, frame[one].assign(_series=series)))
    if not spread.any():
        return
    ends = low[spread] + 5
    bands = [age_label(band) for band in zip(low[spread], ends, strict=True)]
    fives = frame[spread].assign(**{FIRST: low, END: ends, "age_group": bands})
    whole = summed(fives, key_columns(draft), draft)
    draft.frame = pd.concat([frame[~spread], whole], ignore_index=True)
    stocks = describe(fives.drop_duplicates(of), of) if of else ["all years"]
    draft.add("AGES_SPREAD_EVENLY", column="age_group", rows=fives[ROW], of=listed(stocks))


def _evenly(draft: Draft, single: pd.DataFrame) -> list[int]:
    """Series whose single ages are alike within groups of five."""
    by = ["_series", *key_columns(draft, "age_group")]
    cells = single.pivot(index=by, columns=FIRST, values=draft.schema.value)
    cells = cells.reindex(columns=range(int(single[FIRST].max()) + 2))
    of = cells.index.get_level_values("_series").to_numpy()
    values = cells.to_numpy(float)[None]
    return [int(s) for s in np.unique(of) if even_groups(values[:, of == s], SPREAD_BY_CHANCE)]


def even_groups(values: np.ndarray, chance: float) -> bool:
    """Whether figures of single ages (year, sex, age) are equal within groups of five years.

    Those of a few units to which they are rounded may be alike, and say nothing.
    """
    n = WIDTH * ((values.shape[2] - 1) // WIDTH)
    unit = float(common_unit(values))
    groups = values[..., :n].reshape(*values.shape[:2], -1, WIDTH) / unit
    equal = np.ptp(groups, axis=3) <= 1  # a sum that five do not divide
    mean = groups.mean(axis=3)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = 0.5 * (WIDTH - 1) * np.log(np.maximum(4 * np.pi * mean / 9, 1.0))
    known = np.isfinite(mean) & (mean > (FEW_COUNTED if unit == 1 else FEW_ROUNDED))
    told = float(odds[known & equal].sum())
    return bool(known.any() and equal[known].mean() > 0.5 and told > -np.log(chance))


def common_unit(values: np.ndarray) -> int:
    """The largest whole number of which all known figures are multiples; 1 if there is none."""
    known = values[np.isfinite(values)]
    return max(int(np.gcd.reduce(np.round(known).astype(np.int64))), 1) if known.size else 1
