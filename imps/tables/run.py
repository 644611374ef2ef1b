"""The tables of a run, by the name of their file: the one list, for the folder and the report."""

from __future__ import annotations

import pandas as pd

from imps.posterior.fit import Fit
from imps.results.attribution import Attribution
from imps.results.checks import Checks
from imps.results.reconciliation import Reconciliation
from imps.tables import account, fit
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
    by_sex = attribution.detail.by_sex
    return {
        "attribution": fit.attribution_table(attribution),
        "attribution_groups": fit.groups_table(attribution),
        "net_migration": fit.net_migration_table(reconciliation),
        **({"attribution_by_sex": account.by_sex_table(attribution)} if by_sex else {}),
        "net_and_gross": account.net_and_gross_table(attribution),
        "gap": fit.gap_table(fitted, checks=checks),
        "closure": fit.closure_table(fitted, checks=checks),
        "closure_by_sex_and_age": account.closure_by_age_table(fitted, attribution),
        "back_series": account.back_series_table(reconciliation, later=later),
        "new_base": account.new_base_table(fitted, attribution),
        "response": fit.response_table_of(fitted, checks=checks),
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
