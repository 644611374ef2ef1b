"""An account with known truth: the same story told without the model.

A population is born, dies and migrates; a survey, registers and two censuses
look at it with errors that are multiplicative, as they are in life. Nothing here
comes from the system model or the data models, so that recovering the truth
means something. Scenarios follow the published gaps of 2001, 2011 and 2021, the
change of coverage measurement in Australia in 2011, and a gap that is nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from imps.demography.accounting import carry, roll_forward_path
from imps.demography.periods import calendar_year, mid_year_average, mid_year_interval, overlap
from imps.demography.schedules import group_matrix, rogers_castro, young_adults
from imps.errors import SourceError
from imps.names import (
    AGE,
    AGE_GROUP,
    EMIGRATION,
    FLOW,
    FLOW_SIGN,
    FLOWS,
    IMMIGRATION,
    SEX,
    SEXES,
    YEAR,
)
from imps.sources import (
    AdministrativeFlow,
    Births,
    Deaths,
    Era,
    RolledForward,
    Sources,
    Stock,
    SurveyFlow,
)
from imps.sources.kinds import KINDS
from imps.sources.stocks import BY_SEX_AND_AGE

GROUPS = ("0-14", "15-24", "25-44", "45-59/64", "60/65+")
LOWER_AGES = np.array([[0, 15, 25, 45, 65], [0, 15, 25, 45, 60]], dtype=float)
DESIGN_EFFECT = {IMMIGRATION: 3.6, EMIGRATION: 2.0}
GROSSING_WEIGHT = {IMMIGRATION: 180.0, EMIGRATION: 290.0}
CENSUS_CELL_ERROR = 0.0045
PARTS: dict[str, dict[str, float]] = {
    "asylum_seekers": {IMMIGRATION: 45e3},
    "irish_flows": {IMMIGRATION: 12e3, EMIGRATION: 15e3},
    "visitor_switchers": {IMMIGRATION: 26e3, EMIGRATION: 20e3},
    "migrant_switchers": {IMMIGRATION: 14e3, EMIGRATION: 10e3},
}

Bands = dict[tuple[int, int], float]
"""Persons by first and last age at the last mid-year."""


@dataclass(frozen=True)
class Scenario:
    """Relative errors of the published figures; zero where the figure is right.

    Attributes
    ----------
    base_level : float
        Published base too high by this share, at all ages.
    base_young : (male, female)
        Further share at young adult ages (bell at 28).
    bias_level, bias_young, bias_drift, bias_era : mapping by flow
        Published flow too high by level + sex share at young ages + drift a year
        from the middle of the period + step in the era, the third to the seventh year,
        which the published survey states where there is a step.
    parts : mapping from name to float
        Published part too high by this share.
    census_level, census_young : float, (male, female)
        Census too low by these shares.
    further, unseen : mapping from (first, last age) to persons
        Immigrants of these ages at the last mid-year who come beside the usual ones; whom
        the survey does not see.
    """

    base_level: float = 0.0
    base_young: tuple[float, float] = (0.0, 0.0)
    bias_level: dict[str, float] = field(default_factory=dict)
    bias_young: dict[str, tuple[float, float]] = field(default_factory=dict)
    bias_drift: dict[str, float] = field(default_factory=dict)
    bias_era: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    census_level: float = 0.0
    census_young: tuple[float, float] = (0.0, 0.0)
    further: Bands = field(default_factory=dict)
    unseen: Bands = field(default_factory=dict)


SCENARIOS = {
    "2001": Scenario(
        base_level=0.002,
        base_young=(0.03, 0.006),
        bias_level={IMMIGRATION: -0.01, EMIGRATION: -0.10},
        bias_young={IMMIGRATION: (-0.03, -0.01), EMIGRATION: (-0.08, -0.03)},
        parts={"asylum_seekers": 0.05, "visitor_switchers": 0.15},
        census_level=0.001,
        census_young=(0.016, 0.004),
    ),
    "2011": Scenario(
        base_level=-0.002,
        base_young=(-0.012, -0.004),
        bias_level={IMMIGRATION: -0.03, EMIGRATION: -0.03},
        bias_young={IMMIGRATION: (-0.04, -0.04)},
        bias_era={IMMIGRATION: -0.13},
    ),
    "2021": Scenario(
        bias_level={IMMIGRATION: -0.02, EMIGRATION: -0.10},
        bias_young={IMMIGRATION: (0.08, -0.08), EMIGRATION: (-0.10, 0.05)},
        census_level=0.001,
    ),
    "Australia 2011": Scenario(base_level=0.005),
    "null": Scenario(),
}


@dataclass(frozen=True)
class Simulation:
    """Published figures and the truth behind them.

    Attributes
    ----------
    sources : Sources
    contributions : dict from source to persons
        True contribution of each source to the gap.
    net_migration : DataArray (year), persons per year
    population : DataArray (sex, age), persons, true, at the last mid-year
    """

    sources: Sources
    contributions: dict[str, float]
    net_migration: xr.DataArray
    population: xr.DataArray


def simulate_account(
    scenario: str | Scenario, *, seed: int, first_year: int = 1991, n_years: int = 10
) -> Simulation:
    """Simulate published figures of a country of 50 million with a known truth.

    Parameters
    ----------
    scenario : str or Scenario
        Errors of the published figures, such as "2001" or "null".
    seed : int
    first_year, n_years : int
        Base, and years of the account.

    Returns
    -------
    Simulation
        Sources as published, and the truth behind them: contributions (persons), flows, stocks.

    Raises
    ------
    SourceError
        If the scenario has no such name; the known ones are listed.
    """
    if isinstance(scenario, str):
        if scenario not in SCENARIOS:
            raise SourceError(f"no scenario '{scenario}'. Known: {', '.join(SCENARIOS)}.")
        scenario = SCENARIOS[scenario]
    base = _base_population()
    published = base * (1 + scenario.base_level + np.outer(scenario.base_young, young_adults(91)))
    years = np.arange(first_year + 1, first_year + n_years + 1)
    return simulate_period(scenario, np.random.default_rng(seed), years, base, published)


def simulate_period(
    scenario: Scenario,
    rng: np.random.Generator,
    years: np.ndarray,
    base: np.ndarray,
    published_base: np.ndarray,
) -> Simulation:
    """Simulate the years of a period from a true and a published base, (sex, age), persons."""
    n_years = years.size
    flows = {name: _true_flow(name, n_years, rng) for name in FLOWS}
    flows[IMMIGRATION] *= 1 + _share(scenario.further, flows[IMMIGRATION])
    surveys, survey_errors, revised = {}, {}, {}
    for name, flow in flows.items():
        surveys[name], survey_errors[name], revised[name] = _survey(
            name, flow, scenario, years, rng
        )
    parts, part_errors, net_parts = _parts(scenario, years, rng)
    net = sum(FLOW_SIGN[n] * f[:, :, 1:-1] for n, f in flows.items()) + net_parts
    path, births, deaths = _live(base, net, years)
    true_last = path.isel({YEAR: -1}, drop=True)
    missed = scenario.census_level + np.outer(scenario.census_young, young_adults(91))
    noise = CENSUS_CELL_ERROR * rng.standard_normal(true_last.shape)
    counted = true_last * (1 - missed) * (1 + noise)
    natural = births.sum(SEX) - deaths.sum((SEX, AGE))
    official = {n: e.sum() for n, e in revised.items()}
    carried = official[IMMIGRATION] - official[EMIGRATION]
    sources = _gather(published_base, counted, births, deaths, surveys, parts, natural, years)
    truth = {
        "base": float(published_base.sum() - base.sum()),
        **survey_errors[IMMIGRATION],
        **survey_errors[EMIGRATION],
        **part_errors,
        "census_coverage": float((true_last * missed).sum()),
        "period_conversion": float(
            carried - sum(FLOW_SIGN[n] * f[:, :, 1:-1].sum() for n, f in flows.items())
        ),
    }
    total_net = xr.DataArray(net.sum(axis=(0, 1)), dims=YEAR, coords={YEAR: years})
    return Simulation(sources, truth, total_net, true_last)


def _base_population() -> np.ndarray:
    """A stationary population with a ripple of births, 50 million, (sex, age)."""
    ages = np.arange(91)
    rows = []
    for s in (0, 1):
        deaths = 0.006 * np.exp(-2.5 * ages) + 2e-5 * np.exp((0.100 if s == 0 else 0.096) * ages)
        ripple = 1 + 0.12 * np.cos((ages - 27) / 7.5)
        rows.append(np.exp(-np.cumsum(deaths)) * ripple)
    stock = np.stack(rows)
    stock[:, -1] *= 4.0
    return 50e6 * stock / stock.sum()


def _true_flow(flow: str, n_years: int, rng: np.random.Generator) -> np.ndarray:
    """True flow (sex, age, interval) with one interval more at each end."""
    n = n_years + 2
    if flow == IMMIGRATION:
        total = np.interp(np.linspace(0, 1, n), [0, 0.25, 1], [205e3, 190e3, 370e3])
        peak, decline, share = 21.0, 0.13, (0.50, 0.50)
    else:
        total = np.interp(np.linspace(0, 1, n), [0, 0.35, 1], [235e3, 205e3, 290e3])
        peak, decline, share = 24.0, 0.10, (0.53, 0.47)
    total = total * np.exp(0.03 * rng.standard_normal(n))
    ages = np.arange(91.0)
    out = np.zeros((2, 91, n))
    for s in (0, 1):
        for t in range(n):
            curve = rogers_castro(ages, peak=peak - 0.8 * s + 0.08 * t, decline=decline)
            curve[0] *= 0.5
            out[s, :, t] = share[s] * total[t] * curve / curve.sum()
    return out


def _survey(
    name: str, flow: np.ndarray, scenario: Scenario, years: np.ndarray, rng: np.random.Generator
) -> tuple[SurveyFlow, dict[str, float], np.ndarray]:
    """Survey cells with bias and sampling error, their true errors, and the ruled true flow."""
    n = flow.shape[2]
    calendar = np.arange(years[0] - 1, years[-1] + 1)
    intervals = [mid_year_interval(int(y)) for y in range(calendar[0], calendar[-1] + 2)]
    to_calendar = overlap([calendar_year(int(y)) for y in calendar], intervals)
    rule = mid_year_average([int(y) for y in calendar], intervals[1:-1])
    young = np.array(scenario.bias_young.get(name, (0.0, 0.0)))
    drift = scenario.bias_drift.get(name, 0.0) * (np.arange(n) - (n - 1) / 2)
    bias = scenario.bias_level.get(name, 0.0) + drift
    step = scenario.bias_era.get(name, 0.0)
    era = Era(int(years[2]), int(years[min(6, years.size - 2)]), "simulated: other coverage")
    bias = bias + step * np.array(
        [max(0.0, min(i.end, era.last_year + 1) - max(i.start, era.first_year)) for i in intervals]
    )
    bias = bias + young[:, None, None] * young_adults(91)[None, :, None]
    if name == IMMIGRATION:
        bias = bias - _share(scenario.unseen, flow)
    groups = group_matrix(LOWER_AGES, 91)

    def seen(x: np.ndarray) -> np.ndarray:
        return np.einsum("ct,sga,sat->csg", to_calendar, groups, x, optimize=True)

    true, expected = seen(flow), seen(flow * (1 + bias))
    se = np.sqrt(DESIGN_EFFECT[name] * GROSSING_WEIGHT[name] * expected)
    estimate = np.maximum(expected + se * rng.standard_normal(se.shape), 0.0)
    labels = {YEAR: calendar, SEX: list(SEXES), AGE_GROUP: list(GROUPS)}
    dims = (YEAR, SEX, AGE_GROUP)
    survey = SurveyFlow(
        flow=name,
        estimate=xr.DataArray(estimate, dims=dims, coords=labels),
        standard_error=xr.DataArray(se, dims=dims, coords=labels),
        contacts=xr.DataArray(expected / GROSSING_WEIGHT[name], dims=dims, coords=labels),
        lower_ages=xr.DataArray(
            LOWER_AGES, dims=(SEX, AGE_GROUP), coords={d: labels[d] for d in (SEX, AGE_GROUP)}
        ),
        definition="simulated survey",
        vintage="simulated",
        reference="imps.simulation.simulate",
        eras=(era,) if step else (),
    )
    sign = FLOW_SIGN[name]
    errors = {
        f"{name}_bias": float(sign * (rule @ (expected - true).sum(axis=(1, 2))).sum()),
        f"{name}_sampling": float(sign * (rule @ (estimate - expected).sum(axis=(1, 2))).sum()),
    }
    return survey, errors, rule @ true.sum(axis=(1, 2))


def _share(bands: Bands, flow: np.ndarray) -> np.ndarray:
    """Share of a true flow that the persons of some cohorts are, (age, interval)."""
    n_ages, n = flow.shape[1:]
    at_the_end = np.arange(n_ages)[:, None] + n - 2 - np.arange(n)
    out = np.zeros((n_ages, n))
    for (first, last), persons in bands.items():
        band = (at_the_end >= first) & (at_the_end <= last)
        out += band * persons / (flow.sum(axis=0) * band)[:, 1:-1].sum()
    return out


def _parts(
    scenario: Scenario, years: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[AdministrativeFlow, ...], dict[str, float], np.ndarray]:
    """Published parts, their true errors, and the true net flow (sex, age, interval)."""
    calendar = np.arange(years[0] - 1, years[-1] + 1)
    rule = mid_year_average([int(y) for y in calendar], [mid_year_interval(int(y)) for y in years])
    parts, errors = [], {}
    net = np.zeros((2, 91, years.size))
    for name, sizes in PARTS.items():
        wrong = scenario.parts.get(name, 0.0)
        errors[name] = 0.0
        for flow, size in sizes.items():
            true = size * np.exp(0.05 * rng.standard_normal(calendar.size))
            count = xr.DataArray(true * (1 + wrong), dims=YEAR, coords={YEAR: calendar})
            said = {"vintage": "simulated", "reference": "imps.simulation.simulate"}
            part = AdministrativeFlow.of(KINDS[name], flow, count, **said)
            sign = FLOW_SIGN[flow] * part.sign
            parts.append(part)
            errors[name] += float(sign * wrong * (rule @ true).sum())
            sexes = 2 * np.array([part.male_share, 1 - part.male_share])
            net += sign * (sexes[:, None] * _ages_of_parts(flow))[:, :, None] * (rule @ true)
    return tuple(parts), errors, net


def _ages_of_parts(flow: str) -> np.ndarray:
    """Schedule (sex, age) of the parts of a direction, each sex summing to one half.

    Both directions peak at 22: the model takes emigrants to be two years older, and is
    wrong there, as it may be in life.
    """
    shape = rogers_castro(np.arange(91.0), peak=22.0)
    return np.stack([shape, shape]) / (2 * shape.sum())


def _live(
    base: np.ndarray, net: np.ndarray, years: np.ndarray
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Births, deaths by mortality rates on the true population, and the true path."""
    ages = np.arange(91)
    rates = np.stack(
        [0.006 * np.exp(-2.5 * ages) + 2e-5 * np.exp(k * ages) for k in (0.100, 0.096)]
    )
    rates = np.minimum(rates, 0.25)
    births = np.array([[0.512], [0.488]]) * np.linspace(690e3, 600e3, years.size)
    stock, deaths = base, np.zeros((2, 91, years.size))
    for t in range(years.size):
        aged = carry(stock, 1)
        aged[:, 0] += births[:, t]
        deaths[:, :, t] = rates * aged
        stock = aged - deaths[:, :, t] + net[:, :, t]
    labels = {YEAR: years, SEX: list(SEXES), AGE: ages}
    cells = (YEAR, SEX, AGE)
    born = xr.DataArray(births.T, dims=(YEAR, SEX), coords={d: labels[d] for d in (YEAR, SEX)})
    died = xr.DataArray(deaths.transpose(2, 0, 1), dims=cells, coords=labels)
    moved = xr.DataArray(net.transpose(2, 0, 1), dims=cells, coords=labels)
    start = xr.DataArray(base, dims=(SEX, AGE), coords={d: labels[d] for d in (SEX, AGE)})
    path = roll_forward_path(start, births=born, deaths=died, net_migration=moved)
    return path, born, died


