"""The demographic account: cohorts, single years of age, births, deaths, migration.

Everything is counted by the age reached at the end of an interval, which for
a mid-year account is the age last birthday on 30 June. Deaths are registered
deaths and not a rate times an exposure, so the account is exactly linear: an
error in the base is carried along its cohort undiminished, as it is in the
official roll-forward.

References
----------
Preston, Heuveline and Guillot (2001), Demography, chapter 6.
ONS, Mid-year population estimates QMI.
"""

import numpy as np
import scipy.sparse as sp
import xarray as xr

from imps.errors import LabelError
from imps.names import AGE, SEX, YEAR

INFANT_DEATHS_IN_BIRTH_COHORT = 0.88
"""Share of deaths under age 1 that fall in the cohort born in the same interval.

Infant deaths cluster in the first weeks of life. The figure is the separation
factor used for low-mortality populations of the 1990s (Human Mortality
Database, Methods Protocol v6, section on infant deaths: 0.85-0.90).
"""


def lexis_matrix(n_ages: int, n_intervals: int) -> sp.csr_matrix:
    """Map flows by age reached and interval to the stock at the end of the last interval.

    Parameters
    ----------
    n_ages : int
        Single years from 0; the last is the open age group.
    n_intervals : int
        One-year intervals, in order of time.

    Returns
    -------
    csr_matrix (age, age * interval), 0 or 1
        Columns run over age first and interval last (C order of an (age, interval)
        array). A flow at age a in interval t stands at age min(a + T - t, open
        group) after interval T.
    """
    age, interval = np.divmod(np.arange(n_ages * n_intervals), n_intervals)
    reached = np.minimum(age + n_intervals - 1 - interval, n_ages - 1)
    return sp.csr_matrix(
        (np.ones(reached.size), (reached, np.arange(reached.size))),
        shape=(n_ages, n_ages * n_intervals),
    )


def along_cohorts(flows: np.ndarray) -> np.ndarray:
    """Sum flows along cohorts: (sex, age, interval, ...) to (sex, age, ...) at the end."""
    n_sex, n_age, n_int = flows.shape[:3]
    out = np.zeros((n_sex, n_age, *flows.shape[3:]))
    for t in range(n_int):
        k = n_int - 1 - t
        out[:, k:] += flows[:, : n_age - k, t]
        out[:, -1] += flows[:, n_age - k :, t].sum(axis=1)
    return out


def carry(population: np.ndarray, years: int) -> np.ndarray:
    """Age a stock (sex, age, ...) by whole years without deaths or migration."""
    out = population
    for _ in range(years):
        aged = np.zeros_like(out)
        aged[:, 1:] = out[:, :-1]
        aged[:, -1] += out[:, -1]
        out = aged
    return out


def roll_forward(
    population: xr.DataArray,
    *,
    births: xr.DataArray,
    deaths: xr.DataArray,
    net_migration: xr.DataArray,
) -> xr.DataArray:
    """Roll a mid-year population forward one year, cohort by cohort.

    Everyone still present reaches the next age; the open age group keeps its
    survivors; the year's births fill age 0. Deaths and net migration are
    counted by the age reached at the end of the year.

    Parameters
    ----------
    population : DataArray (..., sex, age), persons
        Usual residents at the start, 30 June; the last age is the open group.
    births : DataArray (..., sex), persons per year
    deaths, net_migration : DataArray (..., sex, age), persons per year
        Same labels as `population`; arrivals minus departures.

    Returns
    -------
    DataArray (..., sex, age), persons
        Usual residents a year later; draw dimensions are carried through.

    Raises
    ------
    LabelError
        If the labels differ, or their order does; or if births have ages.

    Notes
    -----
    P'(a) = P(a-1) - D(a) + M(a); P'(0) = B - D(0) + M(0); the open group also
    keeps P(A). A negative result is returned as it is: whether it is absurd is
    for the caller to say.

    References
    ----------
    Preston, Heuveline and Guillot (2001), Demography, chapter 6.
    """
    year = {YEAR: [1]}
    path = roll_forward_path(
        population,
        births=births.expand_dims(year),
        deaths=deaths.expand_dims(year),
        net_migration=net_migration.expand_dims(year),
    )
    return path.isel({YEAR: 1}, drop=True)


