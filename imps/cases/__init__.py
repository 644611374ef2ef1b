"""Shipped cases: compact tables of published figures with source, vintage and licence.

Each case is a folder of tidy tables in one schema:

`case.toml`
    title, area, dates, vintages, rules and notes.
`stocks.csv`
    item, date, vintage, persons, reference: base, rolled-forward, census totals.
`population.csv`
    vintage, year, sex, age, population, reference: single years of age.
`births.csv`, `deaths.csv`
    registered events by calendar year.
`survey_flows.csv`
    year, flow, sex, age_group, estimate and 95 per cent half-width in thousands, contacts.
`flow_totals.csv`
    year, flow, basis (IPS, TIM), thousands.
`asylum_applications.csv`
    year, main_applicants.
`published_afterwards.csv`
    what was published after the census: for comparison only, no model sees it.
`references.csv`
    publisher, title, date and licence behind each key in the column `reference`.

Crown copyright figures are reused under the Open Government Licence v3.0.
"""

from __future__ import annotations

import datetime as dt
import difflib
import importlib.resources
import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.dims import AGE, AGE_GROUP, EMIGRATION, FLOW, FLOWS, IMMIGRATION, SEX, SEXES, YEAR
from imps.errors import UnknownCaseError
from imps.sources import (
    Births,
    Deaths,
    KnownSum,
    RolledForward,
    Sources,
    Stock,
    SurveyFlow,
    asylum_seekers,
    expected_parts,
    irish_flows,
    migrant_switchers,
    visitor_switchers,
)
from imps.sources.admin import EXPECTED, AdministrativeFlow

_MAKERS = {
    "asylum_seekers": asylum_seekers,
    "irish_flows": irish_flows,
    "visitor_switchers": visitor_switchers,
    "migrant_switchers": migrant_switchers,
}


@dataclass(frozen=True)
class Case:
    """A shipped case: its sources, and apart from them what was published afterwards.

    Attributes
    ----------
    name, title, licence : str
    sources : Sources
        All that the model sees.
    published_afterwards : DataFrame
        Later revisions and attributions, persons; no model sees them.
    references : DataFrame
    notes : tuple of str
    """

    name: str
    title: str
    licence: str
    sources: Sources
    published_afterwards: pd.DataFrame
    references: pd.DataFrame
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        s = self.sources
        return (
            f"Case '{self.name}': {self.title}\n"
            f"gap {s.gap:+,.0f} persons (rolled-forward minus census)\n"
            f"{len(s.table())} sources, ages 0-{s.ages[-1]}+, two sexes, {len(s.years)} years"
        )


def cases() -> list[str]:
    """Names of the shipped cases."""
    folder = importlib.resources.files(__name__)
    return sorted(
        entry.name.replace("_", "-")
        for entry in folder.iterdir()
        if entry.is_dir() and (entry / "case.toml").is_file()
    )


def case_title(name: str) -> str:
    """Title of a shipped case, read without loading its tables."""
    return str(_settings(name)["title"])


def load_case(name: str) -> Case:
    """Load a shipped case by name.

    Raises
    ------
    UnknownCaseError
        With the known names, and the nearest of them.
    """
    settings = _settings(name)
    tables = _Tables(name)
    return Case(
        name=name,
        title=settings["title"],
        licence=settings["licence"],
        sources=_sources(settings, tables),
        published_afterwards=tables.read("published_afterwards"),
        references=tables.read("references"),
        notes=tuple(settings["notes"]),
    )


class _Tables:
    """The tables of one case, read from the installed package."""

    def __init__(self, name: str) -> None:
        self.folder = importlib.resources.files(__name__) / name.replace("-", "_")

    def read(self, table: str) -> pd.DataFrame:
        with (self.folder / f"{table}.csv").open(encoding="utf-8") as file:
            return pd.read_csv(file)


