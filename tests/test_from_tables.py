"""From checked tables, files or data frames, to the sources of an account."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from input_tables import (
    FLOW,
    MID,
    asylum,
    births,
    calendar_years,
    change,
    contract,
    deaths,
    edit_settings,
    edit_table,
    population,
    snapshot,
    survey,
    the,
)

import imps
from imps.account.latents import Resolution
from imps.demography.accounting import deaths_by_cohort
from imps.demography.schedules import migration_schedule
from imps.errors import DefinitionError, InputError, InputWarning
from imps.names import YEAR
from imps.project.assemble import inspect_sources
from imps.project.between import check_between
from imps.project.check import check_project, load_project
from imps.project.flows import fill_unobserved
from imps.project.sections import Account
from imps.project.stocks import coverage_shares
from imps.project.template import write_project
from imps.reading.findings import ASK, CONVERT, REJECT
from imps.reading.table import Table, inspect_table, read_table
from imps.sources import BornBefore, Counted, KnownChange
from imps.sources.definitions import difference

PERSONS = 1e-6  # persons by which sums of floating-point numbers may differ
GENERATED_ACCOUNTS = 50
AGES = (*map(str, range(4)), "4+")
GROUPS = ("0-1", "2-3", "4+")
YEARS = range(2002, 2005)
DECLARED = {
    "geography": "Exampleland", "first_mid_year": 2001, "last_mid_year": 2004,
    "components_differ": "invented",
    "census_standard_error": 0.001,
}  # fmt: skip


def small(**rows):
    """Data frames of a small account; each kind may be replaced."""
    frames = {
        "population": population((2001, 2004), AGES),
        "births": births(YEARS),
        "deaths": deaths(YEARS, AGES),
        "survey_flows": survey(YEARS, groups=GROUPS),
        "administrative_flows": asylum(YEARS),
    } | rows
    return {kind: pd.DataFrame(given) for kind, given in frames.items()}


OPTIONS = {
    "population": {},
    "births": MID,
    "deaths": MID | {"age_counted": "at-mid-year"},
    "survey_flows": FLOW,
    "administrative_flows": FLOW,
    "stocks": {},
}


READ: dict[tuple[str, str, str], Table | None] = {}


def read(frames, **more):
    """Checked tables; the same frame is read once, for tables are never changed."""
    tables = []
    for kind, frame in frames.items():
        options = OPTIONS[kind] | more.get(kind, {})
        key = (kind, frame.to_csv(), repr(options))
        if key not in READ:
            READ[key] = read_table(frame, kind, **options)
        tables.append(READ[key])
    return tables


def joined(frames, coverage=None, account=None, **more):
    return imps.sources_from_tables(
        *read(frames, **more), coverage=coverage, **DECLARED | (account or {})
    )


def found(frames, code, outcome, account=None, coverage=None, **more):
    """The message of the one finding with this code; nothing was raised."""
    tables = read(frames, **more)
    declared = Account(**DECLARED | (account or {}))
    log = check_between(tables, declared)
    if log.passed:
        log += inspect_sources(tables, declared, coverage or {})[1]
    finding = the(log, code, outcome)
    assert log.passed == (outcome == CONVERT)
    return contract(finding, file=finding.file)


# The whole road


def test_frames_become_sources_and_are_not_changed():
    frames = small()
    before = {kind: frame.copy(deep=True) for kind, frame in frames.items()}
    sources = joined(frames)
    for kind, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[kind])
    male = frames["population"].query("year == 2001 and sex == 'male'")["population"]
    assert sources.base.count.sel(sex="male").values.tolist() == male.tolist()
    assert sources.base.date == dt.date(2001, 6, 30) and sources.census.date.year == 2004
    assert sources.births.count.sel(year=2003, sex="female") == 293
    asked = sources.administrative[0]
    assert asked.label == "asylum_seekers (immigration)"
    assert asked.count.values.tolist() == [32, 33, 30]
    flow = frames["survey_flows"].query("flow == 'emigration' and year == 2002")
    assert sources.emigration.estimate.sel(year=2002).sum() == flow["estimate"].sum()


def test_the_roll_forward_is_computed_where_none_was_given():
    sources = joined(small())
    rolled = sources.rolled_forward
    assert rolled.by_rule == (2002, 2003, 2004) and "no roll-forward was given" in rolled.rule
    start = sources.base.total
    natural, net = sources.natural_change.sum(), sources.later_net_migration.sum()
    assert float(rolled.total[-1]) == pytest.approx(start + float(natural + net), abs=PERSONS)
    assert np.abs(sources.flows_revised_since).max() < PERSONS


def test_a_project_gives_a_result(tmp_path):
    project = load_project(write_project(tmp_path / "case"))
    model = imps.linear_model(project.sources, project.priors, resolution=Resolution(2, 2))
    assert model.sources.gap == pytest.approx(2071, abs=PERSONS)
    assert project.case.title.startswith("Exampleland, mid-2001 to mid-2006")
    assert any("ROLLED_BY_RULE" in note for note in project.case.notes)
    assert not check_project(tmp_path).passed
    with pytest.raises(InputError, match="FILE_NOT_READABLE"):
        _ = check_project(tmp_path).sources


def test_priors_of_the_settings_are_those_of_the_model(tmp_path):
    file = write_project(tmp_path / "case")
    file.write_text(file.read_text() + "\n[priors.asylum_seekers]\nmean = 0.1\nsd = 0.3\n")
    prior = load_project(file).priors["asylum_seekers"]
    assert (prior.mean, prior.sd) == (0.1, 0.3)
    file.write_text(file.read_text() + "\n[priors.census_age]\nmean = 0.1\n")
    message = str(the(check_project(file).log, "PRIOR_BAD", REJECT))
    assert "census_age" in message and "scale" in message


def test_a_known_change_may_have_a_prior(tmp_path):
    file = write_project(tmp_path / "case")
    file.write_text(file.read_text() + "\n[priors.armed_forces]\nsd = 0.3\n")
    assert "PRIOR_UNUSED" in check_project(file).log.codes
    edit_table(file, "administrative_flows", lambda f: pd.concat([
        f, f.assign(source="armed_forces", flow="net")]))  # fmt: skip
    project = load_project(file)
    model = imps.linear_model(project.sources, project.priors, resolution=Resolution(2, 2))
    assert (
        project.priors["armed_forces"].sd == 0.3
        and "armed_forces" in model.account.errors_of_carried
    )


def exported(sources, folder):
    """A shipped case as the files of a project."""
    top = sources.ages[-1]

    def rows(array, name, **labels):
        frame = array.to_series().rename(name).reset_index().assign(**labels)
        if "age" in frame:
            frame["age"] = [f"{a}+" if a == top else str(a) for a in frame["age"]]
        return frame

    rolled, first, last = sources.rolled_forward, sources.mid_years[0], sources.last_year
    people = [
        rows(sources.base.count, "population", vintage="base", year=first),
        rows(sources.census.count, "population", vintage="census", year=last),
        *(rows(rolled.by_sex_and_age.sel(year=y, drop=True), "population", vintage="rolled", year=y)
          for y in rolled.by_sex_and_age[YEAR].values),
    ]  # fmt: skip
    end = sources.census.count * (float(rolled.total[-1]) / sources.census.total)
    flows = [
        rows(s.estimate, "estimate", flow=name).assign(
            standard_error=s.standard_error.to_series().to_numpy(),
            contacts=s.contacts.to_series().to_numpy(),
        )
        for name, s in sources.survey_flows.items()
    ]
    parts = [rows(p.count, "count", source=p.name, flow=p.flow) for p in sources.administrative]
    parts += [
        rows(c.count.reindex(year=sources.years, fill_value=0), "count", source=c.name, flow="net")
        for c in sources.known_changes
    ]
    tables = {
        "population": pd.concat(people),
        "rolled_end": rows(end, "population", vintage="rolled", year=last),
        "births": rows(sources.births.count, "births"),
        "deaths": rows(sources.deaths.count, "deaths"),
        "survey": pd.concat(flows),
        "parts": pd.concat(parts),
    }
    for before in (own for own in sources.extra if isinstance(own, BornBefore)):
        born, died = before.born.to_series(), before.died.to_series()
        tables["before"] = pd.DataFrame(
            {"year": first - born.index, "births": born.to_numpy(), "deaths": died.to_numpy()}
        ).sort_values("year")
        if before.standard_error is not None:
            tables["before"]["standard_error"] = before.standard_error.to_numpy()[::-1]
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    common = 'fractional_counts = true\nunit = "persons"'
    text = f"""schema = 1
