"""Rules for what was not published of areas: ages of the base, and the last mid-year.

Base by age: the first later population by age of the area, times the nation's ratio of the base
to that year at each sex and age, raked to the totals of areas and the cells of the nation.

Last mid-year: every cell repeats the change of its cohort in the year before; what the nation's
roll-forward has beside that falls on areas as their immigration at ages 17 to 45 and as their
population elsewhere; raked to the nation's cells, and to regions and sexes where published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imps.account.gap import rolled_forward_cells
from imps.account.linear import LinearModel
from imps.areas.sizes import raked
from imps.demography.accounting import carry
from imps.names import SEXES
from imps.reading.findings import Collector

MIGRANT_AGES = slice(17, 46)
LEAST_LEFT = 0.3
"""Share of a cohort's cell that the rule of the last year leaves at least."""
ROUNDS = 60
ROLLED, CENSUS_BASED = "rolled-forward", "census-based"


@dataclass(frozen=True)
class Given:
    """Tables of areas as arrays, areas in order.

    Attributes
    ----------
    stocks : mapping from (kind, year) to ndarray (area, sex, age), persons
    components : mapping to ndarray (area, year), persons a year
    regions : ndarray (area) of str
    mobility : ndarray (sex, age), moves a person a year, or None
    moves : DataFrame (area by first age of a group), moves a year, or None
    by_region : DataFrame or None
    file : str
        Name of the table of stocks, for messages.
    """

    stocks: Mapping[tuple[str, int], np.ndarray]
    components: Mapping[str, np.ndarray]
    regions: np.ndarray
    mobility: np.ndarray | None
    moves: pd.DataFrame | None
    by_region: pd.DataFrame | None
    file: str = "population"

    def rolled(self, year: int) -> np.ndarray | None:
        """Roll-forward (area, sex, age) of a year, if it is there."""
        return self.stocks.get((ROLLED, year))

    @property
    def years(self) -> list[int]:
        """Years of which there is a roll-forward by age."""
        return sorted(year for kind, year in self.stocks if kind == ROLLED)


def stocks_by_rule(
    given: Given, nation: LinearModel, found: Collector
) -> tuple[dict[str, np.ndarray], list[str]]:
    """base, rolled_forward, census, structure, mobility (area, sex, age), and the rules taken."""
    sources = nation.sources
    first, last = sources.first_year, sources.last_year
    census = given.stocks.get((CENSUS_BASED, last))
    between = [y for y in given.years if first < y < last]
    notes: list[str] = []
    if census is None:
        found.add("AREA_YEARS.needed", file=given.file, what=CENSUS_BASED, year=last)
    if given.rolled(first) is None and not between:
        found.add("AREA_YEARS.needed", file=given.file, what=ROLLED, year=first)
    if given.rolled(last) is None and not {last - 1, last - 2} <= set(given.years):
        found.add("AREA_YEARS.needed", file=given.file, what=ROLLED, year=last)
    if found.failed or census is None:
        return {}, notes
    national = rolled_forward_cells(nation.account)
    base = _base(given, sources.base.count.values, first, between, notes)
    rolled = _last(given, national, sources.census.count.values, last, notes)
    census = raked(census, census.sum(axis=(1, 2)), sources.census.count.values)
    middle = min(given.years, key=lambda y: (abs(y - (first + last) / 2), y))
    structure = given.rolled(middle)
    assert structure is not None
    for name, cells in (("base", base), ("rolled-forward", rolled)):
        empty = np.argwhere(cells.sum(axis=0) <= 0)
        if empty.size:
            at = [f"{SEXES[s]} {a}" for s, a in empty]
            found.add("AREA_EMPTY", file=given.file, what=f"the {name} population", cells=at)
    mobility = _mobility(given, structure, notes)
    if given.components["last_repeated"][0]:
        notes.append(f"Components of {last} are those of {last - 1}.")
    return {
        "base": base, "rolled_forward": rolled, "census": census, "structure": structure,
        "mobility": mobility,
    }, notes  # fmt: skip


