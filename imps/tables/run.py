"""The tables of a run, of one period or a chain, by the name of their file: the one list."""

from __future__ import annotations

import pandas as pd

from imps.names import GAP_CONVENTION
from imps.posterior.fit import Fit
from imps.results.attribution import Attribution
from imps.results.chain import (
    CORRELATION,
    PERIOD,
    ChainResults,
    persistence,
    persists,
    response_across,
)
from imps.results.checks import Checks, check
from imps.results.reconciliation import Reconciliation
from imps.results.verdict import Words
from imps.sources import TOTAL
from imps.tables import account, fit
from imps.tables.fit import ADD_UP, INTERVAL, LIMITS, PRIOR, fit_note
from imps.tables.printed import PrintedTable


def run_tables(
    fitted: Fit,
    attribution: Attribution,
    reconciliation: Reconciliation,
    checks: Checks,
    *,
    later: pd.DataFrame | None = None,
) -> dict[str, PrintedTable]:
    """Every table of a run, by the name of its file.

    Parameters
    ----------
    later : DataFrame, optional
        Later series of the case (`case.later_series`), for the back-series.
    """
    if attribution.open_end:
        return _open_end(fitted, attribution, reconciliation, checks)
    apart = attribution.counted != TOTAL  # the last stock: a total is told apart by nobody
    by_sex = attribution.detail.by_sex and apart
    by_band = fit.response_by_age_table(fitted, checks=checks)
    return {
        "attribution": fit.attribution_table(attribution),
        "attribution_groups": fit.groups_table(attribution),
        "net_migration": fit.net_migration_table(reconciliation),
        **({"attribution_by_sex": account.by_sex_table(attribution)} if by_sex else {}),
        "net_and_gross": account.net_and_gross_table(attribution),
        "gap": fit.gap_table(fitted, checks=checks),
        "closure": fit.closure_table(fitted, checks=checks),
        **(
            {"closure_by_sex_and_age": account.closure_by_age_table(fitted, attribution)}
            if apart
            else {}
        ),
        "back_series": account.back_series_table(reconciliation, later=later),
        "new_base": account.new_base_table(fitted, attribution),
        "response": fit.response_table_of(fitted, checks=checks),
        **({"response_by_age": by_band} if len(by_band.frame) else {}),
        "stability": fit.stability_table(fitted, checks=checks),
        "roll_forward": fit.roll_forward_table(fitted, checks=checks),
        "priors": fit.priors_table(fitted, checks=checks),
        "sources": fit.sources_table(fitted, checks=checks),
    }


def _open_end(
    fitted: Fit, attribution: Attribution, reconciliation: Reconciliation, checks: Checks
) -> dict[str, PrintedTable]:
    """The tables of a run without a last census: nothing in them is a gap."""
    left_out = {"stability": fit.stability_table(fitted, checks=checks)}
    return {
        "attribution": fit.attribution_table(attribution),
        "attribution_groups": fit.groups_table(attribution),
        "error_by_year": account.error_by_year_table(fitted, checks=checks),
        "error_by_sex_and_age": account.error_by_age_table(attribution),
        "predicted_census": account.predicted_census_table(fitted, checks=checks),
        "net_migration": fit.net_migration_table(reconciliation),
        **(left_out if fitted.model.observed.size else {}),
        "roll_forward": fit.roll_forward_table(fitted, checks=checks),
        "priors": fit.priors_table(fitted, checks=checks),
        "sources": fit.sources_table(fitted, checks=checks),
    }


def chain_tables(fit: Fit, results: ChainResults) -> dict[str, PrintedTable]:
    """Tables of a chain by the name of their file."""
    sign, note = f"{GAP_CONVENTION.capitalize()}.", fit_note(results.verdict)
    unit = next(iter(results.attributions.values())).words.unit
    where = f"{results.area}, {results.span}"
    net = results.net_migration_by_year()
    series = tuple(c for c in net if c not in (PERIOD, "year"))
    response = response_across(fit)
    response.columns = [f"{period}: {group}" for period, group in response.columns]
    judged = {"persistence": persistence_table(fit)} if persists(fit) else {}
    return judged | {
        "attribution_groups": PrintedTable(
            results.groups(), f"Headline groups of the gap of every period, {where}",
            "tab:chain-groups", (sign, INTERVAL, ADD_UP, note), (*LIMITS, *PRIOR), unit=unit,
        ),
        "attribution": PrintedTable(
            results.summary(), f"Sources of the gap of every period, {where}",
            "tab:chain-sources", (sign, INTERVAL, ADD_UP, note), (*LIMITS, *PRIOR), unit=unit,
        ),
        "net_migration": PrintedTable(
            net, f"Net migration by year, {where}", "tab:chain-migration",
            ("Arrivals minus departures.", INTERVAL, note), series, unit=unit,
        ),
        "back_series": PrintedTable(
            results.population_by_year(), f"Back-series of the population, {where}",
            "tab:chain-back-series",
            (
                "Rolled forward: as published in that period. Revision: posterior mean minus "
                "rolled forward. A year in which two periods meet stands in both.",
                INTERVAL, note,
            ),
            (*LIMITS, "rolled_forward", "revision"), unit=unit,
        ),
        "response_across": PrintedTable(
            response.reset_index(),
            "Response across periods: movement of posterior means for 100 thousand persons of true "
            f"error in one source of one period, {where}",
            "tab:chain-response", ("Exact at the posterior mean scales.", note),
            tuple(response.columns), unit=unit,
        ),
    }  # fmt: skip


def persistence_table(fit: Fit) -> PrintedTable:
    """Headline groups of every period of a chain by the correlation of biases over periods."""
    found, model = persistence(fit), fit.model
    own = model.priors["bias_between_periods"].mean
    wide = found.pivot(index=[PERIOD, "group"], columns=CORRELATION, values=["mean", "sd"])
    keys = found[[PERIOD, "group"]].drop_duplicates().itertuples(index=False)
    values = found[CORRELATION].unique()
    wide = wide.loc[list(keys), [(part, r) for r in values for part in ("mean", "sd")]]
    wide.columns = [f"{part}, correlation {r:g}" for part, r in wide.columns]
    return PrintedTable(
        wide.reset_index(),
        "Headline groups of every period if biases persisted less, or more, over periods, "
        f"{model.sources.area}, {model.period_in_words}",
        "tab:chain-persistence",
        (
            f"This fit has a correlation of biases between periods of {own:g} (prior "
            "bias_between_periods): a judgement that no figure teaches.",
            "Exact at the posterior mean scales.", fit_note(check(fit).verdict),
        ),
        tuple(wide.columns), unit=Words.of(model.sources).unit,
    )  # fmt: skip
