"""Shipped cases: schema, published totals, gaps, and what the model must not see."""

import dataclasses
import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.errors import DefinitionError, InputError, LabelError, UnknownCaseError
from imps.names import AGE, AGE_GROUP, EMIGRATION, FLOW, IMMIGRATION, SEX, YEAR
from imps.posterior.archive import differences
from imps.project.check import check_project
from imps.project.settings import inspect_settings
from imps.project.template import write_project
from imps.reading.findings import CONVERT
from imps.shipped import case_title, cases, load_case
from imps.sources import BY_SEX_AND_AGE, TOTAL, KnownChange

UK, EW2001 = "uk-1991-2001", "england-wales-1991-2001"
EW2011, EW2021 = "england-wales-2001-2011", "england-wales-2011-2021"
ALL = (UK, EW2001, EW2011, EW2021)
ENGLAND_WALES = (EW2011, EW2021)
PUBLISHED = Path(__file__).parent / "data" / "published"
REPOSITORY = Path(__file__).parents[1]
SHIPPED, RAW = REPOSITORY / "imps" / "shipped", REPOSITORY / "data_raw"
LARGEST_CASE = 400_000  # bytes of text in one case

THOUSAND = 1_000.0  # a figure printed in whole thousands
HALF_THOUSAND = 500.0  # rounding of such a figure
HUNDRED = 100.0  # a figure printed in thousands to one decimal, as difference of two such
EXACT = 1e-6  # persons, for identities

RAW_COLUMNS = {
    "stocks": ["item", "date", "vintage", "persons"],
    "stocks_by_sex": ["item", "date", "sex", "vintage", "persons"],
    "births": ["year", "births", "males_per_1000_females"],
    "births_before": ["year", "births"],
    "deaths_of_children": ["year", "age", "deaths"],
    "deaths_monthly": ["month", "england", "wales", "england_and_wales"],
    "survey_flows": [
        "year", "flow", "sex", "age_group", "estimate_thousands", "half_width_95_thousands",
        "contacts",
    ],
    "survey_totals": [
        "year", "flow", "area", "estimate_thousands", "half_width_95_thousands", "contacts",
    ],
    "flows_by_age": ["year", "flow", "sex", "age", "persons"],
    "flow_totals": ["year", "flow", "basis", "area", "thousands"],
    "asylum_applications": ["year", "main_applicants", "dependants"],
}  # fmt: skip
OPTIONAL = {"area", "dependants"}  # columns that the oldest case does not need


@pytest.fixture(scope="module", params=ALL)
def case(request):
    return load_case(request.param)


@pytest.fixture(scope="module", params=ENGLAND_WALES)
def england_wales(request):
    return load_case(request.param)


@pytest.fixture(scope="module")
def uk():
    return load_case(UK)


@pytest.fixture(scope="module")
def ew2011():
    return load_case(EW2011)


@pytest.fixture(scope="module")
def ew2021():
    return load_case(EW2021)


def _rules():
    spec = importlib.util.spec_from_file_location("build", RAW / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules = _rules()


def folder(name):
    return SHIPPED / name.replace("-", "_")


def raw(name, table):
    """A compact table of published figures that rules read."""
    return pd.read_csv(RAW / name.replace("-", "_") / f"{table}.csv")


def shipped(name, table):
    """A table of the case itself."""
    rows = pd.read_csv(folder(name) / f"{table}.csv")
    return rows.assign(age=rows["age"].str.rstrip("+").astype(int)) if "age" in rows else rows


# --- names, schema, references -------------------------------------------------------------


def test_cases_are_listed_and_titled():
    assert set(ALL) <= set(cases())
    assert case_title(EW2021) == "England and Wales, mid-2011 to the 2021 Census"


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownCaseError, match=f"Did you mean '{EW2021}'.*{EW2011}.*{UK}"):
        load_case("england-wales-2011-2012")


