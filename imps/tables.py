"""Tables: one object to DataFrame, CSV, LaTeX and HTML, with its notes."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from imps.attribution import PRIOR_DRIVEN, Attribution
from imps.dims import GAP_CONVENTION, title
from imps.errors import ImpsError
from imps.fit import Fit
from imps.reconcile import Reconciliation
from imps.sensitivity import response_table

ADD_UP = "Means add up; interval ends do not."
INTERVAL = "Intervals are equal-tailed 95 % credible intervals."


@dataclass(frozen=True)
class Table:
    """A table in persons with what a reader must know about it.

    Attributes
    ----------
    frame : DataFrame
        Numbers as they are, in persons and shares.
    caption, label : str
    notes : tuple of str
    in_thousands : tuple of str
        Columns that are printed in thousands, to one decimal, in LaTeX and HTML.
    """

    frame: pd.DataFrame
    caption: str
    label: str
    notes: tuple[str, ...]
    in_thousands: tuple[str, ...] = ()

    def to_csv(self, path: Path) -> None:
        """Write the numbers unrounded; text that a spreadsheet would run is refused."""
        path.write_text(self.csv_text(), encoding="utf-8", newline="")

    def csv_text(self) -> str:
        """The numbers unrounded, as the text of a CSV file."""
        text = self.frame.select_dtypes(include=["object", "string"])
        for column in text:
            bad = [v for v in text[column].dropna() if str(v)[:1] in "=+@\t\r"]
            if bad:
                raise ImpsError(
                    f"table '{self.label}', column '{column}': '{bad[0]}' begins like a "
                    "spreadsheet formula. Rename it."
                )
        return self.frame.to_csv(index=False, lineterminator="\n")

    def printed(self) -> pd.DataFrame:
        """Columns as they are printed: thousands to one decimal, shares to two."""
        out = pd.DataFrame(index=self.frame.index)
        for column in self.frame:
            values = self.frame[column]
            name = str(column).replace("_", " ")
            if column in self.in_thousands:
                out[f"{name} (thousand)"] = [_number(v / 1000, 1) for v in values]
            elif pd.api.types.is_float_dtype(values):
                out[name] = [_number(v, 2) for v in values]
            else:
                out[name] = [_words(v, str(column)) for v in values]
        return out

    def to_latex(self) -> str:
        """LaTeX with booktabs, numbers aligned right, notes under the table."""
        frame = self.printed().map(lambda v: str(v).replace("&", r"\&").replace("%", r"\%"))
        frame = frame.map(lambda v: v.replace("\u2212", "$-$").replace("_", r"\_"))
        columns = "".join("l" if _is_text(self.frame[c]) else "r" for c in self.frame)
        body = frame.style.hide(axis="index").to_latex(
            hrules=True, column_format=columns, caption=self.caption, label=self.label,
            position_float="centering",
        )  # fmt: skip
        notes = " ".join(self.notes).replace("%", r"\%").replace("_", r"\_")
        return body.replace(r"\end{table}", f"\\par\\footnotesize {notes}\n\\end{{table}}")

    def to_html(self) -> str:
        """A plain HTML table with caption, header cells and notes."""
        frame = self.printed()
        head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in frame)
        rows = []
        for values in frame.itertuples(index=False):
            first, *rest = (html.escape(str(v)) for v in values)
            cells = "".join(f"<td>{v}</td>" for v in rest)
            rows.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
        notes = html.escape(" ".join(self.notes))
        return (
            f"<table><caption>{html.escape(self.caption)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table><p class='notes'>{notes}</p>"
        )

    def _repr_html_(self) -> str:
        return self.to_html()


def attribution_table(attribution: Attribution) -> Table:
    """One row a source, with prior, posterior, contraction and probability of its sign."""
    return Table(
        attribution.summary(),
        f"Sources of the gap of {attribution.total:+,.0f} persons, {attribution.area}, "
        f"{attribution.period}",
        "tab:attribution",
        (*_notes(attribution), "Contraction under 0.50: prior-driven."),
        ("mean", "sd", "lower95", "upper95", "prior_mean", "prior_sd"),
    )


def groups_table(attribution: Attribution) -> Table:
    """Headline groups of sources."""
    return Table(
        attribution.groups(),
        f"Headline groups of the gap, {attribution.area}, {attribution.period}",
        "tab:groups",
        _notes(attribution),
        ("mean", "sd", "lower95", "upper95", "prior_mean", "prior_sd"),
    )


def net_migration_table(reconciliation: Reconciliation) -> Table:
    """Net migration by year beside the survey, the later and the original official series."""
    return Table(
        reconciliation.net_migration_by_year(),
        f"Net migration by year to 30 June, {reconciliation.area}",
        "tab:net-migration",
        (
            "Arrivals minus departures.",
            INTERVAL,
            "ips: survey alone; tim_final: later official series; implied_original: carried in "
            "the roll-forward, with other changes.",
            reconciliation.verdict,
        ),
        ("mean", "sd", "lower95", "upper95", "ips", "tim_final", "implied_original"),
    )


def gap_table(fit: Fit) -> Table:
    """The gap in the detail that was published, persons.

    The first row is the gap that the contributions sum to: the roll-forward at
    mid-year against the census as counted. Where census day is not the mid-year a
    second row moves the census by the posterior mean of the change in between.
    """
    sources = fit.model.sources
    census, rolled = sources.census, sources.rolled_forward
    last = float(rolled.total[-1])
    rows = [("total", "all", "all", "as counted", last, census.total)]
    if not census.at_mid_year:
        date = next(c for c in fit.model.contributions if c.source == "date_change")
        moved = float(fit.model.evaluate(date.value.sum(), fit.latents()).mean())
        rows.append(("total", "all", "all", "moved to mid-year", last, census.total + moved))
    if rolled.by_sex is not None and census.observed != "total":
        for sex in rolled.by_sex["sex"].values:
            counted = float(census.count.sel(sex=sex).sum())
            rows.append(
                ("sex", sex, "all", "as counted", float(rolled.by_sex.sel(sex=sex)), counted)
            )
    frame = pd.DataFrame(
        rows, columns=["level", "sex", "age", "basis", "rolled_forward", "census_based"]
    )
    frame["gap"] = frame["rolled_forward"] - frame["census_based"]
    return Table(
        frame,
        f"The gap, {sources.area}, mid-{sources.last_year}",
        "tab:gap",
        (f"Persons; {GAP_CONVENTION}.", rolled.rule if rolled.by_rule else "As published."),
    )


def closure_table(fit: Fit) -> Table:
    """Base, births, deaths, migration carried then, rolled-forward, census, gap."""
    sources = fit.model.sources
    births = float(sources.births.count.sum())
    deaths = float(sources.deaths.count.sum())
    base, last = float(sources.rolled_forward.total[0]), float(sources.rolled_forward.total[-1])
    rows = [
        (f"Base, mid-{sources.mid_years[0]}", base),
        ("+ births", births),
        ("- deaths", -deaths),
        ("+ net migration and other changes, as carried", last - base - births + deaths),
        (f"= rolled-forward, mid-{sources.last_year}", last),
        (f"- census, {sources.census.date}", -sources.census.total),
        ("= gap", sources.gap),
    ]
    return Table(
        pd.DataFrame(rows, columns=["line", "persons"]),
        f"Closure of the account, {sources.area}",
        "tab:closure",
        (GAP_CONVENTION,),
        ("persons",),
    )


def response_table_of(fit: Fit) -> Table:
    """How every source answers 100 thousand of true error in each."""
    frame = response_table(fit)
    return Table(
        frame.reset_index(),
        "Response: movement of each source's posterior mean for 100 thousand of true error in one",
        "tab:response",
        (
            "Exact at the posterior mean scales; it depends on design and priors, not on the data.",
            "100 on the diagonal and 0 beside it would be perfect separation.",
        ),
        tuple(frame.columns),
    )


def roll_forward_table(fit: Fit) -> Table:
    """Deterministic roll-forward year by year with implied, later and survey flows."""
    sources = fit.model.sources
    frame = sources.roll_forward_check()
    persons = [c for c in frame if c not in ("year", "by_rule")]
    return Table(
        frame,
        f"Deterministic roll-forward with three sets of flows, {sources.area}",
        "tab:roll-forward",
        (
            "Implied flows are what the published totals held after births minus deaths; they "
            "reproduce the totals by the balancing equation.",
            sources.rolled_forward.rule and f"By rule: {sources.rolled_forward.rule}.",
        ),
        tuple(persons),
    )


def priors_table(fit: Fit) -> Table:
    """Every prior with its meaning and its reason."""
    return Table(fit.model.priors.table(), "Priors", "tab:priors", ("Shares are per one.",))


def sources_table(fit: Fit) -> Table:
    """Every source with detail, vintage and reference."""
    return Table(fit.model.sources.table(), "Data sources", "tab:sources", ())


def prior_driven(attribution: Attribution) -> list[str]:
    """Names of the sources of which more than half is prior."""
    table = attribution.summary()
    return list(table.loc[table["contraction"] < PRIOR_DRIVEN, "source"])


def _notes(attribution: Attribution) -> tuple[str, ...]:
    return (f"{GAP_CONVENTION.capitalize()}.", INTERVAL, ADD_UP, attribution.verdict)


def _number(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return "known" if digits == 2 else "–"
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "\u2212")


def _words(value: object, column: str) -> str:
    if column in ("source", "group", "true error in") and isinstance(value, str):
        return title(value)
    return str(value)


def _is_text(values: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(values)
