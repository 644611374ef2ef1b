"""A project folder with interviews: the same account as from their totals, and nobody in it."""

import json
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from interview_files import INTERVIEWS, write_project_of_interviews

import imps
from imps.account.latents import Resolution
from imps.project.check import check_project
from imps.project.interviews import inspect_records
from imps.project.settings import inspect_settings
from imps.survey import (
    calibrations,
    estimate_totals,
    flow_rows,
    replicate_weights,
    weight_records,
)
from imps.survey.simulate import SHIFT_LABELS

SAME = 1e-9  # relative; the way goes through text in one case and not in the other
STRATA = ["year", *SHIFT_LABELS[:4]]
CELLS = ["year", "direction", "sex", "age_group"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_project_of_interviews(tmp_path_factory.mktemp("interviews") / "project")


@pytest.fixture(scope="module")
def report(folder):
    return check_project(folder)


@pytest.fixture(scope="module")
def weighted(folder):
    """Records with weights, and totals of cells, by hand."""
    records = pd.read_csv(folder / "interviews.csv")
    names = ("shifts", "non_response", "traffic", "unsampled")
    totals = {name: pd.read_csv(folder / f"{name}.csv") for name in names}
    records, _ = weight_records(records, by=["year"], **totals)
    found = estimate_totals(
        records, cells=CELLS, counted="long_term", stratum=STRATA, psu="sampling_unit",
        calibration=calibrations(["year"]), sampled=totals["shifts"],
    )  # fmt: skip
    return records, found


def variant(folder, tmp_path, section, **files):
    """A copy of the project with another section of interviews, and more files."""
    text = (folder / "settings.toml").read_text().replace(INTERVIEWS, section)
    for path in folder.rglob("*.csv"):
        target = tmp_path / path.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    for name, table in files.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "settings.toml").write_text(text)
    return tmp_path


def told_of(folder, tmp_path, section, **files):
    """What the reading of the interviews alone finds."""
    settings, log = inspect_settings(variant(folder, tmp_path, section, **files))
    if settings is None:
        return log
    entry = next(t for t in settings.tables if t.kind == "interviews")
    table, found, _ = inspect_records(settings.folder, entry)
    assert table is None
    return found


def test_a_project_of_interviews_passes(report):
    assert report.passed, str(report.log)
    told = " ".join(str(f) for f in report.log.of("INTERVIEWS_ESTIMATED"))
    assert "weights made in six stages, standard errors taylor, smoothed over cells" in told
    assert "interviews at the end of a stay become visitor_switchers" in told
    part = next(p for p in report.sources.administrative if p.name == "visitor_switchers")
    assert 0 < float(part.count.min()) < 200  # of 1,750 who stated less than a year


def test_the_account_is_that_of_the_same_totals_in_a_table(folder, report, weighted, tmp_path):
    rows = flow_rows(weighted[1], months=12, smallest_count=3)
    section = INTERVIEWS.replace("[[interviews]]", "[[survey_flows]]").split("months")[0]
    section += 'period = "mid-year"\ngeography = "Exampleland"\nunit = "persons"\n'
    section += 'definition = "survey"\n'
    section = section.replace("interviews.csv", "flows.csv")
    other = check_project(variant(folder, tmp_path, section, flows=rows))
    assert other.passed, str(other.log)
    for flow in ("immigration", "emigration"):
        one, two = (getattr(r.sources, flow) for r in (report, other))
        for name in ("estimate", "standard_error", "contacts"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=SAME)
    assert report.sources.gap == pytest.approx(other.sources.gap, rel=SAME)
    models = [imps.linear_model(r.sources, r.priors, Resolution(2, 2)) for r in (report, other)]
    np.testing.assert_allclose(models[0].observed, models[1].observed, rtol=SAME)
    draws = [imps.fit(m, seed=1, draws=50, chains=2).quantities() for m in models]
    for name in draws[0]:
        np.testing.assert_allclose(draws[0][name], draws[1][name], rtol=SAME, atol=1e-6)


def test_no_record_is_in_what_leaves_the_folder(folder, report):
    ids = pd.read_csv(folder / "interviews.csv")["interview"]
    kept = pickle.dumps(report.case) + json.dumps(report.record()).encode()
    assert b"survey" in kept
    assert not any(name.encode() in kept for name in ids)
    assert str(folder).encode() not in kept
    files = {entry["file"]: entry for entry in report.record()["inputs"]}
    assert {"interviews.csv", "shifts.csv", "traffic.csv", "stated.csv"} <= set(files)
    assert files["interviews.csv"]["rows"] == 5 * 2 * 2 * 3  # cells


def test_weights_and_replicates_of_the_producer(folder, report, weighted, tmp_path):
    records, _ = weighted
    made = replicate_weights(
        records, stratum=STRATA, psu="sampling_unit", method="bootstrap", replicates=40, seed=1,
        calibration=calibrations(["year"]),
    )  # fmt: skip
    given = pd.DataFrame(made.weights, columns=[f"rep{r}" for r in range(40)])
    keep = ["year", "direction", "sex", "age_group", "long_term", "final_weight"]
    section = """[[interviews]]
file = "weighted.csv"
months = 12
smallest_count = 3
weight = "final_weight"
replicates = "rep"
replicate_scale = 0.025
period = "mid-year"
geography = "Exampleland"
"""
    joined = records[keep].reset_index(drop=True).join(given)
    own = check_project(variant(folder, tmp_path, section, weighted=joined))
    assert own.passed, str(own.log)
    one, two = report.sources.immigration, own.sources.immigration
    np.testing.assert_allclose(one.estimate, two.estimate, rtol=SAME)
    ratio = float((two.standard_error / one.standard_error).mean())
    assert 0.7 < ratio < 1.4  # 40 replicates: a standard error of a standard error of 11 %
    design = section.replace('replicates = "rep"\nreplicate_scale = 0.025\n',
        f'stratum = {json.dumps(STRATA)}\npsu = "sampling_unit"\n')  # fmt: skip
    joined = records[[*keep, *STRATA[1:], "sampling_unit"]]
    plain = check_project(variant(folder, tmp_path, design, weighted=joined))
    assert plain.passed, str(plain.log)


