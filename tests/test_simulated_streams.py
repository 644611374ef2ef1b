"""Truths drawn from the priors of every kind of account: streams, registers, persons, totals."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import imps
from imps.account import parts as account_parts
from imps.calibration.calibration import LEAST_ESS, calibrate
from imps.calibration.scores import FAMILY_LEVEL, score_test, simulator_of
from imps.project.template import template_of
from imps.simulation.reference import reference_account, reference_chain
from imps.sources import REGISTER
from imps.sources.streams import AT_MOVE

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import faults

CLOSES = 1e-5  # persons, summing millions of them year by year
SAID = {"vintage": "invented", "reference": "invented"}
GROUPS = ["0-4", "5-14", "15-24", "25-29", "30+"]
SYSTEM = imps.Shared("one system", -0.6)
KINDS = ("register", "cards", "area")


def cells(total, years, *, by_sex=True, groups=GROUPS):
    """The same flow in every year, laid out unevenly over the cells."""
    shape = (len(years), *((2,) if by_sex else ()), *((len(groups),) if groups else ()))
    share = 1.0 + np.arange(np.prod(shape[1:])).reshape(shape[1:])
    coords = {"year": years, "sex": ["male", "female"], "age_group": groups}
    dims = ("year", *(("sex",) if by_sex else ()), *(("age_group",) if groups else ()))
    values = np.broadcast_to(total * share / share.sum(), shape)
    return xr.DataArray(values.copy(), dims=dims, coords={d: coords[d] for d in dims})


def streams_of_every_quality(years):
    """Complete counts of one system, a sample of totals, an exact one and a balance near zero."""
    sample = cells(30e3, years, by_sex=False, groups=None)
    balance = cells(1e3, years, groups=None) * xr.DataArray(
        np.where(np.arange(len(years)) % 2, -2.0, 2.0), dims="year", coords={"year": years}
    )
    wrong = imps.Misclassified("returning", 0.05, 0.1, 18, 30)
    return (
        imps.Stream("cards_in", "immigration", cells(40e3, years), "complete count",
                    errors={"level": (0.1, 0.05), "sex": (0, 0.03), "children": (0, 0.1),
                            "young": (0, 0.1), "drift": (0, 0.05), "layout": (0, 0.4)},
                    ages=AT_MOVE, shared=SYSTEM, misclassified=(wrong,), **SAID),
        imps.Stream("cards_out", "emigration", cells(35e3, years, by_sex=False), "complete count",
                    errors={"level": (0.0, 0.05)}, shared=SYSTEM, **SAID),
        imps.Stream("sample_out", "emigration", sample, "survey", errors={"level": (0.0, 0.03)},
                    standard_error=0 * sample + 3e3, **SAID),
        imps.Stream("corrections", "net", balance, "complete count",
                    errors={"level": (0.1, 0.5)}, **SAID),
        imps.Stream("troops", "immigration", cells(5e3, years, groups=None), "complete count",
                    errors={"level": (0.0, 0.2), "drift": (0.0, 0.2)}, role="known", **SAID),
        imps.Stream("refugees", "immigration", cells(20e3, years), "exact", ages=AT_MOVE, **SAID),
    )  # fmt: skip


def evidence_on(sources):
    """Further counts: turnover of the system, a balance of two, a share of the survey."""
    years, first = sources.years, sources.years[:2]
    both = cells(75e3, years, by_sex=False, groups=None)
    net, inward = cells(10e3, first, groups=None), cells(60e3, first, by_sex=False)
    return (
        imps.Evidence("turnover", ("cards_in", "cards_out"), both, 0 * both + 2e3,
                      coverage_sd=0.03, turnover=True, shared=SYSTEM, **SAID),
        imps.Evidence("balance", ("cards_in", "sample_out"), net, 0 * net + 2e3, **SAID),
        imps.Evidence("abroad", ("immigration",), inward, 0 * inward + 3e3,
                      coverage_mean=0.5, coverage_sd=0.1, ages=AT_MOVE, **SAID),
    )  # fmt: skip


def with_streams(sources=None):
    sources = sources or reference_account()
    carried = replace(sources, streams=streams_of_every_quality(sources.years))
    return carried.add(*evidence_on(carried))


def registers(observed="sex and age"):
    """Both stocks from a register, and no survey: streams alone measure migration."""
    whole = with_streams()
    stocks = {
        end: replace(
            getattr(whole, end), observed=observed, quality=REGISTER, relative_standard_error=0.0
        )
        for end in ("base", "census")
    }
    kept = tuple(own for own in whole.extra if getattr(own, "name", "") in ("turnover", "balance"))
    nothing = {"immigration": None, "emigration": None, "total_migration": None}
    return replace(whole, administrative=(), known_sums=(), extra=kept, **nothing, **stocks)


def survey_with_holes():
    """A survey for persons in one direction; cells that were not published in both."""
    sources, changed = reference_account(), {}
    for name, survey in sources.survey_flows.items():
        missing = xr.zeros_like(survey.estimate, dtype=bool)
        missing[1, 0, 2] = missing[2, :, 1] = True
        changed[name] = replace(survey, unobserved=missing, by_sex=name == "immigration")
    return replace(sources, **changed)


def by_years_of_the_account(survey):
    """Totals of a survey for the years of the account; none had fewer ports."""
    whole = ("estimate", "standard_error", "contacts")
    cut = {what: getattr(survey, what)[1:] for what in whole}
    return replace(survey, observed="total", basis="mid-year", eras=(), **cut)


def totals_alone():
    """Totals of stocks and survey, years that end in December, a census in October."""
    sources = reference_account()
    base = replace(sources.base, observed="total", date=dt.date(1991, 12, 31))
    census = replace(sources.census, observed="total", date=dt.date(1995, 10, 1))
    flows = {n: by_years_of_the_account(s) for n, s in sources.survey_flows.items()}
    sums = [s.estimate.sum(("sex", "age_group")) for s in flows.values()]
    carried = xr.concat(sums, dim=xr.DataArray(list(flows), dims="flow", name="flow"))
    return replace(sources, year_ends="12-31", base=base, census=census, total_migration=carried,
                   extra=(), administrative=(), known_sums=(), **flows)  # fmt: skip


ACCOUNTS = {
    "streams beside a survey": with_streams,
    "registers": registers,
    "totals of registers": partial(registers, "total"),
    "a survey with holes": survey_with_holes,
    "totals, years to December": totals_alone,
    "an open end": lambda: imps.open_end(with_streams()),
}


def model_of(sources):
    priors = imps.default_priors(*(["cross_border"] if sources.known_changes else []))
    return imps.linear_model(sources, priors, faults.RESOLUTION)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_truths_of_every_account_close_and_scores_have_mean_zero(account):
    model = model_of(ACCOUNTS[account]())
    simulated = simulator_of(model)(model.priors, seed=1)
    assert set(model.reported) <= set(simulated.truth)
    if not model.sources.open_end:
        parts = [v for k, v in simulated.truth.items() if k.startswith("gap[")]
        assert sum(parts) == pytest.approx(model.sources.gap, abs=CLOSES)
    table = score_test(model, replicates=150, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    assert set(model.row_sources) <= set(table["of"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_fictitious_account_is_calibrated(kind):
    project = imps.load_project(template_of(kind))
    model = imps.linear_model(project.sources, project.priors)
    table = score_test(model, replicates=60, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    found = calibrate(model, replicates=1, seed=1)
    assert found.runs["ess"].min() >= LEAST_ESS
    assert {f"gap[{stream.name}]" for stream in project.sources.streams} <= set(found.ranks)


def test_where_nothing_is_observed_truths_are_ranked_among_the_prior():
    project = imps.load_project(template_of("register"))
    model = imps.linear_model(imps.open_end(project.sources), project.priors)
    assert model.observed.size == 0
    found = calibrate(model, replicates=30, seed=1)
    assert found.passed and "gap[register_arrivals]" in found.ranks


def test_a_chain_of_streams_closes_and_what_a_system_misses_persists():
    priors = imps.default_priors("bias_between_periods", "cross_border")
    priors = priors.replace(bias_between_periods={"mean": 0.8})
    chain = imps.chain([with_streams(own) for own in reference_chain(n_years=3)], priors)
    table = score_test(chain, replicates=60, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    both = np.array([chain.matrix(chain.reported[f"{n}: gap[cards_out]"]) for n in chain.names])
    covariance = both @ both.T
    sds = np.sqrt(np.diag(covariance))
    assert covariance[0, 1] / (sds[0] * sds[1]) == pytest.approx(0.8)


# What is wrong in the model is found


def half_the_sampling_error(monkeypatch):
    right = account_parts._sampled
    monkeypatch.setattr(account_parts, "_sampled", lambda *told: 0.5 * right(*told))


def ages_at_the_move_taken_for_those_reached(monkeypatch):
    monkeypatch.setattr(account_parts, "AT_MOVE", "never")


def mean_of_the_level_forgotten(monkeypatch):
    right = account_parts._rows_of_error

    def wrong(latents, stream, size):
        error = right(latents, stream, size)
        return error - error.constant

    monkeypatch.setattr(account_parts, "_rows_of_error", wrong)


def system_that_errs_alike_in_both_directions(monkeypatch):
    monkeypatch.setattr(imps.Shared, "loading", lambda own, flow: abs(own.correlation) ** 0.5)


def each_counted_again():
    """Registers, and another count of single streams that errs by 500 persons a year."""
    counts = {s.name: s.count for s in registers().streams}
    again = {n: counts[n].sum(counts[n].dims[1:]) for n in ("cards_in", "cards_out", "sample_out")}
    again["refugees"] = counts["refugees"]
    return registers().add(
        *(imps.Evidence(f"again_{n}", (n,), x, 0 * x + 500.0, **SAID) for n, x in again.items())
    )


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        (half_the_sampling_error, "again_sample_out"),
        (ages_at_the_move_taken_for_those_reached, "block deaths_misplaced"),  # a cohort too late
        (mean_of_the_level_forgotten, "block cards_in_level"),
        (system_that_errs_alike_in_both_directions, "block cards_out_level"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_scores_find_a_wrong_stream(fault, where, monkeypatch):
    fault(monkeypatch)
    model = model_of(each_counted_again())
    table = score_test(model, replicates=60, seed=2)
    found = table.loc[table["of"] == where, "p_family"].min()
    assert found < FAMILY_LEVEL, table.nsmallest(5, "p_value")


def test_ranks_find_evidence_left_out():
    """All parameters have uniform ranks without it; its own log-likelihood gives it away."""
    project = imps.load_project(template_of("register"))
    arrivals = project.sources.streams[1].count.sum(("sex", "age_group"))
    mirror = imps.Evidence("mirror", ("register_arrivals",), arrivals, 0 * arrivals + 20.0, **SAID)
    whole, without = (
        imps.linear_model(sources, project.priors)
        for sources in (project.sources.add(mirror), project.sources)
    )
    rows = np.array(whole.row_sources) != "mirror"
    blind = replace(whole, standard_error=np.where(rows, whole.standard_error, 1e9))
    assert without.observed.size == rows.sum()
    found = calibrate(whole, fitted=blind, replicates=8, seed=2)
    table = found.table().set_index("quantity")
    assert not table.loc["log_likelihood[mirror]", "inside"]
