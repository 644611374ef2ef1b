"""Reference figures of an invented country that has every kind of source.

Small enough for a thousand fits, and with everything in it that an account can have.
The figures hold no truth: `PriorSimulator` of :mod:`imps.simulation.from_priors` draws one
around them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import xarray as xr

from imps.demography.accounting import carry
from imps.demography.schedules import migration_schedule
from imps.names import (
    AGE,
    AGE_GROUP,
    EMIGRATION,
    FLOW,
    FLOWS,
    IMMIGRATION,
    SEX,
    SEXES,
    YEAR,
)
from imps.sources import (
    BY_SEX_AND_AGE,
    AdministrativeFlow,
    Births,
    BornBefore,
    Deaths,
    Era,
    KnownChange,
    KnownSum,
    MirrorSeries,
    Register,
    RolledForward,
    Sources,
    Stock,
    SurveyFlow,
    asylum_seekers,
    expected_parts,
    irish_flows,
    migrant_switchers,
    visitor_switchers,
)

SAID: dict[str, Any] = {"vintage": "invented", "reference": "imps.simulation.reference"}
GROUPS = ("0-14", "15-24", "25+")
GROUPS_FROM = (0.0, 15.0, 25.0)
REVISED_SINCE = 6e3
"""Persons a year by which the flows carried then exceed the later series."""
CROSS_BORDER = -4e3


def reference_account(
    *,
    n_ages: int = 36,
    n_years: int = 4,
    first_year: int = 1991,
    base: np.ndarray | None = None,
) -> Sources:
    """Reference figures of an invented country with every kind of source, small by default.

    Two sexes, single years of age to the open group, a survey by calendar year, sex and
    age group, published and expected administrative flows within a known sum, a known
    change, births behind the base, a census by sex and age two months before mid-year, later
    flows that differ from those carried, a register of young people and a mirror series.

    Parameters
    ----------
    n_ages : int
        At least 36: the bell of young adults and its cohorts stay below the open group.
    n_years : int
        Mid-year intervals between base and census.
    first_year : int
        Mid-year of the base.
    base : ndarray (sex, age), optional
        Persons; a population of the same invented country unless told.
    """
    calendar = np.arange(first_year, first_year + n_years + 1)
    years = calendar[1:]
    base, births, deaths = _population(n_ages, n_years, base)
    surveys = {name: _survey(name, calendar) for name in FLOWS}
    parts, known = _parts(calendar)
    totals = [
        surveys[name].estimate.sum((SEX, AGE_GROUP))
        + sum(part.sign * part.count for part in parts if part.flow == name)
        for name in FLOWS
    ]
    later = (totals[0] - totals[1]).values
    carried = (later[:-1] + later[1:]) / 2 + REVISED_SINCE
    natural = births.sum(axis=0) - deaths.sum(axis=(0, 1))
    rolled = base.sum() + np.r_[0.0, np.cumsum(natural + carried + CROSS_BORDER)]
    census = _carried_forward(base, births, deaths, carried)
    cells = (YEAR, SEX, AGE)
    return Sources(
        area="an invented country",
        base=_stock("base", base, dt.date(first_year, 6, 30), 0.001),
        census=_stock("census", census, dt.date(int(years[-1]), 4, 29), 0.001),
        births=Births(_array(births.T, YEAR, SEX, year=years), **SAID),
        deaths=Deaths(_array(deaths.transpose(2, 0, 1), *cells, year=years), **SAID),
        immigration=surveys[IMMIGRATION],
        emigration=surveys[EMIGRATION],
        administrative=parts,
        known_sums=(known,),
        total_migration=xr.concat(totals, dim=xr.DataArray(list(FLOWS), dims=FLOW, name=FLOW)),
        rolled_forward=RolledForward(
            total=_array(rolled, YEAR, year=calendar), by_rule=(), rule="", **SAID
        ),
        extra=(_born_before(base), *_independent(census, int(years[-1]) - 1, surveys[EMIGRATION])),
        known_changes=(KnownChange("cross_border", _series(CROSS_BORDER, years), **SAID),),
    )


def reference_chain(
    n_periods: int = 2, *, n_years: int = 4, first_year: int = 1991
) -> tuple[Sources, ...]:
    """Reference figures of periods that follow each other: each census is the base after it."""
    found = [reference_account(n_years=n_years, first_year=first_year)]
    for i in range(1, n_periods):
        counted = found[-1].census.count.transpose(SEX, AGE).values
        start = first_year + i * n_years
        found.append(reference_account(n_years=n_years, first_year=start, base=counted))
    return tuple(found)


def _array(values: np.ndarray, *dims: str, **labels: object) -> xr.DataArray:
    """Values with the labels of sex and, from age 0 unless told, of age."""
    at = dict(zip(dims, values.shape, strict=True))
    coords: dict[str, object] = {}
    if SEX in at:
        coords[SEX] = list(SEXES)
    if AGE in at:
        coords[AGE] = np.arange(at[AGE])
    return xr.DataArray(values, dims=dims, coords={**coords, **labels})


def _stock(name: str, count: np.ndarray, date: dt.date, error: float) -> Stock:
    return Stock(_array(count, SEX, AGE), BY_SEX_AND_AGE, date, error, name=name, **SAID)


def _series(value: float, years: np.ndarray) -> xr.DataArray:
    return _array(np.full(years.size, value), YEAR, year=years)


def _population(
    n_ages: int, n_years: int, base: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base (sex, age), births (sex, interval) and deaths (sex, age, interval), persons."""
    ages = np.arange(n_ages)
    rate = np.minimum(0.006 * np.exp(-2.5 * ages) + 2e-5 * np.exp(0.1 * ages), 0.25)
    wave = 1 + 0.1 * np.cos((ages - 27) / 7.5)
    if base is None:
        base = np.array([[0.512], [0.488]]) * 700e3 * np.exp(-np.cumsum(rate)) * wave
        base[:, -1] *= 4.0
    births = np.array([[0.512], [0.488]]) * np.linspace(700e3, 680e3, n_years)
    deaths = np.zeros((2, n_ages, n_years))
    stock = base
    for t in range(n_years):
        aged = carry(stock, 1)
        aged[:, 0] += births[:, t]
        deaths[:, :, t] = rate * aged
        stock = aged - deaths[:, :, t]
    return base, births, deaths


