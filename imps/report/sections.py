"""What stands in which section of the report: its figures and its tables."""

from __future__ import annotations

import base64
import io
import struct
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pandas as pd

from imps.names import GAP_CONVENTION
from imps.plots import (
    FIGURE_TEXTS,
    plot_back_series,
    plot_diagnostics,
    plot_gap_pyramid,
    plot_joint,
    plot_predictive,
    plot_tornado,
    standard_figures,
)
from imps.posterior.fit import Fit
from imps.results.attribution import Attribution
from imps.results.checks import Checks
from imps.results.predictive import posterior_predictive
from imps.results.reconciliation import Reconciliation
from imps.sources import BY_SEX, TOTAL
from imps.tables.account import (
    back_series_table,
    by_sex_table,
    closure_by_age_table,
    net_and_gross_table,
    new_base_table,
)
from imps.tables.fit import (
    Table,
    attribution_table,
    closure_table,
    computation_table,
    gap_table,
    groups_table,
    net_migration_table,
    priors_table,
    response_table_of,
    roll_forward_table,
    sources_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imps.shipped.loading import Case

SECTIONS = (
    ("in-short", "In short"),
    ("sources-of-the-gap", "Where the gap comes from"),
    ("age-and-sex", "The gap by age and sex"),
    ("migration", "Migration"),
    ("what-the-data-can-tell", "What the data can tell apart"),
    ("fit", "Did the model fit?"),
    ("further", "Further figures"),
    ("methods", "Methods"),
    ("priors", "Priors"),
    ("data", "Data and vintages"),
    ("not-in-the-intervals", "What is not in the intervals"),
    ("afterwards", "Published afterwards"),
    ("checklist", "Reporting checklist"),
    ("computation", "Computation"),
)
SECTION_OF_FIGURE = {
    "waterfall": "sources-of-the-gap",
    "gap_pyramid": "age-and-sex",
    "coverage": "age-and-sex",
    "net_migration": "migration",
    "back_series": "migration",
    "migration_error": "migration",
    "prior_posterior": "what-the-data-can-tell",
    "joint": "what-the-data-can-tell",
    "tornado": "what-the-data-can-tell",
    "predictive": "fit",
    "residuals": "fit",
    "diagnostics": "fit",
}
DETAIL = {
    TOTAL: "The gap was published as a total only. The ages and sexes of the roll-forward are the "
    "account's own reconstruction with the published flows.",
    BY_SEX: "The gap was published by sex. The ages of the roll-forward are the account's own "
    "reconstruction with the published flows.",
    "sex and age": "Both ends of the gap were published by sex and single year of age.",
}
METHODS = {
    "exact": "The scales are integrated by an importance grid; given the scales the posterior is "
    "exact and the draws are independent.",
    "nuts": "All unknowns were sampled by NUTS.",
}


def report_figures(
    fit: Fit,
    attribution: Attribution,
    reconciliation: Reconciliation,
    checks: Checks,
    *,
    case: Case | None = None,
) -> dict[str, Figure]:
    """The figures of a run and its report, by file name, in the order of the report."""
    later = None if case is None or case.later_series.empty else case.later_series
    figures = {
        **standard_figures(attribution, reconciliation),
        "gap_pyramid": plot_gap_pyramid(attribution),
        "back_series": plot_back_series(reconciliation, later=later),
        "joint": plot_joint(attribution),
        "predictive": plot_predictive(posterior_predictive(fit, checks=checks)),
        "diagnostics": plot_diagnostics(fit, checks=checks),
    }
    if fit.settings.get("gaussian", True) and not fit.model.curves:  # exact answers only
        figures["tornado"] = plot_tornado(fit, checks=checks)
    return figures


def has_content(section: str, figures: dict[str, list[dict[str, Any]]], case: Case | None) -> bool:
    if section == "further":
        return bool(figures["further"])
    return case is not None if section == "afterwards" else True


def place_figures(figures: dict[str, Figure]) -> dict[str, list[dict[str, Any]]]:
    """Figures by section, as data with their text alternatives."""
    out: dict[str, list[dict[str, Any]]] = {section: [] for section, _ in SECTIONS}
    for name, figure in figures.items():
        data = figure_png(figure)
        width, height = struct.unpack(">II", data[16:24])  # header of a PNG
        alt = getattr(figure, "alt", "") or FIGURE_TEXTS[name]
        shown = {"name": name.replace("_", " "), "alt": alt, "width": width, "height": height}
        shown["data"] = base64.b64encode(data).decode("ascii")
        out[SECTION_OF_FIGURE.get(name, "further")].append(shown)
    return out


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG, drawn once however often it is asked for."""
    if figure not in _DRAWN:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        _DRAWN[figure] = buffer.getvalue()
    return _DRAWN[figure]


_DRAWN: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


def prior_sds_in_persons(attribution: Attribution) -> Table:
    """Implied prior standard deviation of each source of the whole gap."""
    frame = attribution.prior.loc[attribution.prior["prior_sd"] > 0]
    return Table(
        frame.reset_index(drop=True),
        "What the priors say about the whole gap, by source",
        "tab:prior-persons",
        (
            "Before any figure of the survey or the census is seen.",
            f"Fit: {attribution.verdict}.",
        ),
        ("prior_mean", "prior_sd"),
    )


def report_tables(
    fit: Fit,
    attribution: Attribution,
    reconciliation: Reconciliation,
    checks: Checks,
    case: Case | None,
) -> dict[str, Table]:
    tables = {
        "groups": groups_table(attribution),
        "attribution": attribution_table(attribution),
        "response": response_table_of(fit, checks=checks),
        "prior_persons": prior_sds_in_persons(attribution),
        "net_migration": net_migration_table(reconciliation),
        "gap": gap_table(fit, checks=checks),
        "closure": closure_table(fit, checks=checks),
        "closure_by_age": closure_by_age_table(fit, attribution),
        "by_sex": by_sex_table(attribution),
        "net_and_gross": net_and_gross_table(attribution),
        "back_series": back_series_table(
            reconciliation, later=None if case is None else case.later_series
        ),
        "new_base": new_base_table(fit, attribution),
        "computation": computation_table(fit, checks),
        "roll_forward": roll_forward_table(fit, checks=checks),
        "misfit": _misfit_table(checks),
        "priors": priors_table(fit, checks=checks),
        "sources": sources_table(fit, checks=checks),
    }
    if case is not None:
        tables["references"] = _plain(case.references, "References of the data")
        tables["afterwards"] = _afterwards(case)
    return tables


def _misfit_table(checks: Checks) -> Table:
    return Table(
        checks.misfit,
        "Residuals of every source at the posterior mean",
        "tab:misfit",
        (
            "Mean square of (published minus expected) over the standard error; about one or less "
            "is good, for the model has bent towards its data. Worst residual in standard errors.",
            f"Fit: {checks.line}.",
        ),
    )


def _plain(frame: pd.DataFrame, caption: str) -> Table:
    return Table(frame.fillna(""), caption, f"tab:{caption.lower().replace(' ', '-')}", ())


def _afterwards(case: Case) -> Table:
    """Later official findings, with the sign that each has in the gap."""
    frame = case.published_afterwards.fillna("")
    signs = {1: "+", -1: "\u2212"}
    if "sign_in_gap" in frame:
        frame["sign_in_gap"] = [signs.get(s, "") for s in frame["sign_in_gap"]]
    return Table(
        frame,
        "Published afterwards",
        "tab:afterwards",
        (f"{GAP_CONVENTION.capitalize()}; no sign: a level, or no part of the gap.",),
        tuple(frame.columns.intersection(["persons"])),
    )
