"""What each source would show if the account were true: the observation equations.

Each source gives rows y = mean + e, e ~ Normal(0, se^2): `mean` is linear in the
latent variables, `se` is the accuracy of the source. A user's own source needs
a `name` and a method `observe(account)` that returns an :class:`Observation`;
registers and mirror series of the package do the same below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from itertools import product

import numpy as np

from imps.account.account import Account
from imps.account.latents import Affine, concatenate, zero
from imps.account.parts import counting, level_error
from imps.account.stocks import stated_errors
from imps.demography.accounting import along_cohorts
from imps.demography.schedules import autoregressive, smooth_shapes
from imps.errors import LabelError, SourceError, some
from imps.names import AGE, AGE_GROUP, FLOW_SIGN, SEXES, YEAR
from imps.sources import (
    REGISTER,
    BornBefore,
    Evidence,
    MirrorSeries,
    Register,
    SurveyFlow,
)
from imps.sources.definitions import Detail


@dataclass(frozen=True)
class Observation:
    """Rows of the likelihood that come from one source.

    Attributes
    ----------
    source : str
    mean : Affine (row)
        Expected value of each row given the account, persons.
    observed, standard_error : ndarray (row), persons
    labels : tuple of str
        What each row is.
    ages : ndarray (row, 2), optional
        First and last age of each row of a stock, the last of the open group infinite.
    years : ndarray (row), optional
        Year of each row of a flow.
    """

    source: str
    mean: Affine
    observed: np.ndarray
    standard_error: np.ndarray
    labels: tuple[str, ...]
    ages: np.ndarray | None = None
    years: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = self.observed.shape
        if not (self.mean.shape == self.standard_error.shape == n == (len(self.labels),)):
            raise SourceError(
                f"source '{self.source}': mean {self.mean.shape}, observed {n}, standard error "
                f"{self.standard_error.shape} and {len(self.labels)} labels do not match."
            )
        bad = [
            label
            for label, se in zip(self.labels, self.standard_error, strict=True)
            if not (np.isfinite(se) and se > 0)
        ]
        if bad:
            raise SourceError(
                f"source '{self.source}': {len(bad)} rows have a standard error that is not "
                f"positive ({some(bad)}). Nothing is known without error: give one, or leave the "
                "rows out."
            )


def observations(account: Account) -> tuple[Observation, ...]:
    """All rows of the likelihood: survey cells, census, and the user's own sources."""
    rows = [survey_observation(account, flow) for flow in account.sources.survey_flows.values()]
    rows += [] if account.sources.open_end else [census_observation(account)]
    rows += [observe(own, account) for own in account.sources.extra]
    return tuple(rows)


def survey_observation(account: Account, survey: SurveyFlow) -> Observation:
    """Survey cells that were published: true flow plus bias, plus sampling error."""
    flow = account.flows[survey.flow]
    cells = flow.observe(flow.true + flow.bias)
    seen = survey.observed_cells
    axes = survey.published_axes
    estimate, variance = survey.estimate.values, survey.standard_error.values**2
    if axes:
        cells, seen = cells.sum(axes), seen.all(axis=axes)
        estimate, variance = estimate.sum(axis=axes), variance.sum(axis=axes)
    groups = [str(group) for group in survey.estimate[AGE_GROUP].values]
    rest = (
        [""] if len(axes) == 2 else groups if axes else [f"{s} {g}" for s in SEXES for g in groups]
    )
    labels = np.array(
        [f"{survey.name} {year} {cell}".strip() for year in survey.years for cell in rest]
    )
    return Observation(
        survey.name,
        cells.map(lambda x: x.reshape(len(labels), x.shape[-1]))[seen.ravel()],
        estimate[seen],
        np.sqrt(variance)[seen] if axes else survey.standard_error.values[seen],
        tuple(str(label) for label in labels[seen.ravel()]),
        years=survey.years[np.nonzero(seen)[0]],
    )


def census_day_population(account: Account) -> Affine:
    """True population on census day laid out as at the mid-year, (sex, age), persons."""
    return account.population(account.sources.last_year) - date_change(account)


