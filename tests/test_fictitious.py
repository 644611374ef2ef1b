"""Fictitious accounts and the projects of every kind: figures by rule, planted truth, words."""

from __future__ import annotations

import importlib.util
import re
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import imps
from imps.account.prior_sets import doubts
from imps.account.priors import FEWEST_RESIDENTS, RESIDENTS_OF_LOCAL, kinds_table
from imps.demography.schedules import autoregressive, young_adults
from imps.errors import PriorError, SettingError, UnknownCaseError
from imps.names import KINDS_OF_COUNTRY, SURVEY
from imps.project.check import check_project, load_project
from imps.project.template import template_of
from imps.reading.findings import WARN
from imps.runs.cli import app
from imps.shipped import cases, fictitious, known_cases
from imps.tables.run import run_tables

KINDS = tuple(kind for kind in KINDS_OF_COUNTRY if kind != SURVEY)
RULES = Path(__file__).parents[1] / "data_raw" / "fictitious.py"
FOREIGN = (
    "[Ii]rish", "IPS", "TIM", "LTIM", "[Ss]witcher", "[Aa]sylum", "ONS", "United Kingdom",
    "30 June",
)  # fmt: skip
ABSENT = {
    "register": ("sampling", "survey", "mid-20", "31 December", "by the census"),
    "cards": ("the survey", "mid-20"),
    "area": ("the census of", "1 January"),
}
ONE_PIXEL = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 1, 1)


def _rules():
    spec = importlib.util.spec_from_file_location("fictitious", RULES)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built():
    """Tables and planted truth of every account, by the rules."""
    rules = _rules()
    return {kind: rule(rules.SEED) for kind, rule in rules.ACCOUNTS.items()}


@pytest.fixture(scope="module")
def projects():
    return {kind: load_project(template_of(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def fits(projects):
    return {
        kind: imps.fit(imps.linear_model(p.sources, p.priors), seed=1, draws=400)
        for kind, p in projects.items()
    }


# Figures


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_the_rules_and_the_notes_say_what_was_planted(kind, built):
    tables, planted = built[kind]
    folder = template_of(kind)
    assert {p.stem for p in (folder / "data").glob("*.csv")} == set(tables)
    for name, table in tables.items():
        stored = pd.read_csv(folder / "data" / f"{name}.csv", dtype=str)
        pd.testing.assert_frame_equal(stored, table.astype(str), obj=name)
    case = imps.load_case(f"fictitious-{kind}")
    assert "invented" in case.title and "Every figure is invented" in case.notes[0]
    assert case.references["title"].str.contains("nvented").all()
    assert (f"{planted:,.0f}" in case.notes[0]) == (planted > 0)


def test_fictitious_accounts_are_listed_apart_and_read_by_the_one_road():
    said = CliRunner().invoke(app, ["cases"]).output
    british, invented = said.split("fictitious, every figure invented:")
    assert all(name in british for name in cases()) and "fictitious" not in british
    assert all(name in invented for name in fictitious())
    assert set(known_cases()) == {*cases(), *fictitious()}
    with pytest.raises(UnknownCaseError, match="Did you mean 'fictitious-cards'"):
        imps.load_case("fictitious-card")


@pytest.mark.parametrize("kind", KINDS_OF_COUNTRY)
def test_a_new_project_is_the_account_of_its_kind(kind, tmp_path, projects):
    own = tmp_path / "own"
    written = CliRunner().invoke(app, ["init", str(own), "--kind", kind, "-q"])
    assert written.exit_code == 0, written.output
    files = {str(p.relative_to(own)) for p in own.rglob("*") if p.is_file()}
    assert {"README.md", "quality_log.csv", "assumptions_log.csv"} < files
    for file in template_of(kind).rglob("*.*"):
        name = str(file.relative_to(template_of(kind)))
        files.discard(name)
        assert (own / name).read_text() == file.read_text()
    assert len(files) == 3
    if kind in projects:
        warned = [f for f in projects[kind].log.findings if f.outcome == WARN]
        assert len(warned) <= 2 and projects[kind].settings.priors_kind == kind


def test_a_kind_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingError, match="survey, register, cards, area"):
        imps.write_project(tmp_path / "own", kind="cencus")
    file = imps.write_project(tmp_path / "own", kind="cards")
    text = file.read_text()
    for new, words in (
        ('kind = "card"', "('survey', 'register', 'cards', 'area')"),
        ('kind = "cards"\nas_of = 2010', "left out beside kind"),
    ):
        file.write_text(text.replace('kind = "cards"', new))
        fault = check_project(file).log.faults[0]
        assert fault.code == "SETTING_RANGE" and words in str(fault)


# Truth


def _total(fit, sources):
    """Draws of what named sources added to the gap, persons."""
    return imps.attribute(fit).totals().sel(source=list(sources)).sum("source").values.ravel()


def test_a_register_that_closes_has_nothing_to_explain(fits, projects):
    fit, people = fits["register"], projects["register"].sources.census.total
    assert projects["register"].sources.gap == 0 and fit.method == "exact"
    shares = imps.attribute(fit)
    assert "nothing to explain" in str(imps.check(fit).verdict)
    row = shares.groups().set_index("group").loc["migration"]
    assert max(-row["lower95"], row["upper95"]) < 0.001 * people
    assert not [s for s in shares.totals()["source"].values if "sampling" in s]


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        ("cards", ("cards_arrivals", "cards_departures", "long_absences")),
        ("area", ("internal_moves_arrivals", "internal_moves_departures",
                  "unregistered_departures")),
    ],
)  # fmt: skip
def test_what_was_planted_is_found(kind, sources, fits, built):
    low, high = np.quantile(_total(fits[kind], sources), [0.05, 0.95])
    assert 0 < low < built[kind][1] < high


