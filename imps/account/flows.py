"""True flow and bias of one direction of the survey, with the operators around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from imps.account.latents import Affine, Latents, Resolution, correlated, each_sex, true_flow
from imps.account.parts import LAYOUT_SHAPES, SEX_CONTRAST, flows_as_laid_out
from imps.account.prior_rows import BIAS_CORRELATION
from imps.account.priors import Priors
from imps.account.variant import LOG, Form, LogFlow
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
    child_hats,
    counted_at,
    migration_schedule,
    pull_to_groups,
    smooth_shapes,
    spreading_rule,
    within_groups,
    young_adults,
)
from imps.errors import SourceError
from imps.names import EMIGRATION, FLOW_SIGN, IMMIGRATION
from imps.sources import TOTAL, Era, Sources, SurveyFlow
from imps.sources.definitions import AT_MOVE

LEAST_OF_SCHEDULE = 0.2
"""Share of its schedule that a flow keeps at any age when the carried net is laid on it."""


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


def survey_flow(
    latents: Latents,
    survey: SurveyFlow,
    sources: Sources,
    fine: Resolution,
    form: Form,
    layout: np.ndarray,
) -> Flow:
    """True flow and bias of one direction.

    `layout` (sex, age, interval) is what was carried in each cell beyond the flows as laid
    out; half of it is put to each direction.
    """
    years = [int(y) for y in survey.years]
    outer = covering_intervals(years, survey.basis)
    inner = [mid_year_interval(int(y)) for y in sources.years]
    at_move = survey.ages == AT_MOVE
    groups = counted_at(survey.lower_ages.values, sources.ages.size, at_move=at_move)
    generic = migration_schedule(sources.ages.size, survey.flow)
    half = 0.5 * FLOW_SIGN[survey.flow] * layout
    shape = pull_to_groups(generic, groups, survey.estimate.values.mean(axis=0))
    if survey.observed == TOTAL:
        shape = _laid_on(shape, half.mean(axis=2))
    first = outer.index(inner[0])
    eras = {str(era): _share_in_era(era, survey.basis, outer) for era in survey.eras}
    m = np.repeat(shape[:, :, None], len(outer), axis=2)
    unseen = _children_unseen(latents, survey.flow, m)
    true = _true_flow(latents, survey.flow, shape, len(outer), fine, eras) + unseen
    true = true + _within_published(latents, survey, shape, groups, len(outer))
    return Flow(
        true=_on_log_scale(latents, survey.flow, true) if form.flows == LOG else true,
        bias=_survey_bias(latents, survey.flow, m, eras) - unseen,
        published=flows_as_laid_out(sources)[survey.flow] + half,
        groups=groups,
        to_calendar=overlap(flow_periods(years, survey.basis), outer),
        spread=spreading_rule(generic, groups),
        to_mid_years=mid_year_average(years, inner, survey.basis),
        inner=slice(first, first + len(inner)),
    )


def _laid_on(shape: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A schedule (sex, age) with a change laid on it, as far as the flow stays positive."""
    laid = np.maximum(shape + change, LEAST_OF_SCHEDULE * shape)
    return laid * shape.sum() / laid.sum()


def _children(m: np.ndarray) -> np.ndarray:
    """Flow of children that errs with each of four ages, (sex, age, interval, age)."""
    return m[..., None] * child_hats(m.shape[1])[None, :, None, :]


def _children_unseen(latents: Latents, flow: str, m: np.ndarray) -> Affine:
    """Children whom the survey does not see, (sex, age, interval), both sexes alike.

    Their scale is not that of the layout: what the survey shows of its children says nothing
    on those it does not see. Stocks and births teach it, here or in another decade.
    """
    name = f"{flow}_bias_children"
    return latents.field(name, _children(m), scale=name, source=f"{flow}_bias")


def _within_published(
    latents: Latents, survey: SurveyFlow, shape: np.ndarray, groups: np.ndarray, n: int
) -> Affine:
    """What no published figure fixes, (sex, age, interval).

    The layout within an age group is unknown, the same in all years. Where cells were
    published, each may also depart in each year by itself.
    """
    flow, n_ages = survey.flow, shape.shape[1]
    name, own = f"{flow}_layout", true_flow(flow)
    fine = smooth_shapes(n_ages, min(LAYOUT_SHAPES, n_ages), young=2.0, old=4.0)
    laid = np.stack([within_groups(g, x, fine) for g, x in zip(groups, shape, strict=True)])
    laid = latents.spread(name, flow) * np.repeat(laid[:, :, None], n, axis=2)
    error = latents.field(name, each_sex(laid), source=own, prior=name)
    if survey.observed == TOTAL:
        return error
    name = f"{flow}_cells"
    alone = np.einsum("sa,tu,sga->satug", shape, np.eye(n), groups).reshape(*shape.shape, n, -1)
    return error + latents.field(name, each_sex(alone), scale=name, source=own)


