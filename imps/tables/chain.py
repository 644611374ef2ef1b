"""The tables of a chain of censuses: every period in one table."""

from __future__ import annotations

from imps.names import GAP_CONVENTION
from imps.posterior.fit import Fit
from imps.results.chain import PERIOD, ChainResults, response_across
from imps.tables.fit import ADD_UP, INTERVAL, fit_note
from imps.tables.printed import PrintedTable

LIMITS = ("mean", "sd", "lower95", "upper95")
PRIOR = ("prior_mean", "prior_sd")


def chain_tables(fit: Fit, results: ChainResults) -> dict[str, PrintedTable]:
    """Tables of a chain by the name of their file."""
    sign, note = f"{GAP_CONVENTION.capitalize()}.", fit_note(results.verdict)
    unit = next(iter(results.attributions.values())).words.unit
    where = f"{results.area}, {results.span}"
    net = results.net_migration_by_year()
    series = tuple(c for c in net if c not in (PERIOD, "year"))
    response = response_across(fit)
    response.columns = [f"{period}: {group}" for period, group in response.columns]
    return {
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
