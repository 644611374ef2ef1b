"""One self-contained HTML page: the answer, figures, tables, methods, priors, limits, checklist.

Everything stands in the file: no address outside it is asked for. It is printed to PDF
by the browser. Templates, style and script lie in `imps/report_page`.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from imps._version import __version__
from imps.posterior.fit import Fit
from imps.report.checklist import OPEN, reporting_checklist
from imps.report.equations import equations_of
from imps.report.sections import (
    SECTIONS,
    WORDS,
    has_content,
    place_figures,
    report_figures,
    report_tables,
)
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
from imps.results.reconciliation import Reconciliation, reconcile
from imps.results.verdict import DO_NOT_USE, USABLE, account_title

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
    frame = gap_by_age(attribution)
    label = (
        "The gap by sex and age as published, and the posterior error of the roll-forward with "
        f"its 95 per cent interval. {extremes(frame)}"
    )
    return {
        "svg": pyramid_svg(frame, label=label, unit=attribution.words.unit),
        "hint": "Point at an age, tap it, or use the arrow keys, to read its numbers.",
        "caption": f"Bar: rolled-forward minus {attribution.words.last_stock} as counted, "
        "right of zero where the roll-forward was too high. Dot and line: rolled-forward minus "
        "true population at "
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
