"""A country of few people whose account closes, and survey errors that follow their estimates."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import imps
from imps.account.parts import flows_as_laid_out
from imps.demography.accounting import along_cohorts
from imps.names import FLOW_SIGN
from imps.project.ages_of_flows import roughness, with_ages_as_stocks_show
from imps.project.assemble import inspect_sources
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.sources.definitions import AT_END, AT_MOVE

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from bench_closes import account, country, declared, read


def test_cells_low_by_chance_make_no_sampling_error() -> None:
    seed = 2
    sources = declared(5, country(0.02, 5, 0.3, 5, seed), ages=False)
    model = imps.linear_model(sources, imps.default_priors())
    fit = imps.fit(model, seed=seed, draws=1_000, chains=2)
    table = imps.attribute(fit).summary(prob=0.90).set_index("source")
    table = table[table["sd"] > 1.0]
    off = (table["mean"] / table["sd"])[["immigration_sampling", "emigration_sampling"]]
    assert off.abs().max() < 0.8  # 1.6 to 2.3 with the errors as stated
    assert ((table["lower90"] <= 0) & (table["upper90"] >= 0)).all()


def test_errors_are_told_to_be_at_the_expected_figures() -> None:
    tables = read(country(0.02, 5, 0.3, 5, 1), ages=True)
    sources, log = inspect_sources(tables, Account(**account(5)), {})
    told = [f for f in log.findings if f.code == "ERRORS_AT_EXPECTED"]
    assert sources is not None and len(told) == 2
    assert "cells which are low by chance" in str(told[0]) and not log.faults
    cells, used = sources.immigration.estimate.values, sources.immigration.standard_error.values
    large = cells.mean(axis=0) > 10
    over_years = (used**2 / (used**2).mean(axis=0)).std(axis=0)
    of_figures = (cells / cells.mean(axis=0)).std(axis=0)
    assert (
        over_years[large].mean() < 0.5 * of_figures[large].mean()
    )  # Poisson: the two are alike as stated


@pytest.mark.parametrize(
    ("variation", "error", "stated", "expected"),
    [
        (0.3, 0.0, None, AT_END),
        (0.3, 0.0, "at-death", AT_MOVE),
        (0.3, 0.002, None, AT_END),
        (0.05, 0.01, None, AT_MOVE),
    ],
)
def test_ages_that_nothing_states_are_those_that_the_stocks_show(
    variation: float, error: float, stated: str | None, expected: str
) -> None:
    """Flows that jump tell, beside stocks that err little; what is declared stands."""
    tables = country(0.5, 5, variation, 1, 1)
    people, rng = tables["population"], np.random.default_rng(2)
    factor = np.exp(rng.normal(0, error, len(people)))
    tables["population"] = people.assign(population=(people["population"] * factor).round())
    joined = read(tables, ages=False, stated=stated)
    sources, log = inspect_sources(joined, Account(**account(5)), {})
    assert sources is not None
    assert {flow.ages for flow in sources.survey_flows.values()} == {expected}
    told = [str(f) for f in log.findings if f.code == "AGES_OF_FLOWS"]
    assert len(told) == (expected == AT_END)
    assert all("age_counted" in text for text in told)


@pytest.mark.parametrize("error", [0.0, 0.0033])
@pytest.mark.parametrize(("width", "variation"), [(1, 0.0), (1, 0.3), (5, 0.3)])
def test_ages_at_the_move_stay_where_the_stocks_show_them(
    width: int, variation: float, error: float
) -> None:
    """The last stock is what the same flows leave when their ages are those at the move."""
    tables = country(0.5, 5, variation, width, 1)
    at_end = declared(5, tables, ages=True)
    move = {n: replace(f, ages=AT_MOVE) for n, f in at_end.survey_flows.items()}
    at_move = replace(at_end, **move)
    laid, other = flows_as_laid_out(at_move), flows_as_laid_out(at_end)
    net = sum(sign * along_cohorts(laid[name] - other[name]) for name, sign in FLOW_SIGN.items())
    factor = np.exp(np.random.default_rng(1).normal(0, error, net.shape))
    count = ((at_end.census.count + net) * factor).round()
    true_at_move, wrong = (
        replace(x, census=replace(x.census, count=count)) for x in (at_move, at_end)
    )
    assert roughness(true_at_move) < 1.1 * roughness(wrong)
    table = next(t for t in read(tables, ages=False) if t.kind == "survey_flows")
    assert with_ages_as_stocks_show(true_at_move, table, Collector()) is true_at_move


def spread_evenly(stocks: pd.DataFrame) -> pd.DataFrame:
    """The same people, of groups of five years a fifth at each age."""
    single = stocks["age"] != "90+"
    low = stocks["age"].where(single, "90").astype(int) // 5
    by = [stocks["vintage"], stocks["sex"], low]
    return stocks.assign(
        population=stocks.groupby(by)["population"]
        .transform("mean")
        .where(single, stocks["population"])
        .round()
    )


def test_groups_of_five_spread_evenly_are_compared_as_groups() -> None:
    tables = country(0.2, 2, 0.1, 5, 1)
    tables["population"] = spread_evenly(tables["population"])
    fives, *others = read(tables, ages=True)
    told = [f for f in fives.log.findings if f.code == "AGES_SPREAD_EVENLY"]
    assert len(told) == 1 and "base 2001, census 2003" in str(told[0])
    sources = imps.sources_from_tables(fives, *others, **account(2))
    assert sources.base.lower_ages == sources.census.lower_ages == tuple(range(0, 95, 5))
    fit = imps.fit(imps.linear_model(sources, imps.default_priors()), seed=1, draws=500)
    table = imps.attribute(fit).summary(prob=0.90)
    table = table[table["sd"] > 1.0]
    assert fit.method == "exact" and imps.check(fit).verdict.level != "do not use"
    assert ((table["lower90"] <= 0) & (table["upper90"] >= 0)).all()
    assert "AGES_SPREAD_EVENLY" not in read(country(0.2, 2, 0.1, 5, 1), ages=True)[0].log.codes


def test_a_scale_that_runs_away_is_named_and_not_sampled_again() -> None:
    sources = declared(2, country(60, 2, 0.1, 5, 1), ages=True)
    fives = sources.census.count.groupby(sources.census.count["age"] // 5).map(
        lambda own: own.mean("age").broadcast_like(own)
    )
    census = replace(sources.census, count=fives.transpose("sex", "age"))
    said: list[str] = []
    fit = imps.fit(imps.linear_model(replace(sources, census=census), imps.default_priors()),
                   seed=1, draws=100, chains=2, say=said.append)  # fmt: skip
    verdict = imps.check(fit).verdict
    assert fit.method == "exact" and any("has run away" in line for line in said), said
    assert verdict.level == "do not use" and "age: the scale is +" in str(verdict)
