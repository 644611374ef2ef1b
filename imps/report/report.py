"""One self-contained HTML page: the answer, figures, tables, methods, priors, limits, checklist.

Everything stands in the file: no address outside it is asked for. It is printed to PDF
by the browser. Templates, style and script lie in `imps/report/page`. What
stands in which section is said here too: its figures (`report_figures`) and its tables.
"""

from __future__ import annotations

import base64
import importlib.resources
import io
import struct
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pandas as pd

from imps._version import __version__
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
from imps.report.checklist import OPEN, reporting_checklist
from imps.report.equations import equations_of
from imps.report.summary import headline_cards, plain_summary
from imps.report.svg import (
    extremes,
    gap_by_age,
    lexis_svg,
    migration_error_by_age,
    pyramid_svg,
)
from imps.results.attribution import Attribution, attribute
from imps.results.chain import linked_chain
from imps.results.checks import Checks, check
from imps.results.predictive import posterior_predictive
from imps.results.reconciliation import Reconciliation, reconcile
from imps.results.verdict import DO_NOT_USE, USABLE, account_title
from imps.sources import TOTAL
from imps.tables.fit import computation_table
from imps.tables.printed import PrintedTable
from imps.tables.run import persistence_table, run_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imps.project.case import Case
    from imps.tables.printed import PrintedTable

TITLES = {False: "Census gap", True: "How sure is the roll-forward"}
"""Titles of a report, by whether no census has been taken at the end."""


def write_report(
    fit: Fit,
    path: str | Path,
    *,
    case: Case | None = None,
    computation: Iterable[tuple[str, str]] = (),
) -> Path:
    """Write the report of a fit as one HTML file.

    Parameters
    ----------
    fit : Fit
    path : path
        Of the file; an existing one is replaced.
    case : Case, optional
        Adds notes, references, licence and what was published afterwards.
    computation : iterable of (name, value)
        Lines of the section on the computation, such as versions.

    Returns
    -------
    Path
        Of the file written.
    """
    checks = check(fit)
    attribution = attribute(fit, checks=checks)
    reconciliation = reconcile(fit, checks=checks)
    page = html_report(
        fit,
        attribution,
        reconciliation,
        report_figures(fit, attribution, reconciliation, checks, case=case),
        case=case,
        computation=computation,
        checks=checks,
    )
    out = Path(path)
    out.write_text(page, encoding="utf-8")
    return out


def html_report(
    fit: Fit,
    attribution: Attribution,
    reconciliation: Reconciliation,
    figures: dict[str, Figure],
    *,
    case: Case | None,
    computation: Iterable[tuple[str, str]],
    checks: Checks | None = None,
    tables: dict[str, PrintedTable] | None = None,
) -> str:
    """The report as text of one HTML file without any address outside it.

    Tables of the run that are given are not made again.
    """
    from jinja2 import Environment

    found = checks or check(fit)
    folder = importlib.resources.files("imps.report") / "page"
    page, style, script = (
        (folder / name).read_text("utf-8") for name in ("page.html.j2", "style.css", "script.js")
    )
    placed = place_figures(figures)
    open_end = attribution.open_end
    checklist = None if open_end else reporting_checklist(fit, attribution, found)
    sections = [s for s in SECTIONS if has_content(s[0], placed, case)]
    return (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(page)
        .render(
            version=__version__,
            style=style,
            script=script,
            title=f"{TITLES[open_end]}: {account_title(attribution, case)}",
            convention=attribution.convention.capitalize(),
            measured=attribution.measured,
            verdict=str(found.verdict),
            verdict_class={USABLE: "", DO_NOT_USE: "stop"}.get(found.verdict.level, "care"),
            sections=[s for s in sections if not (open_end and s[0] == "checklist")],
            cards=headline_cards(attribution),
            summary=plain_summary(fit, attribution, reconciliation),
            figures=placed,
            tables=report_tables(fit, attribution, reconciliation, found, case, tables),
            detail=WORDS["detail"]["open end" if open_end else attribution.observed],
            pyramid=None if open_end else _pyramid(attribution),
            lexis=_lexis(fit, reconciliation),
            method=WORDS["method"][fit.method],
            equations=equations_of(fit.model.sources, chain=linked_chain(fit) is not None),
            notes=() if case is None else case.notes,
            not_included=_not_included(fit),
            checklist=[] if checklist is None else checklist.to_dict("records"),
            open_points=0 if checklist is None else int((checklist["status"] == OPEN).sum()),
            computation=list(computation),
            licence="" if case is None else f"Data: {case.licence}.",
        )
    )


def _not_included(fit: Fit) -> list[str]:
    """What no interval holds; the definitions are those of what counts migration."""
    of = "survey" if fit.model.sources.survey_flows else "streams"
    return [item.format(definition=WORDS["definition"][of]) for item in WORDS["not_included"]]


def _pyramid(attribution: Attribution) -> dict[str, str]:
    frame, last = gap_by_age(attribution), attribution.words.last_stock
    gap, bar = (
        "The gap by sex and age as published, and the",
        f"Bar: rolled-forward minus {last} as counted, right of zero where the roll-forward was "
        "too high.",
    )
    if attribution.counted == TOTAL:
        gap, bar = "The", f"The {last} was published as a total: no gap by age."
    label = (
        f"{gap} posterior error of the roll-forward with its 95 per cent interval. "
        f"{extremes(frame)}"
    )
    return {
        "svg": pyramid_svg(frame, label=label, unit=attribution.words.unit),
        "hint": "Point at an age, tap it, or use the arrow keys, to read its numbers.",
        "caption": f"{bar} Dot and line: rolled-forward minus true population at "
        f"{attribution.words.each}, posterior mean and 95 % interval. {extremes(frame)}",
    }


def _lexis(fit: Fit, reconciliation: Reconciliation) -> dict[str, str]:
    frame, said = migration_error_by_age(fit, reconciliation), reconciliation.year_end.said
    label = (
        "Official minus true net migration by sex, age reached and year, posterior mean, persons. "
        f"{extremes(frame, said)}"
    )
    return {
        "svg": lexis_svg(frame, label=label, said=said),
        "hint": "Point at a cell, tap it, or use the arrow keys, to read its numbers.",
        "caption": "Published flows, laid out over ages by the official rule, minus true net "
        "migration: persons a year and published age, posterior mean; blue where the official "
        "figure was too high, orange with a dash where it was too low. Dashed lines: cohorts. "
        f"{extremes(frame, said)}",
    }


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