@pytest.mark.parametrize("name", ALL)
def test_every_table_has_known_references(name):
    known = set(shipped(name, "references")["reference"])
    used = set()
    for file in [*folder(name).glob("*.csv"), *(RAW / folder(name).name).glob("*.csv")]:
        cells = pd.read_csv(file)["reference"].dropna()
        used |= {key for cell in cells for key in str(cell).split(";")}
    assert used <= known, f"not in references.csv: {used - known}"


@pytest.mark.parametrize("name", ALL)
def test_every_compact_table_has_its_columns(name):
    for file in (RAW / folder(name).name).glob("*.csv"):
        rows = pd.read_csv(file)
        expected = [*RAW_COLUMNS[file.stem], "reference"]
        assert set(expected) - set(rows.columns) <= OPTIONAL, file.stem
        assert [c for c in expected if c in rows] == list(rows.columns), file.stem


@pytest.mark.parametrize("name", ALL)
def test_references_say_publisher_title_date_and_licence(name):
    rows = shipped(name, "references")
    assert rows["reference"].is_unique
    assert rows.notna().all().all()
    licence = inspect_settings(folder(name))[0].case.licence
    assert licence.startswith("Crown copyright, Open Government Licence v3.0")


@pytest.mark.parametrize("name", ALL)
def test_units_are_persons_and_thousands_as_the_columns_say(name):
    flows = raw(name, "flow_totals")["thousands"]
    assert flows.between(100, 1_000).all()  # hundreds of thousands of people a year
    cells = shipped(name, "population").groupby(["vintage", "year"])["population"].sum()
    assert cells.between(50e6, 62e6).all()
    for stocks in (
        raw(name, "stocks")["persons"],
        shipped(name, "population_totals")["population"],
    ):
        assert stocks.between(50e6, 62e6).all()


@pytest.mark.parametrize("name", ALL)
def test_a_case_stays_small(name):
    assert sum(len(p.read_bytes()) for p in folder(name).iterdir() if p.is_file()) < LARGEST_CASE


# --- one road: a case is a project folder --------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_rules_give_the_tables_of_the_case(name):
    for file, text in rules.built(folder(name).name).items():
        assert (folder(name) / file).read_text(encoding="utf-8") == text, file


@pytest.mark.parametrize("name", ALL)
def test_a_shipped_case_passes_every_check_without_a_warning(name):
    report = check_project(folder(name))
    assert report.passed and {f.outcome for f in report.log.findings} <= {CONVERT}
    files = {t.name for t in report.tables} | {t.file for t in report.beside.values()}
    assert files == {p.name for p in folder(name).glob("*.csv")}


def test_a_case_is_a_folder_and_nothing_else(tmp_path, ew2021):
    copy = shutil.copytree(folder(EW2021), tmp_path / "areas" / "two")
    one = load_case(copy)
    assert (one.origin, one.digest, one.title) == ("folder", ew2021.digest, ew2021.title)
    assert differences(one.sources, ew2021.sources, "sources") == []
    assert one.notes == ew2021.notes and one.licence == ew2021.licence
    pd.testing.assert_frame_equal(one.later_series, ew2021.later_series)
    write_project(tmp_path / "areas" / "one")
    many = load_case(tmp_path / "areas")
    assert list(many) == ["one", "two"] and many["two"].digest == ew2021.digest
    assert many["one"].sources.area == "Exampleland"


def test_a_case_folder_without_settings_or_of_another_schema_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such settings file"):
        load_case(tmp_path)
    file = write_project(tmp_path / "old")
    write_project(tmp_path / "new")
    file.write_text(file.read_text().replace("schema = 1", "schema = 0"))
    with pytest.raises(InputError, match=r"SETTINGS_VERSION.*this release reads 1") as raised:
        load_case(tmp_path)
    assert "old" in str(raised.value)