def _settings(name: str) -> dict[str, Any]:
    known = cases()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UnknownCaseError(
            f"no shipped case is called '{name}'.{hint} Known: {', '.join(known)}."
        )
    file = importlib.resources.files(__name__) / name.replace("-", "_") / "case.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _sources(settings: dict[str, Any], tables: _Tables) -> Sources:
    first, census_date = settings["first_mid_year"], settings["census_date"]
    intervals = range(first + 1, census_date.year + 1)
    stocks = tables.read("stocks")
    schedule = _by_sex_and_age(
        tables.read("population"), "population", settings["schedule"]["vintage"]
    )
    births, deaths = _vital(tables, schedule, intervals)
    immigration, emigration = _survey(settings["survey"], tables.read("survey_flows"))
    totals = _total_migration(settings["total_migration"], tables.read("flow_totals"))
    known = [_known_sum(survey, totals, settings) for survey in (immigration, emigration)]
    parts = _administrative(settings, known, tables.read("asylum_applications"))
    natural = births.count.sum(SEX) - deaths.count.sum((SEX, AGE))
    return Sources(
        area=settings["area"],
        base=_stock(settings["base"], "base", dt.date(first, 6, 30), stocks, schedule),
        census=_stock(settings["census"], "census", census_date, stocks, schedule),
        births=births,
        deaths=deaths,
        immigration=immigration,
        emigration=emigration,
        administrative=parts,
        known_sums=tuple(known),
        total_migration=totals,
        rolled_forward=_rolled_forward(settings, stocks, intervals, natural, totals),
    )


def _by_sex_and_age(table: pd.DataFrame, column: str, vintage: str | None = None) -> xr.DataArray:
    rows = table if vintage is None else table[table["vintage"] == vintage]
    years, ages = sorted(rows["year"].unique()), sorted(rows["age"].unique())
    index = pd.MultiIndex.from_product([years, SEXES, ages])
    values = rows.set_index(["year", "sex", "age"])[column].reindex(index).to_numpy(float)
    return xr.DataArray(
        values.reshape(len(years), len(SEXES), len(ages)),
        dims=(YEAR, SEX, AGE),
        coords={YEAR: years, SEX: list(SEXES), AGE: ages},
    )


def _series(table: pd.DataFrame, column: str) -> xr.DataArray:
    rows = table.sort_values("year")
    return xr.DataArray(
        rows[column].to_numpy(float), dims=YEAR, coords={YEAR: rows["year"].to_numpy()}
    )


def _references(table: pd.DataFrame) -> str:
    keys = {key for cell in table["reference"] for key in str(cell).split(";")}
    return ", ".join(sorted(keys))


def _stock(
    fields: dict[str, Any], item: str, date: dt.date, stocks: pd.DataFrame, schedule: xr.DataArray
) -> Stock:
    row = stocks[stocks["item"] == item].iloc[0]
    return Stock.from_total(
        float(row["persons"]),
        schedule.sel({YEAR: date.year}, drop=True),
        date=date,
        relative_standard_error=float(fields["relative_standard_error"]),
        vintage=fields["vintage"],
        reference=str(row["reference"]),
        name=item,
    )


def _vital(tables: _Tables, population: xr.DataArray, intervals: range) -> tuple[Births, Deaths]:
    births, deaths = tables.read("births"), tables.read("deaths")
    return (
        Births.from_calendar_years(
            _series(births, "births"),
            _series(births, "males_per_1000_females"),
            intervals=intervals,
            vintage="registered",
            reference=_references(births),
        ),
        Deaths.from_calendar_years(
            _by_sex_and_age(deaths, "deaths"),
            population,
            intervals=intervals,
            vintage="registered",
            reference=_references(deaths),
        ),
    )


def _survey(fields: dict[str, Any], table: pd.DataFrame) -> tuple[SurveyFlow, SurveyFlow]:
    persons = table.assign(
        estimate=table["estimate_thousands"] * 1000,
        half_width_95=table["half_width_95_thousands"] * 1000,
    )
    immigration, emigration = (
        SurveyFlow.from_table(
            persons,
            flow,
            definition=fields["definition"],
            vintage=fields["vintage"],
            reference=_references(table),
        )
        for flow in (IMMIGRATION, EMIGRATION)
    )
    return immigration, emigration


