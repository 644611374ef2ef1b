"""Each year's change of the roll-forward against births, deaths and net migration.

What is left over differs between publications and is carried as known. A year of it that is far
from the others is named; and so is a component that would make nearly all of it vanish if its
years stood in another order, or its directions were exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from imps.names import AGE, AGE_GROUP, EMIGRATION, FLOW, IMMIGRATION, SEX, YEAR
from imps.project.doubts import YEAR_LIMIT
from imps.reading.findings import Collector
from imps.reading.plausibility import (
    unlike_others,
)
from imps.reading.rearrangements import orders
from imps.sources import Sources

LEAST_YEARS: Final = 5
"""Years from which what a roll-forward leaves over is compared."""

LEAST_LEFT: Final = 2e-6
"""Persons per person that a roll-forward leaves over by rounding."""

EXPLAINED: Final = 0.2
"""Share of what is left over below which another order of a component explains it."""

SHOWN: Final = 5
"""Years that a message tells."""


def check_balance(sources: Sources, log: Collector) -> None:
    """Name the years, or the component, that what the roll-forward leaves over points at.

    A year is named from `YEAR_LIMIT` robust deviations, and `LEAST_LEFT` of the people and what
    was put where the survey met nobody, on.
    """
    left = np.asarray(sources.flows_revised_since.values, float)
    if len(left) < LEAST_YEARS:
        return
    least = LEAST_LEFT * sources.base.total + 1 + filled(sources)
    rows = [f"{name}: {what}" for name, what in _misplaced(sources, left, least)]
    if rows:
        log.add("BALANCE_UNLIKELY.order", file="the account", total=len(rows),
                places="; ".join(rows[:SHOWN]))  # fmt: skip
        return
    usual, score = unlike_others(left, least)
    odd = np.flatnonzero(score > YEAR_LIMIT)
    if not len(odd):
        return
    rows = [
        f"{sources.mid_years[t + 1]}: {left[t]:+,.0f} beside {usual[t]:+,.0f} in other years"
        for t in odd[np.argsort(-score[odd])][:SHOWN]
    ]
    log.add("BALANCE_UNLIKELY", file="the account", total=len(odd), places="; ".join(rows))


def filled(sources: Sources) -> np.ndarray:
    """Persons (year) put into cells of the survey that were not observed."""
    persons = np.zeros(len(sources.years))
    for survey in sources.survey_flows.values():
        if survey.unobserved is not None:
            cells = survey.estimate.where(survey.unobserved, 0.0)
            persons = persons + sources.at_mid_years(cells.sum((SEX, AGE_GROUP))).values
    return persons


def _components(sources: Sources) -> dict[str, np.ndarray]:
    """What each component adds to the population, (year), persons per year."""
    found = {
        "births": sources.births.count.sum(SEX).values,
        "deaths": -sources.deaths.count.sum((SEX, AGE)).values,
    }
    total = sources.total_migration
    if total is not None:
        for flow, sign in ((IMMIGRATION, 1), (EMIGRATION, -1)):
            found[flow] = sign * sources.at_mid_years(total.sel({FLOW: flow}, drop=True)).values
    for part in sources.administrative if total is not None else ():
        moved = part.sign * (1 if part.flow == IMMIGRATION else -1)
        found[part.name] = moved * sources.at_mid_years(part.count).values
    for change in sources.known_changes:
        found[change.name] = change.count.reindex({YEAR: sources.years}, fill_value=0.0).values
    if len(sources.known_changes) > 1:
        found["known changes"] = sources.known_change.values
    return {name: np.asarray(v, float) for name, v in found.items()}


def _misplaced(sources: Sources, left: np.ndarray, least: np.ndarray) -> Iterator[tuple[str, str]]:
    """Components that in another order leave next to nothing over, and which order it is."""
    floor = float(least.sum()) * 2

    def spread(values: np.ndarray) -> float:
        return float(np.abs(values - np.median(values)).sum())

    parts = _components(sources)
    net = parts.get(IMMIGRATION, 0.0) + parts.get(EMIGRATION, 0.0)
    if np.abs(left).sum() > floor and np.abs(left + 2 * net).sum() < EXPLAINED * np.abs(left).sum():
        yield "migration", "immigration and emigration fit exchanged"
        return
    if spread(left) <= floor:
        return
    inner = slice(1, -1)  # ends have no other figure of their own
    for name, given in parts.items():
        for what, order in orders(sources.mid_years[1:]):
            moved = left + given - order(given)
            if spread(moved[inner]) < EXPLAINED * spread(left[inner]) - floor / 10:
                yield name, what
                break  # one order is enough