[account]
geography = "{sources.area}"
first_mid_year = {first}
last_mid_year = {last}
rolled_forward_vintage = "rolled"
census_standard_error = {sources.census.relative_standard_error}
base_standard_error = {sources.base.relative_standard_error}
"""
    for kind, name, more in (
        ("population", "population", ""), ("population", "rolled_end", 'observed = "total"'),
        ("births", "births", ""), ("deaths", "deaths", 'age_counted = "at-mid-year"'),
        ("survey_flows", "survey", 'observed = "total"'), ("administrative_flows", "parts", ""),
    ):  # fmt: skip
        period = "" if kind == "population" else 'period = "mid-year"'
        text += f'[[{kind}]]\nfile = "{name}.csv"\n{common}\n{period}\n{more}\n'
    if "before" in tables:
        text += '[[born_before]]\nfile = "before.csv"\n'
    (folder / "settings.toml").write_text(text)
    return folder


def test_a_shipped_case_from_files_gives_the_same_draws(tmp_path):
    shipped = imps.load_case("england-wales-2011-2021").sources
    in_total = replace(shipped.rolled_forward, by_sex=None)  # its last year is exported as a total
    shipped = replace(shipped, rolled_forward=in_total)
    report = check_project(exported(shipped, tmp_path))
    assert report.passed, str(report.log)
    own = report.sources
    for name in ("base", "census", "births", "deaths"):
        np.testing.assert_array_equal(getattr(own, name).count, getattr(shipped, name).count)
    np.testing.assert_array_equal(own.rolled_forward.total, shipped.rolled_forward.total)
    np.testing.assert_allclose(own.total_migration, shipped.total_migration, atol=PERSONS)
    assert own.gap == shipped.gap
    models = [
        imps.linear_model(s, imps.default_priors(), resolution=Resolution(2, 2))
        for s in (shipped, own)
    ]
    draws = [imps.fit(m, seed=1, draws=100, chains=2).latents() for m in models]
    np.testing.assert_allclose(*draws, atol=1e-6)


# Base, census, roll-forward


def vintages(**by_vintage):
    return [
        {"vintage": name.replace("_", " "), **row}
        for name, rows in by_vintage.items()
        for row in rows
    ]


def test_the_base_is_asked_for_where_two_could_be_meant():
    rows = vintages(old=population((2001,), AGES), new=population((2001,), AGES, 5300),
                    census=population((2004,), AGES))  # fmt: skip
    frames = small(population=rows)
    message = found(frames, "VINTAGE_NEEDED", ASK)
    assert 'account.base_vintage = "new"' in message and "new, old" in message
    assert joined(frames, account={"base_vintage": "old"}).base.vintage == "old"
    message = found(frames, "VINTAGE_NEEDED", ASK, {"base_vintage": "olde"})
    assert "'olde' no population" in message


def test_census_and_roll_forward_of_one_year_are_told_apart():
    rows = vintages(rolled=population(range(2001, 2005), AGES, 5400),
                    census=population((2004,), AGES))  # fmt: skip
    frames = small(population=rows)
    assert "account.census_vintage" in found(frames, "VINTAGE_NEEDED", ASK)
    sources = joined(frames, account={"census_vintage": "census"})
    rolled = sources.rolled_forward
    assert rolled.vintage == "rolled" and sources.census.vintage == "census"
    totals = frames["population"].groupby(["vintage", "year"])["population"].sum()
    assert rolled.total.values.tolist() == totals["rolled"].tolist()
    assert sources.gap == totals["rolled", 2004] - totals["census", 2004]
    assert rolled.by_sex_and_age.sizes == {"year": 3, "sex": 2, "age": 5}
    by_name = joined(frames, account={"rolled_forward_vintage": "rolled"})
    assert by_name.gap == sources.gap


def test_a_census_day_is_told_apart_by_its_date():
    census = [{**r, "year": "29 April 2004"} for r in population((2004,), AGES)]
    frames = small(population=population(range(2001, 2005), AGES, 5300) + census)
    more = {"population": {"census_days": ["2004-04-29"]}}
    sources = joined(frames, **more)
    assert sources.census.date == dt.date(2004, 4, 29) and not sources.rolled_forward.by_rule
    assert sources.share_after_census == pytest.approx(62 / 365, abs=0.005)


def test_a_census_after_the_mid_year_has_the_change_since_taken_off():
    census = [{**r, "year": "10 October 2004"} for r in population((2004,), AGES)]
    frames = small(population=population((2001,), AGES) + census)
    sources = joined(frames, population={"census_days": ["2004-10-10"]})
    assert sources.last_year == 2004
    assert sources.share_after_census == pytest.approx(-102 / 365, abs=0.01)


def test_a_base_on_census_day_is_carried_to_the_end_of_its_year():
    base = [{**r, "year": "29 April 2001"} for r in population((2001,), AGES)]
    frames = small(population=base + population((2004,), AGES))
    more = {"population": {"census_days": ["2001-04-29"]}}
    assert "the base of 2001-04-29 is carried" in found(frames, "BASE_MOVED", CONVERT, **more)
    moved, plain = joined(frames, **more), joined(small())
    change = float(plain.rolled_forward.total.diff("year")[0])
    assert moved.base.total - plain.base.total == pytest.approx(62 / 365 * change, rel=0.03)
    assert moved.base.taken == dt.date(2001, 4, 29) and moved.years.tolist() == [2002, 2003, 2004]


def test_years_of_a_roll_forward_that_were_not_published_are_reached_by_rule():
    rows = vintages(rolled=population((2001, 2002, 2004), AGES, 5400),
                    census=population((2004,), AGES))  # fmt: skip
    account = {"rolled_forward_vintage": "rolled"}
    rolled = joined(small(population=rows), account=account).rolled_forward
    assert rolled.by_rule == (2003,) and "evenly" in rolled.rule
    change = float(
        joined(small()).rolled_forward.total.diff("year").sel(year=slice(2003, 2004)).sum()
    )
    lacks = float(rolled.total[-1] - rolled.total[1]) - change
    first = float(joined(small()).rolled_forward.total.diff("year").sel(year=2003))
    assert float(rolled.total[2] - rolled.total[1]) == pytest.approx(first + lacks / 2)
    late = vintages(rolled=population((2001, 2002), AGES, 5400), census=population((2004,), AGES))
    message = found(small(population=late), "PERIOD_GAP", REJECT, account)
    assert "'rolled' has no population of" in message and "leave the roll-forward out" in message


def test_a_roll_forward_that_starts_elsewhere_is_refused():
    rows = vintages(rolled=population(range(2001, 2005), AGES, 5400),
                    base=population((2001,), AGES), census=population((2004,), AGES))  # fmt: skip
    account = {"rolled_forward_vintage": "rolled", "base_vintage": "base"}
    message = found(small(population=rows), "BASE_YEAR_MISMATCH", REJECT, account)
    assert "starts +2,000 persons from the base" in message


def test_the_same_population_twice_is_refused():
    tables = read(small()) + read(small())[:1]
    with pytest.raises(InputError, match=r"DUPLICATE_KEY.*the base is given 2 times"):
        imps.sources_from_tables(*tables, **DECLARED)


@pytest.mark.parametrize("missing", ["first_mid_year", "last_mid_year"])
def test_years_of_the_account_are_asked_for(missing):
    account = {missing: 0}
    assert "account.first_mid_year" in found(small(), "SETTING_MISSING", REJECT, account)


def test_the_error_of_the_census_is_asked_for():
    message = found(small(), "SE_MISSING", ASK, {"census_standard_error": 0.0})
    assert "account.census_standard_error" in message


def test_age_groups_that_differ_between_years_are_refused():
    mixed = deaths((2002,), ("0-1", "2-3", "4+")) + deaths((2003, 2004), ("0", "1-3", "4+"))
    message = found(small(deaths=mixed), "AGE_GROUPS", REJECT)
    assert "Sum finer ages" in message and "expected 0, 1" in message


@pytest.mark.parametrize(
    ("kind", "where", "value"),
    [("population", {"year": 2001, "sex": "male", "age": "2"}, "population"),
     ("births", {"year": 2003, "sex": "male"}, "births"),
     ("deaths", {"year": 2003, "sex": "male", "age": "2"}, "deaths"),
     ("administrative_flows", {"year": 2003}, "count")],
)  # fmt: skip
def test_a_missing_figure_that_the_account_needs_is_refused(kind, where, value):
    frames = small()
    rows = change(frames[kind].astype(object).to_dict("records"), where, **{value: "[c]"})
    message = found(small(**{kind: rows}), "CELLS_NEEDED", REJECT)
    assert str(where["year"]) in message and "a missing cell is not a zero" in message


# Births and deaths


def test_age_of_deaths_is_asked_for():
    message = found(small(), "AGE_DEFINITION", ASK, deaths={"age_counted": None})
    assert 'age_counted = "at-death" or "at-mid-year"' in message
    sources = joined(small(), deaths={"age_counted": "at-death"})
    plain = joined(small()).deaths.count
    assert float(sources.deaths.count.sum()) == pytest.approx(float(plain.sum()), abs=PERSONS)
    base = sources.base.count.values
    expected = deaths_by_cohort(plain.sel(year=2002).values, base)
    np.testing.assert_allclose(sources.deaths.count.sel(year=2002), expected)
    assert not np.allclose(expected, plain.sel(year=2002))


def test_calendar_years_are_halved_as_declared(tmp_path):
    report = load_project(calendar_years(write_project(tmp_path / "case")))
    raw = report.of("births")[0].frame.groupby(["year", "sex"])["births"].sum()
    count = report.sources.births.count
    assert float(count.sel(year=2004, sex="male")) == (raw[2003, "male"] + raw[2004, "male"]) / 2
    assert report.sources.flow_basis == "calendar year"
    assert report.sources.immigration.years.tolist() == list(range(2001, 2007))


def test_a_part_by_calendar_year_beside_a_mid_year_survey(tmp_path):
    file = write_project(tmp_path / "case")
    edit_table(file, "administrative_flows", lambda f: pd.concat(
        [f[:1].assign(year="2001"), f]).assign(period="calendar-year"))  # fmt: skip
    text = file.read_text()
    head, tail = text.split("[[administrative_flows]]")
    file.write_text(head + "[[administrative_flows]]" + tail.replace("mid-year", "calendar-year"))
    assert "PERIOD_MISMATCH" in check_project(file).log.codes
    edit_settings(file, ('calendar_to_mid_year = ""',
                         'calendar_to_mid_year = "mean-of-two-calendar-years"'))  # fmt: skip
    part = load_project(file).sources.administrative[0]
    counts = load_project(file).of("administrative_flows")[0].frame["count"].tolist()
    assert part.basis == "mid-year"
    assert part.count.values.tolist() == [(a + b) / 2 for a, b in pairwise(counts)]


# Flows


def test_net_migration_alone_is_refused():
    rows = [{**r, "flow": "net"} for r in survey(YEARS, ("immigration",), GROUPS)]
    message = found(small(survey_flows=rows), "FLOW_NEEDED", REJECT)
    assert "immigration, emigration" in message and "net migration alone is a table" in message


def test_one_direction_alone_is_refused():
    rows = survey(YEARS, ("immigration",), GROUPS)
    assert "no emigration" in found(small(survey_flows=rows), "FLOW_NEEDED", REJECT)


def test_citizenships_are_summed_and_their_errors_combined():
    rows = [
        {"citizenship": c, **r} for c in ("British", "other") for r in survey(YEARS, groups=GROUPS)
    ]
    frames = small(survey_flows=rows)
    assert "British, other" in found(frames, "CITIZENSHIPS_SUMMED", CONVERT)
    whole, part = joined(frames).immigration, joined(small()).immigration
    np.testing.assert_allclose(whole.estimate, 2 * part.estimate)
    np.testing.assert_allclose(whole.standard_error, np.sqrt(2) * part.standard_error)


def test_contacts_that_were_not_given_are_effective_ones():
    assert "effective number" in found(small(), "CONTACTS_DERIVED", CONVERT)
    flow = joined(small()).immigration
    np.testing.assert_allclose(flow.contacts, (flow.estimate / flow.standard_error) ** 2)
    assert "effective number" in flow.variance_function


def test_unobserved_cells_keep_the_published_ones(rng):
    flow = joined(small()).immigration
    unobserved = flow.estimate.copy(data=rng.random(flow.estimate.shape) < 0.3)
    unobserved[0] = False
    filled = fill_unobserved(flow.estimate.where(~unobserved), unobserved)
    assert np.isfinite(filled).all() and (filled > 0).all()
    np.testing.assert_array_equal(filled.where(~unobserved, 0), flow.estimate.where(~unobserved, 0))
    # By hand: the mean of the cell in other years times the level of its year.
    level, shape = np.array([1.0, 2.0, 3.0]), np.array([[10.0, 20, 30], [40, 50, 60]])
    table = flow.estimate.copy(data=level[:, None, None] * shape)
    one = flow.estimate.copy(data=np.zeros((3, 2, 3), dtype=bool))
    one[2, 1, 0] = True
    others = shape.sum() - 40
    by_hand = 40 * 1.5 * (3 * others) / (2 * others)
    filled = fill_unobserved(table.where(~one), one)
    assert float(filled[2, 1, 0]) == pytest.approx(by_hand)


def test_a_cell_that_no_year_has_is_refused():
    rows = change(survey(YEARS, groups=GROUPS), {"sex": "male", "age_group": "2-3"}, estimate="[c]",
                  standard_error="")  # fmt: skip
    assert "male 2-3" in found(small(survey_flows=rows), "CELLS_NEEDED", REJECT)


def test_a_flow_of_nobody_is_refused():
    nobody = change(survey(YEARS, groups=GROUPS), {"flow": "immigration"}, estimate=0)
    assert "every figure of immigration is 0" in found(
        small(survey_flows=nobody), "CELLS_NEEDED", REJECT
    )


def test_an_account_of_a_village_with_empty_cells_is_fitted():
    stocks = change(population((2001, 2004), AGES, start=3), {"age": "4+"}, population=0)
    sources = joined(small(
        population=stocks,
        births=[{**r, "births": 1} for r in births(YEARS)],
        deaths=[{**r, "deaths": 0} for r in deaths(YEARS, AGES)],
        survey_flows=[{**r, "estimate": 1 + (r["sex"] == "male"), "standard_error": 1}
                      for r in survey(YEARS, groups=GROUPS)],
        administrative_flows=[{**r, "count": 0} for r in asylum(YEARS)],
    ))  # fmt: skip
    model = imps.linear_model(sources, imps.default_priors(), resolution=Resolution(3, 3))
    errors = dict(zip(model.row_labels, model.standard_error, strict=True))
    census = [error for label, error in errors.items() if label.startswith("census")]
    stated = sources.census.relative_standard_error * sources.census.total
    assert min(census) > 0  # nobody counted is not known without error
    assert np.sqrt(np.sum(np.square(census))) == pytest.approx(stated)  # the stated one, no other
    fit = imps.fit(model, seed=1, draws=100, tune=150, chains=2, progress=False)
    attribution = imps.attribute(fit, checks=imps.check(fit))
    assert attribution.summary()["mean"].sum() == pytest.approx(sources.gap, abs=1e-6)


def test_groups_that_change_over_the_years_are_refused():
    rows = survey((2002, 2003), groups=GROUPS) + survey((2004,), groups=("0-2", "3", "4+"))
    assert "of immigration change in 2002" in found(small(survey_flows=rows), "AGE_GAP", REJECT)


def test_an_unknown_part_is_refused():
    rows = asylum(YEARS, "students")
    message = found(small(administrative_flows=rows), "SOURCE_UNKNOWN", REJECT)
    assert "'students'" in message and "asylum_seekers, irish_flows" in message


def test_a_net_change_is_carried_as_published():
    rows = asylum(YEARS) + [{**r, "source": "armed_forces", "flow": "net", "count": -r["count"]}
                            for r in asylum(YEARS)]  # fmt: skip
    frames = small(administrative_flows=rows)
    assert "'armed_forces' is net" in found(frames, "KNOWN_CHANGE", CONVERT)
    sources = joined(frames)
    (changed,) = sources.known_changes
    assert isinstance(changed, KnownChange) and sources.known_change.values.tolist() == [
        -32,
        -33,
        -30,
    ]
    # It stands in the computed roll-forward and so cancels in the gap.
    assert sources.gap == pytest.approx(joined(small()).gap - 95, abs=PERSONS)
    rows = [{**r, "flow": "net"} for r in asylum(YEARS)]
    message = found(small(administrative_flows=rows), "FLOW_NEEDED", REJECT)
    assert "'asylum_seekers' is given as net migration" in message


def test_a_part_with_a_gap_is_refused():
    frames = small(administrative_flows=asylum((2002, 2004)))
    assert "no rows for 2003" in found(frames, "CELLS_NEEDED", REJECT)


def test_what_a_total_holds_is_taken_off_it():
    declared = {"survey_flows": {"definition": "LTIM", "includes": ["asylum_seekers"]}}
    assert "were taken off immigration" in found(small(), "INCLUDED_TAKEN_OFF", CONVERT, **declared)
    total, plain = joined(small(), **declared), joined(small())
    published = plain.immigration.estimate.sum(("sex", "age_group"))
    np.testing.assert_allclose(total.total_migration.sel(flow="immigration"), published)
    left = plain.immigration.estimate - total.immigration.estimate
    np.testing.assert_allclose(left.sum(("sex", "age_group")), [32, 33, 30])
    np.testing.assert_allclose(left.sum("age_group").sel(sex="male"), 0.68 * np.array([32, 33, 30]))
    shape = 2 * migration_schedule(5, "immigration")[1]
    assert float(left.sel(sex="female", age_group="0-1")[0] / left.sel(sex="female")[0].sum()) == (
        pytest.approx(shape[:2].sum() + 0.5 * shape[2])
    )
    np.testing.assert_array_equal(total.emigration.estimate, plain.emigration.estimate)
    held = joined(small(), survey_flows={"definition": "LTIM", "includes": []})
    np.testing.assert_array_equal(held.immigration.estimate, plain.immigration.estimate)


def test_more_is_included_than_there_is():
    big = [{**r, "count": 5_000} for r in asylum(YEARS)]
    declared = {"survey_flows": {"definition": "LTIM", "includes": ["asylum_seekers"]}}
    message = found(small(administrative_flows=big), "NEGATIVE_FLOW", REJECT, **declared)
    assert "without asylum_seekers is negative" in message


# Registers

REGISTER = [
    {"source": "patients", "year": r["year"], "sex": r["sex"], "age": r["age"],
     "count": r["population"] + 5}
    for r in population((2003,), AGES)
]  # fmt: skip
NORMAL = {"distribution": "normal", "mean": 1.04, "sd": 0.02}


def test_a_register_enters_with_its_coverage():
    frames = small(stocks=REGISTER)
    sources = joined(frames, {"stocks (data frame)": NORMAL})
    (register,) = sources.extra
    assert (register.name, register.year) == ("patients", 2003)
    assert register.coverage_mean == pytest.approx(1 - 1 / 1.04)
    assert register.standard_error.values[0, 0] == np.sqrt(register.count.values[0, 0])
    message = found(frames, "COVERAGE_NEEDED", ASK)
    assert "coverage = " in message


def test_two_years_of_a_register_are_two_sources():
    frames = small(stocks=[{**r, "year": y} for y in (2002, 2003) for r in REGISTER])
    sources = joined(frames, {"stocks (data frame)": NORMAL})
    assert [s.name for s in sources.extra] == ["patients 2002", "patients 2003"]


def test_a_register_that_ends_at_another_age_is_refused():
    rows = [{**r, "age": {"3": "3+"}.get(r["age"], r["age"])} for r in REGISTER if r["age"] != "4+"]
    message = found(small(stocks=rows), "OPEN_AGE_CHANGES", ASK,
                    coverage={"stocks (data frame)": NORMAL})  # fmt: skip
    assert "open_age = 3" in message


@pytest.mark.parametrize(
    ("prior", "mean", "sd"),
    [(NORMAL, 1 - 1 / 1.04, 0.02 / 1.04**2),
     ({"distribution": "uniform", "lower": 0.9, "upper": 1.1}, 0.0, 0.2 / np.sqrt(12))],
)  # fmt: skip
def test_coverage_as_a_share_of_the_count(prior, mean, sd):
    shares = coverage_shares(prior)
    assert shares[:2] == pytest.approx((mean, sd)) and shares[2] == pytest.approx(sd)


def test_a_uniform_coverage_is_said_to_enter_as_a_normal():
    prior = {"stocks (data frame)": {"distribution": "uniform", "lower": 0.9, "upper": 1.1}}
    assert "enters the model as the normal" in found(
        small(stocks=REGISTER), "PRIOR_AS_NORMAL", CONVERT, coverage=prior
    )


# Definitions: mixing any two is an error that explains the difference


@pytest.mark.parametrize(
    ("change_", "words"),
    [(Counted(geography="United Kingdom"), "the United Kingdom is England, Wales"),
     (Counted(geography="Great Britain"), "Great Britain is England, Wales and Scotland"),
     (Counted(unit="thousands"), "one thousand is 1,000 persons"),
     (Counted(residents="short-term"), "usual residents stay for twelve months or more")],
)  # fmt: skip
@pytest.mark.parametrize("source", ["base", "births", "deaths", "emigration", "rolled_forward"])
def test_sources_of_python_that_count_something_else(change_, words, source):
    sources = joined(small(), account={"geography": "England and Wales"})
    other = replace(getattr(sources, source), counted=change_)
    with pytest.raises(DefinitionError, match=words):
        replace(sources, **{source: other})


def test_one_direction_by_survey_the_other_long_term():
    sources = joined(small(), survey_flows={"definition": "IPS"})
    ltim = replace(sources.emigration, counted=Counted(measure="LTIM"))
    with pytest.raises(DefinitionError, match="plus asylum seekers"):
        replace(sources, emigration=ltim)
    both = {f: replace(s, counted=Counted(measure="LTIM")) for f, s in sources.survey_flows.items()}
    with pytest.raises(DefinitionError, match=r"LTIM.*asylum_seekers"):
        replace(sources, **both)


def test_vintages_of_the_two_directions():
    sources = joined(small())
    revised = replace(sources.emigration, vintage="revised")
    with pytest.raises(DefinitionError, match="revised between vintages"):
        replace(sources, emigration=revised)


def test_thousands_in_python_show_in_the_births():
    sources = joined(small())
    people = replace(sources.base, count=sources.base.count / 1000)
    with pytest.raises(DefinitionError, match=r"births a year beside.*in thousands"):
        replace(sources, base=people)
    named = replace(sources.base, count=sources.base.count.assign_attrs(units="thousands"))
    with pytest.raises(DefinitionError, match="states 'thousands' as its units"):
        replace(sources, base=named)


def test_calendar_years_beside_mid_years_in_python():
    sources = joined(small())
    part = replace(sources.administrative[0], basis="calendar year")
    with pytest.raises(DefinitionError, match="a calendar year runs from January to December"):
        replace(sources, administrative=(part,))
    base = replace(sources.base, date=dt.date(2001, 4, 29))
    with pytest.raises(DefinitionError, match="between census day and 30 June"):
        replace(sources, base=base)


def test_what_may_be_counted():
    with pytest.raises(DefinitionError, match="unit is 'dozens'"):
        Counted(unit="dozens")
    assert difference("mid-year", "calendar year") and not difference("a", "b")


def test_short_term_residents_in_a_file():
    for declared in ({"definition": "STIM"}, {"residents": "short-term"}):
        message = found(small(), "DEFINITION_MISMATCH", REJECT, survey_flows=declared)
        assert "neither census nor mid-year estimates" in message


def test_survey_files_of_two_definitions():
    frames = small(survey_flows=survey(YEARS, ("immigration",), GROUPS))
    ltim = read_table(pd.DataFrame(survey(YEARS, ("emigration",), GROUPS)), "survey_flows",
                      definition="LTIM", includes=[], name="ltim.csv", **FLOW)  # fmt: skip
    ips = read(frames, survey_flows={"definition": "IPS"})
    with pytest.raises(InputError, match=r"DEFINITION_MISMATCH  ltim.csv.*plus asylum seekers"):
        imps.sources_from_tables(*ips, ltim, **DECLARED)


def test_areas_and_periods_of_files_explain_the_difference(tmp_path):
    file = write_project(tmp_path / "case")
    edit_settings(file, ("Exampleland", "England and Wales"))
    edit_settings(
        file, ('geography = "England and Wales"        #', 'geography = "United Kingdom"  #')
    )
    message = str(the(check_project(file).log, "COVERAGE_MISMATCH", REJECT))
    assert "the United Kingdom is England, Wales, Scotland and Northern Ireland" in message


# Refused inputs leave nothing behind; generated accounts


def test_a_refused_project_writes_nothing(tmp_path):
    file = write_project(tmp_path / "case")
    (tmp_path / "case/results").mkdir()
    (tmp_path / "case/results/earlier.txt").write_text("earlier")
    edit_table(file, "births", lambda f: f.assign(births="x?"))
    before = snapshot(tmp_path)
    with pytest.raises(InputError):
        imps.run(load_project(file).case, out=tmp_path / "case/results", force=True)
    assert snapshot(tmp_path) == before


FAULTS = st.sampled_from(
    ["", "0", "-1", "1", "[c]", "*", "5.5", "1e9", "net", "male", "persons", "0-1", "4+", "5+",
     "2001", "2004", "2005", "27 March 2004", "2-3", "irish_flows", "other", "Total"],
)  # fmt: skip


@st.composite
def faulty_accounts(draw):
    """A small account with up to three cells changed and a row dropped or repeated."""
    frames = {kind: frame.astype(object) for kind, frame in small(stocks=REGISTER).items()}
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(sorted(frames)))
        frame = frames[kind]
        row, column = draw(st.integers(0, len(frame) - 1)), draw(st.sampled_from(list(frame)))
        whole = draw(st.booleans())
        frame.loc[frame.index if whole else row, column] = draw(FAULTS)
    kind = draw(st.sampled_from(sorted(frames)))
    if draw(st.booleans()):
        frames[kind] = frames[kind].drop(index=draw(st.integers(0, len(frames[kind]) - 1)))
    return frames


@given(faulty_accounts(), st.sampled_from(["", "old"]), st.booleans())
@settings(max_examples=GENERATED_ACCOUNTS, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
def test_generated_accounts_never_raise(frames, vintage, taken_off):
    total = {"definition": "LTIM", "includes": ["asylum_seekers"]} if taken_off else {}
    tables = []
    for kind, frame in frames.items():
        options = OPTIONS[kind] | (total if kind == "survey_flows" else {})
        key = (kind, frame.to_csv(), repr(options))
        if key not in READ:
            READ[key] = inspect_table(frame, kind, options)[0]
        tables += [READ[key]] if READ[key] else []
    account = Account(**DECLARED | {"census_vintage": vintage})
    log = check_between(tables, account)
    sources, own = inspect_sources(tables, account, {"stocks (data frame)": NORMAL})
    assert (sources is None) == (not own.passed)
    assert "SOURCES_REFUSED" not in own.codes or not log.passed, str(own)
    if sources is not None:
        for array in (sources.base.count, sources.deaths.count, sources.total_migration):
            assert np.isfinite(array).all()


def test_warnings_of_a_join_are_issued_once():
    frames = small()
    frames["population"]["population"] += 0.5
    frames["population"]["unit"] = "persons"
    with pytest.warns(InputWarning, match="FRACTIONAL_COUNT"):
        tables = read(frames)
    with pytest.raises(InputError, match=r"SE_MISSING.*account.census_standard_error"):
        imps.sources_from_tables(*tables, **DECLARED | {"census_standard_error": 0.0})


def test_eras_of_the_survey_are_declared():
    sources = joined(small(), account={"survey_eras": "immigration 2003-2004"})
    assert [(e.first_year, e.last_year) for e in sources.immigration.eras] == [(2003, 2004)]
    assert sources.emigration.eras == ()
    message = found(small(), "SETTING_RANGE", REJECT, account={"survey_eras": "arrivals 2003"})
    assert "arrivals 2003" in message and "immigration 2004-2008" in message
    with pytest.raises(InputError, match="era 2010 to 2012 lies outside its years 2002 to 2004"):
        joined(small(), account={"survey_eras": "immigration 2010-2012"})
