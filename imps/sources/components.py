"""Components of total migration from other sources: asylum seekers, flows with Ireland."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imps.dims import FLOWS
from imps.errors import DefinitionError, SourceError, some
from imps.sources.composition import (
    IRELAND_IN_SURVEY_FROM,
    Component,
    ComponentKind,
    require_columns,
)


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
    (p, sp), (q, sq) = share_in_survey, share_leaving_within_year
    c, sc = share_of_departures_counted
    for name, share in [("in survey", p), ("leaving within a year", q), ("departures counted", c)]:
        if not 0 <= share <= 1:
            raise SourceError(f"asylum: share {name} is {share:g}; it must lie between 0 and 1.")
    arrived = (cases["applications"] + cases["dependants"]).to_numpy(float)
    left = (cases["returns"] + cases["withdrawals"]).to_numpy(float)
    kept = (1 - p) * (1 - q)
    kept_error = np.hypot((1 - q) * sp, (1 - p) * sq)
    table = pd.DataFrame(
        {
            "year": np.tile(cases["year"].to_numpy(), 2),
            "flow": np.repeat(FLOWS, len(cases)),
            "estimate": np.concatenate([arrived * kept, left * c]),
            "standard_error": np.concatenate([arrived * kept_error, left * sc]),
        }
    )
    assumption = (
        f"{p:.0%} of applicants are in the survey, {q:.0%} of the others leave within a year, "
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
