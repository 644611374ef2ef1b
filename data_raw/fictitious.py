"""Figures of the fictitious accounts: people live by rule, and are counted with planted errors.

    uv run python data_raw/fictitious.py

Every figure is invented. Three countries that do not exist live through their years: births,
deaths and moves are drawn by single year of age, then published as a register, border cards
or a survey would publish them. What was done wrong on purpose is the planted truth. The rules
take nothing from the model. `tests/test_fictitious.py` builds every folder anew and compares;
`benchmarks/bench_countries.py` runs them with other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

PROJECTS = Path(__file__).parents[1] / "imps" / "project" / "template"
SEED = 1
OPEN = 85
AGES = np.arange(OPEN + 1)
SEXES = ("male", "female")
PYRAMID = 0.12
"""Rise and fall of past births around their trend, a share."""
CARDS_MISSED, CARDS_AGES = 0.12, slice(18, 35)
"""Share of departures at these ages that cards put to short absences: planted."""
MOVES_MISSED, MOVES_AGES = 0.15, slice(20, 33)
"""Share of internal departures at these ages that nobody registered: planted."""
CONTACT = 6.0
"""Migrants for whom one contact of the area's survey stands."""
SURVEY_GROUPS = (0, 15, 30)

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Place:
    """An invented country or area.

    Attributes
    ----------
    people : int
        Residents at the base, about.
    first, last : int
        Years of base and last stock.
    flows : mapping of name to (direction, movers a year, peak age, rise, fall, floor)
        Movers over ages: a rise and a fall around the peak, in years, above a floor.
    """

    people: int
    first: int
    last: int
    flows: Mapping[str, tuple[str, float, float, float, float, float]]


@dataclass(frozen=True)
class Lived:
    """What truly happened: (sex, age), (year, sex) and (year, sex, age), ages at the year's end."""

    base: np.ndarray
    people: np.ndarray
    births: np.ndarray
    deaths: np.ndarray
    flows: Mapping[str, np.ndarray]


def moving(peak: float, rise: float, fall: float, floor: float) -> np.ndarray:
    """Movers by sex and age, summing to one; men move a year later."""
    at = AGES[None] - np.array([[peak + 0.5], [peak - 0.5]])
    shape = np.exp(-np.abs(at) / np.where(at < 0, rise, fall))
    shape = shape + floor * np.exp(-AGES / 18.0) + 0.1 * floor
    shape = shape * np.where(AGES > 60, np.exp(-(AGES - 60) / 12.0), 1.0)
    shape[:, 0] /= 2  # half of a year's births are there at a move
    return shape / shape.sum()


def dying() -> np.ndarray:
    """Deaths in a year by sex and age at its end, as a share."""
    rate = np.array([[6.0e-5], [3.5e-5]]) * np.exp(0.095 * AGES) + 2e-4
    rate[:, 0] = 0.004
    rate[:, -1] = 0.14
    return rate


def live(place: Place, rng: np.random.Generator) -> Lived:
    """One history of a place, in whole persons."""
    died_share, years = dying(), place.last - place.first
    alive = np.cumprod(1 - died_share, axis=1)
    alive[:, -1] *= 4.0
    shape = alive * (1 + PYRAMID * np.sin(AGES / 5.5)) * np.array([[0.512], [0.488]])
    base = people = rng.poisson(place.people * shape / shape.sum()).astype(float)
    births, deaths = [], []
    flows: dict[str, list[np.ndarray]] = {name: [] for name in place.flows}
    for year in range(years):
        mothers = people[1, 18:42].sum()
        born = rng.poisson(0.068 * mothers * np.array([0.512, 0.488])).astype(float)
        aged = np.concatenate([born[:, None], people[:, :-1]], axis=1)
        aged[:, -1] += people[:, -1]
        died = rng.binomial(aged.astype(int), died_share).astype(float)
        left = aged - died
        for name, (direction, level, *curve) in place.flows.items():
            change = 1 + 0.15 * np.sin((year + len(name)) / 2.5)
            moved = rng.poisson(level * change * moving(*curve)).astype(float)
            moved = moved if direction == "in" else np.minimum(moved, left)
            left = left + moved if direction == "in" else left - moved
            flows[name].append(moved)
        people = left
        births.append(born)
        deaths.append(died)
    return Lived(
        base, people, np.array(births), np.array(deaths),
        {name: np.array(x) for name, x in flows.items()},
    )  # fmt: skip


