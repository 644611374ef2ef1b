"""Do the sources of several periods follow each other, so that they can be one chain?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from imps.demography.periods import spelt_out
from imps.errors import DefinitionError, SourceError, some
from imps.names import AGE, SEX, SEXES
from imps.sources.sources import Sources
from imps.sources.stocks import BY_SEX_AND_AGE, TOTAL, Stock

ROUNDING = 1.0
"""Persons by which a census and the base made of it may differ in a cell, or in total."""


def check_chain(sources: Sequence[Sources], revised: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of the periods, such as "2001-2011", if each begins where the one before ends.

    Parameters
    ----------
    sources : sequence of Sources
        In order of time.
    revised : tuple of str
        Periods whose base is a revised figure of the census before it.

    Raises
    ------
    SourceError
        If there is a gap or an overlap, if a base differs from its census and nobody says why,
        or if a roll-forward belongs to another base.
    DefinitionError
        If areas, ages or ends of years differ.
    """
    if not sources:
        raise SourceError("a chain needs the sources of at least one period, got none.")
    names = tuple(f"{own.first_year}-{own.last_year}" for own in sources)
    unknown = [name for name in revised if name not in names[1:]]
    if unknown:
        raise SourceError(
            f"revised names {some(unknown)}: the periods with a census before them are "
            f"{some(names[1:]) or 'none'}."
        )
    for name, own in zip(names, sources, strict=True):
        _check_rolled(name, own)
    for (one, before), (other, after) in pairwise(zip(names, sources, strict=True)):
        _check_follows(one, before, other, after)
        _check_alike(one, before, other, after)
        if other not in revised:
            _check_same_census(one, before.census, other, after.base)
    return names


def _check_rolled(name: str, own: Sources) -> None:
    first = float(own.rolled_forward.total[0])
    if abs(first - own.base.total) > ROUNDING:
        raise SourceError(
            f"period {name}: its roll-forward begins with {first:,.0f} persons and its base "
            f"'{own.base.vintage}' has {own.base.total:,.0f}: '{own.rolled_forward.vintage}' "
            "belongs to another base. Take the roll-forward of this base, or its base."
        )


def _check_follows(one: str, before: Sources, other: str, after: Sources) -> None:
    if before.open_end:
        raise SourceError(
            f"period {one} has no census at its end, and period {other} begins there: only the "
            "last period of a chain may have an open end."
        )
    if before.last_year == after.first_year:
        return
    what = "a gap" if after.first_year > before.last_year else "an overlap"
    raise SourceError(
        f"period {one} ends at {before.said(before.last_year)} and period {other} begins at "
        f"{after.said(after.first_year)}: there is {what} between them. Give periods in order of "
        "time, each from the census of the one before."
    )


def _check_alike(one: str, before: Sources, other: str, after: Sources) -> None:
    for what, a, b in (
        ("area", before.area, after.area),
        ("last age", int(before.ages[-1]), int(after.ages[-1])),
        ("end of years", before.year_ends, after.year_ends),
    ):
        if a != b:
            raise DefinitionError(
                f"the {what} of period {one} is '{a}', that of period {other} '{b}': a chain has "
                "one. Bring both to the same."
            )


def _check_same_census(one: str, census: Stock, other: str, base: Stock) -> None:
    """One census is one figure, in the detail in which both were published."""
    if census.date != base.date:
        return  # moved to the end of the year: its change is that of the account
    details = {census.observed, base.observed}
    a, b = (s.count.transpose(SEX, AGE).values for s in (census, base))
    if TOTAL in details:
        a, b = np.atleast_1d(a.sum()), np.atleast_1d(b.sum())
    elif details != {BY_SEX_AND_AGE}:
        a, b = a.sum(axis=1), b.sum(axis=1)
    apart = np.abs(a - b)
    if (apart <= ROUNDING).all():
        return
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    where = " ".join(map(str, (SEXES[at[0]], *at[1:]))) if apart.size > 1 else "all ages"
    raise SourceError(
        f"the census of {spelt_out(census.date)} counts {census.total:,.0f} persons as the end of "
        f"period {one} ('{census.vintage}') and {base.total:,.0f} as the base of period {other} "
        f"('{base.vintage}'); most apart at {where}: {a[at]:,.0f} and {b[at]:,.0f}. Is it a "
        f"revision or an error? If it was revised, say so: revised=['{other}']. Else correct one."
    )
