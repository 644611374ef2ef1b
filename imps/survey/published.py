"""Published tables of the International Passenger Survey: estimates, errors, design effects."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imps.errors import DefinitionError, MissingCellError, SourceError, some
from imps.intervals import Z95

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
    source = files("imps.survey") / "ips_published" / "ips_1975_2012.csv"
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
    return half_width / Z95


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