# Tables as they are published


def label(first: int, last: int) -> str:
    return f"{first}+" if last >= OPEN else str(first) if first == last else f"{first}-{last}"


def groups(lower: tuple[int, ...] | range) -> list[str]:
    return [label(a, b - 1) for a, b in zip(lower, [*lower[1:], OPEN + 1], strict=True)]


FIVE = range(0, OPEN + 1, 5)
SINGLE = range(OPEN + 1)


def long(array: np.ndarray, value: str, **labels: object) -> pd.DataFrame:
    """An array as rows; `labels` are its dimensions in order, each with its name."""
    index = pd.MultiIndex.from_product(labels.values(), names=list(labels))
    return pd.DataFrame({value: array.ravel()}, index=index).reset_index()


def grouped(cells: np.ndarray, lower: range | tuple[int, ...]) -> np.ndarray:
    return np.add.reduceat(cells, np.array(lower), axis=-1)


def vital(lived: Lived, years: range, lower: range) -> Tables:
    """Births and deaths, complete."""
    died = grouped(lived.deaths, lower)
    return {
        "births": long(lived.births.astype(int), "births", year=years, sex=SEXES),
        "deaths": long(died.astype(int), "deaths", year=years, sex=SEXES, age=groups(lower)),
    }


def stocks(cells: Mapping[tuple[str, str], np.ndarray], lower: range) -> pd.DataFrame:
    """Stocks by vintage and date."""
    frames = [
        long(grouped(x, lower).astype(int), "population", vintage=[vintage], year=[date],
             sex=SEXES, age=groups(lower))
        for (vintage, date), x in cells.items()
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def streams(flows: Mapping[tuple[str, str], np.ndarray], years: range,
            lower: range) -> pd.DataFrame:  # fmt: skip
    """Streams by source and direction."""
    frames = [
        long(grouped(x, lower).astype(int), "count", year=years, flow=[flow],
             sex=SEXES, age_group=groups(lower))
        for (source, flow), x in flows.items()
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def counted(people: np.ndarray, level: float, young: float, cells: float,
            rng: np.random.Generator) -> np.ndarray:  # fmt: skip
    """A census: errors of all, of young adults of each sex, of each cell, shares; persons.

    Women of 20-32 are counted twice as well as men.
    """
    at_young = np.clip(np.minimum(AGES - 17, 36 - AGES) / 4.0, 0, 1)
    by_sex = rng.normal(0, young, 2) * np.array([1.0, 0.5])
    error = rng.normal(0, level) + by_sex[:, None] * at_young + rng.normal(0, cells, people.shape)
    return np.maximum(np.round(people * (1 + error)), 0)


def missed(flow: np.ndarray, share: float, ages: slice, rng: np.random.Generator) -> np.ndarray:
    """Movers at some ages who were not counted, each by chance."""
    lost = np.zeros(flow.shape)
    lost[..., ages] = rng.binomial(flow[..., ages].astype(int), share)
    return lost


# The three accounts


REGISTER = Place(
    1_400_000, 2002, 2020,
    {"arrivals": ("in", 15_000, 26, 4, 11, 0.25), "departures": ("out", 11_000, 29, 5, 13, 0.2)},
)  # fmt: skip
CARDS = Place(
    900_000, 2013, 2023,
    {"arrivals": ("in", 14_000, 25, 4, 12, 0.3), "departures": ("out", 11_000, 24, 4, 12, 0.2)},
)  # fmt: skip
AREA = Place(
    260_000, 2013, 2021,
    {
        "immigration": ("in", 1_500, 25, 4, 10, 0.2),
        "emigration": ("out", 1_100, 28, 5, 12, 0.2),
        "internal_in": ("in", 11_000, 20, 2, 9, 0.2),
        "internal_out": ("out", 10_500, 27, 5, 14, 0.35),
    },
)  # fmt: skip


def register(seed: int) -> tuple[Tables, float]:
    """A population register on 1 January: all that happened was registered, and it closes.

    Returns
    -------
    tables
    float
        Planted: published minus true net migration, persons; none.
    """
    lived = live(REGISTER, np.random.default_rng(seed))
    years = range(REGISTER.first + 1, REGISTER.last + 1)
    ends = {
        ("population register", f"{year + 1}-01-01"): people
        for year, people in ((REGISTER.first, lived.base), (REGISTER.last, lived.people))
    }
    moves = {("register", "in"): lived.flows["arrivals"],
             ("register", "out"): lived.flows["departures"]}  # fmt: skip
    tables = {"population": stocks(ends, SINGLE), **vital(lived, years, SINGLE),
              "migration": streams(moves, years, SINGLE)}  # fmt: skip
    return tables, 0.0


def cards(seed: int) -> tuple[Tables, float]:
    """Border cards and a census in March: long absences that the cards called short."""
    rng = np.random.default_rng(seed)
    lived = live(CARDS, rng)
    years = range(CARDS.first + 1, CARDS.last + 1)
    lost = missed(lived.flows["departures"], CARDS_MISSED, CARDS_AGES, rng)
    ends = {
        (f"census {year}", f"{year}-03-05"): counted(people, 0.0015, 0.012, 0.003, rng)
        for year, people in ((CARDS.first, lived.base), (CARDS.last, lived.people))
    }
    moves = {("cards", "in"): lived.flows["arrivals"],
             ("cards", "out"): lived.flows["departures"] - lost}  # fmt: skip
    tables = {"population": stocks(ends, FIVE), **vital(lived, years, FIVE),
              "migration": streams(moves, years, FIVE)}  # fmt: skip
    return tables, float(lost.sum())


def area(seed: int) -> tuple[Tables, float]:
    """A region: a survey of migration, and internal moves of which departures are missed."""
    rng = np.random.default_rng(seed)
    lived = live(AREA, rng)
    years = range(AREA.first + 1, AREA.last + 1)
    lost = missed(lived.flows["internal_out"], MOVES_MISSED, MOVES_AGES, rng)
    ends = {
        (f"census-based {year}", f"{year}-06-30"): counted(people, 0.004, 0.012, 0.006, rng)
        for year, people in ((AREA.first, lived.base), (AREA.last, lived.people))
    }
    moves = {("internal_moves", "in"): lived.flows["internal_in"],
             ("internal_moves", "out"): lived.flows["internal_out"] - lost}  # fmt: skip
    tables = {"population": stocks(ends, SINGLE), **vital(lived, years, SINGLE),
              "internal_moves": streams(moves, years, SINGLE),
              "survey_flows": surveyed(lived, years, rng)}  # fmt: skip
    return tables, float(lost.sum())


def surveyed(lived: Lived, years: range, rng: np.random.Generator) -> pd.DataFrame:
    """Contacts of a survey and what they stand for; errors are those of a mean year."""
    frames = []
    for flow in ("immigration", "emigration"):
        true = grouped(lived.flows[flow], SURVEY_GROUPS)
        met = rng.poisson(true / CONTACT)
        error = np.broadcast_to(CONTACT * np.sqrt(met.mean(axis=0)), met.shape)
        by = {"year": years, "flow": [flow], "sex": SEXES, "age_group": groups(SURVEY_GROUPS)}
        frame = long((met * CONTACT).astype(int), "estimate", **by)
        frames.append(frame.assign(standard_error=error.ravel().round(1), contacts=met.ravel()))
    return pd.concat(frames, ignore_index=True)


ACCOUNTS: Mapping[str, Callable[[int], tuple[Tables, float]]] = {
    "register": register, "cards": cards, "area": area,
}  # fmt: skip


def main() -> None:
    for kind, rule in ACCOUNTS.items():
        folder = PROJECTS / kind / "data"
        folder.mkdir(parents=True, exist_ok=True)
        tables, planted = rule(SEED)
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        print(f"{kind}: planted {planted:+,.0f}")


if __name__ == "__main__":
    main()
