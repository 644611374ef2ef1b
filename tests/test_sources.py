"""Sources: labels, missing cells, composition, and what cannot be mixed."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
import xarray as xr

import imps
from imps.errors import DefinitionError, LabelError, MissingCellError, SourceError
from imps.sources import Era, KnownSum, expected_parts, irish_flows, migrant_switchers


def changed(sources, **fields):
    return dataclasses.replace(sources, **fields)


def test_composition_closes_and_says_where_the_split_is_unknown(sources):
    table = sources.composition()
    assert len(table) == 22
    assert (table["difference"].abs() < 1e-6).all()
    assert not table["split_known"].any()
    row = table[(table["flow"] == "immigration") & (table["year"] == 2000)].iloc[0]
    assert row["published"] == pytest.approx(483_400)  # TIM 2000, Hansard 8 June 2004
    assert row["survey"] == pytest.approx(359_400, abs=500)


def test_a_later_vintage_of_the_survey_does_not_close(sources):
    tim = sources.total_migration.copy()
    tim.loc[{"flow": "immigration", "year": 1995}] += 5_000
    with pytest.raises(DefinitionError, match="worst immigration 1995"):
        changed(sources, total_migration=tim)


def test_missing_year_names_source_and_year(sources):
    short = sources.total_migration.sel(year=slice(1991, 2000))
    with pytest.raises(LabelError, match="'total_migration': calendar years 2001 are missing"):
        changed(sources, total_migration=short)


def test_ages_of_the_census_must_be_those_of_the_base(sources):
    census = sources.census
    folded = dataclasses.replace(census, count=census.count.isel(age=slice(0, 86)))
    with pytest.raises(LabelError, match="source 'census': ages run from 0 to 85"):
        changed(sources, census=folded)


def test_sex_order_and_missing_cells_are_named(sources):
    count = sources.deaths.count
    with pytest.raises(LabelError, match="source 'deaths': sexes are"):
        dataclasses.replace(sources.deaths, count=count.isel(sex=[1, 0]))
    holes = count.copy()
    holes.loc[{"year": 1995, "sex": "male", "age": [30, 31]}] = np.nan
    with pytest.raises(MissingCellError, match=r"2 of 1820 cells.*1995 male 30, 1995 male 31"):
        dataclasses.replace(sources.deaths, count=holes)
    negative = count.copy()
    negative.loc[{"year": 1995, "sex": "male", "age": 30}] = -1
    with pytest.raises(MissingCellError, match="negative"):
        dataclasses.replace(sources.deaths, count=negative)


def test_zero_standard_error_is_refused_with_its_cell(sources):
    se = sources.immigration.standard_error.copy()
    se.loc[{"year": 1999, "sex": "female", "age_group": "60/65+"}] = 0
    with pytest.raises(MissingCellError, match=r"immigration.*1999 female 60/65\+"):
        dataclasses.replace(sources.immigration, standard_error=se)


def test_the_base_must_stand_at_a_mid_year(sources):
    base = dataclasses.replace(sources.base, date=dt.date(1991, 4, 21))
    with pytest.raises(DefinitionError, match="not a mid-year"):
        changed(sources, base=base)


def test_parts_twice_or_without_their_sum(sources):
    with pytest.raises(SourceError, match=r"asylum_seekers \(immigration\) is given twice"):
        changed(sources, administrative=(*sources.administrative, sources.administrative[0]))
    with pytest.raises(SourceError, match="no published sum"):
        changed(sources, known_sums=())


def test_expected_parts_share_the_whole_sum(sources):
    known = KnownSum("emigration", xr.DataArray([10.0, 20.0], dims="year", coords={"year": [1, 2]}),
                     "v", "r")  # fmt: skip
    parts = expected_parts(
        known, [(irish_flows, 1.2), (migrant_switchers, -0.2)], vintage="v", reference="r"
    )
    total = sum(p.sign * p.count for p in parts)
    np.testing.assert_allclose(total, known.count)
    with pytest.raises(SourceError, match="add to 0.9"):
        expected_parts(known, [(irish_flows, 0.9)], vintage="v", reference="r")


def test_smoothed_errors_keep_the_total_variance(sources):
    def design_effect(survey):
        weight = survey.estimate.sum(("sex", "age_group")) / survey.contacts.sum(
            ("sex", "age_group")
        )
        return float((survey.standard_error**2).sum() / (survey.estimate * weight).sum())

    # 3.6 and 2.0 published design effects for all ages 1991-2000; cells 1991-2001 here
    assert 3.4 < design_effect(sources.immigration) < 3.9
    assert 1.7 < design_effect(sources.emigration) < 2.2


def test_a_mirror_series_anchored_to_the_estimates_is_refused():
    years = {"year": [1995, 1996]}
    count = xr.DataArray([1e4, 1e4], dims="year", coords=years)
    with pytest.raises(DefinitionError, match="no independent evidence"):
        imps.MirrorSeries("lfs", "emigration", count, count * 0.1, 0.2, 0.1, "v", "r",
                          anchored_to="mid-year estimates")  # fmt: skip


def test_table_lists_every_source_with_its_vintage(sources):
    table = sources.table()
    assert (table["vintage"].str.len() > 0).all()
    assert (table["reference"].str.len() > 0).all()
    assert {"base", "census", "births", "deaths", "immigration", "emigration"} <= set(
        table["source"]
    )


@pytest.mark.parametrize(
    ("eras", "message"),
    [
        (((2004, 2008),), "era 2004 to 2008 lies outside its years 1991 to 2001"),
        (((1990, 2001),), "covers all its years 1991 to 2001. A bias that is the same"),
        (((1995, 1997), (1995, 1997)), "an era is given twice"),
    ],
)
def test_an_era_is_a_part_of_the_years_of_a_survey(sources, eras, message):
    with pytest.raises(SourceError, match=message):
        changed(sources.immigration, eras=tuple(Era(*years, "why") for years in eras))


def test_an_era_ends_after_it_begins():
    with pytest.raises(SourceError, match="era 2008 to 2004 ends before it begins"):
        Era(2008, 2004, "why")
