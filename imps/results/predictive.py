"""Where the data and the account disagree: predictive checks, and errors by age and year.

The predictive distribution of a row is the one that leaves the row itself out; in the
Gaussian model it is exact at given scales and costs one inversion,

    y_i - mean_-i = [C^-1 r]_i / [C^-1]_ii,     var_-i = 1 / [C^-1]_ii

with everything divided by the standard errors. A probability integral transform (PIT)
near 0 or 1 in many rows, or bunched in the middle, shows errors that are misjudged.

References
----------
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 5.4.2.
Gneiting, Balabdaoui and Raftery (2007), JRSS B 69, 243-268 (PIT and calibration).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr, ndtri

from imps.account.observations import census_day_population
from imps.demography.periods import YearEnd, spelt_out
from imps.errors import SourceError, some
from imps.intervals import ends, summary_table
from imps.names import AGE, AGE_GROUP, CHAIN, DRAW, FLOW_SIGN, SEX, SEXES
from imps.posterior.exact import GaussianPosterior
from imps.posterior.fit import Fit, needs_fit
from imps.results.checks import Checks, check
from imps.results.verdict import Verdict
from imps.sources import BY_SEX_AND_AGE, TOTAL, Register, Sources
from imps.sources.definitions import Detail
from imps.sources.streams import first_ages

Z95 = float(ndtri(0.975))


@dataclass(frozen=True)
class Predictive:
    """Every row of the likelihood against what all other rows say about it.

    Attributes
    ----------
    table : DataFrame
        source, row, observed, mean, sd, lower95, upper95 (persons), z, pit, inside95.
    left_out : bool
        Whether each row was left out of its own prediction. A model that is not
        Gaussian has no closed form; its rows predict themselves, and the check is lenient.
    area, verdict : str
    passed : bool
    """

    table: pd.DataFrame
    left_out: bool
    area: str
    verdict: Verdict
    passed: bool

    def summary(self) -> pd.DataFrame:
        """source, rows, inside95 (share), mean_square of z, worst row and its z."""
        rows = []
        for source, part in self.table.groupby("source", sort=False):
            worst = part.loc[part["z"].abs().idxmax()]
            rows.append((source, len(part), part["inside95"].mean(), (part["z"] ** 2).mean(),
                         worst["row"], worst["z"]))  # fmt: skip
        columns = ["source", "rows", "inside95", "mean_square", "worst_row", "worst_z"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        lines = [f"Predictive check of {self.area}, {len(self.table)} rows"]
        for row in self.summary().head(6).itertuples():
            lines.append(
                f"  {row.source}: {row.inside95:.0%} of {row.rows} inside 95 %, worst "
                f"{row.worst_row} ({row.worst_z:+.1f} sd)"
            )
        return "\n".join([*lines, str(self.verdict)])


def posterior_predictive(fit: Fit, *, checks: Checks | None = None) -> Predictive:
    """Predict every row of every source from all the others.

    Exact at the posterior mean scales for the Gaussian model; for its variants from the
    draws, with the row itself among the data.

    Parameters
    ----------
    fit : Fit
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    Predictive
        Of each row: observed, mean and sd (persons), and its probability integral transform.

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit.
    """
    fit = needs_fit(fit, "posterior_predictive")
    found = checks or check(fit)
    model, se = fit.model, fit.model.standard_error
    left_out = fit.gaussian
    if left_out:
        posterior = GaussianPosterior(model)
        factor = posterior.factor(fit.draws["log_scale"].mean((CHAIN, DRAW)).values)
        solved = factor.solve(posterior.residual)
        precision = np.diag(factor.solve(np.eye(solved.size)))
        sd = se / np.sqrt(precision)
        mean = model.observed - se * solved / precision
        pit = ndtr((model.observed - mean) / sd)
    else:
        expected = model.expected(fit.latents())
        mean = expected.mean(axis=0)
        sd = np.sqrt(expected.var(axis=0) + se**2)
        pit = ndtr((model.observed - expected) / se).mean(axis=0)
    z = (model.observed - mean) / sd
    table = pd.DataFrame(
        {
            "source": model.row_sources,
            "row": model.row_labels,
            "observed": model.observed,
            "mean": mean,
            "sd": sd,
            "lower95": mean - Z95 * sd,
            "upper95": mean + Z95 * sd,
            "z": z,
            "pit": pit,
            "inside95": np.abs(z) <= Z95,
        }
    )
    return Predictive(table, bool(left_out), model.sources.area, found.verdict, found.passed)


@dataclass(frozen=True)
class LexisSurface:
    """Draws or cells over age and year, for a Lexis map.

    Attributes
    ----------
    cells : DataFrame
        panel, first_age, last_age (the open group ends where the account does), start, end
        (decimal years), value, lower95, upper95 (persons), z.
    what, unit, sign : str
        What the values are, their unit, and what positive means.
    last_age : int
        Open age group.
    area, verdict : str
    passed : bool
    year_end : YearEnd
        Day with which the years of the account end.
    """

    cells: pd.DataFrame
    what: str
    unit: str
    sign: str
    last_age: int
    area: str
    verdict: Verdict
    passed: bool
    year_end: YearEnd


def detail_of_flows(sources: Sources) -> Detail:
    """Sexes and ages that the flows with published ages, and the last stock, have in common."""
    end = sources.detail_at_end
    ages = set(end.lower_ages)
    for survey in sources.survey_flows.values():
        if survey.observed != TOTAL:
            for of_sex in survey.lower_ages.values.astype(int):
                ages &= set(of_sex.tolist())
    for stream in sources.streams:
        if AGE_GROUP in stream.count.dims:
            ages &= set(first_ages(stream.count).astype(int).ravel())
    return Detail(end.by_sex, tuple(sorted(ages)))


def migration_error(fit: Fit, *, checks: Checks | None = None) -> LexisSurface:
    """Official net migration minus true net migration by age reached and year, both sexes.

    Ages are no finer than those that flows and the last stock were published in.

    Official is the later published series laid out over ages by the official rule. Summed
    over ages and years it is the contribution of the migration group to the gap.

    Parameters
    ----------
    fit : Fit
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    LexisSurface
        One cell an age or age group and mid-year interval; z is mean over posterior sd.

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit, or a fit of a chain as a whole.
    """
    fit = needs_fit(fit, "migration_error", rows=False)
    found = checks or check(fit)
    account, sources = fit.model.account, fit.model.sources
    error = official_net_migration(fit) - account.net_migration
    first = np.array(detail_of_flows(sources).lower_ages)
    grouped = error.sum((0,)).map(lambda x: np.add.reduceat(x, first, axis=0))
    draws = fit.model.evaluate(grouped, fit.latents())
    lower, upper = ends(draws, axis=0)
    mean, sd = draws.mean(axis=0), draws.std(axis=0)
    ages, years = np.meshgrid(first, sources.years, indexing="ij")
    last = np.r_[first[1:] - 1, sources.ages[-1]][:, None] + 0 * years
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, mean / sd, 0.0)
    cells = pd.DataFrame(
        {
            "panel": "both sexes",
            "first_age": ages.ravel(),
            "last_age": last.ravel(),
            "start": years.ravel() - 0.5,
            "end": years.ravel() + 0.5,
            "value": mean.ravel(),
            "lower95": lower.ravel(),
            "upper95": upper.ravel(),
            "z": z.ravel(),
        }
    )
    return LexisSurface(
        cells,
        "Official net migration minus posterior",
        "persons a year and age group"
        if (last > ages).any()
        else "persons a year and single year of age",
        "positive: the official figure was too high",
        int(sources.ages[-1]),
        sources.area,
        found.verdict,
        found.passed,
        sources.year_end,
    )


def official_net_migration(fit: Fit) -> np.ndarray:
    """Later published net migration laid out by the official rule, (sex, age, interval)."""
    account = fit.model.account
    flows = sum(FLOW_SIGN[name] * flow.published for name, flow in account.flows.items())
    return flows + sum(account.parts.values(), np.zeros_like(flows))


def residuals(fit: Fit, *, checks: Checks | None = None) -> LexisSurface:
    """Observed minus predicted of every source over age and time, both sexes together.

    Survey cells stand in their calendar or mid-year and age group (in all ages where only
    totals were published), the census in its own year. z is the residual over the
    predictive standard deviation, the row left out (see :func:`posterior_predictive`);
    two sexes are added as if independent.

    Parameters
    ----------
    fit : Fit
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    LexisSurface
        Panels "immigration", "emigration", "census".

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit, or a fit of a chain as a whole.
    """
    predictive = posterior_predictive(fit, checks=checks)
    sources = fit.model.sources
    place = _places(fit)
    table = predictive.table.merge(place, on="row", how="inner")
    table["residual"], table["variance"] = table["observed"] - table["mean"], table["sd"] ** 2
    keys = ["source", "first_age", "last_age", "start", "end"]
    cells = table.groupby(keys, sort=False, as_index=False)[["residual", "variance"]].sum()
    sd = np.sqrt(cells.pop("variance"))
    cells = cells.rename(columns={"source": "panel", "residual": "value"})
    cells["lower95"], cells["upper95"] = cells["value"] - Z95 * sd, cells["value"] + Z95 * sd
    cells["z"] = cells["value"] / sd
    return LexisSurface(
        cells,
        "Observed minus predicted from all other figures",
        "persons",
        "positive: more was published than the other figures say",
        int(sources.ages[-1]),
        sources.area,
        predictive.verdict,
        predictive.passed,
        sources.year_end,
    )


def _places(fit: Fit) -> pd.DataFrame:
    """Where each row of survey and census lies on the Lexis plane."""
    sources = fit.model.sources
    top = int(sources.ages[-1])
    rows: list[tuple[str, int, int, float, float]] = []
    for name, survey in sources.survey_flows.items():
        shift = 0.5 if survey.basis == "mid-year" else 0.0  # a mid-year interval ends at June
        for year in survey.years:
            span = (float(year) - shift, float(year) + 1 - shift)
            if survey.observed != BY_SEX_AND_AGE:
                rows.append((f"{name} {year}", 0, top, *span))
                continue
            sexes = [f"{sex} " for sex in SEXES] if survey.by_sex else [""]
            # groups that begin at other ages for men and women are one block on the map
            first = survey.lower_ages.min(SEX).values.astype(int)
            last = np.r_[first[1:] - 1, top]
            for sex in sexes:
                for group, a, b in zip(survey.estimate[AGE_GROUP].values, first, last, strict=True):
                    rows.append((f"{name} {year} {sex}{group}", int(a), int(b), *span))
    when = sources.census.date.year + (sources.census.date.month - 1) / 12
    span = (when - 0.5, when + 0.5)
    cells = sources.census.cells
    for label, (first, last) in zip(cells.labels, cells.ages, strict=True):
        rows.append((f"census {label}".strip(), int(first), int(min(last, top)), *span))
    return pd.DataFrame(rows, columns=["row", "first_age", "last_age", "start", "end"])


@dataclass(frozen=True)
class Coverage:
    """How much of the true population a register or a census counted.

    Attributes
    ----------
    ratio : DataArray (chain, draw, sex, age)
        Count over true population on the same day.
    total : DataArray (chain, draw)
        The same of all ages and both sexes together.
    observed : bool
        Whether the count was published by sex and single age; otherwise its ages are a schedule.
    name, date, area, verdict : str
    passed : bool
    """

    ratio: xr.DataArray
    total: xr.DataArray
    observed: bool
    name: str
    date: str
    area: str
    verdict: Verdict
    passed: bool

    def summary(self, *, prob: float = 0.95) -> pd.DataFrame:
        """sex, age, mean, sd and the interval of the ratio."""
        return summary_table(self.ratio, prob)


def coverage(fit: Fit, source: str = "census", *, checks: Checks | None = None) -> Coverage:
    """Coverage ratio of the census or of a register by sex and age.

    Parameters
    ----------
    fit : Fit
    source : str
        "census", or the name of a :class:`imps.Register` among the sources.
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    Coverage
        Counted over true people (chain, draw, sex, age), a ratio.

    Raises
    ------
    SourceError
        With the names that are there.
    """
    fit = needs_fit(fit, "coverage")
    found = checks or check(fit)
    sources, account = fit.model.sources, fit.model.account
    registers = {own.name: own for own in sources.extra if isinstance(own, Register)}
    if source == "census":
        count, true = sources.census.count, census_day_population(account)
        observed, date = sources.census.fixes_cells, spelt_out(sources.census.date)
    elif source in registers:
        count = registers[source].count
        ages = slice(int(count[AGE].values[0]), int(count[AGE].values[-1]) + 1)
        true = account.population(registers[source].year)[:, ages]
        observed, date = True, sources.year_end.said(registers[source].year)
    else:
        raise SourceError(
            f"no stock with a coverage is called '{source}'. Known: {some(['census', *registers])}."
        )
    cells = count.transpose(SEX, AGE)
    draws = fit.model.evaluate(true, fit.latents())
    people = xr.DataArray(
        draws.reshape(fit.n_chains, fit.n_draws, *cells.shape),
        dims=(CHAIN, DRAW, SEX, AGE),
        coords={SEX: cells[SEX].values, AGE: cells[AGE].values},
    )
    return Coverage(
        (cells / people).transpose(CHAIN, DRAW, SEX, AGE),
        cells.sum() / people.sum((SEX, AGE)),
        observed,
        source,
        date,
        sources.area,
        found.verdict,
        found.passed,
    )
