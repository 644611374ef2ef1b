"""Detail as published: age groups, persons, totals. Accounts that close have nothing to explain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import imps
from imps.demography.accounting import carry
from imps.demography.schedules import migration_schedule, over_single_ages, within_cells
from imps.errors import InputError, LabelError, SourceError
from imps.report.svg import gap_by_age, migration_error_by_age
from imps.sources.definitions import Detail

OPEN, YEARS, FIRST = 85, 7, 2001
AGES = np.arange(OPEN + 1)
RATE = np.minimum(0.004 * np.exp(-2.5 * AGES) + 3e-5 * np.exp(0.1 * AGES), 0.3)
SEXES = ("male", "female")
WHERE = {"geography": "Closedland"}
OPTIONS = {
    "population": {"unit": "persons"},
    "births": {"period": "mid-year"},
    "deaths": {"period": "mid-year", "age_counted": "at-year-end"},
    "streams": {"period": "mid-year", "unit": "persons"},
}
STREAM = {"quality": "complete count", "ages": "at-year-end", "level": {"sd": 0.02}}


def label(age, width):
    low = min(age // width * width, OPEN)
    return f"{low}+" if low == OPEN else f"{low}-{low + width - 1}" if width > 1 else f"{low}"


@pytest.fixture(scope="module")
def country():
    """Tables by sex and single age of a country whose figures close to the person.

    Its births jumped twice, so that single ages are unlike their five-year groups.
    """
    wave = 1 + 0.12 * np.sin(AGES / 4) + 0.15 * (AGES > 43) - 0.1 * (AGES > 67)
    alive = np.exp(-np.cumsum(RATE)) * wave
    people = np.round(np.stack([alive * 1.02, alive]) * 9000)
    stocks, births, deaths, flows = [("first", FIRST, people)], [], [], []
    for year in range(FIRST + 1, FIRST + YEARS + 1):
        aged = carry(people, 1)
        aged[:, 0] = born = np.array([8100.0, 7900.0])
        died = np.round(aged * RATE)
        moved = {f: np.round(level * migration_schedule(OPEN + 1, f))
                 for f, level in (("immigration", 9000), ("emigration", 7000))}  # fmt: skip
        people = aged - died + moved["immigration"] - moved["emigration"]
        births += [(year, sex, n) for sex, n in zip(SEXES, born, strict=True)]
        deaths += cells(died, year)
        for flow, x in moved.items():
            flows += [("cards", flow, *row) for row in cells(x, year)]
    stocks.append(("last", FIRST + YEARS, people))
    counted = [(vintage, *row) for vintage, year, x in stocks for row in cells(x, year)]
    columns = ["vintage", "year", "sex", "age", "population"]
    return {
        "population": pd.DataFrame(counted, columns=columns),
        "births": pd.DataFrame(births, columns=["year", "sex", "births"]),
        "deaths": pd.DataFrame(deaths, columns=["year", "sex", "age", "deaths"]),
        "streams": pd.DataFrame(flows, columns=["source", "flow", "year", "sex", "age", "count"]),
    }  # fmt: skip


def cells(values, year):
    return [(year, s, a, values[i, a]) for i, s in enumerate(SEXES) for a in AGES]


def published(frame, value, width=5, by_sex=True):
    """A table by single age in the detail of a publication; width 0 is all ages together."""
    own = frame.assign(order=0 if width == 0 else np.minimum(frame["age"] // width * width, OPEN))
    own["age"] = "all ages" if width == 0 else [label(a, width) for a in frame["age"]]
    own["sex"] = own["sex"] if by_sex else "persons"
    keys = [c for c in own.columns if c not in (value, "order")]
    return own.groupby([*keys, "order"], as_index=False)[value].sum().drop(columns="order")


def account(country, **detail):
    """Sources of the country with each table in the detail of (width, by sex)."""
    figures = {"population": "population", "deaths": "deaths", "streams": "count"}
    read = []
    for kind, frame in country.items():
        width, by_sex = detail.get(kind, (1, True))
        if kind in figures:
            frame = published(frame, figures[kind], width, by_sex)
        frame = frame.rename(columns={"age": "age_group"} if kind == "streams" else {})
        read.append(imps.read_table(frame, kind, **OPTIONS[kind], **WHERE))
    return imps.sources_from_tables(
        *read, streams={"streams (data frame)": STREAM}, first_mid_year=FIRST,
        last_mid_year=FIRST + YEARS, base_quality="register", census_quality="register", **WHERE,
    )  # fmt: skip


def found(sources):
    """Posterior mean and sd of every source of the gap at the medians of the scales."""
    model = imps.linear_model(sources, imps.default_priors())
    size = model.scale_factors(np.zeros(len(model.scale_names)))
    design = model.design * size
    weight = design @ design.T + np.diag(model.standard_error**2)
    out = {}
    for part in model.contributions:
        quantity = part.value.sum()
        effect = model.matrix(quantity) * size
        cross = design @ effect
        solved = np.linalg.solve(weight, cross)
        mean = quantity.constant + solved @ (model.observed - model.offset)
        out[part.source] = float(mean), float(np.sqrt(max(effect @ effect - cross @ solved, 0.0)))
    return model, out


FIVE = (5, True)
CLOSING = {
    "five-year everything": {"population": FIVE, "deaths": FIVE, "streams": FIVE},
    "persons by age": {"population": (1, False), "streams": FIVE},
    "five-year persons": dict.fromkeys(("population", "deaths", "streams"), (5, False)),
    "deaths in total": {"deaths": (0, False), "streams": (0, False)},
}


@pytest.mark.parametrize("case", CLOSING)
def test_an_account_that_closes_has_nothing_to_explain_in_any_detail(case, country):
    sources = account(country, **CLOSING[case])
    model, sizes = found(sources)
    assert sources.gap == pytest.approx(0, abs=1e-6)
    assert all(abs(mean) <= 0.6 * sd + 1e-6 for mean, sd in sizes.values()), sizes
    rows = model.row_sources.count("census")
    width, by_sex = CLOSING[case].get("population", (1, True))
    assert rows == (1 + by_sex) * (18 if width == 5 else OPEN + 1)
    assert ("base_layout" in model.priors) == (width == 5)
    assert ("deaths_layout" in model.priors) == ("deaths" in CLOSING[case])


def test_the_layout_of_a_base_moves_no_published_figure_and_has_its_spread(country):
    sources = account(country, population=FIVE, deaths=FIVE)
    built = imps.linear_model(sources, imps.default_priors()).account
    cells = sources.base.cells.counting(OPEN + 1)
    layout = built.base_error.effects["base_layout"]
    published = sources.base.count.values
    assert abs(np.einsum("csa,sak->ck", cells, layout)).max() < 1e-6 * published.max()
    spread = np.sqrt((layout**2).sum() / (published[:, :-1] ** 2).sum())
    assert spread == pytest.approx(0.04)
    died = built.deaths_error.effects["deaths_layout"]
    assert abs(died.sum(axis=(0, 1))).max() < 1e-8 * sources.deaths.count.values.sum()
    truth = country["population"].query("year == 2001")["population"].to_numpy().reshape(2, -1)
    lacks = (published - truth)[:, :-1] / truth[:, :-1]
    assert 0.005 < np.sqrt((lacks**2).mean()) < 0.08


def test_single_ages_of_groups_keep_every_sum_and_are_never_negative():
    counts = np.array([[10.0, 50.0, 0.0, 3.0, 7.0]])
    single = over_single_ages(counts, (0, 1, 5, 15, 85))
    assert single.shape == (1, 86) and (single >= 0).all() and single[0, -1] == 7
    assert single[0, 1:5].sum() == pytest.approx(50) and single[0, 5:15].sum() == 0
    rule = Detail(False, (0, 2)).counting(3)
    laid = within_cells(np.array([6.0, 2.0]), rule, np.ones((2, 3)))
    np.testing.assert_allclose(laid, [[1.5, 1.5, 1.0], [1.5, 1.5, 1.0]])


def test_nothing_shown_is_finer_than_what_was_published(country, tmp_path):
    sources = account(country, **CLOSING["five-year persons"])
    fit = imps.fit(imps.linear_model(sources, imps.default_priors()), seed=1, draws=50, chains=2)
    attribution, reconciliation = imps.attribute(fit), imps.reconcile(fit)
    groups = {0, *range(5, 86, 5)}
    assert set(attribution.summary(by=("source", "age"))["age"]) == groups
    with pytest.raises(LabelError, match="persons only"):
        attribution.summary(by=("source", "sex"))
    for frame in (gap_by_age(attribution), migration_error_by_age(fit, reconciliation)):
        assert set(frame["sex"]) == {"persons"} and set(frame["age"]) == groups
    total = attribution.summary(by=("source", "age")).groupby("source")["mean"].sum()
    np.testing.assert_allclose(
        total, attribution.totals().mean(("chain", "draw")).to_series()[total.index], atol=1e-6
    )
    cells = imps.migration_error(fit).cells
    assert set(cells["first_age"]) == groups and cells["last_age"].max() == OPEN
    census = imps.residuals(fit).cells.query("panel == 'census'")
    assert len(census) == 18
    fit.save(tmp_path / "fit.nc")
    again = imps.load_fit(tmp_path / "fit.nc").model.sources
    assert again.deaths.cells == sources.deaths.cells and again.base.cells == sources.base.cells
    tables = imps.tables.run.run_tables(fit, attribution, reconciliation, imps.check(fit))
    assert "attribution_by_sex" not in tables
    assert set(tables["closure_by_sex_and_age"].to_frame()["sex"]) == {"both"}
    assert "by age in 18 groups (0-4, 5-9, ... 85+)" in str(sources.table()["detail"].tolist())


def test_groups_that_are_none_of_the_account_are_refused(country):
    stock = account(country, population=FIVE).base
    with pytest.raises(SourceError, match="open age group 85"):
        imps.Stock(stock.count, "sex and age", stock.date, 0.0, "v", "r", "base",
                   lower_ages=(0, 5, 80))  # fmt: skip
    frame = published(country["population"], "population", 5)
    persons = published(country["population"], "population", 5, by_sex=False)
    half = pd.concat([persons[persons["age"] == "0-4"], frame[frame["age"] != "0-4"]])
    with pytest.raises(InputError, match="SEX_NEEDED"):
        imps.read_table(half, "population", **OPTIONS["population"])
