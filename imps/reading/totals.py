"""Totals and parts, areas among them, and series of years, in one table.

Totals check their parts and never enter the data. Along a series are looked for thousands among
persons, lone zeros and stray codes.

References
----------
ONS, Register of geographic codes: E92, W92, S92, N92 are the countries; K02 the
United Kingdom, K03 Great Britain, K04 England and Wales; E12 the regions of England.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.findings import SHOWN
from imps.reading.grid import ROW, Draft
from imps.reading.options import PART, PARTS, UNITS

_KEYS = (
    "area",
    "vintage",
    "source",
    "date",
    "year",
    "flow",
    "citizenship",
    "sex",
    "age_group",
)


def key_columns(draft: Draft, *without: str) -> list[str]:
    """Columns that identify a row, without some of them."""
    return [k for k in _KEYS if k in draft.frame and k not in without]


def rounding_unit(draft: Draft) -> float:
    """Unit to which the figures are rounded: declared, or as their decimals show; 0 if exact."""
    if draft.options.rounding is not None:
        return float(draft.options.rounding)
    decimals = int(draft.metadata.get("decimals", "0"))
    factor = UNITS.get(draft.metadata.get("unit", "persons"), 1.0)
    return float(factor * 10.0**-decimals) if decimals or factor > 1 else 0.0


def describe(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Rows in words, for messages: "2011 female 30-34"."""
    shown = frame.loc[:, [k for k in keys if k not in ("date",)]].head(SHOWN)
    return [" ".join(str(v) for v in row if str(v)) for row in shown.itertuples(index=False)]


def check_total(draft: Draft, column: str, is_total: pd.Series) -> None:
    """Compare total rows with the sum of their parts; those without parts stay."""
    total, parts = draft.frame[is_total], draft.frame[~is_total]
    if total.empty or parts.empty:
        return
    by = key_columns(draft, column)
    sums = _sums(parts, by, draft.schema.value)
    joined = total[[*by, ROW, draft.schema.value]].merge(sums, on=by, how="left")
    joined.index = total.index
    matched = joined["_parts"].notna()
    compare(draft, joined[matched], by, f"total over {column.replace('_', ' ')}")
    draft.frame = draft.frame.drop(index=joined.index[matched]).reset_index(drop=True)


