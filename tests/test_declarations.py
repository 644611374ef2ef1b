"""What an account of any country declares: expressible with the right number, or a step that leads.

One test a line of what could not be declared before: registers, totals, five-year ages, days,
several censuses, misplaced options.
"""

from __future__ import annotations

import pandas as pd
import pytest
from test_streams import MOVES, moves, with_moves

import imps
from imps.errors import InputError, InputWarning
from imps.project.check import check_project, load_project
from imps.project.template import write_project

STREAMS = (
    '\n[[streams]]\nfile = "data/streams.csv"\nperiod = "mid-year"\nunit = "persons"\n'
    'quality = "complete count"\nages = "at-move"\nlevel = {sd = 0.02}\n'
)


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path / "p")
    return tmp_path / "p"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "p"
    write_project(folder)
    return load_project(folder).sources


def change(project, name, how):
    path = project / f"data/{name}.csv"
    how(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)


def declare(project, *pairs):
    path = project / "settings.toml"
    text = path.read_text()
    for before, after in pairs:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text)


def step(project, code):
    """The finding of a code, by what a user reads."""
    report = check_project(project)
    found = [f for f in report.log.faults if f.code == code]
    assert found, str(report)
    return found[0].next_step


def in_groups(frame, value, width=5, top=90):
    """A table of single ages by age group."""
    low = (frame["age"].str.rstrip("+").astype(int) // width * width).clip(upper=top)
    keys = [k for k in frame if k not in ("age", value)]
    out = frame.assign(**{value: frame[value].astype(int)}).groupby([*keys, low], as_index=False)
    out = out[value].sum()
    names = {a: f"{a}-{a + width - 1}" if a < top else f"{a}+" for a in low}
    return out.assign(age=out["age"].map(names))


def drop_section(project, name, until):
    path = project / "settings.toml"
    text = path.read_text()
    path.write_text(text[: text.index(f"[[{name}]]")] + text[text.index(f"[[{until}]]") :])


# A register


def test_a_standard_error_of_zero_leads_to_streams(project):
    change(project, "survey_flows", lambda t: t.assign(standard_error="0"))
    assert "[[streams]]" in step(project, "SE_ZERO")


def test_no_standard_errors_lead_to_streams(project):
    change(project, "survey_flows", lambda t: t.drop(columns=["standard_error", "contacts"]))
    assert "[[streams]]" in step(project, "COLUMN_MISSING")
    change(project, "survey_flows", lambda t: t.assign(standard_error=""))
    assert "[[streams]]" in step(project, "SE_MISSING")
    declare(project, ('definition = "survey"',
                      'standard_error_missing = "unobserved"\ndefinition = "survey"'))  # fmt: skip
    assert "[[streams]]" in step(project, "CELLS_NEEDED")


def test_all_migration_of_a_register_is_streams(project, plain):
    survey = pd.read_csv(project / "data/survey_flows.csv")
    own = survey.rename(columns={"estimate": "count"}).drop(columns=["standard_error", "contacts"])
    own.assign(source="register").to_csv(project / "data/streams.csv", index=False)
    drop_section(project, "survey_flows", "administrative_flows")
    path = project / "settings.toml"
    text = path.read_text()
    path.write_text(text[: text.index("[[administrative_flows]]")])
    with (project / "settings.toml").open("a") as file:
        file.write(STREAMS)
    sources = load_project(project).sources
    names = [s.name for s in sources.streams]
    assert set(names) == {"register_arrivals", "register_departures"} and not sources.survey_flows
    expected = float(plain.survey_net_migration.sum())
    assert sum(float(s.net.sum()) for s in sources.streams) == pytest.approx(expected)


def test_all_migration_as_administrative_flows_leads_to_streams(project):
    drop_section(project, "survey_flows", "administrative_flows")
    assert "[[streams]]" in step(project, "TABLE_MISSING")


def test_a_flow_of_ones_own_with_an_error_has_two_ways(project):
    change(project, "administrative_flows", lambda t: t.assign(source="category_jumpers"))
    assert "account.kinds" in step(project, "SOURCE_UNKNOWN")
    with (project / "settings.toml").open("a") as file:
        file.write('\n[[account.kinds]]\nname = "category_jumpers"\nsd = 0.2\n')
    assert load_project(project).sources.administrative[0].name == "category_jumpers"


# Flows beside the survey, under names of one's own


def add_flows(project, name, **of):
    """Rows of administrative flows of the five years, persons by flow."""
    rows = [{"source": name, "year": str(y), "period": "mid-year", "flow": flow,
             "count": str(n + y - 2002 if n else 0), "unit": "persons"}
            for y in range(2002, 2007) for flow, n in of.items()]  # fmt: skip
    change(project, "administrative_flows", lambda t: pd.concat([t, pd.DataFrame(rows)]))


def more_settings(project, text):
    with (project / "settings.toml").open("a") as file:
        file.write(text)


def test_internal_moves_with_direction_lead_to_kinds_or_streams(project, plain):
    add_flows(project, "internal_migration", immigration=900, emigration=950)
    assert "[[streams]]" in step(project, "SOURCE_UNKNOWN")
    assert "[[account.kinds]]" in step(project, "SOURCE_UNKNOWN")
    more_settings(project, '\n[[account.kinds]]\nname = "internal_migration"\nsd = 0.1\n')
    found = load_project(project)
    assert found.sources.gap - plain.gap == pytest.approx(5 * -50)
    model = imps.linear_model(found.sources, found.priors)
    part = next(c for c in model.contributions if c.source == "internal_migration")
    assert part.group == "migration" and model.prior_moments(part.prior.sum())[1] > 0


def test_the_same_figures_in_both_directions_are_asked_about(project):
    rows = [{"source": "internal_migration", "year": str(y), "period": "mid-year", "flow": flow,
             "count": "900", "unit": "persons"}
            for y in range(2002, 2007) for flow in ("immigration", "emigration")]  # fmt: skip
    change(project, "administrative_flows", lambda t: pd.concat([t, pd.DataFrame(rows)]))
    assert 'jumps = "accepted"' in step(project, "COMPONENT_COUNTED_TWICE")
    declare(project, ('file = "data/administrative_flows.csv"',
                      'file = "data/administrative_flows.csv"\njumps = "accepted"'))  # fmt: skip
    assert "[[streams]]" in step(project, "SOURCE_UNKNOWN")


def test_moves_that_net_to_zero_are_no_error_of_the_base_where_their_ages_are_given(project):
    """As a net of zero their ages contradict the census, and the verdict names them."""
    add_flows(project, "internal_migration", net=0)

    def moved(frame):
        age, people = (frame[c].str.rstrip("+").astype(int) for c in ("age", "population"))
        at_end = frame["year"] == "2006"
        people = people + 150 * (at_end & age.between(20, 29))
        return frame.assign(population=people - 150 * (at_end & age.between(35, 44)))

    change(project, "population", moved)
    found = load_project(project)
    fit = imps.fit(imps.linear_model(found.sources, found.priors), seed=1, draws=200)
    assert "ages 20-39" in {cause.source for cause in imps.check(fit).verdict.causes}


def test_a_known_change_of_any_name_has_a_prior_of_its_own(project):
    add_flows(project, "internal_migration", net=100)
    settings = project / "settings.toml"
    plain = settings.read_text()
    settings.write_text(plain + "\n[priors.internal_migration]\nmean = 0.0\nsd = 0.2\n")
    assert "[[account.kinds]]: name, flow, sd" in step(project, "SETTING_UNKNOWN")
    kind = '\n[[account.kinds]]\nname = "internal_migration"\nsd = 0.2\n'
    settings.write_text(plain + kind)
    assert 'flow = "net"' in step(project, "FLOW_NEEDED")
    settings.write_text(plain + kind + 'flow = "net"\n')
    found = load_project(project)
    model = imps.linear_model(found.sources, found.priors)
    part = next(c for c in model.contributions if c.source == "internal_migration")
    mean, sd = model.prior_moments(part.prior.sum())
    assert part.group == "other changes" and mean == 0
    assert 0 < sd <= 0.2 * 5 * 102  # a share of the mean yearly change, in part alike in all years


def test_a_code_of_an_area_is_no_title(project):
    declare(project, ('"Exampleland"', '"S92000003"'),
            ('name = "Exampleland, mid', 'name = "Scotland, mid'))  # fmt: skip
    found = load_project(project)
    assert found.sources.area == "Scotland" and found.case.title.startswith("Scotland, mid")
    declare(project, ('"S92000003"', '"E09000007"'),
            ('name = "Scotland, mid', 'name = "Camden, mid'))  # fmt: skip
    assert load_project(project).sources.area == "Camden (E09000007)"


def test_a_british_name_is_not_needed_for_a_flow_of_ones_own(project, plain):
    """`irish_flows` was the only name for rows with direction: the gap is that of any other."""
    add_flows(project, "irish_flows", immigration=9000, emigration=9200)
    disguised = load_project(project).sources.gap
    change(project, "administrative_flows",
           lambda t: t.replace({"source": {"irish_flows": "border_region"}}))  # fmt: skip
    assert "only for what they name" in step(project, "SOURCE_UNKNOWN")
    more_settings(project, '\n[[account.kinds]]\nname = "border_region"\nsd = 0.1\n')
    assert load_project(project).sources.gap == disguised == pytest.approx(plain.gap - 1000)


def test_the_stated_error_of_a_census_is_that_of_its_likelihood(project):
    found = {}
    for stated in (0.001, 0.05):
        declare(project, ("census_standard_error = 0.001", f"census_standard_error = {stated}"))
        given = load_project(project)
        model = imps.linear_model(given.sources, given.priors)
        part = next(c for c in model.contributions if c.source == "census_sampling")
        wanted = stated * given.sources.census.total
        assert model.prior_moments(part.prior.sum())[1] == pytest.approx(wanted, rel=1e-3)
        table = imps.attribute(imps.fit(model, seed=1, draws=50)).summary()
        found[stated] = float(table.set_index("source")["sd"]["census_sampling"])
    assert found[0.05] > 5 * found[0.001]


# Detail


def of_total(frame):
    flows = frame.assign(estimate=frame["estimate"].astype(float),
                         square=frame["standard_error"].astype(float) ** 2)  # fmt: skip
    flows = flows.groupby(["year", "period", "flow", "unit"], as_index=False)
    flows = flows[["estimate", "square"]].sum()
    return flows.assign(standard_error=flows.pop("square") ** 0.5)


def test_flows_of_all_ages_for_persons(project, plain):
    change(project, "survey_flows", lambda t: of_total(t).assign(sex="persons", age_group="all"))
    sources = load_project(project).sources
    assert sources.immigration.observed == "total"
    assert sources.gap == pytest.approx(plain.gap)
    rows = imps.linear_model(sources, imps.default_priors()).row_sources
    assert rows.count("immigration") == len(sources.years)


def test_flows_by_age_without_sex(project, plain):
    def persons(frame):
        flows = frame.assign(square=frame["standard_error"].astype(float) ** 2,
                             estimate=frame["estimate"].astype(float))  # fmt: skip
        keys = ["year", "period", "flow", "age_group", "unit"]
        flows = flows.groupby(keys, as_index=False)[["estimate", "square"]].sum()
        return flows.assign(sex="persons", standard_error=flows.pop("square") ** 0.5)

    change(project, "survey_flows", persons)
    sources = load_project(project).sources
    assert not sources.immigration.by_sex and sources.gap == pytest.approx(plain.gap)
    model = imps.linear_model(sources, imps.default_priors())
    first = [i for i, s in enumerate(model.row_sources) if s == "immigration"]
    assert len(first) == len(sources.years) * 5
    assert model.observed[first].sum() == pytest.approx(float(plain.immigration.estimate.sum()))
    errors = float((plain.immigration.standard_error**2).sum())
    assert (model.standard_error[first] ** 2).sum() == pytest.approx(errors)
    sampling = next(c for c in model.contributions if c.source == "immigration_sampling")
    whole = imps.linear_model(plain, imps.default_priors())
    same = next(c for c in whole.contributions if c.source == "immigration_sampling")
    assert model.prior_moments(sampling.prior.sum())[1] == pytest.approx(
        whole.prior_moments(same.prior.sum())[1]
    )


def test_flows_by_sex_of_all_ages(project, plain):
    keys = ["year", "period", "flow", "sex", "unit"]

    def by_sex(frame):
        flows = frame.assign(square=frame["standard_error"].astype(float) ** 2,
                             estimate=frame["estimate"].astype(float))  # fmt: skip
        flows = flows.groupby(keys, as_index=False)[["estimate", "square"]].sum()
        return flows.assign(age_group="0+", standard_error=flows.pop("square") ** 0.5)

    change(project, "survey_flows", by_sex)
    assert load_project(project).sources.gap == pytest.approx(plain.gap)


def test_five_year_population_and_deaths(project, plain):
    for table in ("population", "deaths"):
        change(project, table, lambda t, value=table: in_groups(t, value))
    sources = load_project(project).sources
    assert sources.gap == pytest.approx(plain.gap)
    assert float(sources.deaths.count.sum()) == pytest.approx(float(plain.deaths.count.sum()))
    assert len(sources.base.lower_ages) == 19
    with (project / "settings.toml").open("a") as file:
        file.write("\n[priors.base_layout]\nsd = 0.1\n")
    asked = load_project(project)
    assert imps.linear_model(sources, asked.priors).priors["base_layout"].sd == 0.1
    declare(project, ('file = "data/population.csv"',
                      'file = "data/population.csv"\nobserved = "total"'))  # fmt: skip
    sources = load_project(project).sources
    assert sources.census.observed == "total" and sources.gap == pytest.approx(plain.gap)


def test_five_year_deaths_beside_a_population_by_single_age(project, plain):
    """Infants, 1 to 4, five years to 85 and over, as deaths are published."""

    def abridged(frame):
        first = frame["age"].str.rstrip("+").astype(int)
        low = first.where(first < 1, (first // 5 * 5).clip(1, 85)).where(first != 0, 0)
        names = {0: "0", 1: "1-4", 85: "85+"}
        age = low.map(lambda a: names.get(a, f"{a}-{a + 4}"))
        keys = [k for k in frame if k not in ("age", "deaths")]
        out = frame.assign(deaths=frame["deaths"].astype(int), age=age)
        return out.groupby([*keys, "age"], as_index=False, sort=False)["deaths"].sum()

    change(project, "deaths", abridged)
    asked = check_project(project).log.faults
    assert {f.code for f in asked} == {"OPEN_AGE_CHANGES"}, "one finding, and the right one"
    declare(project, ('file = "data/population.csv"',
                      'file = "data/population.csv"\nopen_age = 85'))  # fmt: skip
    sources = load_project(project).sources
    assert sources.gap == pytest.approx(plain.gap)
    assert float(sources.deaths.count.sum()) == pytest.approx(float(plain.deaths.count.sum()))


def test_net_migration_alone_is_a_stream_as_its_message_says(project, plain):
    survey = pd.read_csv(project / "data/survey_flows.csv")
    keys = ["year", "period", "sex", "age_group", "unit"]
    sign = survey["flow"].map({"immigration": 1, "emigration": -1})
    moved = survey.assign(estimate=sign * survey["estimate"], square=survey["standard_error"] ** 2)
    net = moved.groupby(keys, as_index=False)[["estimate", "square"]].sum().assign(flow="net")
    net["standard_error"] = net.pop("square") ** 0.5
    net.to_csv(project / "data/survey_flows.csv", index=False)
    assert "net migration alone is a table of [[streams]]" in step(project, "FLOW_NEEDED")
    net.rename(columns={"estimate": "count"}).to_csv(project / "data/net.csv", index=False)
    drop_section(project, "survey_flows", "administrative_flows")
    level = 'level = { sd = 0.05 }\nreason = "judgement"\n'
    more_settings(project, '\n[[streams]]\nfile = "data/net.csv"\nsource = "net_migration"\n'
                           'unit = "persons"\nperiod = "mid-year"\nquality = "survey"\n'
                           f'ages = "at-year-end"\n{level}')  # fmt: skip
    report = check_project(project)
    assert "Give it as a stream" in str(report), str(report)
    path = project / "settings.toml"
    text = path.read_text().replace("[[administrative_flows]]", "[[streams]]", 1)
    at = text.index('file = "data/administrative_flows.csv"')
    path.write_text(text[:at] + f'quality = "complete count"\n{level}' + text[at:])
    assert "give it another" in str(check_project(project))
    change(project, "administrative_flows", lambda t: t.assign(source="asylum"))
    sources = load_project(project).sources
    assert {s.flow for s in sources.streams} == {"net", "immigration"}
    assert sources.gap == pytest.approx(plain.gap, abs=1)


def test_a_population_in_total_asks_for_a_schedule_that_serves(project, plain):
    whole = pd.read_csv(project / "data/population.csv", dtype=str)

    def total(frame):
        frame = frame.assign(population=frame["population"].astype(int))
        out = frame.groupby(["vintage", "year", "unit"], as_index=False)["population"].sum()
        return out.assign(sex="persons", age="all")

    change(project, "population", total)
    assert "account.schedule_vintage" in step(project, "SINGLE_AGES_NEEDED")
    told = [f for f in check_project(project).log.faults if f.code.startswith("SINGLE_AGES_NEEDED")]
    assert len(told) == 2  # the base and the census
    totals = pd.read_csv(project / "data/population.csv", dtype=str)
    both = pd.concat([totals, whole.assign(vintage="ages")])
    both.to_csv(project / "data/population.csv", index=False)
    declare(project, ('schedule_vintage = ""', 'schedule_vintage = "ages"'))
    sources = load_project(project).sources
    assert sources.census.observed == "total" and sources.gap == pytest.approx(plain.gap)
    assert sources.census.count.values == pytest.approx(plain.census.count.values)


def test_roll_forward_in_total_of_the_last_year_only(project, plain):
    last = float(plain.rolled_forward.total[-1])
    row = {"vintage": "rf", "year": "2006", "sex": "persons", "age": "all ages",
           "population": f"{last:.0f}", "unit": "persons"}  # fmt: skip
    change(project, "population", lambda t: pd.concat([t, pd.DataFrame([row])]))
    declare(project, ('rolled_forward_vintage = ""', 'rolled_forward_vintage = "rf"'))
    sources = load_project(project).sources
    assert sources.gap == pytest.approx(plain.gap, abs=1)
    assert sources.rolled_forward.by_rule == (2002, 2003, 2004, 2005)
    assert sources.rolled_forward.by_sex is None
    assert abs(sources.flows_revised_since.values).max() < 1
    change(
        project, "population", lambda t: t.replace({"population": {row["population"]: "757000"}})
    )
    assert "account.components_differ" in step(project, "COMPONENTS_DIFFER")
    declare(project, ("last_mid_year", 'components_differ = "a correction"\nlast_mid_year'))
    other = load_project(project).sources
    assert other.gap - sources.gap == pytest.approx(757000 - round(last))


def test_components_that_do_not_make_the_roll_forward_are_asked_about_with_year_and_size(
    project, plain
):
    own = [{"vintage": "rf", "year": str(y), "sex": "persons", "age": "all ages", "unit": "persons",
            "population": f"{float(plain.rolled_forward.total.sel(year=y)) - 15 * (y >= 2005):.0f}"}
           for y in range(2002, 2007)]  # fmt: skip
    change(project, "population", lambda t: pd.concat([t, pd.DataFrame(own)]))
    declare(project, ('rolled_forward_vintage = ""', 'rolled_forward_vintage = "rf"'))
    report = check_project(project)
    message = next(str(f) for f in report.log.faults if f.code == "COMPONENTS_DIFFER")
    assert "2005: -15" in message and "2004" not in message and "2006" not in message


def test_a_total_keeps_its_year_when_a_cell_met_nobody(project):
    declare(project, ('definition = "survey"', 'observed = "total"\nzero_no_contacts = '
                      '"unobserved"\ndefinition = "survey"'))  # fmt: skip
    whole = load_project(project).sources.immigration

    def empty(frame):
        at = (frame["year"] == "2004") & (frame["flow"] == "immigration")
        at &= (frame["sex"] == "male") & (frame["age_group"] == "65+")
        frame.loc[at, ["estimate", "standard_error", "contacts"]] = "0"
        return frame

    lost = float(whole.estimate.sel(year=2004, sex="male", age_group="65+"))
    change(project, "survey_flows", empty)
    sources = load_project(project).sources
    model = imps.linear_model(sources, imps.default_priors())
    row = model.row_labels.index("immigration 2004")
    assert model.observed[row] == pytest.approx(float(whole.estimate.sel(year=2004).sum()) - lost)
    assert model.row_sources.count("immigration") == len(sources.years)


def test_a_cv_of_cells_beside_their_total_is_asked_about(project):
    change(project, "survey_flows",
           lambda t: t.drop(columns=["standard_error", "contacts"]).assign(cv="10"))  # fmt: skip
    declare(project, ('definition = "survey"',
                      'observed = "total"\ncv_unit = "percent"\ndefinition = "survey"',
                      ))  # fmt: skip
    assert "[[survey_totals]]" in step(project, "CV_OF_CELLS")


def test_ages_of_flows_at_the_end_of_the_year_take_effect(project, plain):
    declare(project, ('definition = "survey"',
                      'age_counted = "at-mid-year"\ndefinition = "survey"'))  # fmt: skip
    sources = load_project(project).sources
    assert sources.immigration.ages == "at the end of the year"
    model = imps.linear_model(sources, imps.default_priors())
    assert plain.immigration.ages == "at the move"
    assert model.account.flows["immigration"].groups[0, 0, 15] == 0


def test_options_that_a_table_does_not_use_are_refused_by_name(project):
    unused = {"births": 'age_counted = "at-death"', "deaths": "sex_ratio = 1.05",
              "administrative_flows": 'observed = "total"',
              "population": 'cv_unit = "percent"'}  # fmt: skip
    for table, option in unused.items():
        declare(project, (f'file = "data/{table}.csv"', f'file = "data/{table}.csv"\n{option}'))
    report = check_project(project)
    found = {f.file: str(f) for f in report.log.faults if f.code == "OPTION_UNUSED"}
    assert len(found) == 4
    for table, option in unused.items():
        assert option.split(" ")[0] in found[f"data/{table}.csv"]


def test_deaths_by_single_age_that_end_earlier_than_the_population(project, plain):
    """One finding, the right one; its step sums the population to the same open age."""

    def to_85(frame):
        low = frame["age"].str.rstrip("+").astype(int).clip(upper=85)
        keys = [k for k in frame if k not in ("age", "deaths")]
        out = frame.assign(deaths=frame["deaths"].astype(int)).groupby([*keys, low], as_index=False)
        out = out["deaths"].sum()
        return out.assign(age=out["age"].astype(str).replace("85", "85+"))

    change(project, "deaths", to_85)
    assert [f.code for f in check_project(project).log.faults] == ["OPEN_AGE_CHANGES"]
    assert "open_age = 85" in step(project, "OPEN_AGE_CHANGES")
    declare(project, ('file = "data/population.csv"',
                      'file = "data/population.csv"\nopen_age = 85'))  # fmt: skip
    sources = load_project(project).sources
    assert sources.gap == pytest.approx(plain.gap) and sources.ages[-1] == 85


def test_ages_with_a_hole_above_the_open_age_are_summed(project, plain):
    old = [{"year": str(y), "period": "mid-year", "sex": "male", "age": "95", "deaths": "3"}
           for y in range(2002, 2007)]  # fmt: skip
    change(project, "deaths", lambda t: pd.concat(
        [t.assign(age=t["age"].str.rstrip("+")), pd.DataFrame(old)]))  # fmt: skip
    declare(project, ('age_counted = "at-mid-year"', 'age_counted = "at-mid-year"\nopen_age = 90'))
    deaths = load_project(project).sources.deaths.count
    assert float(deaths.sum() - plain.deaths.count.sum()) == pytest.approx(15)


# Dates


def test_year_ending_june_says_mid_year(project):
    change(project, "births", lambda t: t.drop(columns="period"))
    declare(project, ('period = "mid-year"', 'period = "year-ending-june"'))
    assert load_project(project).sources.births.count.sizes["year"] == 5


def test_stocks_of_31_december_lead_to_year_ends(project):
    change(project, "population", lambda t: t.assign(year=t["year"] + "-12-31"))
    assert 'account.year_ends = "12-31"' in step(project, "STOCK_DATE")


def test_bare_years_beside_calendar_years_are_asked_for_their_day(project, plain):
    for name in ("births", "deaths", "survey_flows", "administrative_flows"):
        change(project, name, lambda t: t.assign(period="calendar-year"))
    declare(project, ('period = "mid-year"', 'period = "calendar-year"'))
    assert 'year_ends = "01-01"' in step(project, "STOCK_DATE")
    change(project, "population", lambda t: t.assign(year=(t["year"].astype(int) + 1).astype(str)))
    declare(project, ("last_mid_year", 'year_ends = "12-31"\nlast_mid_year'),
            ('file = "data/population.csv"',
             'file = "data/population.csv"\nyear_ends = "01-01"'))  # fmt: skip
    sources = load_project(project).sources
    assert sources.gap == pytest.approx(plain.gap) and sources.period.startswith("1 January 2002")


def test_census_days_at_both_ends(project, plain):
    days = {"2001": "2001-03-06", "2006": "2006-03-07"}
    change(project, "population", lambda t: t.assign(year=t["year"].map(days)))
    declare(project, ("[[population]]\n",
                      '[[population]]\ncensus_days = ["2001-03-06", "2006-03-07"]\n'))  # fmt: skip
    sources = load_project(project).sources
    assert sources.share_after_census == pytest.approx(115 / 365, abs=0.01)
    first = float(plain.rolled_forward.total.diff("year")[0])
    moved = sources.base.total - plain.base.total
    assert moved == pytest.approx(116 / 365 * first, rel=0.03)
    assert sources.gap == pytest.approx(plain.gap + moved)


def test_a_census_after_the_year_has_the_change_since_taken_off(project):
    change(project, "population", lambda t: t.assign(
        year=t["year"].replace({"2006": "2006-10-31", "2001": "2001-06-30"})))  # fmt: skip
    declare(project, ("[[population]]\n", '[[population]]\ncensus_days = ["2006-10-31"]\n'))
    sources = load_project(project).sources
    assert sources.last_year == 2006
    assert sources.share_after_census == pytest.approx(-0.336, abs=0.01)
    model = imps.linear_model(sources, imps.default_priors())
    part = next(c for c in model.contributions if c.source == "date_change")
    account = model.account
    last = (account.natural + account.net_migration).constant[:, :, -1].sum()
    assert part.value.sum().constant == pytest.approx(sources.share_after_census * last)


def test_a_census_at_the_end_of_december_is_no_quarter_of_a_stock(project):
    """It is asked about, and kept where it is declared: half a year after the account ends."""
    change(project, "population", lambda t: t.assign(
        year=t["year"].replace({"2006": "2006-12-31", "2001": "2001-06-30"})))  # fmt: skip
    assert "census_days = ['2006-12-31']" in step(project, "STOCK_DATE")
    declare(project, ("[[population]]\n", '[[population]]\ncensus_days = ["2006-12-31"]\n'))
    sources = load_project(project).sources
    assert sources.last_year == 2006
    assert sources.share_after_census == pytest.approx(-0.4973, abs=0.0001)  # by months


def test_of_a_stock_of_every_quarter_the_end_of_the_year_is_used(project, plain):
    def quarters(frame):
        frame = frame.assign(year=frame["year"] + "-06-30")
        people = frame["population"].astype(int)
        other = [frame.assign(year=frame["year"].str[:4] + f"-{day}",
                              population=(people + i).astype(str))
                 for i, day in enumerate(("03-31", "09-30", "12-31"), 1)]  # fmt: skip
        return pd.concat([frame, *other])

    change(project, "population", quarters)
    report = load_project(project)
    assert "QUARTERS_CHOSEN" in report.log.codes
    assert report.sources.gap == pytest.approx(plain.gap)


def test_a_census_within_the_account_is_never_dropped_without_a_line(project):
    def three(frame):
        first = frame[frame["year"] == "2001"]
        return pd.concat([frame, first.assign(year="2003", vintage="census 2003")])

    change(project, "population", three)
    report = check_project(project)
    (found,) = [f for f in report.log.findings if f.code == "STOCK_UNUSED"]
    assert "'census 2003'" in found.problem and found.total == 182
    assert "imps chain" in found.next_step and "[[stocks]]" in found.next_step


def test_quarters_and_months_are_summed_to_years():
    def flows(labels):
        return pd.DataFrame([
            {"year": label, "flow": flow, "sex": sex, "age_group": "0+", "estimate": 100 + i,
             "standard_error": 20}
            for i, label in enumerate(labels) for flow in ("immigration", "emigration")
            for sex in ("male", "female")
        ])  # fmt: skip

    quarters = ["2011-Q3", "2011-Q4", "2012-Q1", "2012-Q2", "Q3 2012"]
    said = {"unit": "persons", "definition": "survey"}
    with pytest.raises(InputError, match='Set period = "calendar-year", "mid-year"'):
        imps.read_table(flows(quarters), "survey_flows", **said)
    with pytest.warns(InputWarning, match="years 2013 lack a quarter"):
        table = imps.read_table(flows(quarters), "survey_flows", period="mid-year", **said)
    assert set(table.frame["year"]) == {2012} and len(table.frame) == 4
    assert (table.frame["estimate"] == 406).all() and (table.frame["standard_error"] == 40).all()
    with pytest.raises(InputError, match="periods overlap: a year stands beside its parts"):
        imps.read_table(flows([*quarters[:4], "2012"]), "survey_flows", period="mid-year", **said)
    months = [f"2011M{month:02d}" for month in range(1, 13)]
    births = pd.DataFrame({"year": months * 2, "births": range(24),
                           "sex": ["male"] * 12 + ["female"] * 12})  # fmt: skip
    table = imps.read_table(births, "births", period="calendar-year")
    assert table.frame["births"].tolist() == [66, 210]
    both = {"year": [*months, *(f"2011-Q{i}" for i in range(1, 5))] * 2, "births": 1,
            "sex": ["male"] * 16 + ["female"] * 16}  # fmt: skip
    with pytest.raises(InputError, match="PARTS_OF_YEARS.*quarters beside months"):
        imps.read_table(pd.DataFrame(both), "births", period="calendar-year")
    again = flows([*quarters[:4], "2012-Q2"])
    with pytest.raises(InputError, match="DUPLICATE_KEY"):
        imps.read_table(again, "survey_flows", period="mid-year", **said)


# Refused with file, reason and step


def two_files(folder, file):
    moves().to_csv(folder / "data/others.csv", index=False)
    more_settings(folder, MOVES.replace("moves.csv", "others.csv"))


def twice(folder, file):
    more_settings(folder, MOVES)


def finer(folder, file):
    frame = moves()
    old = frame["age_group"] == "90+"
    more = [frame[old].assign(age_group=a) for a in ("90", "91", "92+")]
    pd.concat([frame[~old], *more]).to_csv(folder / "data/moves.csv", index=False)


def anchored(folder, file):
    declare(folder, ('ages = "at-year-end"', 'anchored_to = "census 2006"\nages = "at-year-end"'))


def two_periods(folder, file):
    both = [moves().assign(period=p) for p in ("mid-year", "calendar-year")]
    pd.concat(both).to_csv(folder / "data/moves.csv", index=False)
    declare(folder, ('period = "mid-year"\nquality', "quality"))


def years_beside_quarters(folder, file):
    def both(births):
        quarters = [births.assign(year=[f"{int(y) - (q > 2)}-Q{q}" for y in births["year"]])
                    for q in (1, 2, 3, 4)]  # fmt: skip
        return pd.concat([births, *quarters]).drop(columns="period")

    change(folder, "births", both)


def no_date(folder, file):
    change(folder, "population", lambda t: t.assign(year=t["year"].replace({"2006": ""})))


REFUSED = {
    "STREAM_TWICE": (two_files, "data/others.csv", 'quality = "mirror"'),
    "STREAM_TWICE.named": (twice, "data/moves.csv", "Keep one"),
    "OPEN_AGE_CHANGES": (finer, "data/moves.csv", "open_age = 90"),
    "STREAM_ANCHORED": (anchored, "data/moves.csv", "before that adjustment"),
    "PERIOD_MIXED": (two_periods, "data/moves.csv", "one period"),
    "PARTS_OF_YEARS": (years_beside_quarters, "data/births.csv", "either the years or"),
    "LABEL_EMPTY": (no_date, "data/population.csv", "Fill the cell"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_cannot_be_is_refused_with_file_reason_and_step(code, tmp_path):
    how, file, words = REFUSED[code]
    how(tmp_path / "p", with_moves(tmp_path / "p"))
    report = check_project(tmp_path / "p")
    found = [f for f in report.log.faults if f.code == code.partition(".")[0]]
    assert found, str(report)
    assert found[0].file == file and found[0].problem
    assert words in found[0].next_step, found[0].next_step