def changed(tmp_path, name, file, old, new):
    """The findings of a copy of a shipped case with one text exchanged."""
    copy = shutil.copytree(folder(name), tmp_path / "case")
    text = (copy / file).read_text(encoding="utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(check_project(copy).log)


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "words"),
    [
        (EW2011, "population_totals.csv", "56170927", "56171927", "TOTAL_MISMATCH.*56,171,927"),
        (UK, "settings.toml", "irish_flows = 0.4\n", "irish_flow = 0.4\n",
         "SOURCE_UNKNOWN.*'irish_flow' is not a part"),
        (UK, "settings.toml", "irish_flows = 0.4\n", "irish_flows = 0.5\n", "add to 1.1, not 1"),
        (UK, "settings.toml", "[account.expected_shares.immigration]",
         "[account.expected_shares.arrivals]", "SETTING_RANGE.*'arrivals'.*immigration"),
        (UK, "settings.toml", "[[total_migration]]", "[[components]]",
         "there is no total migration that they are parts of|COLUMN_MISSING"),
        (UK, "settings.toml", "rolled_forward_rule =", "# rolled_forward_rule =",
         "SETTING_MISSING.*rolled_forward_rule"),
        (UK, "settings.toml", 'schedule_vintage = "final series, June 2021"',
         'schedule_vintage = "final"', "VINTAGE_NEEDED.*final series, June 2021"),
        (EW2011, "settings.toml", "[[flow_schedule]]", "[[survey_flow]]",
         "SETTING_UNKNOWN.*'survey_flow' is not a section.*Did you mean 'survey_flows'"),
        (EW2011, "settings.toml", "first = 2004", "start = 2004",
         r"SETTING_UNKNOWN.*'start' is not a setting of \[account.eras\]"),
        (EW2011, "settings.toml", "first = 2004", "first = 20040",
         "SETTING_RANGE.*'20040'.*a whole number from 0 to 2,200"),
        (EW2021, "settings.toml", 'partly_published = ["cross_border", "other_changes"]', "",
         "CELLS_NEEDED.*'cross_border' has no rows for 2021"),
        (EW2021, "settings.toml", 'later_series = "later_series.csv"',
         'later_series = "births.csv"', "COLUMN_MISSING.*series"),
        (EW2021, "vital_totals.csv", "2012,729408", "2013,729408", "DUPLICATE_KEY|PERIOD_GAP"),
    ],
)  # fmt: skip
def test_what_a_case_folder_can_say_wrong(tmp_path, name, file, old, new, words):
    assert re.search(words, changed(tmp_path, name, file, old, new), re.DOTALL)


# --- what every case must satisfy ----------------------------------------------------------


def test_roll_forward_closes_with_the_implied_flows(case):
    check = case.sources.roll_forward_check()
    assert check["difference_implied"].abs().max() < EXACT
    assert list(check["year"]) == list(case.sources.mid_years)


def test_published_totals_are_reproduced_exactly(case):
    rolled = case.sources.rolled_forward
    stocks = raw(case.name, "stocks")
    rows = stocks[stocks["item"].isin(["base", "rolled_forward"])]
    for date, persons in zip(rows["date"], rows["persons"], strict=True):
        assert float(rolled.total.sel({YEAR: int(date[:4])})) == persons
    published = {int(d[:4]) for d in rows["date"]}
    assert published.isdisjoint(rolled.by_rule)
    base = {case.sources.first_year}  # of the oldest one of England and Wales by rule
    assert published | base | set(rolled.by_rule) == set(case.sources.mid_years)
    assert base <= published or case.name == EW2001


def test_composition_closes(case):
    table = case.sources.composition()
    assert table["difference"].abs().max() < EXACT


def test_flows_by_direction_have_every_year_of_their_basis(case):
    s = case.sources
    needed = s.years if s.flow_basis == MID_YEARS else s.mid_years
    for survey in s.survey_flows.values():
        assert set(needed) <= set(survey.years)
        assert survey.basis == s.flow_basis
        assert float(survey.standard_error.min()) > 0