def _sums(parts: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Sum, number and number of missing parts of each total."""
    grouped = parts.groupby(by, sort=False, dropna=False)[value] if by else None
    if grouped is None:
        values = parts[value]
        row = {"_sum": values.sum(), "_parts": values.size, "_known": values.count()}
        return pd.DataFrame([row])
    return grouped.agg(_sum="sum", _parts="size", _known="count").reset_index()


def compare(draft: Draft, joined: pd.DataFrame, by: list[str], what: str) -> None:
    """Refuse totals that differ from their parts; count those that agree.

    `joined` holds the total, `_sum`, `_parts` and `_known` of each.
    """
    if joined.empty:
        return
    value = draft.schema.value
    total, parts = joined[value].to_numpy(float), joined["_sum"].to_numpy(float)
    known = joined["_known"].to_numpy() == joined["_parts"].to_numpy()
    known &= ~np.isnan(total)
    slack = tolerance(2 * rounding_error(draft), joined["_parts"].to_numpy(float), total)
    bad = known & (np.abs(total - parts) > slack)
    allowed = rounding_error(draft) * joined["_parts"].to_numpy(float)
    if bad.any():
        rows = joined[bad]
        first = describe(rows, by)[0] if by else "the table"
        above = bool((total - parts)[bad].min() > 0 and draft.options.not_stated is None)
        above = above and not _rounded(draft.frame[value])
        draft.add(
            "TOTAL_MISMATCH.remainder" if above and _may_be_unknown(what) else "TOTAL_MISMATCH",
            column=value,
            rows=rows[ROW],
            texts=[
                f"{t:,.10g} against {p:,.10g}" for t, p in zip(total[bad], parts[bad], strict=True)
            ],
            what=what,
            where=first,
            given=total[bad][0],
            parts=parts[bad][0],
            difference=(total - parts)[bad][0],
            allowed=allowed[bad][0],
        )
    unknown = int((~known).sum())
    note = f"; {unknown} of them with a missing part could not be checked" if unknown else ""
    draft.add("TOTAL_AS_CHECK", rows=joined[ROW], what=what, note=note)


def _rounded(values: pd.Series) -> bool:
    """Whether all figures are multiples of a whole number, as rounded ones are."""
    whole = values.dropna().round().astype("int64")
    return len(whole) > 1 and int(np.gcd.reduce(whole.to_numpy())) > 1


def _may_be_unknown(what: str) -> bool:
    """Whether people of unknown age or sex could be in a total and in none of its parts."""
    return what.endswith((" age group", " sex"))


def rounding_error(draft: Draft) -> float:
    """By how much a figure may differ from the exact one because it was rounded."""
    if draft.options.rounding is not None:
        return draft.options.rounding_error
    return 0.5 * rounding_unit(draft)


def tolerance(rounding: float, parts: Any, total: Any) -> np.ndarray:
    """By how much a total may differ from its parts: half a unit of rounding per part."""
    return np.asarray(parts * 0.5 * rounding + 1e-9 * np.abs(np.nan_to_num(total)) + 1e-9)


def summed(frame: pd.DataFrame, by: list[str], draft: Draft) -> pd.DataFrame:
    """Sum rows that have the same keys; independent errors add up in quadrature.

    A sum with a missing part is missing. Bounds of intervals do not add up and
    are left out; ends are recovered from the standard error.
    """
    schema = draft.schema
    grouped = frame.groupby(by, sort=False, dropna=False)
    out = grouped[[ROW]].first()
    for name in schema.values:
        if name not in frame:
            continue
        values = frame[name] ** 2 if name in ("standard_error", "half_width_95") else frame[name]
        total = values.groupby([frame[k] for k in by], sort=False, dropna=False).agg(_strict_sum)
        if name in ("standard_error", "half_width_95"):
            total = np.sqrt(total)
        out[name] = np.nan if name in ("lower", "upper", "cv") else total.to_numpy()
    for name in frame.columns:
        if name not in out and name not in by:
            out[name] = grouped[name].agg(_first_text) if _is_text(frame[name]) else grouped[
                name].first()  # fmt: skip
    return out.reset_index()[list(frame.columns)]


def _strict_sum(values: pd.Series) -> float:
    return float(values.to_numpy().sum())


def _first_text(values: pd.Series) -> str:
    return next((text for text in values if text), "")


def _is_text(values: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(values)


def sum_parts(draft: Draft) -> None:
    """Sum quarters or months to years; a year that lacks one is left out.

    Sampling errors of the parts are independent. A part that is given twice is left for the
    check of duplicates.
    """
    if PART not in draft.frame:
        return
    kind, frame = draft.metadata.pop("parts"), draft.frame
    by = [frame[key] for key in key_columns(draft)]
    n, distinct = (frame[PART].groupby(by, dropna=False).transform(f) for f in ("size", "nunique"))
    draft.frame = frame.drop(columns=PART)
    whole = (frame[PART] == "").groupby(by, dropna=False).transform("any") & (distinct > 1)
    if draft.find(whole | (distinct > PARTS[kind]), "PARTS_OF_YEARS.overlap", column="year"):
        return
    if (n != distinct).any():
        return
    short = frame.loc[distinct < PARTS[kind], "year"]
    lost = frame["year"].isin(set(short))
    if lost.all():
        draft.add("PARTS_OF_YEARS.none", column="year", rows=frame[ROW], kind=kind,
                  years=sorted(set(short)))  # fmt: skip
        return
    if lost.any():
        draft.add("PARTS_OF_YEARS.short", column="year", rows=frame[ROW][lost], kind=kind,
                  years=sorted(set(short)))  # fmt: skip
    draft.add("PARTS_OF_YEARS", column="year", rows=frame[ROW][~lost], kind=kind,
              period=draft.metadata["period"])  # fmt: skip
    left: pd.DataFrame = draft.frame[~lost].reset_index(drop=True)
    draft.frame = summed(left, key_columns(draft), draft)


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


GEOGRAPHIES: Final = MappingProxyType(
    {
        "K02000001": "United Kingdom",
        "K03000001": "Great Britain",
        "K04000001": "England and Wales",
        "E92000001": "England",
        "W92000004": "Wales",
        "S92000003": "Scotland",
        "N92000002": "Northern Ireland",
    }
)
_PARTS: Final = MappingProxyType(
    {
        "K02000001": ("K03", "K04", "E", "W", "S", "N"),
        "K03000001": ("K04", "E", "W", "S"),
        "K04000001": ("E", "W"),
        "E92000001": ("E1", "E0"),
        "W92000004": ("W0", "W1"),
        "S92000003": ("S1", "S0"),
        "N92000002": ("N0", "N1"),
    }
)
CODE: Final = re.compile(r"[EKWSNJ][0-9]{8}")
AREA_CODE: Final = re.compile(r"(?=.*[0-9])[A-Z0-9][A-Z0-9_.-]*")
"""Code of an area of any country: capitals and digits."""


def parts_of(whole: str, areas: set[str]) -> set[str]:
    """Areas among `areas` that lie inside `whole`, by their official codes."""
    starts = _PARTS.get(whole, ())
    return {a for a in areas if a != whole and CODE.fullmatch(a) and a.startswith(starts)}


def check_areas(draft: Draft) -> None:
    """Refuse an area beside its parts; ask which areas are meant when there are several."""
    if "area" not in draft.frame:
        return
    areas = set(draft.frame["area"])
    for whole in sorted(areas & set(_PARTS)):
        inside = parts_of(whole, areas)
        if inside and draft.options.area_totals == "check":
            _check_whole(draft, whole, inside)
        elif inside:
            rows = draft.frame["area"] == whole
            draft.find(rows, "AREA_OVERLAP", column="area", name=GEOGRAPHIES[whole], parts=inside)
            return


def _check_whole(draft: Draft, whole: str, inside: set[str]) -> None:
    """Compare an area with the sum of its parts and take it out."""
    frame, value = draft.frame, draft.schema.value
    by = key_columns(draft, "area")
    is_whole = frame["area"] == whole
    parts = frame[frame["area"].isin(_outermost(inside))]
    sums = parts.groupby(by, sort=False, dropna=False)[value]
    table = sums.agg(_sum="sum", _parts="size", _known="count").reset_index()
    joined = frame[is_whole].merge(table, on=by, how="inner")
    compare(draft, joined, by, f"total over the parts of {whole}")
    draft.frame = frame[~is_whole].reset_index(drop=True)


def _outermost(inside: set[str]) -> list[str]:
    """Parts that are not themselves inside another part."""
    nested = {a for whole in inside for a in parts_of(whole, inside)}
    return sorted(inside - nested)


def unmatched(left: pd.Series, right: pd.Series) -> tuple[list[str], list[str]]:
    """Areas of each of two tables that the other does not have."""
    a, b = set(left), set(right)
    return sorted(a - b), sorted(b - a)
