"""Components of total migration from other sources than the passenger survey.

Asylum seekers, resettled people, flows with the Irish Republic, and armed forces as an
optional special population. Each component states its assumption and its reference
and carries its uncertainty.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imps.errors import DefinitionError, MissingCellError, SourceError, some
from imps.names import FLOW, FLOWS, YEAR
from imps.survey.composition import (
    IRELAND_IN_SURVEY_FROM,
    Component,
    ComponentKind,
)
from imps.survey.stage_weights import require_columns


def asylum_component(
    cases: pd.DataFrame,
    *,
    share_in_survey: tuple[float, float],
    share_leaving_within_year: tuple[float, float],
    share_of_departures_counted: tuple[float, float],
    reference: str,
) -> Component:
    """Asylum seekers and dependants that the survey misses, by direction.

    Parameters
    ----------
    cases : DataFrame
        `year`, `applications`, `dependants`, `returns`, `withdrawals` (persons per year).
    share_in_survey : (mean, standard error)
        Of applicants and dependants: already among the survey's migrants.
    share_leaving_within_year : (mean, standard error)
        Of the others: gone before 12 months, so not long-term.
    share_of_departures_counted : (mean, standard error)
        Of returns and withdrawals: had been counted in, and are not among the survey's
        emigrants.
    reference : str

    Notes
    -----
    Inflow = (applications + dependants) (1 - p)(1 - l); outflow = (returns + withdrawals) c.
    Standard errors by the delta method; they are common to all years. The published
    adjustments of 1991-2007 rise by 0.85 (standard error 0.07) per application, which is
    an estimate of (1 - p)(1 - l).
    """
    columns = ["year", "applications", "dependants", "returns", "withdrawals"]
    require_columns(cases, columns, "asylum cases")
    c, sc = _checked_share(share_of_departures_counted, "departures counted", "asylum")
    arrived = (cases["applications"] + cases["dependants"]).to_numpy(float)
    left = (cases["returns"] + cases["withdrawals"]).to_numpy(float)
    kept, kept_error = _kept(share_in_survey, share_leaving_within_year, "asylum")
    table = _both_flows(
        cases["year"], (arrived * kept, left * c), (arrived * kept_error, left * sc)
    )
    assumption = (
        f"{share_in_survey[0]:.0%} of applicants are in the survey, "
        f"{share_leaving_within_year[0]:.0%} of the others leave within a year, "
        f"{c:.0%} of returns and withdrawals had been counted in"
    )
    return Component(ComponentKind.ASYLUM, table, assumption, reference, common_error=True)


def irish_component(
    before_2008: pd.DataFrame, *, relative_error: float, reference: str
) -> Component:
    """Flows with the Irish Republic for years that the survey does not cover.

    Parameters
    ----------
    before_2008 : DataFrame
        `year`, `flow`, `estimate` (persons per year), from the Irish household survey.
    relative_error : float
        Standard error over estimate; the Irish sample is small, 0.2 is a usual figure.
    """
    table = before_2008.assign(standard_error=before_2008["estimate"] * relative_error)
    late = table.loc[table["year"] >= IRELAND_IN_SURVEY_FROM, "year"].unique()
    if late.size:
        raise DefinitionError(
            f"Irish flows of {some(late)}: from {IRELAND_IN_SURVEY_FROM} they are inside the "
            "survey; adding them would count them twice. Drop these years."
        )
    return Component(
        ComponentKind.IRISH,
        table,
        "the Irish survey's definition of a migrant is close to 12 months",
        reference,
    )


def resettlement_component(
    arrivals: pd.DataFrame,
    *,
    share_in_survey: tuple[float, float],
    share_leaving_within_year: tuple[float, float],
    reference: str,
) -> Component:
    """People resettled under a government scheme whom the survey misses.

    They hold permission to stay before they travel and never apply for asylum, so they are
    in neither the asylum cases nor, mostly, the survey. Do not include them in the
    applications of :func:`asylum_component` as well.

    Parameters
    ----------
    arrivals : DataFrame
        `year` and `persons` (persons per year, dependants included), as the schemes count them.
    share_in_survey : (mean, standard error)
        Of the resettled: interviewed as migrants on arrival, and so in the survey's estimate.
    share_leaving_within_year : (mean, standard error)
        Of the others: gone before 12 months, so not long-term.
    reference : str

    Notes
    -----
    Immigration = arrivals (1 - p)(1 - l), with standard errors by the delta method, common to
    all years. Emigration is 0: whoever leaves later passes the ports like other residents
    and is the survey's to count.

    References
    ----------
    ONS, Long-term international migration: quality and methodology information (resettlement
    among the additions to the survey).
    """
    require_columns(arrivals, ["year", "persons"], "resettlement arrivals")
    kept, kept_error = _kept(share_in_survey, share_leaving_within_year, "resettlement")
    persons, nobody = arrivals["persons"].to_numpy(float), np.zeros(len(arrivals))
    table = _both_flows(arrivals["year"], (persons * kept, nobody), (persons * kept_error, nobody))
    assumption = (
        f"{share_in_survey[0]:.0%} of resettled people are in the survey, "
        f"{share_leaving_within_year[0]:.0%} of the others leave within a year, "
        "and those who leave later are in the survey"
    )
    return Component(ComponentKind.RESETTLEMENT, table, assumption, reference, common_error=True)


def armed_forces_component(
    stocks: pd.DataFrame, *, share_in_survey: tuple[float, float], reference: str
) -> Component:
    """Armed forces and their dependants as a special population: its change, year by year.

    Optional. Population estimates handle forces outside the migration flows: they are taken out
    before ageing, and the stock that the departments report is put back. Its change is
    then all that is known of their moves. Where an account carries that
    change as a known change already (:class:`imps.sources.KnownChange`), leave this out:
    one or the other.

    Parameters
    ----------
    stocks : DataFrame
        `year`, `persons` and `standard_error` (persons): the stock at the end of the year that
        the flows of `year` cover; years without gaps.
    share_in_survey : (mean, standard error)
        Of the change: already among the survey's migrants.
    reference : str

    Returns
    -------
    Component
        From the second year on. A rise is immigration, a fall emigration: the *net* is what
        the stocks show, the gross flows are at least that.

    Notes
    -----
    D[y] = (S[y] - S[y-1]) (1 - p); V(D) = (1 - p)^2 (V(S[y]) + V(S[y-1])) + (S[y] - S[y-1])^2 V(p).
    Neighbouring years share a stock, so their errors are negatively correlated; taken as
    independent, a sum over years is stated too wide.

    References
    ----------
    ONS (2018), Methodology guide for mid-2012 to mid-2016 UK population estimates, England and
    Wales (special populations).
    """
    require_columns(stocks, ["year", "persons", "standard_error"], "armed forces stocks")
    p, sp = _checked_share(share_in_survey, "in survey", "armed forces")
    rows = stocks.sort_values("year")
    if len(rows) < 2 or (rows["year"].diff().iloc[1:] != 1).any():
        raise MissingCellError(
            f"armed forces: stocks of {some(rows['year'])}; expected two or more years without "
            "gaps or repeats, because a flow is the change between two of them."
        )
    values = rows[["persons", "standard_error"]]
    if values.isna().any().any() or (values < 0).any().any():
        raise SourceError(
            "armed forces: a stock or its standard error is missing or negative. Leave the years "
            "out at either end, or supply them."
        )
    change = np.diff(rows["persons"].to_numpy(float))
    variance = rows["standard_error"].to_numpy(float) ** 2
    error = np.sqrt((1 - p) ** 2 * (variance[1:] + variance[:-1]) + (change * sp) ** 2)
    entering = change >= 0
    table = _both_flows(
        rows["year"].iloc[1:],
        (np.where(entering, change, 0.0) * (1 - p), np.where(entering, 0.0, -change) * (1 - p)),
        (np.where(entering, error, 0.0), np.where(entering, 0.0, error)),
    )
    assumption = (
        f"the change of the stock is net migration, {p:.0%} of it in the survey; births, deaths "
        "and discharges within the forces are small beside it"
    )
    return Component(ComponentKind.ARMED_FORCES, table, assumption, reference)


def _checked_share(share: tuple[float, float], name: str, what: str) -> tuple[float, float]:
    """A share and its standard error, refused outside their range."""
    mean, error = share
    if not 0 <= mean <= 1:
        raise SourceError(f"{what}: share {name} is {mean:g}; it must lie between 0 and 1.")
    if not error >= 0:
        raise SourceError(f"{what}: share {name} has standard error {error:g}; it must be >= 0.")
    return mean, error


def _kept(
    in_survey: tuple[float, float], leaving: tuple[float, float], what: str
) -> tuple[float, float]:
    """Share neither in the survey nor gone within a year, and its standard error."""
    p, sp = _checked_share(in_survey, "in survey", what)
    q, sq = _checked_share(leaving, "leaving within a year", what)
    return (1 - p) * (1 - q), float(np.hypot((1 - q) * sp, (1 - p) * sq))


def _both_flows(
    years: pd.Series, estimates: tuple[NDArray, NDArray], errors: tuple[NDArray, NDArray]
) -> pd.DataFrame:
    """Table of a component from immigration and emigration, in that order."""
    return pd.DataFrame(
        {
            YEAR: np.tile(years.to_numpy(), len(FLOWS)),
            FLOW: np.repeat(FLOWS, len(years)),
            "estimate": np.concatenate(estimates),
            "standard_error": np.concatenate(errors),
        }
    )
