"""One self-contained HTML page: the answer, figures, tables, methods, priors, limits, checklist.

Everything stands in the file: no address outside it is asked for. It is printed to PDF
by the browser. Templates, style and script lie in `imps/report_page`.
"""

from __future__ import annotations

import base64
import importlib.resources
import io
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pandas as pd

from imps._version import __version__
from imps.names import GAP_CONVENTION, title
from imps.notebook_cards import mean_and_ends, thousand
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
from imps.report.equations import EQUATIONS
from imps.report.svg import (
    extremes,
    gap_by_age,
    lexis_svg,
    migration_error_by_age,
    pyramid_svg,
)
from imps.results.attribution import KNOWN, PRIOR_DRIVEN, Attribution, attribute
from imps.results.checks import DO_NOT_USE, USABLE, Checks, check
from imps.results.predictive import posterior_predictive
from imps.results.reconciliation import Reconciliation, reconcile
from imps.results.sensitivity import correlation_warnings
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
    prior_driven,
    priors_table,
    response_table_of,
    roll_forward_table,
    sources_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imps.shipped.loading import Case

NOT_INCLUDED = (
    "Errors of definition: the survey asks for intentions, the census for usual residence.",
    "Errors in the published series that no source of the model stands for, such as clerical ones.",
    "Doubt about the form of the model: linear errors, the shapes over age, the priors themselves.",
    "Second-hand figures are taken as they were quoted, and figures that were reached by a stated "
    "rule as the rule gives them.",
    "Known changes (moves across an inner border, armed forces) are taken as exact unless they are "
    "given a prior.",
)
MAIN_GROUPS = ("base", "migration", "census")
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


def plain_summary(fit: Fit, attribution: Attribution, reconciliation: Reconciliation) -> list[str]:
    """The result in sentences that a reader without statistics can quote."""
    groups = attribution.groups().set_index("group")
    net = reconciliation.net_migration.sum(("year", "sex", "age"))
    low, high = net.quantile([0.025, 0.975]).values
    side = "above" if attribution.total > 0 else "below"
    base, migration, census = (_said(groups.loc[g]) for g in MAIN_GROUPS)
    sentences = [
        f"{attribution.area}, {attribution.period}: the rolled-forward estimate stood "
        f"{abs(attribution.total):,.0f} persons {side} the census as counted.",
        f"Of this the population base accounts for {base}, all migration sources for {migration}, "
        f"and the census itself for {census}.",
        _clear_signs(groups),
    ]
    known = groups["mean"].get("revisions", 0.0)
    if abs(known) >= 500:
        sentences.append(
            f"{thousand(known)} thousand is known arithmetic: the flows carried at the time "
            "minus the later published series."
        )
    sentences.append(f"Net migration over the period was {_said_of(float(net.mean()), low, high)}.")
    led = ", ".join(_within_sentence(title(name)) for name in prior_driven(attribution))
    if led:
        sentences.append(
            f"Prior-driven (contraction under {PRIOR_DRIVEN:.0%}), so that the split says more "
            f"about the priors than about the data: {led}."
        )
    sentences += _inseparable(attribution)
    sources = fit.model.sources
    if sources.base.observed == sources.census.observed == TOTAL:
        sentences.append(
            "Base and census were published as totals only: the data identify little beyond the "
            "sum of the sources. Immigration and emigration bias in particular cannot be told "
            "apart."
        )
    return sentences


def _said(row: pd.Series) -> str:
    return _said_of(row["mean"], row["lower95"], row["upper95"])


def _said_of(mean: float, lower: float, upper: float) -> str:
    mid, low, high = mean_and_ends(mean, lower, upper)
    return f"{mid} thousand (95 % interval {low} to {high})"


def _clear_signs(groups: pd.DataFrame) -> str:
    """Which headline groups differ from zero beyond doubt, or that none does."""
    rows = groups.loc[list(MAIN_GROUPS)]
    clear = rows[(rows["lower95"] > 0) | (rows["upper95"] < 0)].index
    if not len(clear):
        return "None of the three differs from zero beyond doubt: every interval holds zero."
    names = " and ".join(_within_sentence(title(name)) for name in clear)
    return f"The 95 % interval excludes zero for: {names}."


def _inseparable(attribution: Attribution) -> list[str]:
    """Pairs that trade off so closely that only their sum means anything."""
    pairs = correlation_warnings(attribution)
    return [
        f"{title(row.source)} and {_within_sentence(title(row.other))} trade off (correlation "
        f"{row.correlation:+.2f}): read their sum and not the two apart.".replace("-0", "\u22120")
        for row in pairs[pairs["inseparable"]].itertuples()
    ]