# Priors


def test_priors_of_every_kind_have_a_reason_and_act_on_rows_that_are_there():
    table, rows = kinds_table(), imps.default_priors()
    assert set(table["kind"]) == set(KINDS) and not table.duplicated(["kind", "prior"]).any()
    for _, row in table.iterrows():
        assert row["prior"] in rows and len(row["reason"]) > 20
        assert row["evidence"] or "udgement" in row["reason"], row["prior"]
    for kind in KINDS:
        residents = 20_000 if kind == "area" else None
        made = imps.default_priors(kind=kind, residents=residents)
        assert made.defaults.rows == made.rows and list(made) == list(rows)
        assert not made.evidence().empty


def test_priors_of_an_area_widen_as_it_gets_smaller():
    def sd(residents):
        return imps.default_priors(kind="area", residents=residents)["census_level"].sd

    country = imps.default_priors()["census_level"].sd
    assert sd(RESIDENTS_OF_LOCAL) == pytest.approx(np.hypot(country, 0.005))
    assert sd(1e9) == pytest.approx(country, rel=1e-3)
    assert sd(1) == sd(FEWEST_RESIDENTS) > sd(60_000) > sd(200_000)
    for wrong in ({"kind": "area"}, {"kind": "area", "residents": 0}, {"residents": 5},
                  {"kind": "cards", "as_of": 2010}):  # fmt: skip
        with pytest.raises(PriorError):
            imps.default_priors(**wrong)
    with pytest.raises(PriorError, match="Did you mean 'register'"):
        imps.default_priors(kind="registers")


def test_priors_that_meet_a_population_they_were_not_made_for_are_doubted(projects):
    def said(kind, priors):
        return " ".join(doubts(imps.linear_model(projects[kind].sources, priors)))

    area = projects["area"]
    assert "residents: take those of an area" in said("area", imps.default_priors())
    for kind, project in projects.items():
        assert not said(kind, project.priors)
    assert "made for nations" not in said("cards", imps.default_priors())
    fewer = replace(area.sources.census, count=0.9 * area.sources.census.count)
    model = imps.linear_model(replace(area.sources, census=fewer), area.priors)
    assert "outside the 95 % prior predictive interval" in " ".join(doubts(model))


# Words


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_of_a_fictitious_account_is_of_no_other_country(
    kind, fits, projects, tmp_path, monkeypatch
):
    monkeypatch.setattr("imps.report.report.figure_png", lambda figure: ONE_PIXEL)
    fit, case = fits[kind], projects[kind].case
    page = imps.write_report(fit, tmp_path / "report.html", case=case).read_text("utf-8")
    page = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    for word in (*FOREIGN, *ABSENT[kind]):
        assert not re.search(rf"\b{word}", page), word
    assert case.title in page and page.count("alt=") > 7
    found = imps.attribute(fit)
    tables = run_tables(fit, found, imps.reconcile(fit), imps.check(fit))
    text = " ".join(table.csv_text() for table in tables.values())
    assert not [word for word in (*FOREIGN, *ABSENT[kind]) if re.search(rf"\b{word}", text)]