def test_what_was_published_afterwards_is_out_of_reach(case):
    inside = {field.name for field in dataclasses.fields(case.sources)}
    assert inside.isdisjoint({"published_afterwards", "later_series"})
    assert len(case.published_afterwards)
    later = set(case.published_afterwards["persons"]) | set(case.later_series["persons"])
    rolled = case.sources.rolled_forward.total.values
    assert later.isdisjoint(rolled[1:].tolist())


def test_headline_groups_of_what_was_published_afterwards(case):
    rows = case.published_afterwards
    assert set(rows["group"]) <= {"base", "migration", "census", "revisions", "residual", "level"}
    assert ((rows["sign_in_gap"] == 0) == (rows["group"] == "level")).all()


# --- United Kingdom 1991-2001 --------------------------------------------------------------


def test_uk_gap_and_implied_net_migration(uk):
    s = uk.sources
    implied = s.rolled_forward.implied_net_migration(s.natural_change).sel(
        {YEAR: range(1992, 2001)}
    )
    later = s.later_net_migration.sel({YEAR: range(1992, 2001)})
    assert float(implied.sum()) == pytest.approx(1.03e6, abs=5_000)  # printed to 0.01 million
    assert float(later.sum()) == pytest.approx(0.64e6, abs=5_000)
    assert s.flow_basis == CALENDAR_YEARS
    assert s.rolled_forward.by_rule == (2001,)
    assert (s.base.observed, s.census.observed) == (TOTAL, TOTAL)
    assert float(np.abs(s.known_change).max()) == 0


# --- England and Wales 2001-2011 -----------------------------------------------------------


def test_gap_of_2011_is_the_published_one(ew2011):
    assert ew2011.sources.gap == pytest.approx(-464 * THOUSAND, abs=HALF_THOUSAND)


def test_census_day_split_of_2011_stays_out_of_the_mid_year(ew2011):
    assert ew2011.sources.rolled_forward.by_sex is None
    rows = raw(EW2011, "stocks_by_sex")
    assert set(rows["date"]) == {"2011-03-27"}
    persons = rows.set_index(["item", "sex"])["persons"]
    gap = persons["rolled_forward"] - persons["census"]
    assert gap["male"] == -144 * THOUSAND
    assert gap["female"] == -332 * THOUSAND


def test_both_ends_are_observed_by_sex_and_age(england_wales):
    for stock in (england_wales.sources.base, england_wales.sources.census):
        assert stock.observed == BY_SEX_AND_AGE
        assert stock.at_mid_year
        assert stock.count.shape == (2, 91)


def test_standard_error_of_the_census_is_the_published_half_width(ew2011):
    # plus or minus 83 to 85 thousand with 95 per cent confidence, printed as 0.15 per cent
    census = ew2011.sources.census
    half_width = 1.96 * census.relative_standard_error * census.total
    assert 83_000 < half_width < 85_500


def test_england_and_wales_1991_2001_is_reached_from_published_figures():
    """The base as it stood before it was lowered; the gap that was published; one census."""
    own, after = (load_case(name).sources for name in (EW2001, EW2011))
    assert own.base.observed == TOTAL and own.census.observed == BY_SEX_AND_AGE
    assert own.base.total == pytest.approx(50_748_033 + 351_000)
    assert own.rolled_forward.by_rule == (*range(1992, 2000), 2001)
    assert float(own.rolled_forward.total.sel(year=2000)) == 52_943_000
    raised = 192_600 + 60_000  # of the census-based estimate, in 2003 and 2004
    assert own.gap + raised == pytest.approx(1_100_000, abs=50 * THOUSAND)  # "about 1.1 million"
    np.testing.assert_array_equal(own.census.count, after.base.count)