def roll_forward_path(
    base: xr.DataArray,
    *,
    births: xr.DataArray,
    deaths: xr.DataArray,
    net_migration: xr.DataArray,
) -> xr.DataArray:
    """Population at the base date and at every mid-year after it.

    Parameters
    ----------
    base : DataArray (..., sex, age), persons
    births : DataArray (..., year, sex), persons per year
    deaths, net_migration : DataArray (..., year, sex, age), persons per year
        `year` is the mid-year at which the interval ends.

    Returns
    -------
    DataArray (..., year, sex, age), persons
        `year` starts at the base, one before the first interval.
    """
    _same_labels(births, deaths, YEAR, "deaths")
    _same_labels(births, net_migration, YEAR, "net_migration")
    for name, part in (("deaths", deaths), ("net_migration", net_migration)):
        _same_labels(base, part, AGE, name)
    for name, part in (("births", births), ("deaths", deaths), ("net_migration", net_migration)):
        _same_labels(base, part, SEX, name)
    if AGE in births.dims:
        raise LabelError(
            "births have ages; they all enter at age 0: give them by sex, births.sum('age')."
        )
    years, then = births[YEAR].values, f"{YEAR}_and_base"
    cells = [YEAR, SEX, AGE]
    path = xr.apply_ufunc(
        _path,
        base,
        births,
        deaths,
        net_migration,
        input_core_dims=[[SEX, AGE], [YEAR, SEX], cells, cells],
        output_core_dims=[[then, SEX, AGE]],
        join="exact",
    )
    return path.rename({then: YEAR}).assign_coords({YEAR: np.r_[years[0] - 1, years]})


def _path(
    base: np.ndarray, births: np.ndarray, deaths: np.ndarray, net_migration: np.ndarray
) -> np.ndarray:
    """Population (..., base and years, sex, age): the arithmetic of :func:`roll_forward`."""
    lead = np.broadcast_shapes(base.shape[:-2], births.shape[:-2], deaths.shape[:-3],
                               net_migration.shape[:-3])  # fmt: skip
    path = np.empty((*lead, births.shape[-2] + 1, *base.shape[-2:]))
    path[..., 0, :, :] = base
    for year in range(births.shape[-2]):
        before, now = path[..., year, :, :], path[..., year + 1, :, :]
        now[..., 0] = births[..., year, :]
        now[..., 1:] = before[..., :-1]
        now[..., -1] += before[..., -1]
        now -= deaths[..., year, :, :]
        now += net_migration[..., year, :, :]
    return path


def deaths_by_cohort(deaths: np.ndarray, population: np.ndarray) -> np.ndarray:
    """Give deaths at each age to the cohorts that met them.

    Deaths at age x fall in the cohort aged x at the start of the interval and
    in the one a year younger. They are split in proportion to the sizes of the
    two cohorts: half and half would put the deaths of a large cohort on its
    small neighbour (births jumped in 1919-20 and in 1946-47).

    Parameters
    ----------
    deaths : ndarray (sex, age, ...), persons
        By age last birthday at death; the last age is the open group.
    population : ndarray (sex, age, ...), persons
        At the start of the interval; a schedule only, its level does not matter.

    Returns
    -------
    ndarray (sex, age, ...), persons
        By age reached at the end of the interval; totals are unchanged.
    """
    older = np.empty_like(deaths)  # share of deaths at x that reach x + 1 at the end
    older[:, 0] = 1 - INFANT_DEATHS_IN_BIRTH_COHORT
    with np.errstate(invalid="ignore"):
        older[:, 1:] = population[:, 1:] / (population[:, 1:] + population[:, :-1])
    older = np.where(np.isfinite(older), older, 0.5)
    older[:, -1] = 0.0  # everyone who dies in the open group stays in it
    out = (1 - older) * deaths
    out[:, 1:] += (older * deaths)[:, :-1]
    return out


def _same_labels(left: xr.DataArray, right: xr.DataArray, dim: str, name: str) -> None:
    a, b = left[dim].values, right[dim].values
    if a.shape != b.shape or not (a == b).all():
        raise LabelError(
            f"{name} and population disagree on '{dim}': {name} runs from {b[0]} to {b[-1]} "
            f"({b.size} labels), population from {a[0]} to {a[-1]} ({a.size} labels). "
            "Give both the same labels in the same order."
        )