def test_errors_of_a_stream_are_those_of_the_equation(projects):
    area = projects["area"]
    arrivals, departures = area.sources.streams
    if departures.flow != "emigration":
        arrivals, departures = departures, arrivals
    errors = {"level": (0.01, 0.02), "sex": (0.0, 0.01), "children": (0.0, 0.03),
              "young": (0.0, 0.04), "drift": (0.0, 0.01)}  # fmt: skip
    stream = replace(departures, errors=errors)
    model = imps.linear_model(replace(area.sources, streams=(arrivals, stream)), area.priors)
    w = model.prior_draws(1, seed=5)
    z = {k: v[0] for k, v in model._blocks(model.sizes, w).items()}
    ages = np.arange(area.sources.ages.size)
    (wrong,) = stream.misclassified
    shape = {
        "level": np.ones(ages.size) * (0.01 + 0.02 * z[f"{stream.name}_level"]),
        "children": np.clip((15 - ages) / 6, 0, 1) * 0.03 * z[f"{stream.name}_children"],
        "young": young_adults(ages.size) * 0.04 * z[f"{stream.name}_young"],
        "wrong": ((ages >= 18) & (ages <= 34)) * (wrong.mean + wrong.sd * z[wrong.name]),
    }
    by_sex = np.array([1.0, -1.0]) * 0.01 * z[f"{stream.name}_sex"]
    by_year = 0.01 * autoregressive(stream.count.sizes["year"], 0.8) @ z[f"{stream.name}_drift"]
    share = sum(shape.values())[None, :, None] + by_sex[:, None, None] + by_year
    published = stream.count.values.transpose(1, 2, 0)
    part = next(c for c in model.account.carried if c.name == stream.name)
    np.testing.assert_allclose(
        model.evaluate(part.true, w)[0], -published * (1 - share), rtol=1e-9, atol=1e-9
    )


def changed(folder, table, change):
    file = folder / "data" / f"{table}.csv"
    change(pd.read_csv(file)).to_csv(file, index=False)


def settings_with(folder, *lines):
    file = folder / "settings.toml"
    file.write_text(file.read_text().replace("[account]", "\n".join(["[account]", *lines])))


def test_populations_of_1_january_bear_its_year_and_flows_their_calendar_year(fits):
    """The end of 2002 is 1 January 2003: nobody reads the base as that of a year before."""
    fit = fits["register"]
    found = imps.reconcile(fit)
    made = run_tables(fit, imps.attribute(fit), found, imps.check(fit))
    tables = {table.label: table for table in made.values()}
    back, base = tables["tab:back-series"], fit.model.sources.base
    assert back.frame["year"].tolist() == list(range(2003, 2022)) and "1 January" in back.caption
    assert back.frame["rolled_forward"].iloc[0] == base.total
    assert tables["tab:roll-forward"].frame["year"].iloc[0] == 2003
    net = tables["tab:net-migration"]
    assert net.frame["year"].tolist() == list(range(2003, 2021))
    assert "by calendar year" in net.caption
    figure = imps.plot_back_series(found)
    assert imps.plots.figure_data(figure)["year"].iloc[-1] == 2021
    assert "2003 to 2021" in imps.plots.alt_text(figure)


def test_an_account_of_calendar_years_never_hears_of_mid_years(tmp_path):
    own = imps.write_project(tmp_path / "own", kind="register").parent
    file = own / "settings.toml"
    file.write_text(file.read_text().replace("last_mid_year = 2020", "last_mid_year = 2019"))
    changed(own, "births", lambda t: t[t["year"] < 2019])
    said = str(imps.check_project(own).log.findings)
    assert {"PERIOD_GAP", "PERIOD_UNUSED"} <= set(re.findall(r"code='(\w+)'", said))
    assert "1 January 2003 to 1 January 2020" in said and "mid-" not in said


def test_totals_that_contradict_the_priors_say_so_of_what_moves_most(tmp_path):
    """One figure at the end: there is nothing beside it but the priors."""
    own = imps.write_project(tmp_path / "own", kind="register").parent

    def totals(frame):
        whole = frame.groupby(["vintage", "year"], as_index=False)["population"].sum()
        whole = whole.assign(sex="persons", age="all")
        last = whole["year"] == "2021-01-01"
        whole.loc[last, "population"] = (whole.loc[last, "population"] * 0.9).round().astype(int)
        return pd.concat([whole, frame.assign(vintage="ages")])

    changed(own, "population", totals)
    settings_with(own, 'schedule_vintage = "ages"')
    project = imps.load_project(own)
    fit = imps.fit(imps.linear_model(project.sources, project.priors), seed=1, draws=200)
    verdict = imps.check(fit).verdict
    cause = next(c for c in verdict.causes if c.source == "census")
    moved = imps.left_out(fit, by="source").set_index("group")["shift_in_sd"].abs().idxmax()
    assert "the figures contradict the priors, beside which there is nothing else" in cause.what
    assert f"without them {moved} moves" in cause.what
    assert cause.next_step.endswith("imps.left_out(fit, by='source')")


@pytest.mark.filterwarnings("always::imps.errors.InputWarning")
def test_warnings_on_the_command_line_show_no_code(tmp_path):
    own = imps.write_project(tmp_path / "own", kind="register").parent

    def one_doubtful(frame):
        frame.loc[(frame["year"] == 2010) & (frame["age"].astype(str) == "80"), "deaths"] *= 3
        return frame

    changed(own, "deaths", one_doubtful)
    done = CliRunner().invoke(app, ["reconcile", str(own), "--tables-only", "--draws", "100",
                                    "--out", str(tmp_path / "out")])  # fmt: skip
    said = done.output.splitlines()
    assert any(line.startswith("InputWarning: ") for line in said)
    assert not any(".py:" in line for line in said)
