"""Children, the carried layout, stated errors of stocks, the layout within groups."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import imps
import imps.shipped
from imps.account.gap import rolled_forward_components
from imps.account.latents import Latents
from imps.account.parts import known_changes
from imps.account.stocks import registered_births, registered_deaths, stated_errors
from imps.demography.accounting import along_cohorts, carry
from imps.demography.schedules import (
    child_hats,
    group_matrix,
    migration_schedule,
    smooth_shapes,
    within_groups,
)
from imps.errors import InputError, LabelError, SourceError
from imps.names import AGE, FLOW_SIGN, SEX
from imps.sources import BornBefore

CASES = {"england-wales-2001-2011": 50.0, "england-wales-2011-2021": 1e-6}
"""Persons by which a cell of the published roll-forward may differ: its rounding."""


@pytest.fixture(scope="module", params=CASES)
def case(request):
    sources = imps.load_case(request.param).sources
    return imps.linear_model(sources, imps.default_priors()), CASES[request.param]


def test_the_roll_forward_is_the_official_one_wherever_it_was_published(case):
    model, rounding = case
    account, sources = model.account, model.sources
    schedule = migration_schedule(sources.ages.size, "emigration")[:, :, None]
    change = registered_births(sources) - registered_deaths(sources) + known_changes(sources)
    change = change + schedule * sources.flows_revised_since.values + sum(account.parts.values())
    for name, flow in account.flows.items():
        change = change + FLOW_SIGN[name] * flow.published
    cells = sources.rolled_forward.by_sex_and_age
    for year in cells["year"].values:
        n = int(year) - sources.base.date.year
        ours = carry(sources.base.count.values, n) + along_cohorts(change[:, :, :n])
        official = cells.sel(year=year).transpose(SEX, AGE).values
        assert np.abs(ours - official).max() <= rounding
    assert np.abs(account.layout.sum(axis=(0, 1))).max() < 1e-6  # no total moves
    whole = sum(rolled_forward_components(account).values()).sum()
    assert whole == pytest.approx(float(sources.rolled_forward.total[-1]), abs=1e-3)


def test_ages_and_sexes_of_the_flows_sum_to_zero_and_not_at_every_age(case):
    part = next(c for c in case[0].contributions if c.source == "ages_and_sexes_of_flows").value
    total = part.sum()
    assert abs(total.constant) < 1e-3
    assert max(np.abs(effect).max() for effect in total.effects.values()) < 1e-6
    assert np.abs(part.constant).max() > 1000


@pytest.mark.parametrize("stated", [1e-5, 0.000765, 0.005])
def test_the_stated_error_is_that_of_the_likelihood(case, stated):
    sources = case[0].sources
    census = replace(sources.census, relative_standard_error=stated)
    cells, shared = stated_errors(Latents(imps.default_priors()), census)
    total = np.sqrt((cells**2).sum() + (shared * census.total) ** 2)
    assert total == pytest.approx(stated * census.total)


def test_the_prior_of_census_sampling_is_the_stated_error_and_that_of_its_rows(case):
    model = case[0]
    census = model.sources.census
    part = next(c for c in model.contributions if c.source == "census_sampling")
    rows = np.array(model.row_sources) == "census"
    shared = model.account.census_sampling.sum()
    expected = np.hypot(np.sqrt((model.standard_error[rows] ** 2).sum()), total_sd(shared))
    stated = census.relative_standard_error * census.total
    assert model.prior_moments(part.prior.sum())[1] == pytest.approx(stated)
    assert expected == pytest.approx(stated)
    assert part.prior.effects["census_ages_misstated"].any()


def test_the_random_error_of_the_base_is_the_stated_one(case):
    base = case[0].sources.base
    error = case[0].account.base_error.sum()
    random = ("base_sampling", "base_ages_misstated", "base_cells")
    sd = np.sqrt(sum((error.effects[block] ** 2).sum() for block in random))
    assert sd == pytest.approx(base.relative_standard_error * base.total)


def test_single_ages_of_the_young_err_alike_for_boys_and_girls():
    model = imps.linear_model(
        imps.load_case("england-wales-2011-2021").sources, imps.default_priors()
    )
    share = model.account.priors["stock_single_age_error"].mean
    sources = model.account.sources
    stocks = {"base": (sources.base, model.account.base_error)}
    stocks["census"] = (sources.census, model.account.census_undercount)
    for name, (stock, error) in stocks.items():
        effect = error.effects[f"{name}_single_ages"]
        size = np.sqrt((effect**2).sum(axis=-1))
        np.testing.assert_allclose(size[:, :20], share * stock.count.values[:, :20])
        assert not size[:, 20:].any()
        both = (effect[0] * effect[1]).sum(axis=-1)[:20]
        np.testing.assert_allclose(both, size[0, :20] * size[1, :20])  # correlation of one
    totals = imps.linear_model(imps.load_case("uk-1991-2001").sources, imps.default_priors())
    assert not any("single_ages" in name for name in totals.sizes)  # no ages were published


def test_births_before_the_base_have_the_error_that_is_stated():
    shipped = imps.load_case("england-wales-2011-2021").sources
    (own,) = (source for source in shipped.extra if isinstance(source, BornBefore))
    np.testing.assert_allclose(own.error_of_births / own.born, 0.0005, atol=2e-6)
    halved = replace(own, standard_error=None)
    np.testing.assert_allclose(halved.error_of_births, 0.0045 * own.born)
    with pytest.raises(LabelError, match="need the same ages"):
        replace(own, standard_error=own.standard_error.isel(age=slice(5)))
    nothing = replace(own, standard_error=0 * own.standard_error)
    extra = tuple(nothing if source is own else source for source in shipped.extra)
    with pytest.raises(SourceError, match="10 rows have a standard error that is not positive"):
        imps.linear_model(replace(shipped, extra=extra), imps.default_priors())


def test_people_between_neighbouring_cells_leave_every_total(case):
    account = case[0].account
    for error in (account.base_error, account.census_sampling, account.deaths_misplaced):
        for block in ("base_ages_misstated", "census_ages_misstated", "deaths_misplaced"):
            if block in error.effects:
                by_sex = error.effects[block].sum(axis=1)
                assert np.abs(by_sex).max() < 1e-9
                assert np.abs(error.effects[block]).max() > 100


def test_a_gap_in_births_before_the_base_and_missing_deaths_are_refused(tmp_path):
    folder = shutil.copytree(imps.shipped._place("england-wales-2011-2021"), tmp_path / "case")
    table = folder / "born_before.csv"
    rows = pd.read_csv(table)
    rows[rows["year"] != 2005].to_csv(table, index=False)
    with pytest.raises(InputError, match="expected are the years to mid-2011 backwards"):
        imps.load_case(folder)
    rows.drop(columns="deaths").to_csv(table, index=False)
    with pytest.raises(InputError, match="had died by then"):
        imps.load_case(folder)


def total_sd(quantity):
    return np.sqrt(sum((effect**2).sum() for effect in quantity.effects.values()))


def test_the_layout_within_groups_moves_no_published_figure():
    lower = np.arange(0, 70, 5)[None].repeat(2, 0).astype(float)
    groups, shape = group_matrix(lower, 91), migration_schedule(91, "immigration")
    laid = within_groups(groups[0], shape[0], smooth_shapes(91, 45, young=2.0, old=4.0))
    assert np.abs(groups[0] @ laid).max() < 1e-9 * np.abs(laid).max()
    assert (np.abs(laid) > 0.01 * shape[0].max()).any()


def test_hats_of_children_are_linear_and_end_at_twenty():
    hats = child_hats(91)
    assert hats[[0, 5, 10, 15]] == pytest.approx(np.eye(4))
    assert hats[:16].sum(axis=1) == pytest.approx(1)
    assert (hats[20:] == 0).all()


def test_children_of_the_base_are_bounded_by_their_births(case):
    model = case[0]
    rows = [label for label in model.row_labels if label.startswith("born_before")]
    assert len(rows) == 11  # ten ages and those born since
    observed = model.observed[np.array(model.row_sources) == "born_before"]
    (own,) = (source for source in model.account.sources.extra if isinstance(source, BornBefore))
    usual = model.account.priors["children_net"].sd * float(own.born.sum())
    assert abs(observed[:10].sum()) < usual