def _total_migration(fields: dict[str, Any], table: pd.DataFrame) -> xr.DataArray:
    rows = table[table["basis"] == fields["basis"]]
    years = sorted(rows["year"].unique())
    index = pd.MultiIndex.from_product([FLOWS, years])
    values = rows.set_index(["flow", "year"])["thousands"].reindex(index).to_numpy(float) * 1000
    return xr.DataArray(
        values.reshape(len(FLOWS), len(years)),
        dims=(FLOW, YEAR),
        coords={FLOW: list(FLOWS), YEAR: years},
    )


def _known_sum(survey: SurveyFlow, totals: xr.DataArray, settings: dict[str, Any]) -> KnownSum:
    """What the publisher added to the survey: total minus the survey's cells."""
    count = totals.sel({FLOW: survey.flow}, drop=True).sel({YEAR: survey.years})
    return KnownSum(
        flow=survey.flow,
        count=count - survey.estimate.sum((SEX, AGE_GROUP)),
        vintage=settings["total_migration"]["vintage"],
        reference=f"{settings['total_migration']['basis']} minus {survey.reference}",
    )


def _administrative(
    settings: dict[str, Any], known: list[KnownSum], applications: pd.DataFrame
) -> tuple[AdministrativeFlow, ...]:
    """Expected parts: asylum from applications, the rest by shares of what is left."""
    parts: list[AdministrativeFlow] = []
    for total in known:
        fields = {"vintage": total.vintage, "reference": total.reference}
        left = total
        if total.flow == IMMIGRATION:
            rule = settings["asylum"]
            entering = (
                _series(applications, "main_applicants")
                * rule["persons_per_application"]
                * rule["share_entering"]
            )
            asylum = np.minimum(entering, rule["largest_share_of_sum"] * total.count)
            parts.append(
                asylum_seekers(
                    total.flow,
                    asylum,
                    status=EXPECTED,
                    vintage=fields["vintage"],
                    reference=_references(applications),
                )
            )
            left = KnownSum(total.flow, total.count - asylum, total.vintage, total.reference)
        shares = settings["parts"][total.flow].items()
        parts += expected_parts(left, [(_MAKERS[n], s) for n, s in shares], **fields)
    return tuple(parts)


def _rolled_forward(
    settings: dict[str, Any],
    stocks: pd.DataFrame,
    intervals: range,
    natural: xr.DataArray,
    totals: xr.DataArray,
) -> RolledForward:
    """Published totals, and the last mid-year by rule where it was not published."""
    rows = stocks[stocks["item"].isin(["base", "rolled_forward"])].copy()
    rows["year"] = rows["date"].str[:4].astype(int)
    published = _series(rows.rename(columns={"persons": "total"}), "total")
    by_rule = tuple(y for y in intervals if y not in published[YEAR].values)
    for year in by_rule:
        published = _reach_by_rule(published, year, natural, totals)
    return RolledForward(
        total=published,
        by_rule=by_rule,
        rule=settings["rolled_forward"]["rule"],
        vintage=settings["rolled_forward"]["vintage"],
        reference=_references(rows),
    )


def _reach_by_rule(
    published: xr.DataArray, year: int, natural: xr.DataArray, totals: xr.DataArray
) -> xr.DataArray:
    """Natural change, later net migration, and the mean excess of the old flows so far."""
    net = totals.sel({FLOW: IMMIGRATION}) - totals.sel({FLOW: EMIGRATION})
    later = {y: float(net.sel({YEAR: [y - 1, y]}).mean()) for y in natural[YEAR].values}
    change = published.diff(YEAR)
    excess = [
        float(c) - float(natural.sel({YEAR: y})) - later[int(y)]
        for y, c in zip(change[YEAR].values, change.values, strict=True)
    ]
    total = (
        float(published[-1])
        + float(natural.sel({YEAR: year}))
        + later[year]
        + float(np.mean(excess))
    )
    reached = xr.DataArray([total], dims=YEAR, coords={YEAR: [year]})
    return xr.concat([published, reached], dim=YEAR)


__all__ = ["Case", "case_title", "cases", "load_case"]