def _gather(
    base: np.ndarray,
    counted: xr.DataArray,
    births: xr.DataArray,
    deaths: xr.DataArray,
    surveys: dict[str, SurveyFlow],
    parts: tuple[AdministrativeFlow, ...],
    natural: xr.DataArray,
    years: np.ndarray,
) -> Sources:
    """Put the published figures together, with the official roll-forward made of them."""
    said: dict[str, Any] = {"vintage": "simulated", "reference": "imps.simulation.simulate"}
    totals = []
    for name in FLOWS:
        total = surveys[name].estimate.sum((SEX, AGE_GROUP))
        for part in parts:
            if part.flow == name:
                total = total + part.sign * part.count
        totals.append(total)
    migration = xr.concat(totals, dim=xr.DataArray(list(FLOWS), dims=FLOW, name=FLOW))
    net = (totals[0] - totals[1]).values
    rule = mid_year_average(
        [int(y) for y in totals[0][YEAR].values], [mid_year_interval(int(y)) for y in years]
    )
    rolled = base.sum() + np.r_[0.0, np.cumsum(natural.values + rule @ net)]
    first = int(years[0]) - 1
    return Sources(
        area="a simulated country",
        base=Stock(
            counted.copy(data=base), BY_SEX_AND_AGE, dt.date(first, 6, 30), 0.0, name="base", **said
        ),
        census=Stock(
            counted, BY_SEX_AND_AGE, dt.date(int(years[-1]), 6, 30), 0.0, name="census", **said
        ),
        births=Births(births, **said),
        deaths=Deaths(deaths, **said),
        immigration=surveys[IMMIGRATION],
        emigration=surveys[EMIGRATION],
        administrative=parts,
        known_sums=(),
        total_migration=migration,
        rolled_forward=RolledForward(
            total=xr.DataArray(rolled, dims=YEAR, coords={YEAR: np.r_[first, years]}),
            by_rule=(),
            rule="",
            vintage="simulated",
            reference="imps.simulation.simulate",
        ),
    )


__all__ = ["SCENARIOS", "Scenario", "Simulation", "simulate_account"]
