"""The account in terms of what is not known: true flows, biases, errors of stocks.

Every unknown enters relative to a published figure and linearly, so that the
whole account is conditionally Gaussian: given the scales of the smooth parts
everything is jointly normal. Arrays run over (sex, age reached, interval).

The equations, with t the intervals from base to census and L the Lexis map:

    base      = published base - P0 (level + young + smooth over age)
    x_k       = m_k (1 + level + era_t + years_t + age + age x years_t) + schedule error
    p_k       = m_k (mean + level + young + era_t + drift_t)     bias of the survey
    true part = published part (1 - e_j)                  asylum, Irish, switchers
    true change = known change - m (e_j + drift_t)        cross-border, armed forces, if asked
    N_T       = L(base) + L(births - deaths) + L(x_imm - x_em) + sum_j L(part_j) + residual

with m_k the pooled published flow by age and sex, constant over time.

True flow and bias must share one reference m_k. A bias proportional to the
published flow of each year, beside a true flow centred on a constant, is read off
the rise and fall of the published series: a growing flow looks like a positive
bias. `benchmarks/bench_accuracy.py` measures both (rows "one reference" and "yearly
reference" of `benchmarks/results/accuracy.csv`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from imps.account.affine import Affine, zero
from imps.account.nonlinear import BETA, LOG, SWITCHERS, BetaShare, Curve, Form, LogFlow
from imps.account.priors import Priors, default_priors
from imps.demography.accounting import along_cohorts, carry
from imps.demography.periods import (
    Period,
    covering_intervals,
    flow_periods,
    mid_year_average,
    mid_year_interval,
    overlap,
)
from imps.demography.schedules import (
    autoregressive,
    group_matrix,
    migration_schedule,
    pull_to_groups,
    smooth_shapes,
    spreading_rule,
    young_adults,
)
from imps.errors import PriorError, SourceError, some
from imps.names import EMIGRATION, FLOW_SIGN, SEX, YEAR
from imps.sources import BY_SEX_AND_AGE, AdministrativeFlow, Era, Sources, SurveyFlow
from imps.sources.administrative import EXPECTED

FLOW_PERSISTENCE = 0.9
BIAS_PERSISTENCE = 0.8
PART_CONSTANT_SHARE = 0.7
"""Share of the variance of a part's relative error that is the same in all years."""


@dataclass(frozen=True)
class Resolution:
    """How many smooth shapes over age the flows and the stocks have.

    Attributes
    ----------
    flow_shapes, stock_shapes : int
        More shapes than the data can see cost time and change nothing.
    """

    flow_shapes: int
    stock_shapes: int

    @classmethod
    def for_sources(cls, sources: Sources) -> Resolution:
        """Fine where both stocks were published by sex and age, modest where only totals were."""
        detailed = {sources.base.observed, sources.census.observed} == {BY_SEX_AND_AGE}
        return cls(12, 20) if detailed else cls(5, 4)