def test_mid_years_by_rule_of_2011(ew2011):
    assert ew2011.sources.rolled_forward.by_rule == (2002, 2003, 2004, 2005, 2010)
    # the rule for 2002-2005, tried where a total was published: mid-2006, 53,728.8 thousand
    stocks = raw(EW2011, "stocks")
    january = stocks[stocks["item"] == "first_of_january"].set_index("date")["persons"]
    reached = (january["2006-01-01"] + january["2007-01-01"]) / 2
    published = float(ew2011.sources.rolled_forward.total.sel({YEAR: 2006}))
    assert abs(reached - published) < 10 * THOUSAND


def test_survey_of_2011_has_the_published_totals_and_errors(ew2011):
    s = ew2011.sources
    rows = raw(EW2011, "survey_totals")
    rows = rows[rows["area"] == "England and Wales"].set_index(["flow", "year"])
    for flow, survey in s.survey_flows.items():
        total = survey.estimate.sum((SEX, AGE_GROUP)).values
        error = np.sqrt((survey.standard_error**2).sum((SEX, AGE_GROUP))).values
        published = rows.loc[flow]
        np.testing.assert_allclose(total, published["estimate_thousands"] * 1000)
        np.testing.assert_allclose(1.96 * error, published["half_width_95_thousands"] * 1000)
        contacts = survey.contacts.sum((SEX, AGE_GROUP)).values
        np.testing.assert_allclose(contacts, published["contacts"])
        assert survey.observed == TOTAL
        assert not survey.variance_function


def test_total_migration_is_scaled_by_the_share_of_the_survey(ew2011):
    share = rules.area_share(rules.EW2011)
    assert 0.895 < float(share.min()) < float(share.max()) < 0.945  # said as 0.90-0.94
    total = ew2011.sources.total_migration.sel({FLOW: IMMIGRATION, YEAR: 2008})
    assert float(total) == pytest.approx(590_000 * 489.0 / 537.9)  # LTIM 2008; IPS of both areas


def test_irish_flows_end_where_the_survey_takes_them_in(ew2011):
    irish = [p for p in ew2011.sources.administrative if p.name == "irish_flows"]
    assert {p.flow for p in irish} == {IMMIGRATION, EMIGRATION}
    for part in irish:
        assert float(part.count.sel({YEAR: slice(2008, None)}).max()) == 0
        assert float(part.count.sel({YEAR: slice(None, 2007)}).min()) > 0


def test_old_totals_of_2011_agree_with_the_unrevised_flows(ew2011):
    # two independent publications: the totals of 2012 and the flows of 2014, over ten years
    assert abs(float(ew2011.sources.flows_revised_since.sum())) < 50 * THOUSAND


# --- England and Wales 2011-2021 -----------------------------------------------------------


def test_gap_of_2021_is_the_published_one_in_total_and_by_sex(ew2021):
    s = ew2021.sources
    assert s.gap == pytest.approx(268.5 * THOUSAND, abs=HUNDRED)
    by_sex = s.rolled_forward.by_sex - s.census.count.sum(AGE)
    assert float(by_sex.sel({SEX: "male"})) == pytest.approx(447.5 * THOUSAND, abs=HUNDRED)
    assert float(by_sex.sel({SEX: "female"})) == pytest.approx(-179.1 * THOUSAND, abs=HUNDRED)


def test_roll_forward_by_age_adds_to_its_totals(england_wales):
    rolled = england_wales.sources.rolled_forward
    cells = rolled.by_sex_and_age
    assert cells is not None
    years = cells[YEAR].values
    np.testing.assert_array_equal(cells.sum((SEX, AGE)), rolled.total.sel({YEAR: years}))
    assert set(years).isdisjoint(rolled.by_rule)


