"""Models that are wrong on purpose, to show which check finds each fault.

Every fault is put into the model while it is built; the simulator goes on telling the
right story. The figures, the priors and the names of the quantities stay the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

import imps
from imps.account import account as written
from imps.account import flows, parts
from imps.account import observations as data_models
from imps.account.account import Account
from imps.account.latents import Affine, Resolution
from imps.account.linear import LinearModel
from imps.demography.accounting import carry
from imps.simulation.reference import reference_account

RESOLUTION = Resolution(4, 4)


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    name : str
    model : LinearModel
        The account with the fault in it.
    fitted : LinearModel or None
        What is fitted, where the fault is in the fit alone.
    """

    name: str
    model: LinearModel
    fitted: LinearModel | None = None


def right_model(**priors: object) -> LinearModel:
    """The small account with every kind of source, without a fault."""
    told = imps.default_priors().replace(**priors)
    model = imps.linear_model(reference_account(), told, RESOLUTION)
    _ = model.reported  # made now, while a fault is in place
    return model


def no_fault() -> Fault:
    """The right model, which every check must let pass."""
    return Fault("none", right_model())


def likelihood_switched_off(source: str = "census") -> Fault:
    """The rows of a source never reach the posterior."""
    model = right_model()
    keep = np.array([s != source for s in model.row_sources])
    fitted = dataclasses.replace(
        model,
        design=model.design[keep],
        offset=model.offset[keep],
        observed=model.observed[keep],
        standard_error=model.standard_error[keep],
        row_labels=tuple(np.array(model.row_labels)[keep]),
        row_sources=tuple(np.array(model.row_sources)[keep]),
    )
    return Fault(f"likelihood of the {source} switched off", model, fitted)


def sampling_error_halved() -> Fault:
    """The survey of immigrants is taken for twice as accurate as it is."""
    model = right_model()
    survey = np.array([s == "immigration" for s in model.row_sources])
    se = np.where(survey, model.standard_error / 2, model.standard_error)
    return Fault("sampling error halved", dataclasses.replace(model, standard_error=se))


def switcher_sign_turned() -> Fault:
    """Visitor switchers are taken off where they should be added."""
    right = parts._spread_part

    def wrong(part, sources):  # type: ignore[no-untyped-def]
        return right(part, sources) * (-1 if part.name == "visitor_switchers" else 1)

    with patch.object(parts, "_spread_part", wrong), _closure_unchecked():
        return Fault("sign of visitor switchers turned", right_model())


def age_shifted() -> Fault:
    """Migrants, births and deaths stand a year older at the census than they are."""
    right = written.along_cohorts

    def wrong(flows: np.ndarray) -> np.ndarray:
        return np.roll(right(flows), 1, axis=1)

    with patch.object(written, "along_cohorts", wrong), _closure_unchecked():
        return Fault("age shifted by one", right_model())


def calendar_year_taken_for_mid_year() -> Fault:
    """The survey of a calendar year is taken for the interval that ends in it."""

    def wrong(observed: list, intervals: list) -> np.ndarray:
        return np.eye(len(observed), len(intervals))

    with patch.object(flows, "overlap", wrong):
        return Fault("calendar year taken for mid-year", right_model())


def bias_independent_each_year() -> Fault:
    """The survey's bias is drawn anew every year, with the same size."""
    right = flows._survey_bias

    def wrong(latents, flow, published, eras):  # type: ignore[no-untyped-def]
        bias = right(latents, flow, published, eras)
        level, n = f"{flow}_bias_level", published.shape[2]
        latents.blocks[level] = dataclasses.replace(latents.blocks[level], size=n)
        sd = latents.priors[level].sd
        return Affine(bias.constant, {**bias.effects, level: sd * published[..., None] * np.eye(n)})

    with patch.object(flows, "_survey_bias", wrong):
        return Fault("bias drawn independently each year", right_model())


def census_error_left_out() -> Fault:
    """The census is taken to have counted everyone but for random error."""
    right = written.stock_error

    def wrong(latents, name, count, fine):  # type: ignore[no-untyped-def]
        return right(latents, name, count, fine) * (1e-9 if name == "census" else 1.0)

    with patch.object(written, "stock_error", wrong):
        return Fault("census error left out", right_model())


def base_error_at_fixed_ages() -> Fault:
    """The error of the base stays at its ages instead of growing older with its cohorts."""
    right = Account.population

    def wrong(account: Account, year: int) -> Affine:
        elapsed = year - account.sources.base.date.year
        moved = account.base_error.map(lambda x: carry(x, elapsed) - x)
        return right(account, year) + moved

    with patch.object(Account, "population", wrong), _closure_unchecked():
        return Fault("base error carried at fixed ages", right_model())


def undercount_turned() -> Fault:
    """The census is taken to have counted people twice where it missed them."""
    right = data_models.census_observation

    def wrong(account: Account):  # type: ignore[no-untyped-def]
        turned = dataclasses.replace(account, census_undercount=-account.census_undercount)
        return right(turned)

    with patch.object(data_models, "census_observation", wrong):
        return Fault("sign of the census undercount turned", right_model())


def bias_mean_forgotten(**priors: object) -> Fault:
    """The survey is taken to count emigrants in full on average; the prior says it does not."""
    right = flows._survey_bias

    def wrong(latents, flow, published, eras):  # type: ignore[no-untyped-def]
        return Affine(0.0 * published, right(latents, flow, published, eras).effects)

    with patch.object(flows, "_survey_bias", wrong):
        return Fault("mean of the emigration bias forgotten", right_model(**priors))


def children_left_out() -> Fault:
    """Migration of children has no error of its own."""
    right = flows._children

    def wrong(m):  # type: ignore[no-untyped-def]
        return 1e-9 * right(m)

    with patch.object(flows, "_children", wrong):
        return Fault("children's block left out", right_model())


def date_change_left_out() -> Fault:
    """The census is taken to have been at mid-year; it was two months before."""
    right = data_models.census_day_population

    def wrong(account: Account) -> Affine:
        return right(account) + data_models.date_change(account)

    with patch.object(data_models, "census_day_population", wrong):
        return Fault("census day taken for mid-year", right_model())


def directions_turned() -> Fault:
    """Bias of the two directions is taken to differ in sign where the prior says that it agrees."""
    right = flows.correlated

    def wrong(error, correlation, shared):  # type: ignore[no-untyped-def]
        return right(error, -correlation, shared)

    with patch.object(flows, "correlated", wrong):
        model = right_model(bias_correlation={"mean": 0.8})
    return Fault("correlation of the two directions turned", model)


@contextmanager
def _closure_unchecked() -> Iterator[None]:
    """Without the check at building that the contributions sum to the gap."""
    with patch("imps.account.linear.check_closure", lambda model: None):
        yield


FAULTS: tuple[Callable[[], Fault], ...] = (
    likelihood_switched_off,
    sampling_error_halved,
    switcher_sign_turned,
    age_shifted,
    calendar_year_taken_for_mid_year,
    bias_independent_each_year,
    census_error_left_out,
    base_error_at_fixed_ages,
    undercount_turned,
    bias_mean_forgotten,
    date_change_left_out,
    children_left_out,
    directions_turned,
)
