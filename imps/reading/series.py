"""Checks along a series of years: thousands among persons, lone zeros, stray codes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from imps.reading.grid import Draft
from imps.reading.totals import describe, key_columns

JUMP = (700.0, 1400.0)
"""Ratio of neighbouring years that looks like thousands beside persons."""

LEAST_FOR_JUMP = 500.0
LEAST_FOR_ZERO = 1_000.0
OUTLIER_RATIO = 100.0
LEAST_YEARS_OF_COPY = 3
"""Years in which two series agree in every figure before they are taken for one."""


def check_series(draft: Draft) -> None:
    """Look along each series for thousands among persons, lone zeros and stray codes."""
    value = draft.schema.value
    if draft.schema.nature in ("share", "account"):
        return
    by = key_columns(draft, "year", "date")
    time = [c for c in ("year", "date") if c in draft.frame]
    frame = draft.frame[draft.frame[value].notna()].sort_values(time, kind="stable")
    if frame.empty:
        return
    key = frame.groupby(by, sort=False, dropna=False).ngroup() if by else pd.Series(0, frame.index)
    _check_jumps(draft, frame, key)
    if draft.schema.kind != "streams":  # a complete count has true zeros
        _check_zeros(draft, frame, key)
    _check_outliers(draft, frame, key)
    _check_same_people(draft, frame)


def _check_jumps(draft: Draft, frame: pd.DataFrame, series: pd.Series) -> None:
    """Refuse figures about 1,000 times smaller or larger than those of the year beside them.

    Of the two, the one is named that is also far from the median of its series.
    """
    value = frame[draft.schema.value].where(frame[draft.schema.value] > 0)
    far = np.log10(value / value.groupby(series).transform("median")).abs() >= 1
    size = pd.Series(np.nan, index=value.index)
    for step in (1, -1):
        other = value.groupby(series).shift(step)
        ratio = np.maximum(value, other) / np.minimum(value, other)
        found = ratio.where(ratio.between(*JUMP) & (np.maximum(value, other) >= LEAST_FOR_JUMP))
        size = size.fillna(found)
    jumped = (size.notna() & far).reindex(draft.frame.index, fill_value=False)
    if jumped.any() and draft.options.jumps != "accepted":
        below = value[size.notna() & far].iloc[0] < value.median()
        typical = float(size[size.notna() & far].median())
        code = f"UNIT_JUMP.{'below' if below else 'above'}"
        draft.find(jumped, code, column=draft.schema.value, ratio=typical)


def _check_zeros(draft: Draft, frame: pd.DataFrame, series: pd.Series) -> None:
    value = frame[draft.schema.value]
    least = value.where(value > 0).groupby(series).transform("min")
    positive = (value > 0).groupby(series).transform("sum")
    zero = (value == 0) & (least >= LEAST_FOR_ZERO) & (positive >= 2)
    chosen = zero.reindex(draft.frame.index, fill_value=False)
    if chosen.any():
        cells = describe(draft.frame[chosen], key_columns(draft))
        name = draft.schema.value
        draft.find(chosen, "ZERO_SUSPECT", column=name, least=LEAST_FOR_ZERO, cells=cells)


def _check_outliers(draft: Draft, frame: pd.DataFrame, series: pd.Series) -> None:
    """Codes such as 9999999 stand far above everything else."""
    value = frame[draft.schema.value]
    high = value[value > 99_998].map(lambda v: f"{v:.15g}")
    nines = high.astype(str).str.fullmatch("9{5,}").reindex(value.index, fill_value=False)
    typical = value.median()
    highest = _second_highest(value, series)
    far = (value > OUTLIER_RATIO * highest) & (highest > 0) & (value > 10_000)
    stray = (nines & (value > 10 * typical)) | far
    draft.find(
        stray.reindex(draft.frame.index, fill_value=False),
        "OUTLIER_SUSPECT",
        column=draft.schema.value,
    )


def _second_highest(value: pd.Series, series: pd.Series) -> pd.Series:
    """The second highest value of each series of three or more; infinite for shorter ones."""
    rank = value.groupby(series).rank(method="first", ascending=False)
    second = value.where(rank == 2).groupby(series).transform("max")
    return second.where(value.groupby(series).transform("size") >= 3, np.inf)


def _check_same_people(draft: Draft, frame: pd.DataFrame) -> None:
    """Two sources, or both directions of one, with the same figures count the same people.

    A net change beside a flow is no such pair.
    """
    if "source" not in frame or "flow" not in frame or draft.options.jumps == "accepted":
        return
    cells = key_columns(draft, "source", "flow")
    wide = frame.pivot_table(index=cells, columns=["source", "flow"], values=draft.schema.value)
    years = wide.index.get_level_values("year")
    for (one, other), (left, right) in zip(
        combinations(wide, 2), combinations(wide.to_numpy(float).T, 2), strict=True
    ):
        both = np.isfinite(left) & np.isfinite(right)
        same = bool(both.any()) and np.array_equal(left[both], right[both])
        same = same and (one[1] == "net") == (other[1] == "net")
        if same and (left[both] > 0).any() and years[both].nunique() >= LEAST_YEARS_OF_COPY:
            draft.add("COMPONENT_COUNTED_TWICE.same", column=draft.schema.value,
                      total=int(both.sum()), one=" ".join(one), other=" ".join(other))  # fmt: skip