def _survey(flow: str, calendar: np.ndarray) -> SurveyFlow:
    """A survey flow with the design of a passenger survey: variance 3.6 or 2 times simple."""
    share = np.array([[0.06, 0.23, 0.22], [0.06, 0.24, 0.19]])
    level, weight, effect = (240e3, 180.0, 3.6) if flow == IMMIGRATION else (210e3, 290.0, 2.0)
    trend = level * (1 + 0.03 * (calendar - calendar.mean()))
    estimate = trend[:, None, None] * share

    def cells(values: np.ndarray) -> xr.DataArray:
        return _array(values, YEAR, SEX, AGE_GROUP, year=calendar, age_group=list(GROUPS))

    return SurveyFlow(
        flow=flow,
        estimate=cells(estimate),
        standard_error=cells(np.sqrt(effect * weight * estimate)),
        contacts=cells(estimate / weight),
        lower_ages=_array(np.array([GROUPS_FROM, GROUPS_FROM]), SEX, AGE_GROUP,
                          age_group=list(GROUPS)),
        definition="invented survey",
        vintage="invented",
        reference="imps.simulation.reference",
        eras=(Era(int(calendar[1]), int(calendar[2]), "invented: two years of fewer ports"),)
        if flow == IMMIGRATION else (),
    )  # fmt: skip


def _parts(calendar: np.ndarray) -> tuple[tuple[AdministrativeFlow, ...], KnownSum]:
    """Published parts of immigration, and expected parts of emigration within a known sum."""
    inward = {
        asylum_seekers: 40e3, irish_flows: 15e3, visitor_switchers: 26e3, migrant_switchers: 14e3
    }  # fmt: skip
    known = KnownSum(EMIGRATION, _series(25e3, calendar), **SAID)
    shares = ((irish_flows, 0.6), (visitor_switchers, 0.8), (migrant_switchers, -0.4))
    published = (make(IMMIGRATION, _series(n, calendar), **SAID) for make, n in inward.items())
    return (*published, *expected_parts(known, shares, **SAID)), known


def _born_before(base: np.ndarray) -> BornBefore:
    """Births behind the ten youngest ages of the base, of whom half a per cent have died."""
    born = 1.005 * base.sum(axis=0)[:10]
    return BornBefore(_array(born, AGE), _array(0.005 * born, AGE), **SAID)


def _independent(census: np.ndarray, year: int, survey: SurveyFlow) -> tuple[object, ...]:
    """A register of ages 8 to 13 and a mirror series that counts two fifths of emigrants."""
    ages = np.arange(8, 14)
    pupils = _array(census[:, ages], SEX, AGE, age=ages)
    mirrored = 0.4 * survey.estimate.sum((SEX, AGE_GROUP))
    return (
        Register(
            "school_census", year, pupils, 0.01 * pupils,
            coverage_mean=0.005, coverage_sd=0.01, coverage_age_sd=0.005, **SAID,
        ),
        MirrorSeries(
            "mirror", EMIGRATION, mirrored, 0 * mirrored + 4e3,
            coverage_mean=0.4, coverage_sd=0.05, **SAID,
        ),
    )  # fmt: skip


def _carried_forward(
    base: np.ndarray, births: np.ndarray, deaths: np.ndarray, net: np.ndarray
) -> np.ndarray:
    """Reference census: the base rolled forward with migrants by the generic schedule."""
    stock, shape = base, migration_schedule(base.shape[1], IMMIGRATION)
    for t in range(net.size):
        stock = carry(stock, 1)
        stock[:, 0] += births[:, t]
        stock = stock - deaths[:, :, t] + net[t] * shape
    return stock


__all__ = ["reference_account", "reference_chain"]
