"""Between censuses: how sure the present roll-forward is, and what the next census may find."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.gap import census_noise, rolled_forward_cells
from imps.account.latents import Affine
from imps.demography.accounting import carry
from imps.demography.periods import decimal_date, spelt_out
from imps.demography.schedules import migration_schedule
from imps.errors import SourceError
from imps.intervals import ends, summary_table
from imps.names import AGE, CHAIN, DRAW, GAP_CONVENTION, IMMIGRATION, SEX, SEXES, YEAR
from imps.posterior.fit import Fit, needs_fit
from imps.results.checks import Checks, check
from imps.results.verdict import PLAIN, Verdict, Words
from imps.sources import Sources

FARTHEST = 5.0
"""Years beyond the account up to which a census is predicted."""


@dataclass(frozen=True)
class PredictedCensus:
    """What a census would count, as far as the account and its priors know.

    Attributes
    ----------
    count : DataArray (chain, draw, sex, age), persons
        As it would be counted on its date, with its undercount and random error.
    gap : DataArray (chain, draw, sex, age), persons
        Roll-forward minus that census, both at the end of the account; over `sex` and `age`
        it is the prior predictive gap.
    date : date
    years_ahead : float
        Years between the end of the account and the census; negative for one before it.
    area, period : str
    verdict : Verdict
    passed : bool
    words : Words
    """

    count: xr.DataArray
    gap: xr.DataArray
    date: dt.date
    years_ahead: float
    area: str
    period: str
    verdict: Verdict
    passed: bool
    words: Words = PLAIN

    def summary(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Count and gap in total and by sex: quantity, sex, mean, sd and interval, persons."""
        frames = []
        for name, draws in (("census", self.count), ("gap", self.gap)):
            by_sex = draws.sum(AGE, skipna=False)
            total = by_sex.sum(SEX, skipna=False).expand_dims({SEX: ["both"]}, axis=2)
            frame = summary_table(xr.concat([total, by_sex], SEX), prob)
            frame.insert(0, "quantity", name)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def by_age(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Count by sex and single year of age with its interval, persons."""
        return summary_table(self.count, prob)

    def __repr__(self) -> str:
        rows = self.summary().set_index(["quantity", SEX])
        said = {
            name: self.words.unit.between(*rows.loc[(name, "both"), ["mean", "lower95", "upper95"]])
            for name in ("census", "gap")
        }
        return "\n".join(
            [
                f"Census of {spelt_out(self.date)} as {self.area}, {self.period}, expects it",
                f"  count {said['census']} {self.words.unit.name}, 95 % interval",
                f"  gap {said['gap']} {self.words.unit.name} ({GAP_CONVENTION})",
                str(self.verdict),
            ]
        )


def predicted_census(
    fit: Fit, *, date: dt.date | None = None, seed: int = 0, checks: Checks | None = None
) -> PredictedCensus:
    """The next census before it is taken, from a fit of an open end.

    Parameters
    ----------
    fit : Fit
        Of the account of :func:`imps.open_end`.
    date : date, optional
        Day of the census; the end of the account unless told. Between the two births, deaths
        and migration go on as in the last year, and differ from it as far as the published
        years differed from each other (root mean square, times the root of the years ahead).
    seed : int
        Of the random errors of the census and of the years ahead.
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    PredictedCensus
        Count and gap (chain, draw, sex, age), persons.

    Raises
    ------
    SourceError
        If the account has a census, or the day lies out of reach.
    """
    fit = needs_fit(fit, "predicted_census")
    model, account, sources = fit.model, fit.model.account, fit.model.sources
    if not sources.open_end:
        raise SourceError(
            f"the account of {sources.area} ends with the census of "
            f"{spelt_out(sources.census.date)}: withhold it first, imps.open_end(sources)."
        )
    day = sources.census.date if date is None else date
    ahead = _years_ahead(sources, day)
    found, w = checks or check(fit), fit.latents()
    rng = np.random.default_rng([seed, 1])

    def cells(quantity: Affine) -> np.ndarray:
        return model.evaluate(quantity, w)

    missed = cells(account.census_undercount + account.census_sampling)
    noise = census_noise(account)
    missed += np.tensordot(rng.standard_normal((len(w), noise.shape[-1])), noise, (1, 2))
    people = cells(account.population(sources.last_year))
    change = cells((account.natural + account.net_migration + account.other_changes)[:, :, -1])
    counted = _on_the_day(people, change, ahead) - missed + _years_differ(sources, ahead, rng, w)
    labels = {SEX: list(SEXES), AGE: sources.ages}

    def labelled(values: np.ndarray) -> xr.DataArray:
        draws = values.reshape(fit.n_chains, fit.n_draws, *values.shape[1:])
        return xr.DataArray(draws, dims=(CHAIN, DRAW, SEX, AGE), coords=labels)

    return PredictedCensus(
        count=labelled(counted),
        gap=labelled(rolled_forward_cells(account) - people + missed),
        date=day,
        years_ahead=ahead,
        area=sources.area,
        period=sources.period,
        verdict=found.verdict,
        passed=found.passed,
        words=Words.of(sources),
    )


def _years_ahead(sources: Sources, day: dt.date) -> float:
    """Years from the end of the account to a day, whole where the day ends a year."""
    end = sources.year_end.interval(sources.last_year).end
    whole = sources.year_end.ends(day)
    ahead = float(day.year - sources.census.date.year) if whole else decimal_date(day) - end
    if not -1 <= ahead <= FARTHEST:
        raise SourceError(
            f"a census of {spelt_out(day)} lies {ahead:+.1f} years from the end of the account, "
            f"{sources.said(sources.last_year)}; allowed is -1 to {FARTHEST:g}. Take the account "
            "to a year that is nearer."
        )
    return ahead


def _on_the_day(people: np.ndarray, change: np.ndarray, ahead: float) -> np.ndarray:
    """Population (draw, sex, age) after years like the last one; of a part of a year the total.

    As from census day to mid-year, the change of a part of a year is spread as people are.
    """
    whole = max(int(ahead), 0)
    for _ in range(whole):
        people = np.moveaxis(carry(np.moveaxis(people, 0, -1), 1), -1, 0) + change
    spread = people / people.sum(axis=(1, 2), keepdims=True)
    return people + (ahead - whole) * change.sum(axis=(1, 2), keepdims=True) * spread


def _years_differ(
    sources: Sources, ahead: float, rng: np.random.Generator, w: np.ndarray
) -> np.ndarray:
    """By how much the years ahead differ from the last one, (draw, sex, age), persons."""
    n_ages = sources.ages.size
    deaths = sources.deaths.count.transpose(SEX, AGE, YEAR).values
    newborn = np.zeros((len(SEXES), n_ages))
    newborn[:, 0] = 0.5
    series = (
        (sources.later_net_migration.values, migration_schedule(n_ages, IMMIGRATION)),
        (sources.births.count.sum(SEX).values, newborn),
        (deaths.sum(axis=(0, 1)), deaths[:, :, -1] / deaths[:, :, -1].sum()),
    )
    out = np.zeros((len(w), len(SEXES), n_ages))
    for yearly, shape in series:
        steps = np.diff(yearly)
        spread = float(np.sqrt((steps**2).mean())) if steps.size else float(np.abs(yearly).max())
        spread *= max(ahead, 0.0) ** 0.5
        out += rng.standard_normal(len(w))[:, None, None] * spread * shape
    return out


def error_by_year(fit: Fit, *, prob: float = 0.95, checks: Checks | None = None) -> pd.DataFrame:
    """Error of the roll-forward at the end of each year: published minus true, persons.

    Parameters
    ----------
    fit : Fit
        Of an open end, or of any account.
    prob : float
        Of the interval.
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    DataFrame
        year, rolled_forward, mean, sd, interval of the error; verdict among the attributes.
        Where the mean of the last year is known exactly, means of draws are brought to it by
        their regression on that year (a control variate).

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit, or a fit of a chain as a whole.
    """
    fit = needs_fit(fit, "error_by_year")
    sources, w = fit.model.sources, fit.latents()
    published, population = sources.rolled_forward.total.values, fit.model.account.population
    errors = np.stack([
        total - fit.model.evaluate(population(int(year)).sum(), w)
        for year, total in zip(sources.mid_years, published, strict=True)
    ])  # fmt: skip
    mean, sd, level = errors.mean(axis=1), errors.std(axis=1), f"{prob * 100:g}"
    moments = fit.extras.get("exact_moments")
    known = None if moments is None else moments.set_index("quantity")["mean"]
    last = f"population[{sources.last_year}]"
    if known is not None and last in known:
        exact = published[-1] - float(known[last])
        together = ((errors - mean[:, None]) @ (errors[-1] - mean[-1])) / errors.shape[1]
        mean = mean - together / sd[-1] ** 2 * (mean[-1] - exact)
    lower, upper = ends(errors, prob, axis=1)
    frame = pd.DataFrame({
        YEAR: sources.mid_years.astype(int), "rolled_forward": published, "mean": mean, "sd": sd,
        f"lower{level}": lower, f"upper{level}": upper,
    })  # fmt: skip
    return (checks or check(fit)).verdict.put_on(frame)
