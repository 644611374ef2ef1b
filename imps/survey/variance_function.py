"""Smoothed sampling error of the International Passenger Survey from its published tables.

Whoever has interviews uses :mod:`imps.survey.estimation`. Whoever has only the
published estimate, 95 % half-width and contacts of a cell uses this module:
standard errors and design effects as published, and a smoothed (generalised)
variance function, so that a cell with no or few contacts never counts as known
exactly. Whoever has standard errors alone has them taken at the expected figure
of each cell (:func:`errors_at_expected`). Likelihoods for tiny cells are in
:mod:`imps.posterior.likelihoods`.

Why smooth: the published half-width of a small cell is itself estimated from the
few contacts of that cell and is small exactly when the estimate is small by
chance. Weighting cells by it pulls a fit towards the cells that happened to be low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imps.errors import DefinitionError, MissingCellError, SourceError, some
from imps.names import FLOWS
from imps.survey.published import (
    ERAS,
    ROUNDING,
    design_effect,
    era_of,
    load_published_ips,
    net_standard_error,
    pooled_design_effect,
    refuse_negative,
    standard_error,
)

__all__ = [
    "ERAS",
    "ROUNDING",
    "VarianceFunction",
    "design_effect",
    "era_of",
    "errors_at_expected",
    "fit_variance_function",
    "load_published_ips",
    "net_standard_error",
    "pooled_design_effect",
    "smoothed_sizes",
    "smoothed_standard_errors",
    "standard_error",
]

CELL_COLUMNS = ("year", "flow", "sex", "age_group", "estimate", "half_width_95", "contacts")
LEAST_MOVE = 1e-6
"""Residual of a log estimate below which a cell says nothing of a slope."""
LEAST_SLOPE = 0.5
"""Errors worked out from a cell's own estimate have slopes of 1 to 2 (published half-widths of
the survey 1.5 to 2.0), those smoothed over years 0.02 to 0.04 (the United Kingdom's)."""
SWEEPS = 10
"""Sweeps over years and cells; with every cell published one is exact."""


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

    Returns
    -------
    VarianceFunction
        A factor for each flow and era.

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


def smoothed_sizes(
    table: pd.DataFrame, *, pooled_over: pd.DataFrame | None = None
) -> NDArray[np.float64]:
    """Expected size of each cell (persons): its pooled share times the year's total.

    Parameters
    ----------
    table : DataFrame
        As for :func:`smoothed_standard_errors`.
    pooled_over : DataFrame, optional
        Cells of more years, over which the shares are pooled; default the table itself.

    Notes
    -----
    The share of a cell is pooled over all years of the same era and flow, with half a
    contact added to every cell and year, so that a cell without contacts is small but
    never empty.

    Raises
    ------
    MissingCellError
        If an era has a single year, which smooths nothing, or lacks a cell of the table.
    """
    cells = checked_cells(table)
    share = _pooled_shares(checked_cells(table if pooled_over is None else pooled_over))
    keys = ["flow", "era", "sex", "age_group"]
    found = share.reindex(pd.MultiIndex.from_frame(cells[keys])).to_numpy(float)
    if np.isnan(found).any():
        gone = cells.loc[np.isnan(found), keys].drop_duplicates()
        raise MissingCellError(
            f"pooled_over: no {some(gone.itertuples(index=False, name=None))}. Supply the same "
            "cells, for instance load_published_ips()."
        )
    total = cells.groupby(["flow", "year"])["estimate"].transform("sum")
    # a share pooled over years is one of all cells; a year may hold fewer of them
    present = pd.Series(found).groupby([cells["flow"], cells["year"]]).transform("sum")
    return (found / present * total).to_numpy(float)


def _pooled_shares(cells: pd.DataFrame) -> pd.Series:
    """Share of each cell in its flow and era."""
    pool = ["flow", "era"]
    years = cells.groupby(pool)["year"].nunique()
    if (years < 2).any():
        raise MissingCellError(
            f"smoothing: one year only for {some(years.index[years < 2])}, so that nothing is "
            "smoothed. Pass pooled_over=load_published_ips(), or a table with more years."
        )
    floored = cells.assign(size=cells["estimate"] + 0.5 * grossing_weight(cells))
    by_cell = floored.groupby([*pool, "sex", "age_group"])["size"].sum()
    return by_cell / by_cell.groupby(level=pool).transform("sum")


def smoothed_standard_errors(
    table: pd.DataFrame,
    *,
    pooled_over: pd.DataFrame | None = None,
    variance_function: VarianceFunction | None = None,
) -> NDArray[np.float64]:
    """Smoothed standard error (persons) of each published cell, in the table's order.

    Parameters
    ----------
    table : DataFrame
        Columns `year`, `flow` ('immigration' or 'emigration'), `sex`, `age_group`,
        `estimate` and `half_width_95` (persons), `contacts`; cells only, no totals.
    pooled_over : DataFrame, optional
        Cells of more years, with the same columns, to pool the shares and fit the variance
        function; default the table itself. Needed where the table cuts an era short: a
        table of 1991 to 2001 has one year of 2001-2006.
    variance_function : VarianceFunction, optional
        Default: fitted to `pooled_over`, by flow and era.

    Returns
    -------
    array (rows of `table`), persons
        Never zero: a cell with no contacts has the error of its expected size.

    Examples
    --------
    >>> published = load_published_ips()
    >>> cells = published.query("1991 <= year <= 2001")
    >>> se = smoothed_standard_errors(cells, pooled_over=published)
    >>> bool((se > 0).all())
    True
    """
    pool = table if pooled_over is None else pooled_over
    function = fit_variance_function(pool) if variance_function is None else variance_function
    cells = checked_cells(table)
    variance = function.variance(
        smoothed_sizes(table, pooled_over=pool),
        grossing_weight=grossing_weight(cells),
        year=cells["year"].to_numpy(),
        flow=cells["flow"].to_numpy(),
    )
    return np.sqrt(variance)


def errors_at_expected(
    estimate: NDArray[np.float64], standard_error: NDArray[np.float64], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    """Standard errors of cells at their expected figures, not at the noisy estimates.

    The standard error of a survey cell is mostly worked out from the cell's own estimate. A
    cell that is low by chance then weighs too much: of Poisson counts with the root of the
    count as error, a fit comes out one contact a cell too low in each direction of migration.

    Parameters
    ----------
    estimate, standard_error : array (year, ...), persons per year
        Cells of one direction, years first.
    seen : array of bool, same shape
        Cells that were published; the others keep their errors.

    Returns
    -------
    standard_error : array, same shape, persons per year
    slope : float
        Of log variance on log estimate, beyond what year and cell explain: 1 for counts, 2 for
        one coefficient of variation and at most, 0 where errors do not follow their estimates
        (a slope below a half), which then stand as given.

    Notes
    -----
    SE^2 ((m + u/2) / (y + u/2))^slope, with m = (share of the cell in the years in which it was
    published) x (total of the year) and u = sum of SE^2 / sum of y, persons that a contact
    stands for. The slope is the median of residual ratios, weighted by those of the estimate,
    so that a few errors that were stated on purpose do not move it. One year smooths nothing.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 7.
    """
    flat = (len(estimate), -1)
    known = seen.reshape(flat)
    y = np.where(known, estimate.reshape(flat), 0.0)
    variance = standard_error.reshape(flat) ** 2
    if not (y >= 0).all() or not known.any(axis=1).all() or not y.any(axis=1).all():
        return standard_error, 0.0
    total = y.sum(axis=1, keepdims=True)
    expected = total * (y.sum(axis=0) / np.maximum(np.where(known, total, 0.0).sum(axis=0), 1e-9))
    expected = expected * total / np.where(known, expected, 0.0).sum(axis=1, keepdims=True)
    half = variance[known].sum() / y.sum() / 2
    size, error = (_beyond_year_and_cell(x, known) for x in (np.log(y + half), np.log(variance)))
    moved = known & (np.abs(size) > LEAST_MOVE)
    if not moved.any():
        return standard_error, 0.0
    ratio, weight = error[moved] / size[moved], np.abs(size[moved])
    median = np.quantile(ratio, 0.5, weights=weight, method="inverted_cdf")
    slope = float(np.minimum(median, 2.0))
    if slope < LEAST_SLOPE:
        return standard_error, 0.0
    at = variance * ((expected + half) / (y + half)) ** slope
    return np.sqrt(np.where(known, at, variance)).reshape(estimate.shape), slope


def _beyond_year_and_cell(x: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Residuals of the known cells (year, cell) beyond means of years and of cells."""
    left = np.where(known, x, 0.0)
    for _ in range(SWEEPS):
        for axis in (1, 0):
            mean = left.sum(axis=axis, keepdims=True) / np.maximum(
                known.sum(axis=axis, keepdims=True), 1
            )
            left = np.where(known, left - mean, 0.0)
    return left


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