def test_flows_of_2021_are_those_the_roll_forward_carried(ew2021):
    s = ew2021.sources
    assert s.flow_basis == MID_YEARS
    assert np.abs(s.flows_revised_since).max() < EXACT
    net = s.total_migration.sel({FLOW: IMMIGRATION}) - s.total_migration.sel({FLOW: EMIGRATION})
    # published for the year to mid-2012: 468.9 in, 313.5 out, 155.5 thousand net
    assert float(net.sel({YEAR: 2012})) == pytest.approx(155_500, abs=HUNDRED)
    np.testing.assert_array_equal(s.at_mid_years(net), net)


def test_known_changes_end_where_they_were_published(ew2021):
    for change in ew2021.sources.known_changes:
        assert change.count[YEAR].values.tolist() == list(range(2012, 2021))
    assert float(ew2021.sources.known_change.sel({YEAR: 2021})) == 0


def test_variance_function_is_computed_from_the_published_half_widths(ew2021):
    rows = raw(EW2021, "survey_totals")
    for flow, survey in ew2021.sources.survey_flows.items():
        own = rows[(rows["area"] == "England and Wales") & (rows["flow"] == flow)]
        persons = own["estimate_thousands"] * 1000
        variance = (own["half_width_95_thousands"] * 1000 / 1.96) ** 2
        weight, design_effect = rules.variance_constants(flow)
        assert weight == pytest.approx(persons.sum() / own["contacts"].sum())
        assert (design_effect * persons**2 / own["contacts"]).sum() == pytest.approx(variance.sum())
        assert 1.9 < design_effect < 2.2  # 2.1 in both directions for the United Kingdom
        total = survey.estimate.sum((SEX, AGE_GROUP)).sel({YEAR: 2015})
        error = np.sqrt((survey.standard_error**2).sum((SEX, AGE_GROUP))).sel({YEAR: 2015})
        assert float(error) == pytest.approx(np.sqrt(design_effect * weight * float(total)))
        assert survey.variance_function


def test_flows_by_age_add_to_the_totals_and_give_the_schedule(ew2021):
    table = raw(EW2021, "flows_by_age")
    sums = table.groupby(["flow", "year"])["persons"].sum()
    for flow, survey in ew2021.sources.survey_flows.items():
        total = ew2021.sources.total_migration.sel({FLOW: flow, YEAR: [2012, 2013]})
        np.testing.assert_array_equal(sums[flow], total)
        share = survey.estimate / survey.estimate.sum((SEX, AGE_GROUP))
        assert float(share.std(YEAR).max()) < EXACT  # one schedule for all years
        males = table[(table["flow"] == flow) & (table["sex"] == "male")]["persons"].sum()
        assert float(share.sel({SEX: "male"}).isel({YEAR: 0}).sum()) == pytest.approx(
            males / sums[flow].sum()
        )


def test_years_without_fieldwork_are_less_certain(ew2021):
    for survey in ew2021.sources.survey_flows.values():
        error = np.sqrt((survey.standard_error**2).sum((SEX, AGE_GROUP)))
        relative = error / survey.estimate.sum((SEX, AGE_GROUP))
        assert float(relative.sel({YEAR: 2021})) > 0.1
        assert float(relative.sel({YEAR: slice(2012, 2019)}).max()) < 0.04


def test_deaths_of_the_year_to_mid_2021_are_twelve_months(ew2021):
    months = raw(EW2021, "deaths_monthly").set_index("month")
    assert len(months) == 12
    both = months["england_and_wales"].fillna(months["england"] + months["wales"])
    may = months.loc["2021-05", "england"]
    near = months.loc[["2021-04", "2021-06"]]
    both["2021-05"] = may * (1 + near["wales"].sum() / near["england"].sum())
    deaths = float(ew2021.sources.deaths.count.sel({YEAR: 2021}).sum())
    assert deaths == pytest.approx(both.sum(), abs=HUNDRED)


