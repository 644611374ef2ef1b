"""Sampling error of the International Passenger Survey from its published tables.

Whoever has interviews uses :mod:`imps.sources.estimation`. Whoever has only the
published estimate, 95 % half-width and contacts of a cell uses this module:
standard errors and design effects as published, and a smoothed (generalised)
variance function, so that a cell with no or few contacts never counts as known
exactly. Likelihoods for tiny cells are in :mod:`imps.sources.cell_likelihood`.

Why smooth: the published half-width of a small cell is itself estimated from the
few contacts of that cell and is small exactly when the estimate is small by
chance. Weighting cells by it pulls a fit towards the cells that happened to be low.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imps.errors import DefinitionError, MissingCellError, SourceError, some

Z_95 = 1.96
"""Multiplier of the published half-widths (ONS, IPS margins of error, notes)."""

ROUNDING = 100.0
"""Published estimates are rounded to 0.1 thousand, in persons."""

ERAS: tuple[tuple[str, int, int], ...] = (
    ("1975-1990", 1975, 1990),
    ("1991-2000", 1991, 2000),
    ("2001-2006", 2001, 2006),
    ("2007-2008", 2007, 2008),
    ("2009-", 2009, 2019),
)
"""Periods of constant survey design: the emigrant sample was tripled in 2007 and the whole
survey redesigned in 2009 (ONS, Port Survey Review stage two, 2009)."""

CELL_COLUMNS = ("year", "flow", "sex", "age_group", "estimate", "half_width_95", "contacts")
FLOWS = ("immigration", "emigration")


def load_published_ips(*, headline: bool = False) -> pd.DataFrame:
    """Published IPS estimates of long-term migrants by sex and age group, 1975 to 2012.

    United Kingdom, calendar years. Flows with the Irish Republic are excluded
    before 2008 and included from 2008. These are IPS estimates, not LTIM: they
    hold no switchers and few asylum seekers.

    Parameters
    ----------
    headline : bool
        False gives the cells (two sexes, five age groups); True gives one row per
        year and flow for all persons. The two are never mixed in one table, because
        adding them would count everyone twice.

    Returns
    -------
    DataFrame
        `year`, `flow`, `sex`, `age_group`, `contacts` (interviews), `estimate` and
        `half_width_95` (persons, rounded at source to 100). The upper age groups end
        at pension age: 45 to 64 and 65+ for men, 45 to 59 and 60+ for women.

    References
    ----------
    ONS (2013), 1.02 IPS Margins of Error, 1975-2012, Series MN, 28 November 2013.
    Crown copyright, Open Government Licence v3.0.
    """
    source = files("imps") / "cases" / "ips_published" / "ips_1975_2012.csv"
    with source.open("r", encoding="utf-8") as stream:
        table = pd.read_csv(stream)
    return table[(table["age_group"] == "all ages") == headline].reset_index(drop=True)


def era_of(year: ArrayLike) -> NDArray[np.str_]:
    """Name of the survey era of each calendar year; see `ERAS`.

    Raises
    ------
    DefinitionError
        If a year lies outside the eras of the survey's migration tables.
    """
    years = np.atleast_1d(np.asarray(year, dtype=int))
    names = np.full(years.shape, "", dtype="<U9")
    for name, first, last in ERAS:
        names[(years >= first) & (years <= last)] = name
    outside = np.unique(years[names == ""])
    if outside.size:
        raise DefinitionError(
            f"year {some(outside)}: outside the IPS eras {ERAS[0][1]} to {ERAS[-1][2]}. "
            "Drop these years, or derive their standard errors elsewhere."
        )
    return names


def standard_error(half_width_95: ArrayLike) -> NDArray[np.float64]:
    """Standard error of a published estimate, from its 95 % half-width (same unit).

    Half-width / 1.96. A half-width rounded to 0 means under 50 persons, not certainty:
    use :func:`smoothed_standard_errors` in a likelihood.

    References
    ----------
    ONS (2013), 1.02 IPS Margins of Error, notes: SE % = CI / (0.0196 x estimate).
    """
    half_width = np.asarray(half_width_95, dtype=float)
    refuse_negative(half_width, "half_width_95")
    return half_width / Z_95


def net_standard_error(immigration_se: ArrayLike, emigration_se: ArrayLike) -> NDArray[np.float64]:
    """Standard error of net migration: the root of the sum of squares of both flows'.

    Arrivals and departures are sampled in separate shifts, so the two errors are
    independent; the published net half-widths follow this rule within rounding.
    """
    return np.hypot(np.asarray(immigration_se, float), np.asarray(emigration_se, float))


def design_effect(
    estimate: ArrayLike, standard_error: ArrayLike, contacts: ArrayLike
) -> NDArray[np.float64]:
    """Design effect of each cell: CV squared times contacts.

    The variance relative to that of a simple count of the same number of
    contacts with equal weights. Cells without contacts or with a zero estimate give NaN.

    Notes
    -----
    deff = (SE / Y)^2 n, with Y the estimate (persons) and n its contacts.
    """
    size, se, n = (np.asarray(x, dtype=float) for x in (estimate, standard_error, contacts))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (se / size) ** 2 * n
    return np.where((size > 0) & (n > 0), ratio, np.nan)


def pooled_design_effect(
    estimate: ArrayLike, standard_error: ArrayLike, contacts: ArrayLike
) -> float:
    """One design effect for many cells: sum of variances over sum of Y^2 / n.

    Steadier than the mean of :func:`design_effect`, because large cells, whose
    standard errors are well estimated, weigh most.
    """
    size, se, n = (np.asarray(x, dtype=float) for x in (estimate, standard_error, contacts))
    used = (size > 0) & (n > 0) & np.isfinite(se)
    if not used.any():
        raise MissingCellError(
            "design effect: no cell has an estimate, contacts and a standard error. "
            "Supply at least one cell with all three."
        )
    return float((se[used] ** 2).sum() / (size[used] ** 2 / n[used]).sum())


@dataclass(frozen=True)
class VarianceFunction:
    """Smoothed sampling variance of an IPS cell against its size.

    Attributes
    ----------
    factors : DataFrame
        One row per `flow` and `era`: `factor` (variance per person of estimate and per
        person of grossing weight: a design effect), `slope` of log variance on log
        size among the cells (1 means that variance is proportional to size) and `cells`.
    """

    factors: pd.DataFrame

    def variance(
        self, size: ArrayLike, *, grossing_weight: ArrayLike, year: ArrayLike, flow: ArrayLike
    ) -> NDArray[np.float64]:
        """Sampling variance (persons squared) of cells of a given expected size.

        Parameters
        ----------
        size : array, persons
            Expected estimate of each cell; not the noisy estimate itself.
        grossing_weight : array, persons per contact
        year, flow : array
            Calendar year, and 'immigration' or 'emigration'.

        Notes
        -----
        V(Y) = c[flow, era] * w * Y + 100^2 / 12; the last term is the rounding of the
        published estimate to 0.1 thousand.
        """
        expected = np.asarray(size, dtype=float)
        refuse_negative(expected, "size")
        factor = self.factor(np.atleast_1d(np.asarray(flow)), era_of(year))
        return factor * np.asarray(grossing_weight, float) * expected + ROUNDING**2 / 12

    def factor(self, flow: NDArray, era: NDArray) -> NDArray[np.float64]:
        """Design effect c of each flow and era; an unknown pair is an error."""
        known = {
            (str(row.flow), str(row.era)): float(row.factor) for row in self.factors.itertuples()
        }
        pairs = [(str(f), str(e)) for f, e in zip(*np.broadcast_arrays(flow, era), strict=True)]
        missing = sorted(set(pairs) - set(known))
        if missing:
            raise MissingCellError(
                f"variance function: no factor for {some(missing)}; it was fitted to "
                f"{some(sorted(known))}. Fit it to a table that holds these years and flows."
            )
        return np.array([known[pair] for pair in pairs])


def fit_variance_function(table: pd.DataFrame) -> VarianceFunction:
    """Fit the smoothed variance function to published cells, by flow and era.

    Parameters
    ----------
    table : DataFrame
        One row per `year`, `flow`, `sex`, `age_group`, with `estimate` and
        `half_width_95` (persons) and `contacts` (interviews). Cells only: no totals. Cells
        without a half-width (NaN) are left out of the fit.

    Raises
    ------
    DefinitionError
        If totals are mixed with cells, or a flow or era is unknown.
    MissingCellError
        If an era has no published half-width at all.

    Notes
    -----
    c[flow, era] = sum of SE^2 / sum of w[year, flow] Y, over the cells, with w the
    year's grossing weight (persons per contact). A ratio of sums is unbiased for the total
    variance, however noisy the cells' own standard errors are.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 7.
    """
    cells = checked_cells(table)
    cells["weight"] = grossing_weight(cells)
    rows = []
    for (flow, era), group in cells.groupby(["flow", "era"], sort=False, observed=True):
        used = group[group["half_width_95"].notna()]
        denominator = float((used["weight"] * used["estimate"]).sum())
        if denominator <= 0:
            raise MissingCellError(
                f"variance function: {flow}, {era}: none of {len(group)} cells has a half-width "
                "and an estimate above 0. Pass a function fitted elsewhere."
            )
        se = standard_error(used["half_width_95"])
        rows.append((flow, era, (se**2).sum() / denominator, _log_slope(used, se), len(used)))
    return VarianceFunction(pd.DataFrame(rows, columns=["flow", "era", "factor", "slope", "cells"]))


def smoothed_sizes(table: pd.DataFrame) -> NDArray[np.float64]:
    """Expected size of each cell (persons): its pooled share times the year's total.

    The share of a cell is pooled over all years of the table in the same era and flow,
    with half a contact added to every cell, so that a cell without contacts is
    small but never empty.
    """
    cells = checked_cells(table)
    cells["weight"] = grossing_weight(cells)
    cells["floored"] = cells["estimate"] + 0.5 * cells["weight"]
    pool = ["flow", "era"]
    by_cell = cells.groupby([*pool, "sex", "age_group"])["floored"].transform("sum")
    share = by_cell / cells.groupby(pool)["floored"].transform("sum")
    total = cells.groupby(["flow", "year"])["estimate"].transform("sum")
    # a share pooled over years is one of all cells; a year may hold fewer of them
    present = share.groupby([cells["flow"], cells["year"]]).transform("sum")
    return (share / present * total).to_numpy(float)


def smoothed_standard_errors(
    table: pd.DataFrame, *, variance_function: VarianceFunction | None = None
) -> NDArray[np.float64]:
    """Smoothed standard error (persons) of each published cell, in the table's order.

    Parameters
    ----------
    table : DataFrame
        Columns `year`, `flow` ('immigration' or 'emigration'), `sex`, `age_group`,
        `estimate` and `half_width_95` (persons), `contacts`; cells only, no totals.
    variance_function : VarianceFunction, optional
        Default: fitted to the table itself, by flow and era.

    Returns
    -------
    array (rows of `table`), persons
        Never zero: a cell with no contacts has the error of its expected size.

    Examples
    --------
    >>> cells = load_published_ips().query("1991 <= year <= 2000")
    >>> se = smoothed_standard_errors(cells)
    >>> bool((se > 0).all())
    True
    """
    function = fit_variance_function(table) if variance_function is None else variance_function
    cells = checked_cells(table)
    variance = function.variance(
        smoothed_sizes(table),
        grossing_weight=grossing_weight(cells),
        year=cells["year"].to_numpy(),
        flow=cells["flow"].to_numpy(),
    )
    return np.sqrt(variance)


def checked_cells(table: pd.DataFrame) -> pd.DataFrame:
    """A copy of the table with `era`, refused if it is not a table of published cells."""
    absent = [name for name in CELL_COLUMNS if name not in table.columns]
    if absent:
        raise SourceError(
            f"published IPS cells: no column {some(absent)}; needed are {', '.join(CELL_COLUMNS)}."
        )
    cells = table.loc[:, list(CELL_COLUMNS)].reset_index(drop=True)
    totals = cells["sex"].isin(["persons"]) | cells["age_group"].isin(["all ages"])
    if totals.any():
        raise DefinitionError(
            f"published IPS cells: {totals.sum()} of {len(cells)} rows are totals ('persons' or "
            "'all ages'); mixed with cells they count everyone twice. Drop the totals."
        )
    unknown = sorted(set(cells["flow"]) - set(FLOWS))
    if unknown:
        raise DefinitionError(
            f"published IPS cells: flow {some(unknown)}; allowed are {some(FLOWS)}. A net "
            "figure has no variance function: use net_standard_error."
        )
    _refuse_incomplete(cells)
    cells["era"] = era_of(cells["year"])
    return cells


def _refuse_incomplete(cells: pd.DataFrame) -> None:
    keys = ["year", "flow", "sex", "age_group"]
    where = cells.loc[cells[["estimate", "contacts"]].isna().any(axis=1), keys]
    if len(where):
        raise MissingCellError(
            f"published IPS cells: {len(where)} of {len(cells)} without estimate or contacts "
            f"({some(where.itertuples(index=False, name=None))}). A missing cell is not a zero "
            "flow: leave the row out, or enter 0 where the table says that nobody was met."
        )
    twice = cells.loc[cells.duplicated(keys), keys]
    if len(twice):
        raise SourceError(
            f"published IPS cells: {len(twice)} repeated "
            f"({some(twice.itertuples(index=False, name=None))}). Keep one row per cell."
        )
    for column in ("estimate", "contacts", "half_width_95"):
        refuse_negative(cells[column].to_numpy(float), column)


def grossing_weight(cells: pd.DataFrame) -> NDArray[np.float64]:
    """Persons per contact of each row's year and flow."""
    totals = cells.groupby(["flow", "year"])[["estimate", "contacts"]].transform("sum")
    empty = totals["contacts"] <= 0
    if empty.any():
        where = cells.loc[empty, ["flow", "year"]].drop_duplicates()
        raise MissingCellError(
            f"published IPS cells: no contacts at all in "
            f"{some(where.itertuples(index=False, name=None))}; the grossing weight is unknown."
        )
    return (totals["estimate"] / totals["contacts"]).to_numpy(float)


def _log_slope(cells: pd.DataFrame, se: NDArray) -> float:
    """Slope of log variance on log size; near 1 supports the proportional form."""
    used = (se > 0) & (cells["estimate"].to_numpy(float) > 0)
    if used.sum() < 3:
        return float("nan")
    weight = cells["weight"].to_numpy(float)[used]
    size = np.log(cells["estimate"].to_numpy(float)[used] / weight)
    centred = size - size.mean()
    return float((centred * np.log((se[used] / weight) ** 2)).sum() / (centred**2).sum())


def refuse_negative(values: NDArray, name: str) -> None:
    """Refuse negative counts and sizes."""
    if (values < 0).any():
        raise SourceError(
            f"{name}: {(values < 0).sum()} of {values.size} values below 0 (lowest "
            f"{np.nanmin(values):.6g}); it must be 0 or more. Only net migration has a sign."
        )


def refuse_not_positive(values: NDArray, name: str) -> None:
    """Refuse values that are not above 0."""
    if not (values > 0).all():
        raise SourceError(
            f"{name}: {(~(values > 0)).sum()} of {values.size} values are not above 0. "
            "Use a smoothed standard error or a positive expected flow."
        )
