"""A simulated passenger survey whose truth is known.

Passengers cross at ports, in shifts; a few of them migrate. A survey draws shifts within
strata, screens one passenger in ten for migrants and interviews one in fifty at length, and
loses some of both. Two uses: to show that the weights of :mod:`imps.survey.weighting`
are unbiased and the intervals of :mod:`imps.survey.estimation` cover the truth; and to
let a user without access to interview records see what such records look like.

All numbers are invented. The records have the columns that the weighting stages name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imps.names import SEXES
from imps.survey.stage_weights import DIRECTIONS

SHIFT_LABELS = ["port_group", "direction", "day_type", "time_of_day", "transport"]
REGIONS = ("Europe", "elsewhere")
AGE_GROUPS = ("0-14", "15-24", "25-44", "45-59/64", "60/65+")
AGE_SHARES = (0.10, 0.33, 0.42, 0.10, 0.05)
"""Near the published shares of immigrants, 1991-2000 (IPS, Series MN); the two oldest groups are
larger, so that most cells are met."""


@dataclass(frozen=True)
class SimulatedPassengers:
    """Everyone who crosses in the period: the truth behind a simulated survey.

    Attributes
    ----------
    shifts : DataFrame
        One row per possible shift (on sea routes: crossing): `port_group`, `direction`,
        `day_type`, `time_of_day`, `transport`.
    passengers : array (shift, region), persons
    migrants : array (shift, region, sex, age group), persons, long-term, among the passengers
    unsampled : array (port and direction, region), persons
        Passengers on routes without survey, in the order of `routes`.
    routes : DataFrame
        `port_group`, `direction`.
    """

    shifts: pd.DataFrame
    passengers: NDArray[np.int64]
    migrants: NDArray[np.int64]
    unsampled: NDArray[np.int64]
    routes: pd.DataFrame

    def truth(self, by: Sequence[str] = ("direction",)) -> pd.DataFrame:
        """Long-term migrants by `direction`, `sex`, `age_group`, unsampled routes included.

        On unsampled routes as many passengers in a thousand migrate as on sampled ones
        of the same port, region and direction.
        """
        route = self._route()
        on_sampled = np.zeros((len(self.routes), len(REGIONS)))
        np.add.at(on_sampled, route, self.passengers)
        migrants = np.zeros((len(self.routes), *self.migrants.shape[1:]))
        np.add.at(migrants, route, self.migrants)
        migrants *= (1 + self.unsampled / on_sampled)[..., None, None]
        index = pd.MultiIndex.from_product(
            [range(len(self.routes)), REGIONS, SEXES, AGE_GROUPS],
            names=["route", "region", "sex", "age_group"],
        )
        table = pd.Series(migrants.ravel(), index, name="migrants").reset_index()
        table["direction"] = self.routes["direction"].to_numpy()[table["route"]]
        return table.groupby(list(by), as_index=False)["migrants"].sum()

    def _route(self) -> NDArray[np.int64]:
        key = ["port_group", "direction"]
        routes = pd.MultiIndex.from_frame(self.routes)
        return routes.get_indexer(pd.MultiIndex.from_frame(self.shifts[key]))


@dataclass(frozen=True)
class SimulatedSurvey:
    """One survey of the passengers: records, and the tables that the stages need.

    Attributes
    ----------
    records : DataFrame
        One row per interview and coded non-response; `sampling_unit` is the shift, on sea
        routes the pair of shift and crossing; `long_term` marks the migrants.
    shifts, non_response, traffic, unsampled : DataFrame
        Totals for :func:`imps.survey.weighting.weight_records`.
    """

    records: pd.DataFrame
    shifts: pd.DataFrame
    non_response: pd.DataFrame
    traffic: pd.DataFrame
    unsampled: pd.DataFrame

    def totals(self) -> dict[str, pd.DataFrame]:
        """The four tables by the argument names of `weight_records`."""
        names = ("shifts", "non_response", "traffic", "unsampled")
        return {name: getattr(self, name) for name in names}


def simulate_passengers(
    *,
    seed: int,
    ports: int = 6,
    shifts_per_stratum: int = 80,
    passengers_per_shift: float = 1500.0,
    migrants_per_1000: tuple[float, float] = (8.0, 5.0),
    clustering: float = 0.5,
) -> SimulatedPassengers:
    """Passengers and migrants of a period, by possible shift.

    Parameters
    ----------
    seed : int
    ports : int
        The last two are seaports, whose units are crossings.
    shifts_per_stratum : int
        Possible shifts of each port, direction, day type and time of day.
    passengers_per_shift : float, persons
    migrants_per_1000 : (arrivals, departures)
        Long-term migrants per 1,000 passengers.
    clustering : float
        Coefficient of variation of the migrant share between shifts; 0 is none.

    Returns
    -------
    SimulatedPassengers
    """
    rng = np.random.default_rng(seed)
    strata = pd.MultiIndex.from_product(
        [
            [f"port {number + 1}" for number in range(ports)],
            list(DIRECTIONS),
            ["weekday", "weekend"],
            ["am", "pm"],
        ],
        names=SHIFT_LABELS[:4],
    ).to_frame(index=False)
    strata["transport"] = np.where(strata["port_group"].isin([f"port {ports}"]), "sea", "air")
    shifts = strata.loc[strata.index.repeat(shifts_per_stratum)].reset_index(drop=True)
    size = rng.lognormal(0, 0.4, ports)[pd.factorize(shifts["port_group"])[0]]
    mean = passengers_per_shift * size[:, None] * np.array([0.6, 0.4])
    passengers = rng.poisson(mean * rng.gamma(20, 1 / 20, mean.shape))
    share = np.where(shifts["direction"] == DIRECTIONS[0], *migrants_per_1000) / 1000
    if clustering > 0:
        shape = clustering**-2
        share = share * rng.gamma(shape, 1 / shape, len(shifts))
    by_cell = np.outer([0.52, 0.48], AGE_SHARES).ravel()
    total = rng.binomial(passengers, share[:, None] * np.array([0.8, 1.3]))
    migrants = rng.multinomial(total, by_cell).reshape(*total.shape, len(SEXES), len(AGE_GROUPS))
    routes = shifts[["port_group", "direction"]].drop_duplicates().reset_index(drop=True)
    unsampled = rng.poisson(0.1 * mean.sum(axis=0) / len(routes), (len(routes), len(REGIONS)))
    return SimulatedPassengers(shifts, passengers, migrants, unsampled, routes)


def simulate_survey(
    passengers: SimulatedPassengers,
    *,
    seed: int,
    sampled_per_stratum: int = 6,
    migration_interval: int = 10,
    tourism_interval: int = 50,
    response: tuple[float, float] = (0.7, 0.9),
    migrant_response_ratio: float = 1.0,
) -> SimulatedSurvey:
    """Survey the passengers once.

    Parameters
    ----------
    passengers : SimulatedPassengers
    seed : int
    sampled_per_stratum : int
        Shifts drawn without replacement from those of each stratum.
    migration_interval, tourism_interval : int
        One passenger in so many is screened for migrants, or interviewed at length.
    response : (lowest, highest)
        Response probabilities, equally spaced over ports and directions.
    migrant_response_ratio : float
        Migrants' response relative to others'. Other than 1, no weight can repair it:
        the estimates are then off by this factor, and the intervals do not show it.

    Returns
    -------
    SimulatedSurvey
        Records and the totals that weight them; the truth stands with the passengers.
    """
    rng = np.random.default_rng(seed)
    drawn = _draw_shifts(passengers, rng, sampled_per_stratum)
    answer = np.linspace(*response, len(passengers.routes))[passengers._route()[drawn]]
    migrants = rng.binomial(passengers.migrants[drawn], 1 / migration_interval)
    ordinary = passengers.passengers[drawn] - passengers.migrants[drawn].sum(axis=(2, 3))
    ordinary = rng.binomial(ordinary, 1 / tourism_interval)
    met = rng.binomial(migrants, (answer * migrant_response_ratio)[:, None, None, None])
    full = rng.binomial(ordinary, answer[:, None])
    minimum = rng.binomial(full, 0.05)
    silent = np.stack([migrants.sum(axis=(1, 2, 3)), ordinary.sum(axis=1)], axis=1)
    silent -= np.stack([met.sum(axis=(1, 2, 3)), full.sum(axis=1)], axis=1)
    coded = rng.binomial(silent[:, 1], 0.3)
    parts = [
        _migrant_records(met),
        _records(full - minimum, "full"),
        _records(minimum, "minimum"),
        _records(np.column_stack([coded, 0 * coded]), "non_response"),
    ]
    records = pd.concat(parts, ignore_index=True)
    chosen = passengers.shifts.loc[drawn].reset_index(drop=True)
    chosen["sampling_unit"] = drawn
    chosen["shift"], chosen["crossing"] = drawn // 3, drawn % 3
    chosen.loc[chosen["transport"] == "air", "shift"] = drawn[chosen["transport"] == "air"]
    records = records.join(chosen, on="unit").drop(columns="unit")
    records["migration_interval"] = migration_interval
    records["tourism_interval"] = tourism_interval
    records["migrant"] = records["long_term"]
    records["resident"] = rng.choice(["overseas", "uk"], len(records))
    records["flow"] = records["direction"] + " " + records["resident"]
    records.insert(0, "interview", np.arange(len(records)))
    silent[:, 1] -= coded
    return SimulatedSurvey(records, *_tables(passengers, chosen, silent))


def simulate_stays(
    *,
    seed: int,
    visitors: Sequence[float] = (900_000.0, 60_000.0, 25_000.0),
    turning: Sequence[float] = (0.004, 0.05, 0.30),
    interviews: int = 3000,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visitors by intended stay, and interviews with them when they leave.

    Parameters
    ----------
    seed : int
    visitors : persons by intended stay (under 3, 3 to 6, 6 to 12 months)
    turning : share of each class that stays 12 months or more
    interviews : int
        Interviews at the end of a stay, the classes over-sampled as they get rarer.

    Returns
    -------
    DataFrame, DataFrame
        The truth (`intended_stay`, `visitors`, `switchers`, persons) and the interviews
        (`intended_stay`, `stayed_long`, `weight`, `stratum`, `sampling_unit`).
    """
    rng = np.random.default_rng(seed)
    labels = ["under 3 months", "3 to 6 months", "6 to 12 months"]
    number, share = np.asarray(visitors), np.asarray(turning)
    truth = pd.DataFrame({"intended_stay": labels, "visitors": number, "switchers": number * share})
    met = rng.poisson(interviews * np.sqrt(number) / np.sqrt(number).sum())
    kind = np.repeat(np.arange(len(number)), met)
    unit = rng.integers(0, 120, len(kind))
    table = pd.DataFrame(
        {
            "intended_stay": np.asarray(labels)[kind],
            "stayed_long": rng.random(len(kind)) < share[kind],
            "weight": (number / np.maximum(met, 1))[kind],
            "stratum": unit % 20,
            "sampling_unit": unit,
        }
    )
    return truth, table