def _base(
    given: Given, national: np.ndarray, first: int, between: list[int], notes: list[str]
) -> np.ndarray:
    totals = given.components["population_start"][:, 0]
    known = given.rolled(first)
    if known is not None:
        return raked(known, known.sum(axis=(1, 2)), national)
    later = given.rolled(between[0])
    assert later is not None
    notes.append(
        f"Base by sex and age: the area's roll-forward of {between[0]} times the nation's ratio of "
        f"{first} to {between[0]} at each age, raked to the area's total of {first}."
    )
    ratio = national / np.maximum(later.sum(axis=0), 1.0)
    return raked(later * ratio, totals / totals.sum() * national.sum(), national)


def _mobility(given: Given, structure: np.ndarray, notes: list[str]) -> np.ndarray:
    """Moves a person a year, (area, sex, age): of the nation, drawn to the area's age groups."""
    national = np.ones(structure.shape[1:]) if given.mobility is None else given.mobility
    if given.mobility is None and given.moves is None:
        notes.append("Internal moves are laid out over ages as the population is.")
    if given.moves is None:
        return np.broadcast_to(national, structure.shape)
    first = given.moves.columns.to_numpy()
    group = np.searchsorted(first, np.arange(structure.shape[2]), side="right") - 1
    expected = (structure * national).sum(axis=1)
    ratio = np.ones(expected.shape)
    for g in range(first.size):
        of_age = group == g
        there = np.maximum(expected[:, of_age].sum(axis=1), 1e-9)
        ratio[:, of_age] = (given.moves.to_numpy(float)[:, g] / there)[:, None]
    return national * ratio[:, None]


def _last(
    given: Given, national: np.ndarray, census: np.ndarray, last: int, notes: list[str]
) -> np.ndarray:
    known = given.rolled(last)
    if known is not None:
        return raked(known, known.sum(axis=(1, 2)) / known.sum() * national.sum(), national)
    before, now = given.rolled(last - 2), given.rolled(last - 1)
    assert before is not None and now is not None
    notes.append(
        f"Roll-forward of {last} by area: every cell repeats the change of its cohort in the year "
        f"to {last - 1}; the difference to the nation falls at ages 17 to 45 as immigration."
    )
    aged = _aged(now)
    change = now - _aged(before)
    out = aged + change
    out[:, :, 0] = now[:, :, 0]
    out = np.maximum(np.maximum(out, LEAST_LEFT * aged), 1.0)
    falls = out / out.sum(axis=0)
    arrivals = given.components["international_in"][:, -1]
    falls[:, :, MIGRANT_AGES] = (arrivals / arrivals.sum())[:, None, None]
    out = np.maximum(out + falls * (national - out.sum(axis=0)), LEAST_LEFT * out)
    return _by_region(given, out, national, census, last)


def _aged(stock: np.ndarray) -> np.ndarray:
    """Stocks (area, sex, age) a year older."""
    return np.moveaxis(carry(np.moveaxis(stock, 0, -1), 1), -1, 0)


def _by_region(
    given: Given, out: np.ndarray, national: np.ndarray, census: np.ndarray, last: int
) -> np.ndarray:
    """Raked to the nation's cells, and to published differences of regions by sex."""
    counted = given.stocks[CENSUS_BASED, last]
    targets: dict[tuple[str, int], float] = {}
    if given.by_region is not None:
        for row in given.by_region.itertuples():
            there, sex = given.regions == row.region, SEXES.index(row.sex)
            targets[row.region, sex] = counted[there, sex].sum() + row.difference
        for sex in range(len(SEXES)):  # the regions' differences are rounded
            own = [key for key in targets if key[1] == sex]
            scale = national[sex].sum() / sum(targets[key] for key in own)
            targets.update({key: targets[key] * scale for key in own})
    for _ in range(ROUNDS):
        for (region, sex), target in targets.items():
            there = given.regions == region
            out[there, sex] *= target / out[there, sex].sum()
        out *= national / out.sum(axis=0)
    return out