def test_births_and_deaths_have_the_totals_of_the_components(england_wales):
    totals = shipped(england_wales.name, "vital_totals").set_index("year")
    s = england_wales.sources
    born, died = s.births.count.sum(SEX), s.deaths.count.sum((SEX, AGE))
    for year, row in totals.iterrows():
        if np.isfinite(row["births"]):
            assert float(born.sel({YEAR: year})) == pytest.approx(row["births"])
        assert float(died.sel({YEAR: year})) == pytest.approx(row["deaths"])


# --- what a user can do wrong --------------------------------------------------------------


def test_flows_of_two_bases_are_refused(ew2021):
    s = ew2021.sources
    calendar = dataclasses.replace(s.emigration, basis=CALENDAR_YEARS)
    with pytest.raises(DefinitionError, match=r"share one basis.*emigration: calendar year"):
        dataclasses.replace(s, emigration=calendar)
    with pytest.raises(DefinitionError, match="basis is 'quarter'"):
        dataclasses.replace(s.emigration, basis="quarter")


def test_a_missing_mid_year_is_named(ew2021):
    s = ew2021.sources
    short = s.total_migration.sel({YEAR: slice(2012, 2020)})
    with pytest.raises(LabelError, match="'total_migration': mid-years 2021 are missing"):
        dataclasses.replace(s, total_migration=short)


def test_a_known_change_outside_the_account_is_refused(ew2021):
    s = ew2021.sources
    outside = s.known_changes[0].count.assign_coords({YEAR: np.arange(2001, 2010)})
    with pytest.raises(LabelError, match="'cross_border': mid-years 2001"):
        dataclasses.replace(s, known_changes=(KnownChange("cross_border", outside, "v", "r"),))


def test_a_known_change_is_added_with_its_sign(ew2021):
    s = ew2021.sources
    plain = dataclasses.replace(s, known_changes=())
    moved = plain.flows_revised_since - s.flows_revised_since
    np.testing.assert_allclose(moved, s.known_change, atol=EXACT)


# --- the tables against the material they were taken from ----------------------------------


def published(name):
    return pd.read_csv(PUBLISHED / name)


@pytest.mark.parametrize(
    ("name", "vintage", "years", "theirs"),
    [
        (EW2011, "final", range(2001, 2011), "mye_2021_06"),
        (EW2011, "2011-census-based", [2011], "mye_2021_06"),
        (EW2011, "as published before the 2011 Census", [2006], "dr_2006"),
        (EW2011, "as published before the 2011 Census", [2009], "dr_2009"),
        (EW2021, "2011-census-based", range(2011, 2021), "mye_2021_06"),
        (EW2021, "2021-census-based", [2021], "mye_2022_12"),
    ],
)
def test_population_equals_the_collected_tables(name, vintage, years, theirs):
    collected = published("national_population_sya_vintages.csv.gz")
    collected = collected[(collected["area"] == "EW") & (collected["vintage"] == theirs)]
    ours = shipped(name, "population")
    ours = rules.by_sex_and_age(ours[ours["vintage"].str.contains(vintage)], "population")
    np.testing.assert_array_equal(
        ours.sel({YEAR: list(years)}),
        rules.by_sex_and_age(collected[collected["year"].isin(years)], "population"),
    )


@pytest.mark.parametrize("name", ENGLAND_WALES)
def test_deaths_equal_the_collected_table(name):
    collected = published("ew_deaths_sya_1963_2021.csv.gz")
    ours = rules.by_sex_and_age(shipped(name, "deaths"), "deaths")
    collected = collected[collected["year"].isin(ours[YEAR].values)]
    folded = collected.assign(age=collected["age"].clip(upper=90))
    theirs = folded.groupby(["year", "sex", "age"], as_index=False)["deaths"].sum()
    np.testing.assert_array_equal(ours, rules.by_sex_and_age(theirs, "deaths"))