@dataclass
class Latents:
    """Register of latent variables while an account is being written down.

    Each block is standard normal; a block with a scale is multiplied by that scale,
    whose own prior stands in the table of priors under the same name. Curves are
    blocks that follow from the others (see :mod:`imps.account.nonlinear`).
    """

    priors: Priors
    sizes: dict[str, int] = field(default_factory=dict)
    scales: dict[str, str | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    curves: list[Curve] = field(default_factory=list)

    def prior(self, name: str, source: str) -> tuple[float, float]:
        """Mean and sd of a prior, which is thereby used."""
        if name not in self.priors:
            raise PriorError(
                f"source '{source}' has no prior called '{name}'. Add one with "
                f"priors.add(Prior(name='{name}', ...))."
            )
        self.used.add(name)
        return self.priors[name].mean, self.priors[name].sd

    def spread(self, name: str, source: str) -> float:
        """Standard deviation of a prior that takes no mean; a mean would change nothing."""
        mean, sd = self.prior(name, source)
        if mean != 0:
            raise PriorError(
                f"prior '{name}' has mean {mean:g}, and it takes none: only a level has a mean. "
                "Put the mean there, or set it to zero."
            )
        return sd

    def field(self, block: str, effect: np.ndarray, scale: str | None = None) -> Affine:
        """A new block of latent variables and the quantity it moves, zero at its mean."""
        if block in self.sizes:
            raise PriorError(f"latent block '{block}' is defined twice.")
        if scale is not None:
            self.prior(scale, block)
        self.sizes[block] = effect.shape[-1]
        self.scales[block] = scale
        return Affine(np.zeros(effect.shape[:-1]), {block: effect})

    def curve(self, curve: Curve, effect: np.ndarray) -> Affine:
        """A block that follows from others, and the quantity it moves."""
        if curve.block in self.sizes or curve.block in (c.block for c in self.curves):
            raise PriorError(f"latent block '{curve.block}' is defined twice.")
        self.curves.append(curve)
        return Affine(np.zeros(effect.shape[:-1]), {curve.block: effect})

    def unused(self) -> list[str]:
        """Priors that no source of this account has asked for."""
        return [name for name in self.priors if name not in self.used]


@dataclass(frozen=True)
class Flow:
    """One direction of survey migration: true flow, bias, and the operators around it.

    Attributes
    ----------
    true : Affine (sex, age, interval), persons per year
        Over all intervals that the survey's calendar years touch.
    bias : Affine, same shape
        What is added to the true flow in the expected published figure.
    published : ndarray (sex, age, account interval), persons per year
        Survey estimate at mid-years, spread over ages by the official rule.
    groups : ndarray (sex, age group, age)
    to_calendar : ndarray (calendar year, interval)
    spread : ndarray (sex, age group, age)
    to_mid_years : ndarray (account interval, calendar year)
    """

    true: Affine
    bias: Affine
    published: np.ndarray
    groups: np.ndarray
    to_calendar: np.ndarray
    spread: np.ndarray
    to_mid_years: np.ndarray
    inner: slice

    def observe(self, quantity: Affine) -> Affine:
        """Calendar-year age groups (year, sex, age group) of a mid-year quantity."""
        counted = quantity.einsum("sga,sat...->sgt...", self.groups)
        return counted.einsum("ct,sgt...->csg...", self.to_calendar)

    def publish(self, cells: Affine) -> Affine:
        """Official rule back to (sex, age, account interval): two years' mean, spread by age."""
        years = cells.einsum("tc,csg...->tsg...", self.to_mid_years)
        return years.einsum("sga,tsg...->sat...", self.spread)


@dataclass(frozen=True)
class Account:
    """The demographic account with its unknowns.

    Attributes
    ----------
    sources : Sources
    priors : Priors
    latents : Latents
    base_error : Affine (sex, age), persons
        Published minus true base.
    births_error, deaths_error : Affine (sex, age, interval), persons per year
        True minus registered.
    flows : mapping of Flow by direction
    part_errors : mapping of Affine (sex, age, interval) by source name
        Published minus true net flow of asylum, Irish and switcher flows.
    parts : mapping of ndarray (sex, age, interval) by source name
        Published net flow.
    split : mapping of Affine (interval) by label of the part, persons per year
        Published part minus its expected value, where only the sum is known.
    change_errors : mapping of Affine (sex, age, interval) by source name
        Published minus true, of the known changes that have a prior.
    residual : Affine (sex, age), persons at the last mid-year
    census_undercount : Affine (sex, age), persons
    resolution : Resolution
    form : Form
    """

    sources: Sources
    priors: Priors
    latents: Latents
    base_error: Affine
    births_error: Affine
    deaths_error: Affine
    flows: Mapping[str, Flow]
    part_errors: Mapping[str, Affine]
    parts: Mapping[str, np.ndarray]
    split: Mapping[str, Affine]
    change_errors: Mapping[str, Affine]
    residual: Affine
    census_undercount: Affine
    resolution: Resolution
    form: Form

    @property
    def base(self) -> Affine:
        """True population at the base date, (sex, age), persons."""
        return self.sources.base.count.values - self.base_error

    @property
    def natural(self) -> Affine:
        """True births at age 0 minus true deaths, (sex, age, interval)."""
        births, deaths = registered_births(self.sources), registered_deaths(self.sources)
        return (births - deaths) + self.births_error - self.deaths_error

    @property
    def net_migration(self) -> Affine:
        """True net migration of all kinds, (sex, age, interval), persons per year."""
        net = zero(self.natural.shape)
        for name, flow in self.flows.items():
            net = net + FLOW_SIGN[name] * flow.true[:, :, flow.inner]
        for name, published in self.parts.items():
            net = net + (published - self.part_errors[name])
        return net

    @property
    def other_changes(self) -> Affine:
        """True changes that are no migration of the series, (sex, age, interval), persons."""
        changes = Affine(known_changes(self.sources), {})
        for error in self.change_errors.values():
            changes = changes - error
        return changes

    def population(self, year: int) -> Affine:
        """True population at a mid-year, (sex, age), persons; the residual enters at the end."""
        elapsed = year - self.sources.base.date.year
        stock = self.base.map(lambda x: carry(x, elapsed))
        if elapsed == 0:
            return stock
        change = self.natural + self.net_migration + self.other_changes
        stock = stock + change.map(lambda x: along_cohorts(x[:, :, :elapsed]))
        return stock + self.residual if year == self.sources.last_year else stock


def build_account(
    sources: Sources,
    priors: Priors,
    resolution: Resolution | None = None,
    form: Form | None = None,
) -> Account:
    """Write down the account of the sources with all its unknowns.

    `form` says which parts are not linear; all are linear unless told.

    Raises
    ------
    PriorError
        If a source has no prior, or a prior belongs to no source.
    """
    latents = Latents(priors)
    fine = resolution or Resolution.for_sources(sources)
    form = form or Form()
    flows = {
        name: _survey_flow(latents, survey, sources, fine, form)
        for name, survey in sources.survey_flows.items()
    }
    parts, errors, split = _administrative(latents, sources, form)
    base_error = _stock_error(latents, "base", sources.base.count.values, fine)
    undercount = _stock_error(latents, "census", sources.census.count.values, fine)
    account = Account(
        sources=sources,
        priors=priors,
        latents=latents,
        base_error=base_error,
        births_error=_registration_error(latents, "births", registered_births(sources)),
        deaths_error=_registration_error(latents, "deaths", registered_deaths(sources)),
        flows=flows,
        part_errors=errors,
        parts=parts,
        split=split,
        change_errors=_change_errors(latents, sources),
        residual=_residual(latents, sources, fine),
        census_undercount=_missed_twice(latents, undercount),
        resolution=fine,
        form=form,
    )
    check_priors_used(account)
    return account


def registered_births(sources: Sources) -> np.ndarray:
    """Registered births standing at age 0, (sex, age, interval), persons per year."""
    count = sources.births.count.transpose(SEX, YEAR).values
    out = np.zeros((count.shape[0], sources.ages.size, count.shape[1]))
    out[:, 0] = count
    return out


def known_changes(sources: Sources) -> np.ndarray:
    """Known changes laid out by the emigration schedule, (sex, age, interval), persons per year."""
    shape = migration_schedule(sources.ages.size, EMIGRATION)
    return shape[:, :, None] * sources.known_change.values


def registered_deaths(sources: Sources) -> np.ndarray:
    """Registered deaths by age reached, (sex, age, interval), persons per year."""
    return sources.deaths.count.transpose(SEX, "age", YEAR).values


def _survey_flow(
    latents: Latents, survey: SurveyFlow, sources: Sources, fine: Resolution, form: Form
) -> Flow:
    years = [int(y) for y in survey.years]
    outer = covering_intervals(years, survey.basis)
    inner = [mid_year_interval(int(y)) for y in sources.years]
    groups = group_matrix(survey.lower_ages.values, sources.ages.size)
    cells = survey.estimate.values
    generic = migration_schedule(sources.ages.size, survey.flow)
    shape = pull_to_groups(generic, groups, cells.mean(axis=0))
    spread, rule = spreading_rule(generic, groups), mid_year_average(years, inner, survey.basis)
    first = outer.index(inner[0])
    eras = {str(era): _share_in_era(era, survey.basis, outer) for era in survey.eras}
    true = _true_flow(latents, survey.flow, shape, len(outer), fine, eras)
    return Flow(
        true=_on_log_scale(latents, survey.flow, true) if form.flows == LOG else true,
        bias=_survey_bias(
            latents, survey.flow, np.repeat(shape[:, :, None], len(outer), axis=2), eras
        ),
        published=np.einsum("tc,csg,sga->sat", rule, cells, spread, optimize=True),
        groups=groups,
        to_calendar=overlap(flow_periods(years, survey.basis), outer),
        spread=spread,
        to_mid_years=rule,
        inner=slice(first, first + len(inner)),
    )


def _true_flow(
    latents: Latents,
    flow: str,
    shape: np.ndarray,
    n: int,
    fine: Resolution,
    eras: Mapping[str, np.ndarray],
) -> Affine:
    """m (1 + level + years + age + age x years) plus an error of the schedule.

    In an era of the survey the level of the true flow is free too: what the survey shows of
    those years then says nothing of its own bias in them.
    """
    n_ages = shape.shape[1]
    time = autoregressive(n, FLOW_PERSISTENCE)
    ages = smooth_shapes(n_ages, fine.flow_shapes)
    m = np.repeat(shape[:, :, None], n, axis=2)
    level = latents.spread(f"{flow}_level", flow)
    true = Affine(m, {}) + latents.field(f"{flow}_level", level * m[..., None])
    for era, share in eras.items():
        true = true + latents.field(f"{flow}_level {era}", level * (m * share)[..., None])
    true = true + latents.field(f"{flow}_years", m[..., None] * time, scale=f"{flow}_years")
    by_age = _each_sex(m[..., None] * ages[None, :, None, :])
    true = true + latents.field(f"{flow}_age", by_age, scale=f"{flow}_age")
    moving = ages[None, :, None, :, None] * time[None, None, :, None, :]
    moving = _each_sex((m[..., None, None] * moving).reshape(*m.shape, -1))
    true = true + latents.field(f"{flow}_age_years", moving, scale=f"{flow}_age_years")
    shift = latents.spread(f"{flow}_schedule", flow)
    bent = np.repeat(_schedule_errors(shape, shift)[:, :, None], n, axis=2)
    return true + latents.field(f"{flow}_schedule", _each_sex(bent))


def _on_log_scale(latents: Latents, flow: str, linear: Affine) -> Affine:
    """m exp(d) in place of m (1 + d), cell by cell, so that no flow is negative."""
    m = linear.constant
    if not (m > 0).all():
        raise SourceError(f"flows='log': the pooled published {flow} is zero at some age and sex.")
    relative = (linear - m).map(lambda x: (x / m[..., None]).reshape(m.size, x.shape[-1]))
    curve = LogFlow(f"{flow} beyond its linear form", relative, m.ravel())
    return linear + latents.curve(curve, np.eye(m.size).reshape(*m.shape, m.size))


def _schedule_errors(shape: np.ndarray, years_of_age: float) -> np.ndarray:
    """First-order change of a schedule when its mean age and its width err, (sex, age, 2)."""
    later = -np.gradient(shape, axis=1)
    later[:, :2] = 0
    later[:, -2:] = 0
    wider = np.gradient(later, axis=1)
    wider[:, :3] = 0
    wider[:, -3:] = 0
    return np.stack([years_of_age * later, -2 * years_of_age * wider], axis=-1)


def _share_in_era(era: Era, basis: str, intervals: list[Period]) -> np.ndarray:
    """Share of each interval that lies in an era, (interval)."""
    first, last = flow_periods([era.first_year, era.last_year], basis)
    return np.array(
        [max(0.0, min(i.end, last.end) - max(i.start, first.start)) / i.length for i in intervals]
    )


def _survey_bias(
    latents: Latents, flow: str, published: np.ndarray, eras: Mapping[str, np.ndarray]
) -> Affine:
    """m (mean + level + young + eras + drift): persistent error of the survey."""
    mean, level = latents.prior(f"{flow}_bias_level", flow)
    young = latents.spread(f"{flow}_bias_young", flow)
    drift = latents.spread(f"{flow}_bias_drift", flow)
    bell = young_adults(published.shape[1])[None, :, None]
    time = autoregressive(published.shape[2], BIAS_PERSISTENCE)
    bias = Affine(mean * published, {})
    bias = bias + latents.field(f"{flow}_bias_level", level * published[..., None])
    bias = bias + latents.field(
        f"{flow}_bias_young", _each_sex(young * (published * bell)[..., None])
    )
    for era, share in eras.items():
        step = latents.spread(f"{flow}_bias_era", flow) * published * share
        bias = bias + latents.field(f"{flow}_bias_era {era}", step[..., None])
    return bias + latents.field(f"{flow}_bias_drift", drift * published[..., None] * time)


def _stock_error(latents: Latents, name: str, count: np.ndarray, fine: Resolution) -> Affine:
    """Relative error of a stock: level, young adults of each sex, smooth over age."""
    mean, level = latents.prior(f"{name}_level", name)
    young = latents.spread(f"{name}_young", name)
    shapes = smooth_shapes(count.shape[1], fine.stock_shapes, young=5.0, old=12.0)
    bell = young_adults(count.shape[1])
    error = Affine(mean * count, {})
    error = error + latents.field(f"{name}_level", level * count[..., None])
    error = error + latents.field(f"{name}_young", _each_sex(young * (count * bell)[..., None]))
    smooth = _each_sex(count[..., None] * shapes)
    return error + latents.field(f"{name}_age", smooth, scale=f"{name}_age")


def _missed_twice(latents: Latents, undercount: Affine) -> Affine:
    """Undercount of the census correlated with that behind the base, as far as asked.

    With correlation c the standardised errors of level and of young adults are
    sqrt(1 - c^2) z_census - c z_base: who was missed at the start makes the base
    too low, which is a negative error of the base.
    """
    correlation, _ = latents.prior("census_correlation", "census")
    if not abs(correlation) < 1:
        raise PriorError(f"prior 'census_correlation' is {correlation:g}: it must lie in (-1, 1).")
    if correlation == 0:
        return undercount
    effects = dict(undercount.effects)
    for part in ("level", "young"):
        own = effects[f"census_{part}"]
        effects[f"census_{part}"] = np.sqrt(1 - correlation**2) * own
        effects[f"base_{part}"] = -correlation * own
    return Affine(undercount.constant, effects)


def _change_errors(latents: Latents, sources: Sources) -> dict[str, Affine]:
    """Error of the known changes that have a prior, relative to their mean size."""
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    n, errors = len(sources.years), {}
    for change in sources.known_changes:
        if change.name not in latents.priors:
            continue
        mean, sd = latents.prior(change.name, change.name)
        size = np.abs(change.count.values).mean() * np.repeat(shape, n, axis=2)
        steady = sd * np.sqrt(PART_CONSTANT_SHARE) * size[..., None]
        moving = sd * np.sqrt(1 - PART_CONSTANT_SHARE) * size[..., None]
        error = Affine(mean * size, {}) + latents.field(f"{change.name} constant", steady)
        errors[change.name] = error + latents.field(
            f"{change.name} by year", moving * autoregressive(n, BIAS_PERSISTENCE)
        )
    return errors


def _registration_error(latents: Latents, name: str, count: np.ndarray) -> Affine:
    mean, sd = latents.prior(name, name)
    return Affine(mean * count, {}) + latents.field(name, sd * count[..., None])


def _residual(latents: Latents, sources: Sources, fine: Resolution) -> Affine:
    """What no source explains: smooth over age at the end, relative to the base carried on."""
    carried = carry(sources.base.count.values, len(sources.years))
    reference = np.maximum(carried, carried.sum() / carried.size / 50)
    shapes = smooth_shapes(carried.shape[1], fine.stock_shapes, young=5.0, old=12.0)
    return latents.field("residual", _each_sex(reference[..., None] * shapes), scale="residual")


def _administrative(
    latents: Latents, sources: Sources, form: Form
) -> tuple[dict[str, np.ndarray], dict[str, Affine], dict[str, Affine]]:
    """Published net flow and its error by source name; the split of known sums by part."""
    parts: dict[str, np.ndarray] = {}
    errors: dict[str, Affine] = {}
    for part in sources.administrative:
        net = _spread_part(part, sources)
        mean, sd = latents.prior(part.name, part.label)
        n = net.shape[2]
        steady = sd * np.sqrt(PART_CONSTANT_SHARE) * net[..., None]
        moving = sd * np.sqrt(1 - PART_CONSTANT_SHARE) * net[..., None]
        error = Affine(mean * net, {})
        error = error + latents.field(f"{part.label} constant", steady)
        error = error + latents.field(
            f"{part.label} by year", moving * autoregressive(n, BIAS_PERSISTENCE)
        )
        share = form.share(part.name)
        if share is not None:
            error = error + _as_beta_share(latents, part, net, share)
        parts[part.name] = parts.get(part.name, 0.0) + net
        errors[part.name] = errors[part.name] + error if part.name in errors else error
    if form.switchers == BETA and not any(name in SWITCHERS for name in parts):
        raise PriorError("switchers='beta', but these sources hold no switchers: drop it.")
    return parts, errors, _splits(latents, sources)


def _as_beta_share(
    latents: Latents, part: AdministrativeFlow, net: np.ndarray, share: float
) -> Affine:
    """What the error of switchers becomes when their share is Beta and not normal."""
    mean, sd = latents.prior(part.name, part.label)
    n = net.shape[2]
    standard = {
        f"{part.label} constant": np.full((n, 1), np.sqrt(PART_CONSTANT_SHARE)),
        f"{part.label} by year": np.sqrt(1 - PART_CONSTANT_SHARE)
        * autoregressive(n, BIAS_PERSISTENCE),
    }
    block = f"{part.label} beyond its linear form"
    curve = BetaShare(block, Affine(np.zeros(n), standard), mean, sd, share)
    return latents.curve(curve, net[..., None] * np.eye(n))


def _spread_part(part: AdministrativeFlow, sources: Sources) -> np.ndarray:
    """Net flow (sex, age, interval) of a part at mid-years; its ages are a schedule."""
    schedule = 2 * migration_schedule(sources.ages.size, part.flow)
    shares = np.array([part.male_share, 1 - part.male_share])
    yearly = sources.at_mid_years(part.count).values
    sign = FLOW_SIGN[part.flow] * part.sign
    return sign * (shares[:, None] * schedule)[:, :, None] * yearly


def _splits(latents: Latents, sources: Sources) -> dict[str, Affine]:
    """Published parts within a known sum: free to vary, but their sum is the published one."""
    split: dict[str, Affine] = {}
    for known in sources.known_sums:
        parts = [p for p in sources.administrative if p.flow == known.flow and p.status == EXPECTED]
        if len(parts) < 2:
            continue
        sd = latents.spread("split_of_known_sum", f"sum of adjustments ({known.flow})")
        sums = sources.at_mid_years(known.count).values
        share = np.array([sources.at_mid_years(p.count).values.mean() for p in parts]) / sums.mean()
        sign = np.array([p.sign for p in parts])
        spread = sd * share
        factor = _within_sum(spread, sign)
        block = f"split of the sum of adjustments ({known.flow})"
        effects = sums[:, None, None] * factor[None]
        field_ = latents.field(block, effects)
        for j, part in enumerate(parts):
            split[part.label] = field_[:, j]
    return split


def _within_sum(sd: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Factor of Normal(0, sd^2) conditioned on sum(sign * d) = 0, one column fewer."""
    covariance = np.diag(sd**2)
    v = covariance @ sign
    covariance -= np.outer(v, v) / (sign @ v)
    values, vectors = np.linalg.eigh(covariance)
    keep = values > 1e-12 * values.max()
    return vectors[:, keep] * np.sqrt(values[keep])


def _each_sex(effect: np.ndarray) -> np.ndarray:
    """Give each sex latent variables of its own: (sex, ..., n) to (sex, ..., 2 n)."""
    n_sex = effect.shape[0]
    out = np.zeros((*effect.shape[:-1], n_sex, effect.shape[-1]))
    for s in range(n_sex):
        out[s, ..., s, :] = effect[s]
    return out.reshape(*effect.shape[:-1], -1)


def check_priors_used(account: Account) -> None:
    """Refuse priors that belong to no source of the account.

    Raises
    ------
    PriorError
        Naming them: a prior that changes nothing would be a silent mistake.
    """
    defaults = default_priors()
    unused = [
        name
        for name in account.latents.unused()
        if name not in defaults
        or not (account.priors[name] == defaults[name] or _widened_with_its_family(account, name))
    ]
    if unused:
        raise PriorError(
            f"prior {some(unused)} belongs to no source of this account. Remove it, or add "
            "the source it is for."
        )


def _widened_with_its_family(account: Account, name: str) -> bool:
    """Whether the step of an era was widened as another row of the same bias was.

    ``priors.widen("immigration_bias", 2)`` means all of that bias, in a survey that
    has eras and in one that has none.
    """
    defaults, priors = default_priors(), account.priors
    if not name.endswith("_bias_era") or priors[name].mean != 0:
        return False
    factor = priors[name].sd / defaults[name].sd
    family = [n for n in defaults if n.startswith(name.removesuffix("era")) and n != name]
    return any(np.isclose(priors[n].sd, factor * defaults[n].sd) for n in family if n in priors)