def _draw_shifts(
    passengers: SimulatedPassengers, rng: np.random.Generator, size: int
) -> NDArray[np.int64]:
    groups = passengers.shifts.groupby(SHIFT_LABELS, sort=False).indices.values()
    return np.sort(np.concatenate([rng.choice(g, size, replace=False) for g in groups]))


def _records(counts: NDArray, interview_type: str) -> pd.DataFrame:
    """Ordinary records from counts (unit, region)."""
    unit, region = np.unravel_index(np.arange(counts.size), counts.shape)
    times = counts.ravel()
    return pd.DataFrame(
        {
            "unit": np.repeat(unit, times),
            "region": np.asarray(REGIONS)[np.repeat(region, times)],
            "interview_type": interview_type,
            "long_term": False,
        }
    )


def _migrant_records(counts: NDArray) -> pd.DataFrame:
    """Migrants' records from counts (unit, region, sex, age group)."""
    where = np.unravel_index(np.arange(counts.size), counts.shape)
    unit, region, sex, age = (np.repeat(part, counts.ravel()) for part in where)
    return pd.DataFrame(
        {
            "unit": unit,
            "region": np.asarray(REGIONS)[region],
            "interview_type": "migration_slot",
            "long_term": True,
            "sex": np.asarray(SEXES)[sex],
            "age_group": np.asarray(AGE_GROUPS)[age],
        }
    )


def _tables(
    passengers: SimulatedPassengers, chosen: pd.DataFrame, silent: NDArray
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Totals for the shift, non-response, traffic and unsampled stages."""
    strata = SHIFT_LABELS[:4]
    shifts = passengers.shifts.groupby(strata, as_index=False).size()
    shifts = shifts.rename(columns={"size": "possible"})
    shifts["sampled"] = chosen.groupby(strata).size().reindex(shifts[strata]).to_numpy()
    missed = chosen[strata].assign(migrants=silent[:, 0], ordinary=silent[:, 1])
    missed = missed.groupby(strata[:3], as_index=False)[["migrants", "ordinary"]].sum()
    everyone = np.zeros(len(passengers.routes))
    np.add.at(everyone, passengers._route(), passengers.passengers.sum(axis=1))
    traffic = passengers.routes.assign(passengers=everyone)
    unsampled = pd.concat(
        [
            passengers.routes.assign(region=name, passengers=passengers.unsampled[:, number])
            for number, name in enumerate(REGIONS)
        ],
        ignore_index=True,
    )
    return shifts, missed, traffic, unsampled