@pytest.mark.parametrize("name", ENGLAND_WALES)
def test_components_equal_the_sum_over_local_authorities(name):
    panel = published("la_components_panel_ew.csv")
    vintages = {EW2011: ["mye2013"], EW2021: ["mye2019", "mye2020"]}[name]
    years = range(2002, 2012) if name == EW2011 else range(2012, 2021)
    rows = panel[panel["vintage"].isin(vintages) & panel["year"].isin(years)]
    sums = rows.groupby("year").sum(numeric_only=True)
    vital = shipped(name, "vital_totals").set_index("year").loc[list(years)]
    np.testing.assert_array_equal(vital["births"], sums["births"])
    np.testing.assert_array_equal(vital["deaths"], sums["deaths"])
    changes = shipped(name, "known_changes")
    border = changes[changes["source"] == "cross_border"].set_index("year")["count"]
    np.testing.assert_array_equal(border, sums["internal_net"])
    if name == EW2021:
        flows = raw(name, "flow_totals").set_index(["flow", "year"])["thousands"] * 1000
        np.testing.assert_allclose(flows[IMMIGRATION], sums["international_in"])
        np.testing.assert_allclose(flows[EMIGRATION], sums["international_out"])


@pytest.mark.parametrize("name", ENGLAND_WALES)
def test_survey_equals_the_collected_tables(name):
    collected = published("ips_headline_by_area_1975_2012.csv")
    ours = raw(name, "survey_totals").set_index(["area", "flow", "year"])
    direction = {IMMIGRATION: "inflow", EMIGRATION: "outflow"}
    for (area, flow, year), row in ours.iterrows():
        one = collected[(collected["area"] == area) & (collected["year"] == year)].iloc[0]
        d = direction[flow]
        assert row["estimate_thousands"] == one[f"{d}_estimate_thousands"]
        assert row["half_width_95_thousands"] == one[f"{d}_ci95_halfwidth_thousands"]
        assert row["contacts"] == one[f"{d}_contacts"]


def test_cells_of_the_survey_add_to_its_total():
    cells = raw(EW2011, "survey_flows").groupby(["flow", "year"])["estimate_thousands"].sum()
    rows = raw(EW2011, "survey_totals")
    totals = rows[rows["area"] == "United Kingdom"].set_index(["flow", "year"])
    difference = cells - totals["estimate_thousands"]
    assert difference.abs().max() < 0.5 + EXACT  # ten cells rounded to 0.1 thousand


def test_flows_by_age_equal_the_collected_table():
    collected = published("region_components_sya_2002_2013.csv.gz")
    late = collected[collected["year"] >= 2012]
    sums = late.groupby(["year", "sex", "age"]).sum(numeric_only=True)
    ours = raw(EW2021, "flows_by_age").set_index(["year", "sex", "age"])
    for flow, column in ((IMMIGRATION, "international_in"), (EMIGRATION, "international_out")):
        one = ours[ours["flow"] == flow]["persons"]
        np.testing.assert_array_equal(one, sums.loc[one.index, column])


def test_total_migration_equals_the_collected_table():
    collected = published("ltim_uk_annual_1970_2013.csv")
    calendar = collected[collected["period_end"].str.endswith("-12-31")].set_index("year")
    ours = raw(EW2011, "flow_totals").set_index(["flow", "year"])["thousands"]
    for flow in (IMMIGRATION, EMIGRATION):
        theirs = calendar.loc[ours[flow].index, f"{flow}_thousands"]
        np.testing.assert_array_equal(ours[flow], theirs)


def test_asylum_equals_the_collected_tables():
    annual = published("asylum_applications_uk_annual_1990_2024.csv").set_index("year")
    mid = published("asylum_applications_uk_midyear_2002_2024.csv")
    mid = mid.set_index("year_ending_30_june")
    for name, theirs in ((EW2011, annual), (EW2021, mid)):
        ours = raw(name, "asylum_applications").set_index("year")
        for column in ("main_applicants", "dependants"):
            np.testing.assert_array_equal(ours[column], theirs.loc[ours.index, column])
