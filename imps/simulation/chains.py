"""A chain of periods with known truth: one population, whose bases are the censuses before.

Biases of the survey persist from period to period and change: a part of each is the same in all
periods, the rest is drawn anew. What a census missed is the error of the base after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imps.names import EMIGRATION, FLOWS, IMMIGRATION
from imps.simulation.from_priors import Ended, PriorSimulation, PriorSimulator
from imps.simulation.prior_draw import Draw, PriorRow
from imps.simulation.simulate import Scenario, Simulation, simulate_account, simulate_period

LEVEL = {IMMIGRATION: (-0.02, 0.05), EMIGRATION: (-0.05, 0.09)}
"""Mean and sd of the level of the bias, shares of the flow."""
YOUNG = 0.04
"""Standard deviation of the bias at young adult ages, of each sex."""
STOCK_LEVEL, STOCK_YOUNG = 0.0025, (0.012, 0.005)
"""Standard deviation of the coverage error of a stock: at all ages; men and women at young ages."""


def scenarios_of_chain(
    n_periods: int, *, persistence: float, rng: np.random.Generator
) -> tuple[Scenario, ...]:
    """Errors of each period; `persistence` is the share of variance of a bias that stays."""
    out = []
    stays = {flow: rng.standard_normal(3) for flow in FLOWS}
    for _ in range(n_periods):
        level: dict[str, float] = {}
        young: dict[str, tuple[float, float]] = {}
        for flow in FLOWS:
            new = rng.standard_normal(3)
            z = np.sqrt(persistence) * stays[flow] + np.sqrt(1 - persistence) * new
            mean, sd = LEVEL[flow]
            level[flow] = mean + sd * float(z[0])
            young[flow] = (YOUNG * float(z[1]), YOUNG * float(z[2]))
        men, women = np.array(STOCK_YOUNG) * rng.standard_normal(2)
        out.append(
            Scenario(
                bias_level=level,
                bias_young=young,
                census_level=STOCK_LEVEL * float(rng.standard_normal()),
                census_young=(float(men), float(women)),
            )
        )
    men, women = np.array(STOCK_YOUNG) * rng.standard_normal(2)
    level_of_base = STOCK_LEVEL * float(rng.standard_normal())
    first = replace(out[0], base_level=level_of_base, base_young=(float(men), float(women)))
    return (first, *out[1:])


def simulate_chain(
    scenarios: Sequence[Scenario], *, seed: int, first_year: int = 1991, n_years: int = 10
) -> tuple[Simulation, ...]:
    """Simulate periods that follow each other in a country of 50 million with a known truth.

    Parameters
    ----------
    scenarios : sequence of Scenario
        Errors of each period, such as those of :func:`scenarios_of_chain`; the error of a later
        base is that of the census before it and not that of its scenario.
    seed : int
    first_year, n_years : int
        First base, and years of each period.
    """
    found = [simulate_account(scenarios[0], seed=seed, first_year=first_year, n_years=n_years)]
    for i, scenario in enumerate(scenarios[1:], 1):
        before = found[-1]
        start = first_year + i * n_years
        years = np.arange(start + 1, start + n_years + 1)
        rng = np.random.default_rng([seed, i])
        true, counted = before.population.values, before.sources.census.count.values
        period = simulate_period(scenario, rng, years, true, counted)
        truth = period.contributions | {"base": float(counted.sum() - true.sum())}
        found.append(replace(period, contributions=truth))
    return tuple(found)


@dataclass(frozen=True)
class ChainPriorSimulator:
    """Periods whose truth is drawn from the priors: each begins where the one before ended.

    Biases persist with the correlation `bias_between_periods` of the table of priors and change;
    scales are the same in all periods. Published bases and other reference figures stay as they
    are, as in :class:`imps.simulation.from_priors.PriorSimulator`.

    Attributes
    ----------
    periods : mapping of PriorSimulator by name
        In order of time.
    """

    periods: Mapping[str, PriorSimulator]

    def __call__(
        self, priors: Mapping[str, PriorRow], *, seed: int | np.random.SeedSequence
    ) -> PriorSimulation:
        """One truth and what is published of it, with the period before each name but a scale's."""
        draw = draw_of_chain(priors, seed)
        before: Ended | None = None
        whole = PriorSimulation({}, {}, {})
        for name, period in self.periods.items():
            found, before = period.told(draw, before)
            whole.figures.update({f"{name}: {k}": v for k, v in found.figures.items()})
            whole.expected.update({f"{name}: {k}": v for k, v in found.expected.items()})
            truth = {k: v for k, v in found.truth.items() if k not in draw.scales}
            whole.truth.update({f"{name}: {k}": v for k, v in truth.items()})
        whole.truth.update(draw.scales)
        return whole


def draw_of_chain(priors: Mapping[str, PriorRow], seed: int | np.random.SeedSequence) -> Draw:
    """Random numbers of a chain: what persists over its periods is drawn once."""
    return Draw(np.random.default_rng(seed), priors, between=priors["bias_between_periods"].mean)
