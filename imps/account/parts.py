"""What the roll-forward carries beside the survey: parts of migration, streams, known changes.

All are one thing: a published flow laid out over sex and age, and its errors, published minus
true, by source of the gap. A part or a known change has one relative error, of which a share is
the same in all years. A stream has rows of its own: level, sex, children, young adults, drift;
sampling error in each cell where it is a survey; named misclassifications; and the layout over
sexes and single ages within what was published. A complete count needs no smooth path: its
true flow is the published one less these errors, and a zero stays a zero.

Where the roll-forward was published in every cell, a cell minus its cohort's cell a year
before, plus the cohort's deaths, is the net flow that was carried in that cell: arithmetic,
not estimation. The flows as they are laid out over ages by rule differ from it, and the
difference is known (:func:`layout_of_carried`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from imps.account.latents import Affine, Latents, each_sex, zero
from imps.account.stocks import registered_births, registered_deaths
from imps.account.variant import BETA, SWITCHERS, BetaShare, Form
from imps.demography.accounting import along_cohorts, carry
from imps.demography.periods import mid_year_average, mid_year_interval
from imps.demography.schedules import (
    autoregressive,
    counted_at,
    migration_schedule,
    small_children,
    smooth_shapes,
    spreading_rule,
    within_groups,
    young_adults,
)
from imps.errors import PriorError
from imps.names import AGE, EMIGRATION, FLOW_SIGN, SEX, SEXES, YEAR
from imps.sources import AdministrativeFlow, Evidence, Shared, Sources, Stream
from imps.sources.streams import AT_MOVE, EXACT, MIGRATION, first_ages

FLOW_LAYOUT = "ages_and_sexes_of_flows"
"""Source of the gap that the layout within published cells is."""
SEX_CONTRAST = np.array([1.0, -1.0])
"""Men and women, in the order of SEXES: what one sex has too many the other has too few."""
LAYOUT_SHAPES = 45
"""Smooth shapes of the layout within groups: finer than the two narrowest groups in use."""


@dataclass(frozen=True)
class Carried:
    """A flow beside the survey as it is carried, and how it errs.

    Attributes
    ----------
    name : str
    published : ndarray (sex, age, interval), persons per year
        What it adds to the population, laid out.
    errors : mapping from source of the gap to Affine, same shape
        Published minus true.
    migration : bool
        Whether it is a part of migration; else a known change.
    """

    name: str
    published: np.ndarray
    errors: Mapping[str, Affine] = field(default_factory=dict)
    migration: bool = True

    @property
    def error(self) -> Affine:
        """Published minus true, (sex, age, interval), persons per year."""
        first, *rest = self.errors.values() or (zero(self.published.shape),)
        return sum(rest, first)

    @property
    def true(self) -> Affine:
        """What it truly added, (sex, age, interval), persons per year."""
        return self.published - self.error


def carried_parts(latents: Latents, sources: Sources, form: Form) -> tuple[Carried, ...]:
    """Administrative parts and streams of the account, with their errors."""
    found = []
    for part in sources.administrative:
        net = _spread_part(part, sources)
        error = _share_of(latents, part.name, part.label, net)
        share = form.share(part.name)
        if share is not None:
            error = error + _as_beta_share(latents, part, net, share)
        found.append(Carried(part.name, net, {part.name: error}))
    if form.switchers == BETA and not any(part.name in SWITCHERS for part in found):
        raise PriorError("switchers='beta', but these sources hold no switchers: drop it.")
    return (*found, *(_carried_stream(latents, s, sources) for s in sources.streams))


def published_parts(carried: Iterable[Carried]) -> dict[str, np.ndarray]:
    """Published net flow of parts of migration, (sex, age, interval), by name."""
    out: dict[str, np.ndarray] = {}
    for part in carried:
        if part.migration:
            out[part.name] = out.get(part.name, 0.0) + part.published
    return out


def carried_changes(latents: Latents, sources: Sources) -> tuple[Carried, ...]:
    """Known changes; those that have a prior err relative to their mean size."""
    n, found = len(sources.years), []
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    for change in sources.known_changes:
        errors = {}
        if change.name in latents.priors:
            size = np.abs(change.count.values).mean() * np.repeat(shape, n, axis=2)
            errors = {change.name: _share_of(latents, change.name, change.name, size)}
        yearly = change.count.reindex(year=sources.years, fill_value=0.0).values
        found.append(Carried(change.name, shape * yearly, errors, migration=False))
    return tuple(found)


def _share_of(latents: Latents, source: str, label: str, figure: np.ndarray) -> Affine:
    """Relative error of a figure (sex, age, interval), partly the same in all years."""
    mean, sd = latents.prior(source, label)
    error = Affine(mean * figure, {})
    for block, (share, years) in _standard(latents, label, figure.shape[2]).items():
        effect = sd * share * figure[..., None] * years
        error = error + latents.field(block, effect, source=source, prior=source)
    return error


def _standard(latents: Latents, label: str, n: int) -> dict[str, tuple[float, np.ndarray]]:
    """Blocks of a relative error of variance one in each of n years: sd, and (year, size)."""
    same = latents.fixed("part_constant_share", label, 0.0, 1.0)
    moving = autoregressive(n, latents.fixed("bias_persistence", label, 0.0, 1.0))
    return {
        f"{label} constant": (np.sqrt(same), np.ones((n, 1))),
        f"{label} by year": (np.sqrt(1 - same), moving),
    }


def _as_beta_share(
    latents: Latents, part: AdministrativeFlow, net: np.ndarray, share: float
) -> Affine:
    """What the error of switchers becomes when their share is Beta and not normal."""
    mean, sd = latents.prior(part.name, part.label)
    n = net.shape[2]
    standard = {b: share * x for b, (share, x) in _standard(latents, part.label, n).items()}
    block = f"{part.label} beyond its linear form"
    curve = BetaShare(block, Affine(np.zeros(n), standard), mean, sd, share)
    return latents.curve(curve, net[..., None] * np.eye(n))


def _spread_part(part: AdministrativeFlow, sources: Sources) -> np.ndarray:
    """Net flow (sex, age, interval) of a part at mid-years; its ages are a schedule."""
    schedule = 2 * migration_schedule(sources.ages.size, part.ages_of)
    shares = np.array([part.male_share, 1 - part.male_share])
    yearly = sources.at_mid_years(part.count).values
    sign = FLOW_SIGN[part.flow] * part.sign
    return sign * (shares[:, None] * schedule)[:, :, None] * yearly


def known_changes(sources: Sources) -> np.ndarray:
    """Known changes as they are laid out, (sex, age, interval), persons per year."""
    streams = [s for s in sources.streams if s.role != MIGRATION]
    rest = sources.known_change.values - sum(s.net.values for s in streams)
    laid = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None] * rest
    return laid + sum(s.sign * laid_out(s, sources.ages.size) for s in streams)


# Streams


def counting(series: Stream | Evidence, n_ages: int) -> np.ndarray:
    """Which share of each (sex, age reached) a published cell counts, (cell, sex, age).

    Cells run over the published sexes and age groups; where no sex was published both are in
    each cell.
    """
    groups = counted_at(first_ages(series.count), n_ages, at_move=series.ages == AT_MOVE)
    if SEX not in series.count.dims:
        return groups.transpose(1, 0, 2)
    apart = groups[:, :, None, :] * np.eye(2)[:, None, :, None]
    return apart.reshape(-1, 2, n_ages)


def spreading(stream: Stream, n_ages: int) -> np.ndarray:
    """Rule that lays each published cell out over sex and age, (cell, sex, age); sums to one."""
    weight = counting(stream, n_ages) * migration_schedule(n_ages, stream.schedule)
    return weight / weight.sum(axis=(1, 2), keepdims=True)


def laid_out(stream: Stream, n_ages: int) -> np.ndarray:
    """A stream as published, laid out over (sex, age, interval), persons per year, unsigned."""
    cells = stream.count.values.reshape(stream.count.shape[0], -1)
    return np.einsum("tc,csa->sat", cells, spreading(stream, n_ages), optimize=True)


def _carried_stream(latents: Latents, stream: Stream, sources: Sources) -> Carried:
    n_ages = sources.ages.size
    flow = laid_out(stream, n_ages)
    errors: dict[str, Affine] = {}
    if stream.quality != EXACT:
        size = _size(flow, stream.count.values)
        errors[stream.name] = _rows_of_error(latents, stream, size)
        for group in stream.misclassified:
            errors[group.name] = _misclassified(latents, group.name, size, group.first_age,
                                                group.last_age)  # fmt: skip
        if stream.standard_error is not None:
            errors[f"{stream.name}_sampling"] = _sampled(latents, stream, n_ages)
        layout = _layout_error(latents, stream, size)
        errors |= {FLOW_LAYOUT: layout} if layout is not None else {}
    signed = {name: stream.sign * error for name, error in errors.items()}
    return Carried(stream.name, stream.sign * flow, signed, stream.role == MIGRATION)


def _size(flow: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """What a relative error is a share of, (sex, age, interval): the flow, or its mean size.

    A balance of arrivals and departures passes through zero; its error does not.
    """
    if (cells >= 0).all():
        return flow
    return np.repeat(np.abs(flow).mean(axis=2, keepdims=True), flow.shape[2], axis=2)


def _rows_of_error(latents: Latents, stream: Stream, size: np.ndarray) -> Affine:
    """size (mean + level + sex + children + young + drift): published minus true."""
    n_ages, n = size.shape[1:]
    mean, level = latents.prior(f"{stream.name}_level", stream.name)
    drift = autoregressive(n, latents.fixed("bias_persistence", stream.name, 0.0, 1.0))
    ages = {"children": small_children(n_ages), "young": young_adults(n_ages)}
    effects = {
        "sex": (SEX_CONTRAST[:, None, None] * size)[..., None],
        **{what: (size * bell[:, None])[..., None] for what, bell in ages.items()},
        "drift": size[..., None] * drift,
    }
    error = Affine(mean * size, {}) + level_error(
        latents, f"{stream.name}_level", level * size[..., None], stream.name, stream.shared,
        stream.flow,
    )  # fmt: skip
    for what, effect in effects.items():
        name = f"{stream.name}_{what}"
        if what in stream.errors:
            sd = latents.spread(name, stream.name)
            error = error + latents.field(name, sd * effect, source=stream.name, prior=name)
    return error


def level_error(
    latents: Latents,
    block: str,
    effect: np.ndarray,
    source: str,
    shared: Shared | None,
    flow: str,
    *,
    prior: str | None = None,
) -> Affine:
    """Error of a level, in part that of the system which several series come from."""
    row = block if prior is None else prior
    if shared is None:
        return latents.field(block, effect, source=source, prior=row)
    common, loading = shared_block(shared.name), shared.loading(flow)
    if common not in latents.blocks:
        latents.field(common, np.zeros(1))
    own = latents.field(block, np.sqrt(1 - loading**2) * effect, source=source, prior=row)
    return own + Affine(np.zeros(effect.shape[:-1]), {common: loading * effect})


def shared_block(name: str) -> str:
    """Block of the error that the series of a system have in common."""
    return f"shared error of {name}"


def _misclassified(latents: Latents, name: str, size: np.ndarray, first: int, last: int) -> Affine:
    mean, sd = latents.prior(name, name)
    at = np.arange(size.shape[1])
    there = size * ((at >= first) & (at <= last))[:, None]
    error = latents.field(name, sd * there[..., None], source=name, prior=name)
    return error + mean * there


def _sampled(latents: Latents, stream: Stream, n_ages: int) -> Affine:
    """Sampling error of each published cell, laid out as the cell is."""
    assert stream.standard_error is not None
    se = stream.standard_error.values.reshape(stream.count.shape[0], -1)
    n, k = se.shape
    each = np.einsum("tc,csa,tu->satuc", se, spreading(stream, n_ages), np.eye(n), optimize=True)
    source = f"{stream.name}_sampling"
    return latents.field(source, each.reshape(*each.shape[:3], n * k), source=source)


def _layout_error(latents: Latents, stream: Stream, size: np.ndarray) -> Affine | None:
    """What no published cell fixes, the same in all years; None where every cell is fixed."""
    if stream.fixes_cells(size.shape[1] - 1):
        return None
    n_ages, n = size.shape[1:]
    name = f"{stream.name}_layout"
    shapes = each_sex(np.repeat(
        smooth_shapes(n_ages, min(LAYOUT_SHAPES, n_ages), young=2.0, old=4.0)[None], 2, axis=0
    ))  # fmt: skip
    cells, reference = counting(stream, n_ages), np.abs(size).mean(axis=2)
    laid = within_groups(
        cells.reshape(len(cells), -1), reference.ravel(), shapes.reshape(2 * n_ages, -1)
    ).reshape(2, n_ages, 1, -1)
    sd = latents.spread(name, stream.name)
    effect = sd * np.repeat(laid, n, axis=2)
    return latents.field(name, effect, source=FLOW_LAYOUT, prior=name)


def flows_as_laid_out(sources: Sources) -> dict[str, np.ndarray]:
    """Published flows at mid-years by the official rule, (sex, age, interval), by direction."""
    inner = [mid_year_interval(int(y)) for y in sources.years]
    out = {}
    for name, survey in sources.survey_flows.items():
        at_move = survey.ages == AT_MOVE
        groups = counted_at(survey.lower_ages.values, sources.ages.size, at_move=at_move)
        spread = spreading_rule(migration_schedule(sources.ages.size, name), groups)
        rule = mid_year_average([int(y) for y in survey.years], inner, survey.basis)
        cells = survey.estimate.values
        out[name] = np.einsum("tc,csg,sga->sat", rule, cells, spread, optimize=True)
    return out


def layout_of_carried(sources: Sources, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the official flows of a cell held beyond their layout here, (sex, age, interval).

    Where years between were not published, a cohort's difference is even over them. After
    the last published year it is the mean of those before, and what the published sexes of
    the last mid-year then lack is spread by the emigration schedule. Persons per year; it
    sums to zero in every interval, so that no total moves.
    """
    out = np.zeros(registered_deaths(sources).shape)
    laid = _laid_out(sources, parts)
    start, known = sources.first_year, _published_cells(sources)
    if len(known) > 1:
        for (before, stock), (after, later) in pairwise(known.items()):
            span = slice(before - start, after - start)
            aged = carry(stock, after - before) + along_cohorts(laid[:, :, span])
            out[:, :, span] = _evenly(later - aged, after - before)
        first, last = min(known) - start, max(known) - start
        out[:, :, last:] = out[:, :, first:last].mean(axis=2, keepdims=True)
        out -= out.mean(axis=(0, 1))
    return out + _by_sex(sources, laid + out)