def _within_sentence(text: str) -> str:
    return text if text.startswith("Irish") else text[0].lower() + text[1:]


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
) -> str:
    """The report as text of one HTML file without any address outside it."""
    from jinja2 import Environment

    found = checks or check(fit)
    folder = importlib.resources.files("imps.report") / "page"
    page, style, script = (
        (folder / name).read_text("utf-8") for name in ("page.html.j2", "style.css", "script.js")
    )
    placed = _place_figures(figures)
    checklist = reporting_checklist(fit, attribution, found)
    return (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(page)
        .render(
            version=__version__,
            style=style,
            script=script,
            title=f"Census gap: {attribution.area}, {attribution.period}",
            convention=GAP_CONVENTION.capitalize(),
            verdict=found.line,
            verdict_class={USABLE: "", DO_NOT_USE: "stop"}.get(found.verdict, "care"),
            sections=[s for s in SECTIONS if _has(s[0], placed, case)],
            cards=_cards(attribution),
            summary=plain_summary(fit, attribution, reconciliation),
            figures=placed,
            tables=_tables(fit, attribution, reconciliation, found, case),
            detail=DETAIL[attribution.observed],
            pyramid=_pyramid(attribution),
            lexis=_lexis(fit, reconciliation),
            method=METHODS[fit.method],
            equations=EQUATIONS,
            notes=() if case is None else case.notes,
            not_included=NOT_INCLUDED,
            checklist=checklist.to_dict("records"),
            open_points=int((checklist["status"] == OPEN).sum()),
            computation=list(computation),
            licence="" if case is None else f"Data: {case.licence}.",
        )
    )


def _has(section: str, figures: dict[str, list[dict[str, Any]]], case: Case | None) -> bool:
    if section == "further":
        return bool(figures["further"])
    return case is not None if section == "afterwards" else True


def _place_figures(figures: dict[str, Figure]) -> dict[str, list[dict[str, Any]]]:
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


def _tables(
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


def _cards(attribution: Attribution) -> list[dict[str, str]]:
    """The gap and its headline groups: number, interval, how much of it is prior."""
    cards = [
        {
            "name": "The gap",
            "number": thousand(attribution.total),
            "interval": "thousand persons",
            "learnt": "published",
        }
    ]
    groups = attribution.groups()
    for row in groups[groups["group"].isin(MAIN_GROUPS)].to_dict("records"):
        known = row["sd"] < KNOWN
        mean, low, high = mean_and_ends(row["mean"], row["lower95"], row["upper95"])
        driven = "; prior-driven" if row["contraction"] < PRIOR_DRIVEN else ""
        cards.append(
            {
                "name": title(row["group"]),
                "number": mean,
                "interval": "thousand, known" if known else f"thousand; 95 %: {low} to {high}",
                "learnt": "" if known else f"contraction {max(row['contraction'], 0):.2f}{driven}",
            }
        )
    return cards


def _pyramid(attribution: Attribution) -> dict[str, str]:
    frame = gap_by_age(attribution)
    label = (
        "The gap by sex and single year of age, and the posterior error of the roll-forward with "
        f"its 95 per cent interval. {extremes(frame)}"
    )
    return {
        "svg": pyramid_svg(frame, label=label),
        "hint": "Point at an age, tap it, or use the arrow keys, to read its numbers.",
        "caption": "Bar: rolled-forward minus census as counted, right of zero where the "
        "roll-forward was too high. Dot and line: rolled-forward minus true population at "
        f"mid-year, posterior mean and 95 % interval. {extremes(frame)}",
    }


def _lexis(fit: Fit, reconciliation: Reconciliation) -> dict[str, str]:
    frame = migration_error_by_age(fit, reconciliation)
    label = (
        "Official minus true net migration by sex, age reached and year, posterior mean, persons. "
        f"{extremes(frame)}"
    )
    return {
        "svg": lexis_svg(frame, label=label),
        "hint": "Point at a cell, tap it, or use the arrow keys, to read its numbers.",
        "caption": "Later official series, laid out over ages by the official rule, minus true net "
        "migration: persons a year and single year of age, posterior mean; blue where the official "
        "figure was too high, orange with a dash where it was too low. Dashed lines: cohorts. "
        f"{extremes(frame)}",
    }
