"""The gap shared among its sources, exactly and in every draw.

    gap = RF - C = sum over sources of (published - true) carried to the census

because the account is linear there is one decomposition and no interaction:

    base            published minus true base, along cohorts
    births, deaths  registered minus true
    survey bias     official rule applied to the bias of the survey
    sampling        official rule applied to published minus expected cells, or totals
    period          official rule (two calendar years' mean) applied to the true total
                    of a flow, minus that total
    ages and sexes  official ages and sexes of the flows, minus the true ones: they sum to
                    zero over ages and sexes, and not at any of them
    parts, streams  published minus true, each by its bias, sampling and wrong classes; so
                    are known changes that have a prior
    revised since   flows carried then minus the later published series: known
    date change     true change from census day to mid-year
    census coverage true undercount; census sampling: its random error
    residual        what is left, with a prior of its own

Where no census has been taken at the end there are no sources after the last mid-year, and
the sum of the others is roll-forward minus true population (:mod:`imps.account.open_end`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imps.account.account import Account
from imps.account.latents import Affine, zero
from imps.account.observations import census_day_population, census_observation, date_change
from imps.account.parts import FLOW_LAYOUT, known_changes
from imps.account.stocks import random_error_of, registered_births, registered_deaths
from imps.demography.accounting import along_cohorts, carry
from imps.demography.schedules import migration_schedule, within_cells
from imps.names import EMIGRATION, FLOW_SIGN
from imps.sources import TOTAL, SurveyFlow
from imps.sources.kinds import KINDS, PARTS


@dataclass(frozen=True)
class Contribution:
    """What one source adds to the gap.

    Attributes
    ----------
    source, group : str
    value : Affine (sex, age), persons
        As a function of the latent variables, with the published figures put in.
    prior : Affine (sex, age), persons
        Before any figure is seen. It differs from `value` where the source is a
        random error, known only as published minus expected.
    """

    source: str
    group: str
    value: Affine
    prior: Affine


def contributions(account: Account) -> tuple[Contribution, ...]:
    """Every source of the gap, in the order of reporting; they sum to it identically."""
    lexis = along_cohorts
    sources = account.sources
    years = len(sources.years)
    period, ages = _conversion(account)
    carried = {n: error.map(lexis) for n, error in account.errors_of_carried.items()}
    if FLOW_LAYOUT in carried:
        ages = ages + carried[FLOW_LAYOUT]
    plain = {
        "base": account.base_error.map(lambda x: carry(x, years)),
        "births": (-account.births_error).map(lexis),
        "deaths": account.deaths_error.map(lexis) + account.deaths_misplaced,
        **carried,
        **({"period_conversion": period} if account.flows else {}),
        FLOW_LAYOUT: ages,
        "flows_revised_since": Affine(_revised_since(account), {}),
        "residual": -account.residual,
    }
    if not sources.open_end:
        plain |= {"census_coverage": account.census_undercount, "date_change": date_change(account)}
    both = {name: (value, value) for name, value in plain.items()}
    for flow in account.flows:
        both |= _survey_errors(account, flow)
    if not sources.open_end:
        both[random_error_of(sources.census)] = _census_sampling(account)
    order = {name: i for i, name in enumerate(KINDS)}
    names = sorted(both, key=lambda name: order.get(name, order[PARTS[-1]]))
    groups = {s.name: s.group for s in (*sources.beside_survey, *sources.streams)}
    for stream in sources.streams:
        own = (f"{stream.name}_sampling", *(m.name for m in stream.misclassified))
        groups |= dict.fromkeys(own, stream.group)
    groups = {name: kind.group for name, kind in KINDS.items()} | groups
    return tuple(Contribution(name, groups[name], *both[name]) for name in names)


def rolled_forward_cells(account: Account) -> np.ndarray:
    """The official roll-forward at the last mid-year laid out by (sex, age), persons.

    Its total is the published one. By age it is the account's own reconstruction
    with the published flows; only the detail that was published is data.
    """
    parts = rolled_forward_components(account).values()
    return np.sum(list(parts), axis=0)


def rolled_forward_components(account: Account) -> dict[str, np.ndarray]:
    """What the official roll-forward is made of, by sex and age at the end, persons.

    Returns
    -------
    dict of ndarray (sex, age)
        base (aged to the end), births, deaths (negative), immigration, emigration
        (negative) and other_migration (asylum, Irish and switcher flows, net) of a survey;
        every stream that is migration; other_changes (known changes, and the flows carried
        then that were revised since). They sum to the roll-forward.
    """
    sources = account.sources
    flows = {
        name: along_cohorts(FLOW_SIGN[name] * flow.published)
        for name, flow in account.flows.items()
    }
    streams = [s.name for s in sources.streams]
    parts = {n: along_cohorts(x) for n, x in account.parts.items()}
    if flows:
        rest = [x for n, x in parts.items() if n not in streams]
        flows["other_migration"] = sum(rest, np.zeros(sources.census.count.shape))
    else:  # the layout of a survey's flows is half in each direction
        flows["other_changes"] = along_cohorts(account.layout)
    return {
        "base": carry(sources.base.count.values, len(sources.years)),
        "births": along_cohorts(registered_births(sources)),
        "deaths": -along_cohorts(registered_deaths(sources)),
        **flows,
        **{n: x for n, x in parts.items() if n in streams},
        "other_changes": along_cohorts(known_changes(sources))
        + _revised_since(account)
        + flows.get("other_changes", 0.0),
    }


def _survey_errors(account: Account, flow: str) -> dict[str, tuple[Affine, Affine]]:
    """Bias and sampling error of one direction, each as value and as prior."""
    operator, survey = account.flows[flow], account.sources.survey_flows[flow]
    bias = _to_gap(account, flow, operator.observe(operator.bias))
    sampling = _to_gap(account, flow, _cell_errors(account, flow)[0])
    size = survey.standard_error.values
    axes = survey.published_axes
    own = np.sqrt((size**2).sum(axis=axes, keepdims=True)) if axes else size
    each = np.diag(own.ravel()).reshape(*own.shape, -1)
    errors = _schedule(survey)[..., None] * each if axes else each
    noise = Affine(np.zeros(size.shape), {f"{flow} noise": errors})
    return {
        f"{flow}_bias": (bias, bias),
        f"{flow}_sampling": (sampling, _to_gap(account, flow, noise)),
    }


def _to_gap(account: Account, flow: str, cells: Affine) -> Affine:
    """Errors of survey cells carried to the end by the official rule, (sex, age), persons."""
    return (FLOW_SIGN[flow] * account.flows[flow].publish(cells)).map(along_cohorts)


def _cell_errors(account: Account, flow: str) -> tuple[Affine, Affine]:
    """Published minus expected survey cells: by sampling, and by the schedule of ages.

    Where only totals, or only persons, were published the cells within are a schedule.
    Sampling error is then that of the published figure, laid out as the schedule is; how the
    schedule errs within it, which sums to zero over its cells, is no sampling error.
    """
    operator, survey = account.flows[flow], account.sources.survey_flows[flow]
    error = survey.estimate.values - operator.observe(operator.true + operator.bias)
    if not survey.published_axes:
        return error, zero(error.shape)
    rule = {2: "csg,c...->csg...", 1: "csg,cg...->csg..."}[len(survey.published_axes)]
    sampling = error.sum(survey.published_axes).einsum(rule, _schedule(survey))
    return sampling, error - sampling


def _schedule(survey: SurveyFlow) -> np.ndarray:
    """Share of each cell in what was published of its year, (year, sex, age group)."""
    cells = survey.estimate.values
    if survey.observed != TOTAL:
        return np.full(cells.shape, 0.5)  # persons: each sex has a half
    return cells / cells.sum(axis=(1, 2), keepdims=True)


def _conversion(account: Account) -> tuple[Affine, Affine]:
    """Errors of the official rule: from calendar years to mid-years, and over ages and sexes.

    The first is the error of each year's total, laid out as the flow is. The second is the
    rest; it holds the schedule, where only totals of the survey were published, and what
    the official roll-forward carried in cells in which it was published.
    """
    period = ages = zero((*account.sources.base.count.shape,))
    for name, operator in account.flows.items():
        ruled = operator.publish(operator.observe(operator.true))
        error = ruled - operator.true[:, :, operator.inner]
        share = operator.true.constant[:, :, operator.inner]
        share = share / share.sum(axis=(0, 1))
        by_year = error.sum((0, 1)).einsum("sat,t...->sat...", share)
        period = period + (FLOW_SIGN[name] * by_year).map(along_cohorts)
        ages = ages + (FLOW_SIGN[name] * (error - by_year)).map(along_cohorts)
        ages = ages + _to_gap(account, name, _cell_errors(account, name)[1])
    return period, ages + along_cohorts(account.layout)


def _revised_since(account: Account) -> np.ndarray:
    """Known difference of the flows carried then, (sex, age) at the end, persons.

    Laid out by the emigration schedule, half to each sex; where the roll-forward was
    published by sex and age, `Account.layout` holds what its layout lacks.
    """
    shape = migration_schedule(account.sources.ages.size, EMIGRATION)
    return along_cohorts(shape[:, :, None] * account.sources.flows_revised_since.values)


def _census_sampling(account: Account) -> tuple[Affine, Affine]:
    """Random error of the census: people on census day minus undercount minus count.

    Its prior is that of the likelihood: the error of every row, and what all cells share.
    """
    count = account.sources.census.count.values
    value = census_day_population(account) - account.census_undercount - count
    noise = Affine(0.0 * count, {"census noise": census_noise(account)})
    return value, account.census_sampling + noise


def census_noise(account: Account) -> np.ndarray:
    """Random error of the rows of a census, taken or planned, (sex, age, row), persons."""
    count = account.sources.census.count.values
    rows = census_observation(account).standard_error
    rule = account.sources.census.cells.counting(count.shape[1])
    return within_cells(np.diag(rows), rule, count).transpose(1, 2, 0)
