"""A country of few people whose account closes, and survey errors that follow their estimates."""

from __future__ import annotations

import sys
from pathlib import Path

import imps
from imps.project.assemble import inspect_sources
from imps.project.sections import Account

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from bench_closes import account, country, declared, read


def test_cells_low_by_chance_make_no_sampling_error() -> None:
    seed = 2
    sources = declared(5, country(0.02, 5, 0.3, 5, seed), ages=False)
    fit = imps.fit(imps.linear_model(sources, imps.default_priors()), seed=seed, draws=500)
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
