"""The gap shared among its sources, exactly and in every draw.

    gap = RF - C = sum over sources of (published - true) carried to the census

because the account is linear there is one decomposition and no interaction:

    base            published minus true base, along cohorts
    births, deaths  registered minus true
    survey bias     official rule applied to the bias of the survey
    sampling        official rule applied to published minus expected cells
    conversion      official rule (two calendar years' mean, generic ages) applied
                    to the true flow, minus the true flow
    parts           published minus true asylum, Irish and switcher flows
    known changes   published minus true, of those that have a prior
    revised since   flows carried then minus the later published series: known
    date change     true change from census day to mid-year
    census coverage true undercount; census sampling: its random error
    residual        what is left, with a prior of its own
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imps.accounting import along_cohorts, carry
from imps.affine import Affine, zero
from imps.data_models import census_day_population, date_change
from imps.dims import EMIGRATION, FLOW_SIGN, SOURCE_GROUPS
from imps.schedules import migration_schedule
from imps.system_model import Account, known_changes


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
    plain = {
        "base": account.base_error.map(lambda x: carry(x, years)),
        "births": (-account.births_error).map(lexis),
        "deaths": account.deaths_error.map(lexis),
        "period_and_age_conversion": _conversion(account),
        **{name: error.map(lexis) for name, error in account.part_errors.items()},
        **{name: error.map(lexis) for name, error in account.change_errors.items()},
        "census_coverage": account.census_undercount,
        "flows_revised_since": Affine(_revised_since(account), {}),
        "date_change": date_change(account),
        "residual": -account.residual,
    }
    both = {name: (value, value) for name, value in plain.items()}
    for flow in account.flows:
        both |= _survey_errors(account, flow)
    both["census_sampling"] = _census_sampling(account)
    order = {name: i for i, name in enumerate(SOURCE_GROUPS)}
    names = sorted(both, key=lambda name: order.get(name, order["migrant_switchers"]))
    own = dict.fromkeys(account.change_errors, "other changes")
    groups = {**own, **SOURCE_GROUPS}
    return tuple(Contribution(name, groups.get(name, "migration"), *both[name]) for name in names)


def rolled_forward_cells(account: Account) -> np.ndarray:
    """The official roll-forward at the last mid-year laid out by (sex, age), persons.

    Its total is the published one. By age it is the account's own reconstruction
    with the published flows; only the detail that was published is data.
    """
    sources = account.sources
    registered = account.natural.constant + (
        account.deaths_error.constant - account.births_error.constant
    )
    flows = sum(FLOW_SIGN[name] * flow.published for name, flow in account.flows.items())
    parts = sum(account.parts.values(), np.zeros_like(registered))
    carried = carry(sources.base.count.values, len(sources.years))
    changes = registered + flows + parts + known_changes(sources)
    return carried + along_cohorts(changes) + _revised_since(account)


def _survey_errors(account: Account, flow: str) -> dict[str, tuple[Affine, Affine]]:
    """Bias and sampling error of one direction, each as value and as prior."""
    operator, sign = account.flows[flow], FLOW_SIGN[flow]
    survey = account.sources.survey_flows[flow]

    def to_gap(cells: Affine) -> Affine:
        return (sign * operator.publish(cells)).map(along_cohorts)

    bias = to_gap(operator.observe(operator.bias))
    expected = operator.observe(operator.true + operator.bias)
    sampling = to_gap(survey.estimate.values - expected)
    n = survey.estimate.size
    errors = np.zeros((n, n))
    np.fill_diagonal(errors, survey.standard_error.values.ravel())
    noise = Affine(
        np.zeros(survey.estimate.shape),
        {f"{flow} noise": errors.reshape(*survey.estimate.shape, n)},
    )
    return {f"{flow}_bias": (bias, bias), f"{flow}_sampling": (sampling, to_gap(noise))}


def _conversion(account: Account) -> Affine:
    """Error of the official rule from calendar years and age groups to mid-years and ages."""
    total = zero((*account.sources.base.count.shape,))
    for name, operator in account.flows.items():
        ruled = operator.publish(operator.observe(operator.true))
        error = ruled - operator.true[:, :, operator.inner]
        total = total + (FLOW_SIGN[name] * error).map(along_cohorts)
    return total


def _revised_since(account: Account) -> np.ndarray:
    """Known difference of the flows carried then, laid out by the emigration schedule."""
    sources = account.sources
    shape = migration_schedule(sources.ages.size, EMIGRATION)
    yearly = sources.flows_revised_since.values
    return along_cohorts(shape[:, :, None] * yearly)


def _census_sampling(account: Account) -> tuple[Affine, Affine]:
    """Random error of the census: people on census day minus undercount minus count."""
    census = account.sources.census
    count = census.count.values
    value = census_day_population(account) - account.census_undercount - count
    noise = census.relative_standard_error * count
    return value, Affine(np.zeros_like(count), {"census noise": noise[..., None]})