def _true_flow(
    latents: Latents,
    flow: str,
    shape: np.ndarray,
    n: int,
    fine: Resolution,
    eras: Mapping[str, np.ndarray],
) -> Affine:
    """m (1 + level + years + age + age x years + children laid) plus an error of the schedule.

    In an era of the survey the level of the true flow is free too: what the survey shows of
    those years then says nothing of its own bias in them.
    """
    n_ages = shape.shape[1]
    time = autoregressive(n, latents.fixed("flow_persistence", flow, 0.0, 1.0))
    ages = smooth_shapes(n_ages, fine.flow_shapes)
    m = np.repeat(shape[:, :, None], n, axis=2)
    own, name = true_flow(flow), f"{flow}_level"
    level = latents.spread(name, flow)
    true = Affine(m, {}) + latents.field(name, level * m[..., None], source=own, prior=name)
    for era, share in eras.items():
        raised = level * (m * share)[..., None]
        true = true + latents.field(f"{name} {era}", raised, source=own, prior=name)
    yearly, by_age = m[..., None] * time, each_sex(m[..., None] * ages[None, :, None, :])
    moving = ages[None, :, None, :, None] * time[None, None, :, None, :]
    moving = each_sex((m[..., None, None] * moving).reshape(*m.shape, -1))
    parts = {"children": _children(m), "years": yearly, "age": by_age, "age_years": moving}
    for what, effect in parts.items():
        name = f"{flow}_{what}"
        true = true + latents.field(name, effect, scale=name, source=own)
    name = f"{flow}_schedule"
    bent = _schedule_errors(shape, latents.spread(name, flow))
    bent = each_sex(np.repeat(bent[:, :, None], n, axis=2))
    return true + latents.field(name, bent, source=own, prior=name)


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
    """m (mean + level + sex + young + eras + drift): persistent error but for the children."""
    source = f"{flow}_bias"
    mean, level = latents.prior(f"{source}_level", flow)
    bell = young_adults(published.shape[1])[None, :, None]
    time = autoregressive(published.shape[2], latents.fixed("bias_persistence", flow, 0.0, 1.0))
    sex = latents.spread(f"{source}_sex", flow) * SEX_CONTRAST[:, None, None]
    young = latents.spread(f"{source}_young", flow)
    drift = latents.spread(f"{source}_drift", flow)
    effects = {
        "level": level * published[..., None],
        "sex": (sex * published)[..., None],
        "young": each_sex(young * (published * bell)[..., None]),
    }
    bias = Affine(mean * published, {})
    for what, effect in effects.items():
        name = f"{source}_{what}"
        bias = bias + latents.field(name, effect, source=source, prior=name)
    for era, share in eras.items():
        own = era_prior(latents.priors, flow, era)
        step = published * share
        mean, sd = latents.prior(own, flow)
        bias = bias + mean * step
        block = f"{source}_era {era}"
        bias = bias + latents.field(block, sd * step[..., None], source=source, prior=own)
    name = f"{source}_drift"
    moving = drift * published[..., None] * time
    return bias + latents.field(name, moving, source=source, prior=name)


def era_prior(priors: Priors, flow: str, era: str) -> str:
    """Name of the prior of an era's step: a row of its own, or that of all eras of the flow."""
    own = f"{flow}_bias_era {era}"
    return own if own in priors else f"{flow}_bias_era"


def erring_together(latents: Latents, flows: Mapping[str, Flow]) -> dict[str, Flow]:
    """Bias of emigration correlated in its level with that of immigration, as far as asked.

    With correlation c the standardised level of emigration is sqrt(1 - c^2) z_em + c z_im.
    Both are published minus true: with c above zero both directions are too low together.
    """
    out = dict(flows)
    if BIAS_CORRELATION not in latents.priors or not {IMMIGRATION, EMIGRATION} <= set(flows):
        return out
    correlation, _ = latents.prior(BIAS_CORRELATION, EMIGRATION)
    if correlation != 0:
        shared = {f"{EMIGRATION}_bias_level": f"{IMMIGRATION}_bias_level"}
        bias = correlated(flows[EMIGRATION].bias, correlation, shared)
        out[EMIGRATION] = replace(flows[EMIGRATION], bias=bias)
    return out