def date_change(account: Account) -> Affine:
    """Change from census day to mid-year, (sex, age), persons.

    The share of the last interval that lies after census day, times its births
    minus deaths plus net migration. Only the total is meaningful: it is spread
    over ages as the population is, by arithmetic.
    """
    sources = account.sources
    share = sources.share_after_census
    change = (account.natural + account.net_migration)[:, :, -1].sum() * share
    shape = sources.census.count.values / sources.census.total
    return change.map(lambda x: shape[..., None] * x)


def census_observation(account: Account) -> Observation:
    """The census in the detail in which it was published: people on census day minus undercount."""
    census = account.sources.census
    expected = census_day_population(account) - account.census_undercount
    expected = expected - account.census_sampling
    detail = census.cells
    count = in_cells(census.count.values, detail)
    if census.with_ages or census.quality == REGISTER:
        se = np.sqrt(in_cells(stated_errors(account.latents, census)[0] ** 2, detail))
    else:
        se = census.relative_standard_error * count * np.sqrt(count.size)
    return Observation(
        "census",
        expected.map(lambda x: in_cells(x, detail)),
        count,
        se,
        tuple(f"census {label}".strip() for label in detail.labels),
        ages=detail.ages if census.with_ages else None,
    )


def in_cells(values: np.ndarray, detail: Detail) -> np.ndarray:
    """Sums of (sex, age, ...) over what was published together, (cell, ...)."""
    whole = len(detail.lower_ages) == 1
    axes = (() if detail.by_sex else (0,)) + ((1,) if whole else ())
    summed = values.sum(axis=axes) if axes else values
    if not whole and not detail.single:
        summed = np.add.reduceat(summed, detail.lower_ages, axis=int(detail.by_sex))
    return summed.reshape(-1, *values.shape[2:])


@singledispatch
def observe(source: object, account: Account) -> Observation:
    """Rows of a source of the user's own: anything with a name and `observe(account)`."""
    own = getattr(source, "observe", None)
    if not callable(own) or not hasattr(source, "name"):
        raise SourceError(
            f"{type(source).__name__} cannot be a source: give it a `name` and a method "
            "`observe(account)` that returns an imps.Observation."
        )
    return own(account)


@observe.register
def _register(source: Register, account: Account) -> Observation:
    """A register counts N (1 + c): level, smooth over age, independent cells."""
    ages = source.count[AGE].values
    unknown = [int(a) for a in ages if a not in account.sources.ages]
    if unknown or source.year not in account.sources.mid_years:
        raise LabelError(
            f"source '{source.name}': ages {some(unknown)} or year {source.year} lie outside the "
            f"account (ages 0-{account.sources.ages[-1]}, mid-years "
            f"{account.sources.mid_years[0]}-{account.sources.mid_years[-1]})."
        )
    count = source.count.values
    n_cells, shapes = count.size, smooth_shapes(account.sources.ages.size, 8)[ages]
    level = source.coverage_sd * count[..., None]
    smooth = source.coverage_age_sd * count[..., None] * shapes[None]
    mean = account.population(source.year)[:, ages] + source.coverage_mean * count
    for what, effect in (("coverage", level), ("coverage by age", smooth)):
        mean = mean + account.latents.field(f"{source.name} {what}", effect, source=source.name)
    return Observation(
        source.name,
        mean.map(lambda x: x.reshape(n_cells, x.shape[-1])),
        count.ravel(),
        source.standard_error.values.ravel(),
        tuple(f"{source.name} {sex} {age}" for sex in SEXES for age in ages),
        ages=_single_ages(ages, account.sources.ages[-1]),
    )


@observe.register
def _born_before(source: BornBefore, account: Account) -> Observation:
    """The children of the base against their births, by age; and those born since, in sum.

    published base - births + deaths = net migration before the base + error of the base;
    net migration of those born since = what such cohorts usually have, within its spread.
    """
    ages = source.born[AGE].values
    born = source.born.values
    mean, sd = account.latents.prior("children_net", source.name)
    base = account.base_error.sum((0,))[ages] + mean * born
    base = base + _moved_before(account, source.name, sd * born)
    young = account.net_migration.map(along_cohorts)[:, ages[ages < len(account.sources.years)]]
    since = float(account.sources.births.count.values[-ages.size :].sum())
    published = account.sources.base.count.values[:, ages].sum(axis=0)
    return Observation(
        source.name,
        concatenate([base, _row(young.sum())]),
        np.r_[published - born + source.died.values, mean * since],
        np.r_[source.error_of_births, sd * since],
        (*(f"{source.name} {age}" for age in ages), f"{source.name} since"),
    )


