"""One self-contained HTML page: the answer, the figures, the tables, the priors, the limits."""

from __future__ import annotations

import base64
import importlib.resources
import io
from typing import TYPE_CHECKING

import pandas as pd

from imps.attribution import PRIOR_DRIVEN, Attribution
from imps.dims import title
from imps.fit import Fit
from imps.plots import FIGURE_TEXTS
from imps.reconcile import Reconciliation
from imps.tables import (
    Table,
    attribution_table,
    closure_table,
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

    from imps.cases.loading import Case

NOT_INCLUDED = (
    "Errors of definition: the survey asks for intentions, the census for usual residence.",
    "Errors in the published series that no source of the model stands for, such as clerical ones.",
    "Doubt about the form of the model: linear errors, the shapes over age, the priors themselves.",
    "Second-hand figures are taken as they were quoted.",
)
METHODS = {
    "exact": "The scales are integrated by an importance grid; given the scales the posterior is "
    "exact and the draws are independent.",
    "nuts": "All unknowns were sampled by NUTS.",
}


def plain_summary(attribution: Attribution, reconciliation: Reconciliation) -> list[str]:
    """The result in sentences that a reader without statistics can quote."""
    groups = attribution.groups().set_index("group")

    def said(group: str) -> str:
        row = groups.loc[group]
        return (
            f"{row['mean'] / 1e3:+,.0f} thousand (95 % interval {row['lower95'] / 1e3:+,.0f} to "
            f"{row['upper95'] / 1e3:+,.0f})"
        )

    led = prior_driven(attribution)
    net = reconciliation.net_migration.sum(("year", "sex", "age"))
    low, high = net.quantile([0.025, 0.975]).values
    sentences = [
        f"The rolled-forward estimate stood {attribution.total:+,.0f} persons from the census "
        f"({attribution.area}, {attribution.period}; positive: too high).",
        f"Of this the population base accounts for {said('base')}, all migration sources for "
        f"{said('migration')}, and the census itself for {said('census')}.",
    ]
    if "revisions" in groups.index:
        known = groups.loc["revisions", "mean"]
        sentences.append(
            f"{known / 1e3:+,.0f} thousand is known arithmetic: the flows carried at the time "
            "minus the later published series."
        )
    sentences.append(
        f"Net migration over the period was {float(net.mean()) / 1e3:+,.0f} thousand (95 % "
        f"interval {low / 1e3:+,.0f} to {high / 1e3:+,.0f})."
    )
    if led:
        names = ", ".join(_within_sentence(title(name)) for name in led)
        sentences.append(
            f"Prior-driven (contraction under {PRIOR_DRIVEN:.0%}), so that the split says more "
            f"about the priors than about the data: {names}."
        )
    if attribution.observed == "total":
        sentences.append(
            "Only totals were published at the ends of this gap: the data identify little beyond "
            "their sum. Immigration and emigration bias in particular cannot be told apart."
        )
    return sentences


def _within_sentence(text: str) -> str:
    return text if text.startswith("Irish") else text[0].lower() + text[1:]


def prior_sds_in_persons(attribution: Attribution) -> Table:
    """Implied prior standard deviation of each source of the whole gap."""
    frame = attribution.prior.loc[attribution.prior["prior_sd"] > 0]
    return Table(
        frame.reset_index(drop=True),
        "What the priors say about the whole gap, by source",
        "tab:prior-persons",
        ("Before any figure of the survey or the census is seen.",),
        ("prior_mean", "prior_sd"),
    )


def html_report(
    fit: Fit,
    attribution: Attribution,
    reconciliation: Reconciliation,
    figures: dict[str, Figure],
    *,
    case: Case | None,
    computation: list[tuple[str, str]],
) -> str:
    """The report as text of one HTML file without any address outside it."""
    from jinja2 import Environment

    template = importlib.resources.files("imps").joinpath("report.html.j2").read_text("utf-8")
    page = Environment(autoescape=True).from_string(template)
    tables = [
        groups_table(attribution),
        attribution_table(attribution),
        response_table_of(fit),
        prior_sds_in_persons(attribution),
        net_migration_table(reconciliation),
        gap_table(fit),
        closure_table(fit),
        roll_forward_table(fit),
    ]
    afterwards = None if case is None else _plain(case.published_afterwards, "Published afterwards")
    return page.render(
        title=f"The census gap of {attribution.area}, {attribution.period}",
        verdict=attribution.verdict,
        summary=plain_summary(attribution, reconciliation),
        figures=[{"data": _png(f), "alt": FIGURE_TEXTS[name]} for name, f in figures.items()],
        tables=[table.to_html() for table in tables],
        method=METHODS[fit.method],
        priors=priors_table(fit).to_html(),
        sources=sources_table(fit).to_html(),
        notes=() if case is None else case.notes,
        not_included=NOT_INCLUDED,
        afterwards=afterwards,
        computation=computation,
        licence="" if case is None else f"Data: {case.licence}.",
    )


def _plain(frame: pd.DataFrame, caption: str) -> str:
    return Table(frame.fillna(""), caption, "tab:afterwards", ()).to_html()


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
