"""An account whose last census has not been taken: how sure is the present roll-forward?

The account of an open end is that of a whole period with its last observation missing. At its
end stands a planned census: its count is the roll-forward itself, of which the errors of a
census are shares, and no data. What the sources add up to is then

    roll-forward - true population = sum over sources of (published - true) carried to the end

without the errors of a census, which no figure of this period carries.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from imps.account.account import build_account
from imps.account.gap import rolled_forward_cells
from imps.account.priors import default_priors
from imps.errors import SourceError
from imps.names import AGE, SEX, YEAR
from imps.sources import PLANNED, Sources, Stock
from imps.sources.stocks import NOT_TAKEN


def open_end(
    sources: Sources,
    last_year: int | None = None,
    *,
    detail: str | None = None,
    standard_error: float | None = None,
) -> Sources:
    """The same account without its last census, to any year.

    Parameters
    ----------
    sources : Sources
        With a census, which is withheld, or already of an open end.
    last_year : int, optional
        Year at whose end the account stops, such as 2020 for mid-2020; everything later is
        left out. The last one unless told.
    detail : {"total", "sex", "sex and age"}, optional
        In which the next census will be published; that of the census unless told.
    standard_error : float, optional
        Planned relative standard error of its total; that of the census which is withheld
        unless told.

    Returns
    -------
    Sources
        Of which :attr:`imps.Sources.open_end` is true; :func:`imps.linear_model` and
        :func:`imps.fit` take it like any.

    Raises
    ------
    SourceError
        If the year is none of the account.

    Examples
    --------
    >>> import imps
    >>> case = imps.load_case("england-wales-2011-2021")
    >>> imps.open_end(case.sources, 2020).period
    'mid-2011 to mid-2020, no census yet'
    """
    year = sources.last_year if last_year is None else last_year
    if year not in sources.years:
        raise SourceError(
            f"last_year is {year}: the account of {sources.area} has the years "
            f"{sources.years[0]} to {sources.years[-1]}. Give one of them."
        )
    census = sources.census
    planned = Stock(
        count=sources.base.count,
        observed=detail or sources.census.observed,
        date=sources.year_end.on(year),
        relative_standard_error=(
            census.relative_standard_error if standard_error is None else standard_error
        ),
        vintage=NOT_TAKEN,
        reference="",
        name="census",
        counted=census.counted,
        quality=PLANNED,
    )
    cut = replace(sources, census=planned, **_parts_until(sources, year))
    cells = rolled_forward_cells(build_account(cut, default_priors()))  # asks nothing of a census
    count = sources.base.count.transpose(SEX, AGE).copy(data=np.maximum(cells, 0.0))
    return replace(cut, census=replace(planned, count=count))


def _parts_until(sources: Sources, year: int) -> dict[str, Any]:
    """What changes in sources that are cut at a year, by field."""
    if year == sources.last_year:
        return {}
    changed: dict[str, Any] = {
        name: _until(own, year)
        for name in ("births", "deaths", "immigration", "emigration")
        if (own := getattr(sources, name)) is not None
    }
    for name in ("administrative", "known_sums", "known_changes", "streams"):
        changed[name] = tuple(_until(own, year) for own in getattr(sources, name))
    total = sources.total_migration
    changed["total_migration"] = None if total is None else total.sel({YEAR: total[YEAR] <= year})
    rolled = sources.rolled_forward
    cells = rolled.by_sex_and_age
    if cells is not None:
        cells = cells.sel({YEAR: cells[YEAR] <= year})
        cells = cells if cells.sizes[YEAR] else None
    at_end = None
    if cells is not None and year in cells[YEAR].values:
        at_end = cells.sel({YEAR: year}, drop=True).sum(AGE)
    changed["rolled_forward"] = replace(
        rolled,
        total=rolled.total.sel({YEAR: rolled.total[YEAR] <= year}),
        by_rule=tuple(y for y in rolled.by_rule if y <= year),
        by_sex=at_end,
        by_sex_and_age=cells,
    )
    changed["extra"] = tuple(
        _until(own, year) if is_dataclass(own) else own
        for own in sources.extra
        if _begins(own) <= year
    )
    return changed


def _until(source: Any, year: int) -> Any:
    """A source with the years up to and with `year`; its checks run again."""
    changed: dict[str, Any] = {}
    for part in fields(source):
        own = getattr(source, part.name)
        if isinstance(own, xr.DataArray) and YEAR in own.dims:
            changed[part.name] = own.sel({YEAR: own[YEAR] <= year})
    if eras := getattr(source, "eras", ()):
        changed["eras"] = tuple(
            replace(era, last_year=min(era.last_year, year))
            for era in eras
            if era.first_year <= year
        )
    return replace(source, **changed) if changed else source


def _begins(source: object) -> float:
    """First year of a source of the user's own; none is as early as any."""
    count = getattr(source, "count", None)
    if isinstance(count, xr.DataArray) and YEAR in count.dims:
        return float(count[YEAR].min())
    return float(getattr(source, "year", -np.inf))
