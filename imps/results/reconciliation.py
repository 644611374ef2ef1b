"""True stocks and flows: the population and net migration of every year, in every draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.gap import rolled_forward_cells
from imps.account.latents import Affine
from imps.account.stocks import registered_births, registered_deaths
from imps.demography.accounting import roll_forward_path
from imps.demography.periods import YearEnd
from imps.intervals import ends, level, summary_table
from imps.names import (
    AGE,
    AGE_GROUP,
    CHAIN,
    DRAW,
    FLOW,
    FLOWS,
    SEX,
    SEXES,
    YEAR,
)
from imps.notebook_cards import card, fan
from imps.posterior.fit import Fit, needs_fit
from imps.results.checks import Checks, check
from imps.results.verdict import PLAIN, Verdict, Words

SERIES = ("survey", "published_flows", "carried")
"""Published series of net migration, as far as an account has them."""
NET_COLUMNS = ["year", "mean", "sd", "lower95", "upper95", *SERIES]


@dataclass(frozen=True)
class Reconciliation:
    """The account as it most likely was, with the uncertainty of every cell.

    Attributes
    ----------
    population : DataArray (chain, draw, year, sex, age), persons
        At the base and at every mid-year after it.
    net_migration : DataArray (chain, draw, year, sex, age), persons per year
        All kinds of migration, by mid-year at the end of the interval and age reached.
    births, deaths : DataArray (chain, draw, year, sex[, age]), persons per year
    other_changes : DataArray (chain, draw, year, sex, age), persons per year
        Known changes that are no migration of the series, such as moves across an inner border
        and armed forces; an error where they have a prior.
    residual : DataArray (chain, draw, sex, age), persons
        Unexplained, entering at the last mid-year.
    survey_flows : DataArray (chain, draw, flow, year), persons per year
        True flows of the kind that the survey measures, and of the streams with a direction.
    published : DataFrame, persons
        year, survey, survey_se, published_flows, carried, rolled_forward; the first two where
        there is a survey, carried where the roll-forward was published.
    gap : DataArray (sex, age), persons
        Rolled-forward minus census at the last mid-year; by age it is the account's
        own reconstruction as far as it was not published.
    negative_flows : float
        Share of flow cells below zero over all draws.
    area : str
    verdict : str
    passed : bool
    words : Words
        Unit and names for what is printed.
    year_ends : str
        Month and day with which the years end, such as "06-30".
    """

    population: xr.DataArray
    net_migration: xr.DataArray
    births: xr.DataArray
    deaths: xr.DataArray
    other_changes: xr.DataArray
    residual: xr.DataArray
    survey_flows: xr.DataArray
    published: pd.DataFrame
    gap: xr.DataArray
    negative_flows: float
    area: str
    verdict: Verdict
    passed: bool
    words: Words = PLAIN
    year_ends: str = "06-30"

    @property
    def year_end(self) -> YearEnd:
        """The day with which every year ends."""
        return YearEnd.of(self.year_ends)

    def net_migration_by_year(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Net migration of each year to mid-year beside the published series, persons."""
        frame = summary_table(self.net_migration.sum((SEX, AGE), skipna=False), prob)
        published = self.published.set_index("year").loc[frame["year"]]
        frame = frame[[level(c, prob) for c in NET_COLUMNS[:5]]]
        return frame.assign(**{name: published[name].to_numpy() for name in self.series})

    @property
    def series(self) -> list[str]:
        """Published series of net migration that this account has."""
        return [name for name in SERIES if name in self.published]

    def population_by_year(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Back-series: true population at each mid-year beside published and apportioned ones.

        Returns
        -------
        DataFrame, persons
            year, mean, sd, interval; rolled_forward as published; and the two
            traditional apportionments of the gap: period_apportionment takes it off
            in proportion to time, cohort_apportionment along each cohort from the
            base or from its birth.

        References
        ----------
        Littlefield and Fulton (2005), Population Trends 122 (simple period and
        simple cohort methods).
        """
        frame = summary_table(self.population.sum((SEX, AGE), skipna=False), prob)
        rolled = self.published.set_index("year")["rolled_forward"]
        frame["rolled_forward"] = rolled.loc[frame["year"]].to_numpy()
        elapsed = (frame["year"] - frame["year"].iloc[0]).to_numpy()
        share = elapsed / elapsed[-1]
        frame["period_apportionment"] = frame["rolled_forward"] - share * float(self.gap.sum())
        by_cohort = self.gap.sum(SEX).values
        frame["cohort_apportionment"] = frame["rolled_forward"] - [
            float(_share_along_cohorts(by_cohort.size, int(t), int(elapsed[-1])) @ by_cohort)
            for t in elapsed
        ]
        return frame

    def back_series(self, *, prob: float = 0.95) -> pd.DataFrame:
        """True population by mid-year, sex and single year of age with its interval."""
        return summary_table(self.population, prob)

    def closure(self) -> float:
        """Largest error of the balancing equation over all draws and cells, persons."""
        worst, last = 0.0, self.net_migration.sizes[YEAR] - 1
        for year in range(last + 1):
            flows = [x.isel({YEAR: [year]}) for x in (self.births, self.deaths)]
            net = self.net_migration.isel({YEAR: [year]})
            net = net + self.other_changes.isel({YEAR: [year]})
            before = self.population.isel({YEAR: year}, drop=True)
            path = roll_forward_path(before, births=flows[0], deaths=flows[1], net_migration=net)
            error = path.values[..., 1, :, :] - self.population.values[..., year + 1, :, :]
            error += self.residual.values if year == last else 0.0
            worst = max(worst, float(error.max()), -float(error.min()))
        return worst

    def _span(self, years: np.ndarray) -> str:
        return f"{self.year_end.said(int(years[0]) - 1)} to {self.year_end.said(int(years[-1]))}"

    def __repr__(self) -> str:
        net = self.net_migration.sum((YEAR, SEX, AGE), skipna=False).values
        last = self.population.isel({YEAR: -1}).sum((SEX, AGE)).values
        years = self.net_migration[YEAR].values
        return "\n".join(
            [
                f"Reconciliation of {self.area}, {self._span(years)}, persons",
                f"  net migration, {years.size} years: {_interval(net)}",
                f"  population {self.year_end.said(int(years[-1]))}: {_interval(last)}",
                f"  negative flow cells: {self.negative_flows:.2%} of all draws",
                str(self.verdict),
            ]
        )

    def _repr_html_(self) -> str:
        """Compact card for a notebook: net migration with its interval and its years, verdict."""
        yearly = self.net_migration.sum((SEX, AGE), skipna=False)
        total, years = yearly.sum(YEAR).values, self.net_migration[YEAR].values
        low, high = ends(total)
        last, unit = self.population.isel({YEAR: -1}).sum((SEX, AGE)).values, self.words.unit
        least, most = ends(last)
        values = yearly.transpose(YEAR, CHAIN, DRAW).values.reshape(years.size, -1)
        bands = [ends(values, prob, axis=1) for prob in (0.95, 0.5)]
        official = self.published.set_index("year")["published_flows"].loc[years]
        said = unit.between(float(total.mean()), float(low), float(high))
        main = f"Net migration {said} {unit.name}"
        return card(
            f"Reconciliation of {self.area}, {self._span(years)}",
            f"{main}, 95 % interval",
            (
                f"Population {self.year_end.said(int(years[-1]))}: {last.mean():,.0f} "
                f"[{least:,.0f}, {most:,.0f}].",
                f"By year, {unit.persons}: posterior with 50 and 95 % bands; dots: published.",
            ),
            picture=fan(
                [str(y) for y in years],
                values.mean(axis=1).tolist(),
                [(b[0].tolist(), b[1].tolist()) for b in bands],
                f"{main}, by year from {years[0]} to {years[-1]}",
                official.tolist(),
                unit,
            ),
            verdict=self.verdict,
        )


def reconcile(fit: Fit, *, checks: Checks | None = None) -> Reconciliation:
    """True stocks and flows of the account in every draw.

    The stocks are rolled forward in each draw from that draw's base with its own
    births, deaths and net migration, so the balancing equation holds by
    construction and not by approximation.

    Parameters
    ----------
    fit : Fit
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    Reconciliation
        Population, births, deaths and flows (chain, draw, sex, age, year), persons.

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit, or a fit of a chain as a whole.
    """
    fit = needs_fit(fit, "reconcile", rows=False)
    found = checks or check(fit)
    model, account, w = fit.model, fit.model.account, fit.latents()
    sources = model.sources
    lead = (fit.n_chains, fit.n_draws)
    coords = {YEAR: sources.years, SEX: list(SEXES), AGE: sources.ages}

    def cells(quantity: Affine) -> xr.DataArray:
        by_year = _by_year(quantity)
        values = model.evaluate(by_year, w).reshape(*lead, *by_year.shape)
        labels = {**coords, AGE: sources.ages[: quantity.shape[1]]}
        return xr.DataArray(values, dims=(CHAIN, DRAW, YEAR, SEX, AGE), coords=labels)

    changed = bool(account.other_changes.effects) or account.other_changes.constant.any()
    born = (registered_births(sources) + account.births_error)[:, :1]
    births = cells(born).isel({AGE: 0}, drop=True)
    deaths = cells(registered_deaths(sources) + account.deaths_error)
    net, other = cells(account.net_migration), cells(account.other_changes)
    base = xr.DataArray(
        model.evaluate(account.base, w).reshape(*lead, len(SEXES), -1),
        dims=(CHAIN, DRAW, SEX, AGE),
        coords={SEX: list(SEXES), AGE: sources.ages},
    )
    residual = base.copy(data=model.evaluate(account.residual, w).reshape(base.shape))
    added = net + other if changed else net
    population = roll_forward_path(base, births=births, deaths=deaths, net_migration=added)
    population.values[:, :, -1] += residual.values
    flows, negative = _survey_flows(fit, w)
    return Reconciliation(
        population=population,
        net_migration=net,
        births=births,
        deaths=deaths,
        other_changes=other,
        residual=residual,
        survey_flows=flows,
        published=published_series(fit),
        gap=xr.DataArray(
            rolled_forward_cells(account) - sources.census.count.values,
            dims=(SEX, AGE),
            coords={SEX: list(SEXES), AGE: sources.ages},
        ),
        negative_flows=negative,
        area=sources.area,
        verdict=found.verdict,
        passed=found.passed,
        words=Words.of(sources),
        year_ends=sources.year_ends,
    )


def _by_year(quantity: Affine) -> Affine:
    """A quantity (sex, age, year) as (year, sex, age)."""
    return quantity.map(lambda x: np.moveaxis(x, 2, 0))


def published_series(fit: Fit) -> pd.DataFrame:
    """Published series at mid-years beside each other, persons per year."""
    sources = fit.model.sources
    frame = pd.DataFrame({"year": sources.mid_years})
    later, rolled = sources.later_net_migration, sources.rolled_forward
    series: dict[str, xr.DataArray] = {"published_flows": later}
    if sources.survey_flows:
        squares = [(s.standard_error**2).sum((SEX, AGE_GROUP)) for s in
                   sources.survey_flows.values()]  # fmt: skip
        rule = sources.at_mid_years(squares[0] + squares[1])  # half of it: of a mean of two years
        series["survey"] = sources.survey_net_migration
        series["survey_se"] = rule.copy(data=np.sqrt(rule.values / 2))
    if sources.survey_flows or len(rolled.by_rule) != sources.years.size:
        series["carried"] = rolled.implied_net_migration(sources.natural_change)
    series["rolled_forward"] = rolled.total
    for name, values in series.items():
        frame[name] = values.reindex({YEAR: sources.mid_years}).values
    return frame


def _share_along_cohorts(n_ages: int, elapsed: int, years: int) -> np.ndarray:
    """Share of each cohort's gap that had arisen by a mid-year, (age at the end).

    Linear in time: from the base for those alive at it, from birth (half a year
    before the first mid-year) for the others; nothing before birth.
    """
    age = np.arange(n_ages)
    then = age - (years - elapsed)
    born = np.clip((then + 0.5) / (age + 0.5), 0.0, 1.0)
    return np.where(age >= years, elapsed / years, np.where(then >= 0, born, 0.0))


def _survey_flows(fit: Fit, w: np.ndarray) -> tuple[xr.DataArray, float]:
    """Totals of the true survey flows and streams by year, and the share of negative cells."""
    model = fit.model
    lead = (fit.n_chains, fit.n_draws)
    totals, negative = [], []
    names = [*model.account.flows, *(s.name for s in model.sources.streams if s.flow in FLOWS)]
    for name in names:
        values = model.evaluate(_by_year(model.account.true_flow(name)), w)
        negative.append(float((values < 0).mean()))
        totals.append(values.sum(axis=(2, 3)).reshape(*lead, -1))
    return (
        xr.DataArray(
            np.stack(totals, axis=2) if totals else np.zeros((*lead, 0, model.sources.years.size)),
            dims=(CHAIN, DRAW, FLOW, YEAR),
            coords={FLOW: names, YEAR: model.sources.years},
        ),
        float(np.mean(negative)) if negative else 0.0,
    )


def _interval(values: np.ndarray) -> str:
    lower, upper = ends(values)
    return f"{values.mean():+,.0f}, 95 % [{lower:+,.0f}, {upper:+,.0f}]"