MADE = INTERVIEWS.split("shifts")[0]


@pytest.mark.parametrize(
    ("section", "code", "words"),
    [
        (INTERVIEWS.replace("months = 12\n", ""), "INTERVIEWS_ASKED", "State months: 12"),
        (INTERVIEWS.replace("smallest_count = 3\n", ""), "INTERVIEWS_ASKED", "smallest_count"),
        (INTERVIEWS.replace("months = 12", "months = 3"), "INTERVIEWS_REFUSED", "3 months or more"),
        (INTERVIEWS.replace("count = 3", "count = 60"), "COUNT_TOO_SMALL", "fewer than 60"),
        (INTERVIEWS + 'weight = "w"\n', "WEIGHTS_TWICE", "'w' and shifts and non_response"),
        (MADE, "INTERVIEWS_ASKED", "Name the column in weight, or the files"),
        (MADE + 'weight = "w"\n', "INTERVIEWS_ASKED", "Name stratum and psu"),
        (MADE + 'weight = "w"\nreplicates = "r"\n', "INTERVIEWS_ASKED", "replicate_scale"),
        (MADE + 'weight = "w"\nreplicates = "r"\npsu = "p"\n', "WEIGHTS_TWICE", "'r' and psu"),
        (INTERVIEWS.replace("traffic.csv", "none.csv"), "FILE_NOT_READABLE", "no such file"),
        (INTERVIEWS + 'stratums = ["a"]\n', "SETTING_UNKNOWN", "Did you mean 'stratum'"),
        (INTERVIEWS + 'method = "guess"\n', "SETTING_RANGE", "taylor"),
        (INTERVIEWS.replace('period = "mid-year"\n', ""), "PERIOD_AMBIGUOUS", "period"),
    ],
)
def test_what_is_not_stated_or_stated_twice_is_refused(folder, tmp_path, section, code, words):
    found = told_of(folder, tmp_path, section)
    assert not found.passed
    assert any(words in str(f) for f in found.of(code)), str(found)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("port_group", "1 of .* records have no year or port_group .*rows 5.*without stratum"),
        ("shift", "1 records have no shift or crossing identifier .*rows 5"),
        ("long_term", "1 of .* a long_term that is neither"),
    ],
)
def test_an_interview_without_stratum_is_refused_with_its_row(folder, tmp_path, column, words):
    records = pd.read_csv(folder / "interviews.csv").astype({column: object})
    records.loc[3, column] = None
    told = told_of(folder, tmp_path, INTERVIEWS, interviews=records).of("INTERVIEWS_REFUSED")
    assert len(told) == 1 and told[0].file == "interviews.csv"
    assert re.search(words, str(told[0])), str(told[0])


@pytest.mark.parametrize(
    ("name", "edit", "code", "words"),
    [
        ("stated", {"estimate": "many"}, "INTERVIEWS_REFUSED", "15 of 15 rows lack a label"),
        ("stated", {"estimate": -1}, "INTERVIEWS_REFUSED", "no number of 0 or more"),
        ("stated", {"flow": None}, "INTERVIEWS_REFUSED", "15 of 15 rows lack a label"),
        ("stays", {"stayed_long": "x"}, "INTERVIEWS_REFUSED", "neither True nor False"),
        ("stays", {"stratum": None}, "INTERVIEWS_REFUSED", "records have no label"),
    ],
)
def test_bad_stays_are_refused(folder, tmp_path, name, edit, code, words):
    table = pd.read_csv(folder / f"{name}.csv").assign(**edit)
    settings, _ = inspect_settings(variant(folder, tmp_path, INTERVIEWS, **{name: table}))
    entry = next(t for t in settings.tables if t.kind == "stays")
    found, log, _ = inspect_records(settings.folder, entry)
    assert found is None
    assert words in str(log.of(code)[0]), str(log)


def test_totals_that_stand_there_twice_are_warned_about(folder, tmp_path):
    traffic = pd.read_csv(folder / "traffic.csv")
    twice = pd.concat([traffic, traffic.iloc[:1]])
    settings, _ = inspect_settings(variant(folder, tmp_path, INTERVIEWS, traffic=twice))
    entry = next(t for t in settings.tables if t.kind == "interviews")
    _, log, _ = inspect_records(settings.folder, entry)
    look = [f for f in log.of("INTERVIEWS_LOOK") if f.file == "traffic.csv"]
    assert look[0].rows == (2, len(twice) + 1)


def test_records_that_bear_weights_are_not_weighted_again(folder, weighted, tmp_path):
    found = told_of(folder, tmp_path, INTERVIEWS, interviews=weighted[0])
    assert "bear weights already" in str(found.of("INTERVIEWS_REFUSED")[0])


def test_a_column_of_months_may_stand_in_the_place_of_a_flag(folder, report, tmp_path):
    records = pd.read_csv(folder / "interviews.csv")
    records["intended"] = np.where(records.pop("long_term"), 24, 1)
    section = INTERVIEWS + 'stay = "intended"\n'
    settings, _ = inspect_settings(variant(folder, tmp_path, section, interviews=records))
    entry = next(t for t in settings.tables if t.kind == "interviews")
    table, _, _ = inspect_records(settings.folder, entry)
    one = next(t for t in report.tables if t.kind == "survey_flows")
    pd.testing.assert_frame_equal(table.frame, one.frame)
