"""Areas of a table: parts beside their whole, and which areas are meant.

References
----------
ONS, Register of geographic codes: E92, W92, S92, N92 are the countries; K02 the
United Kingdom, K03 Great Britain, K04 England and Wales; E12 the regions of England.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

import pandas as pd

from imps.reading.grid import Draft
from imps.reading.totals import compare, key_columns

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
