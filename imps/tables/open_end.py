"""The tables of an open end: how sure the roll-forward is, and what a census may find."""

from __future__ import annotations

import pandas as pd

from imps.demography.periods import spelt_out
from imps.intervals import Unit, summary_table
from imps.names import AGE, ERROR_CONVENTION, GAP_CONVENTION, SEX, SOURCE
from imps.posterior.fit import Fit
from imps.results.attribution import Attribution
from imps.results.checks import Checks, check
from imps.results.open_end import error_by_year, predicted_census
from imps.tables.fit import INTERVAL, fit_note
from imps.tables.printed import PrintedTable

SIGN = f"{ERROR_CONVENTION.capitalize()}."
LIMITS = ("mean", "sd", "lower95", "upper95")


def error_by_year_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Error of the roll-forward at the end of every year."""
    sources = fit.model.sources
    return PrintedTable(
        error_by_year(fit, checks=checks),
        f"Error of the roll-forward at {sources.year_end.each}, {sources.area}",
        "tab:error-by-year",
        (SIGN, "Rolled forward: as published.", INTERVAL, _verdict(fit, checks)),
        ("rolled_forward", *LIMITS),
        unit=Unit.of(sources.base.total),
    )


def error_by_age_table(attribution: Attribution) -> PrintedTable:
    """Error of the roll-forward by sex and single year of age at the end."""
    error = attribution.contributions.sum(SOURCE, skipna=False)
    both = error.sum(SEX, skipna=False).expand_dims({SEX: ["both"]})
    frames = [summary_table(draws.transpose(..., SEX, AGE)) for draws in (error, both)]
    return PrintedTable(
        pd.concat(frames, ignore_index=True),
        f"Error of the roll-forward by sex and age, {attribution.area}, {attribution.period}",
        "tab:error-by-age",
        (SIGN, INTERVAL, fit_note(attribution.verdict)),
        LIMITS,
        unit=attribution.words.unit,
    )


def predicted_census_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """What a census at the end of the account would count, and its gap."""
    found = predicted_census(fit, checks=checks)
    return PrintedTable(
        found.summary(),
        f"A census of {spelt_out(found.date)} before it is taken, {found.area}",
        "tab:predicted-census",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            "With the undercount and the random error that the priors and the plan expect of it.",
            INTERVAL,
            fit_note(found.verdict),
        ),
        LIMITS,
        unit=found.words.unit,
    )


def _verdict(fit: Fit, checks: Checks | None) -> str:
    return fit_note((checks or check(fit)).verdict)