def _moved_before(account: Account, name: str, size: np.ndarray) -> Affine:
    """Net migration of cohorts before the base, (age): it grows with age, neighbours alike.

    Most of its variance is one rate for all cohorts; the sum over ages has the spread of
    the sum of `size` (age), persons.
    """
    same = account.latents.fixed("part_constant_share", name, 0.0, 1.0)
    persistence = account.latents.fixed("flow_persistence", name, 0.0, 1.0)
    lived = np.arange(size.size) + 0.5
    steady = np.sqrt(same) * np.ones((size.size, 1))
    moving = np.sqrt(1 - same) * autoregressive(size.size, persistence)
    effect = (size * lived / lived.mean())[:, None] * np.hstack([steady, moving])
    effect *= size.sum() / np.sqrt((effect.sum(axis=0) ** 2).sum())
    return account.latents.field(f"{name} net", effect, source=name)


@observe.register
def _mirror(source: MirrorSeries, account: Account) -> Observation:
    """A mirror series counts an uncertain share of the true flow of each calendar year."""
    flow = account.flows[source.flow]
    survey = account.sources.survey_flows[source.flow]
    years = source.count[YEAR].values
    missing = [int(y) for y in years if y not in survey.years]
    if missing:
        raise LabelError(f"source '{source.name}': years {some(missing)} lie outside the survey.")
    rows = [int(np.flatnonzero(survey.years == y)[0]) for y in years]
    total = flow.observe(flow.true).sum((1, 2))[rows]
    reference = total.constant[:, None] * source.coverage_sd
    mean = source.coverage_mean * total + account.latents.field(
        f"{source.name} coverage", reference, source=source.name
    )
    return Observation(
        source.name,
        mean,
        source.count.values,
        source.standard_error.values,
        tuple(f"{source.name} {year}" for year in years),
        years=years,
    )


@observe.register
def _evidence(source: Evidence, account: Account) -> Observation:
    """A further count of streams: an uncertain share of their true sum in each cell."""
    flows = {name: account.flow_of(name) for name in source.of}
    mixed = len(set(flows.values())) > 1 and not source.turnover
    true = zero(account.natural.shape)
    for name, flow in flows.items():
        sign = FLOW_SIGN.get(flow, 1.0) if mixed else 1.0
        true = true + sign * account.true_flow(name)
    years = source.count[YEAR].values
    at = np.searchsorted(account.sources.years, years)
    rule = counting(source, account.sources.ages.size)
    cells = true[:, :, at].einsum("csa,sat...->tc...", rule)
    cells = cells.map(lambda x: x.reshape(source.count.size, x.shape[-1]))
    mean = source.coverage_mean * cells
    if source.coverage_sd > 0:
        reference = source.coverage_sd * np.abs(cells.constant)
        block = f"{source.name}_level"
        mean = mean + level_error(
            account.latents, block, reference[:, None], source.name, source.shared,
            next(iter(flows.values())), prior="",
        )  # fmt: skip
    rest = [[str(x) for x in source.count[d].values] for d in source.count.dims[1:]]
    labels = [" ".join([source.name, str(y), *cell]) for y in years for cell in product(*rest)]
    return Observation(
        source.name, mean, source.count.values.ravel(), source.standard_error.values.ravel(),
        tuple(labels), years=np.repeat(years, source.count.size // years.size),
    )  # fmt: skip


def _single_ages(ages: np.ndarray, open_age: int) -> np.ndarray:
    """First and last age of the rows of a stock by sex and single age, (row, 2)."""
    last = np.where(ages == open_age, np.inf, ages)
    return np.tile(np.stack([ages, last], axis=1), (len(SEXES), 1))


def _row(total: Affine) -> Affine:
    return total.map(lambda x: x[None])
