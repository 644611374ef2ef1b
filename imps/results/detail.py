"""What tables, maps and figures may tell apart: nothing finer than was published."""

from __future__ import annotations

import numpy as np
import xarray as xr

from imps.errors import LabelError
from imps.names import AGE, AGE_GROUP, SEX
from imps.sources import TOTAL, Sources
from imps.sources.definitions import Detail
from imps.sources.streams import first_ages

PERSONS = "persons"
"""Label of both sexes together."""


def detail_at_end(sources: Sources) -> Detail:
    """Sexes and ages of the last stock; those of the account where it has no ages."""
    if sources.census.with_ages:
        return sources.census.cells
    return Detail(True, tuple(range(sources.ages.size)))


def detail_of_flows(sources: Sources) -> Detail:
    """Sexes and ages that the flows with published ages, and the last stock, have in common."""
    end = detail_at_end(sources)
    ages = set(end.lower_ages)
    for survey in sources.survey_flows.values():
        if survey.observed != TOTAL:
            for of_sex in survey.lower_ages.values.astype(int):
                ages &= set(of_sex.tolist())
    for stream in sources.streams:
        if AGE_GROUP in stream.count.dims:
            ages &= set(first_ages(stream.count).astype(int).ravel())
    return Detail(end.by_sex, tuple(sorted(ages)))


def in_detail(cells: xr.DataArray, detail: Detail) -> xr.DataArray:
    """Sums of (..., sex, age) over what was published together; ages are first ages."""
    out = cells if detail.by_sex else cells.sum(SEX, skipna=False).expand_dims({SEX: [PERSONS]})
    if tuple(int(a) for a in cells[AGE].values) == detail.lower_ages:
        return out.transpose(*cells.dims)
    first = np.array(detail.lower_ages)
    group = first[np.searchsorted(first, cells[AGE].values, side="right") - 1]
    summed = out.assign_coords({AGE: group}).groupby(AGE).sum(skipna=False)
    return summed.transpose(*cells.dims)


def age_said(detail: Detail, first: int) -> str:
    """An age group in words: "23", "20–24", "85+"; it may be a group of groups."""
    lower = detail.lower_ages
    at = lower.index(int(first))
    if at == len(lower) - 1:
        return f"{first}+"
    last = lower[at + 1] - 1
    return f"{first}" if last == first else f"{first}–{last}"


def in_bands(detail: Detail, width: int) -> Detail:
    """The same with ages in bands of at least a width, as far as published groups allow."""
    kept: list[int] = []
    for age in detail.lower_ages:
        if not kept or age // width > kept[-1] // width:
            kept.append(age)
    return Detail(detail.by_sex, tuple(kept))


def needs_sexes(detail: Detail, what: str) -> None:
    """Refuse a figure or table by sex of an account in which no sex was published.

    Raises
    ------
    LabelError
    """
    if not detail.by_sex:
        raise LabelError(f"{what} is by sex, and the last stock was published for persons only: "
                         "leave the sex out.")  # fmt: skip
