"""A shipped case, loaded: its sources, and apart from them what was published afterwards."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imps.names import AGE, SEX, YEAR
from imps.shipped import case_settings
from imps.shipped.flows import (
    known_changes,
    reach_last_years,
    survey_and_parts,
    total_migration,
)
from imps.shipped.stocks import births_and_deaths, rolled_forward, stock
from imps.shipped.tables import Tables, by_sex_and_age
from imps.sources import Sources


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
    later_series : DataFrame
        Later series of population and flows by year, persons; no model sees them.
    references : DataFrame
    notes : tuple of str
    """

    name: str
    title: str
    licence: str
    sources: Sources
    published_afterwards: pd.DataFrame
    later_series: pd.DataFrame
    references: pd.DataFrame
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        s = self.sources
        return (
            f"Case '{self.name}': {self.title}\n"
            f"gap {s.gap:+,.0f} persons (rolled-forward minus census)\n"
            f"{len(s.table())} sources, ages 0-{s.ages[-1]}+, two sexes, {len(s.years)} years"
        )


def load_case(name: str) -> Case:
    """Load a shipped case by name.

    Raises
    ------
    UnknownCaseError
        With the known names, and the nearest of them.
    """
    settings = case_settings(name)
    tables = Tables(name)
    return Case(
        name=name,
        title=settings["title"],
        licence=settings["licence"],
        sources=_sources(settings, tables),
        published_afterwards=tables.read("published_afterwards"),
        later_series=_later_series(tables),
        references=tables.read("references"),
        notes=tuple(settings["notes"]),
    )


def _later_series(tables: Tables) -> pd.DataFrame:
    if tables.has("later_series"):
        return tables.read("later_series")
    return pd.DataFrame(columns=["year", "series", "area", "sex", "persons", "reference"])


def _sources(settings: dict[str, Any], tables: Tables) -> Sources:
    first, census_date = settings["first_mid_year"], settings["census_date"]
    intervals = range(first + 1, census_date.year + 1)
    schedule = by_sex_and_age(
        tables.read("population"), "population", settings["schedule"]["vintage"]
    )
    births, deaths = births_and_deaths(tables, schedule, intervals)
    natural = births.count.sum(SEX) - deaths.count.sum((SEX, AGE))
    totals = total_migration(settings, tables)
    rolled = rolled_forward(settings["rolled_forward"], tables, intervals, natural, totals)
    changes = known_changes(settings, tables)
    other = natural.copy()
    for change in changes:
        other = other + change.count.reindex({YEAR: natural[YEAR]}, fill_value=0.0)
    totals = reach_last_years(totals, settings, rolled, other)
    (immigration, emigration), known, parts = survey_and_parts(settings, tables, totals)
    return Sources(
        area=settings["area"],
        base=stock(settings["base"], "base", dt.date(first, 6, 30), tables, schedule),
        census=stock(settings["census"], "census", census_date, tables, schedule),
        births=births,
        deaths=deaths,
        immigration=immigration,
        emigration=emigration,
        administrative=parts,
        known_sums=known,
        total_migration=totals,
        rolled_forward=rolled,
        known_changes=changes,
    )
