"""What stands in which section of the report: its figures and its tables."""

from __future__ import annotations

import base64
import importlib.resources
import io
import struct
import tomllib
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pandas as pd

from imps.intervals import Unit
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
from imps.results.chain import linked_chain
from imps.results.checks import Checks
from imps.results.predictive import posterior_predictive
from imps.results.reconciliation import Reconciliation
from imps.tables.chain import persistence_table
from imps.tables.fit import computation_table
from imps.tables.printed import PrintedTable
from imps.tables.run import run_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imps.project.case import Case

WORDS = tomllib.loads(
    (importlib.resources.files("imps.report") / "words" / "report.toml").read_text("utf-8")
)
"""What the report says that no fit has to compute."""
SECTIONS = tuple((section["id"], section["name"]) for section in WORDS["section"])
SECTION_OF_FIGURE = {
    figure: section["id"] for section in WORDS["section"] for figure in section.get("figures", ())
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
    if attribution.open_end:
        return _of_open_end(fit, attribution, reconciliation, checks)
    later = None if case is None or case.later_series.empty else case.later_series
    figures = {
        **standard_figures(attribution, reconciliation),
        **({"gap_pyramid": plot_gap_pyramid(attribution)} if attribution.detail.by_sex else {}),
        "back_series": plot_back_series(reconciliation, later=later),
        "joint": plot_joint(attribution),
        "predictive": plot_predictive(posterior_predictive(fit, checks=checks)),
        "diagnostics": plot_diagnostics(fit, checks=checks),
    }
    if fit.gaussian:  # exact answers only
        figures["tornado"] = plot_tornado(fit, checks=checks)
    return figures


def _of_open_end(
    fit: Fit, attribution: Attribution, reconciliation: Reconciliation, checks: Checks
) -> dict[str, Figure]:
    """The figures that need no last census."""
    figures = {
        **standard_figures(attribution, reconciliation),
        "diagnostics": plot_diagnostics(fit, checks=checks),
    }
    if fit.model.observed.size:
        figures["predictive"] = plot_predictive(posterior_predictive(fit, checks=checks))
    return figures


def has_content(section: str, figures: dict[str, list[dict[str, Any]]], case: Case | None) -> bool:
    if section == "further":
        return bool(figures["further"])
    return bool(case is not None and len(case.published_afterwards)) or section != "afterwards"


def place_figures(figures: dict[str, Figure]) -> dict[str, list[dict[str, Any]]]:
    """Figures by section, as data with their text alternatives."""
    out: dict[str, list[dict[str, Any]]] = {section: [] for section, _ in SECTIONS}
    for name, figure in figures.items():
        out[SECTION_OF_FIGURE.get(name, "further")].append(shown_figure(name, figure))
    return out


def shown_figure(name: str, figure: Figure) -> dict[str, Any]:
    """A figure as data with its text alternative."""
    data = figure_png(figure)
    width, height = struct.unpack(">II", data[16:24])  # header of a PNG
    alt = getattr(figure, "alt", "") or FIGURE_TEXTS[name]
    shown = {"name": name.replace("_", " "), "alt": alt, "width": width, "height": height}
    return {**shown, "data": base64.b64encode(data).decode("ascii")}


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG, drawn once however often it is asked for."""
    if figure not in _DRAWN:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        _DRAWN[figure] = buffer.getvalue()
    return _DRAWN[figure]


_DRAWN: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


def prior_sds_in_persons(attribution: Attribution) -> PrintedTable:
    """Implied prior standard deviation of each source of the whole gap."""
    frame = attribution.prior.loc[attribution.prior["prior_sd"] > 0]
    return PrintedTable(
        frame.reset_index(drop=True),
        "What the priors say about the whole gap, by source",
        "tab:prior-persons",
        (
            "Before any figure of migration or the census is seen.",
            f"Fit: {attribution.verdict}.",
        ),
        ("prior_mean", "prior_sd"),
        unit=attribution.words.unit,
    )


def report_tables(
    fit: Fit,
    attribution: Attribution,
    reconciliation: Reconciliation,
    checks: Checks,
    case: Case | None,
    made: dict[str, PrintedTable] | None = None,
) -> dict[str, PrintedTable]:
    """The tables of the report; those of a run that are `made` are not made again."""
    later = None if case is None else case.later_series
    made = made or run_tables(fit, attribution, reconciliation, checks, later=later)
    tables = made | {
        "prior_persons": prior_sds_in_persons(attribution),
        "computation": computation_table(fit, checks),
        "misfit": _misfit_table(checks),
    }
    if (chain := linked_chain(fit)) is not None:
        tables["persistence"] = persistence_table(chain)
    if case is not None and len(case.references):
        tables["references"] = _plain(case.references, "References of the data")
    if case is not None and len(case.published_afterwards):
        tables["afterwards"] = _afterwards(case)
    return tables


def _misfit_table(checks: Checks) -> PrintedTable:
    return PrintedTable(
        checks.misfit,
        "Residuals of every source at the posterior mean",
        "tab:misfit",
        (
            "Mean square of (published minus expected) over the standard error; about one or less "
            "is good, for the model has bent towards its data. Worst residual in standard errors.",
            f"Fit: {checks.verdict}.",
        ),
    )


def _plain(frame: pd.DataFrame, caption: str) -> PrintedTable:
    return PrintedTable(frame.fillna(""), caption, f"tab:{caption.lower().replace(' ', '-')}", ())


def _afterwards(case: Case) -> PrintedTable:
    """Later official findings, with the sign that each has in the gap."""
    frame = case.published_afterwards.fillna("")
    signs = {1: "+", -1: "\u2212"}
    if "sign_in_gap" in frame:
        frame["sign_in_gap"] = [signs.get(s, "") for s in frame["sign_in_gap"]]
    return PrintedTable(
        frame,
        "Published afterwards",
        "tab:afterwards",
        (f"{GAP_CONVENTION.capitalize()}; no sign: a level, or no part of the gap.",),
        tuple(frame.columns.intersection(["persons"])),
        unit=Unit.of(case.sources.census.total),
    )