def _laid_out(sources: Sources, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Births, deaths, flows and changes as they are laid out, (sex, age, interval)."""
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    laid = registered_births(sources) - registered_deaths(sources) + known_changes(sources)
    laid = laid + shape * sources.flows_revised_since.values
    for name, flow in flows_as_laid_out(sources).items():
        laid = laid + FLOW_SIGN[name] * flow
    return laid + sum(parts.values())


def _published_cells(sources: Sources) -> dict[int, np.ndarray]:
    """Base and roll-forward by (sex, age) of the mid-years in which they were published so."""
    cells, start = sources.rolled_forward.by_sex_and_age, sources.first_year
    if cells is None:
        return {}
    stocks = {int(y): cells.sel({YEAR: y}).transpose(SEX, AGE).values for y in cells[YEAR]}
    if sources.base.fixes_cells or len(stocks) == 1:
        stocks[start] = sources.base.count.values
    return {year: stocks[year] for year in sorted(stocks) if year <= sources.last_year}


def _evenly(lacks: np.ndarray, years: int) -> np.ndarray:
    """A difference of stocks (sex, age) shared evenly by the years its cohorts lived through.

    Cohorts that lived through all of them even out what a year would otherwise gain or lose.
    """
    ages = np.arange(lacks.shape[1])
    out = np.zeros((*lacks.shape, years))
    share = lacks / np.minimum(ages + 1, years)
    for ago in range(years):
        at = np.where(ages < ages[-1], ages - ago, ages[-1])  # who is in the open group stays
        out[:, at[at >= 0], years - 1 - ago] += share[:, at >= 0]
    through = ages.size - years
    if through <= 0:
        return out
    excess = (out.sum(axis=(0, 1)) - out.sum() / years) / (2 * through)
    for ago in range(years):
        out[:, ages[years - 1 : -1] - ago, years - 1 - ago] -= excess[years - 1 - ago]
    return out


def _by_sex(sources: Sources, laid: np.ndarray) -> np.ndarray:
    """What the published sexes of the last mid-year lack, in the years without cells."""
    out = np.zeros_like(laid)
    by_sex, cells = sources.rolled_forward.by_sex, sources.rolled_forward.by_sex_and_age
    last = sources.first_year if cells is None else int(cells[YEAR].values.max())
    open_years = sources.last_year - last
    if by_sex is None or open_years <= 0:
        return out
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    end = carry(sources.base.count.values, len(sources.years)) + along_cohorts(laid)
    lacks = by_sex.sel({SEX: list(SEXES)}).values - end.sum(axis=1)
    lacks = lacks - lacks.mean()  # published sums are rounded; the total stands
    own = shape / shape.sum(axis=1, keepdims=True) * lacks[:, None, None] / open_years
    out[:, :, -open_years:] = own
    return out
