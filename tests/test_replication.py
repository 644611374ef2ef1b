"""A replication folder says by itself whether the numbers came out."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import imps
from imps.errors import OutputExistsError
from imps.runs.replication import Reproduction, compared, expected_numbers, pinned_versions


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    """The figures of a run are tested elsewhere and take longer than its fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imps.report.report.report_figures", lambda *_, **__: {})
        yield


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper") / "results"
    imps.run("uk-1991-2001", out=folder, seed=3, draws=300, progress=False)
    return folder


@pytest.fixture(scope="module")
def package(results):
    return imps.replicate(results, results.parent / "replication")


def test_command_of_the_folder_reproduces_the_numbers_in_a_fresh_process(package):
    outcome = subprocess.run(
        [sys.executable, "replicate.py"],
        cwd=package,
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert re.search(r"REPRODUCED: (\d+) of \1 numbers .* draws identical", outcome.stdout)
    table = pd.read_csv(package / "reproduced.csv")
    assert table["reproduced"].all() and len(table) > 30


def test_folder_holds_what_journals_ask_for(package):
    text = (package / "README.md").read_text("utf-8")
    for heading in (
        "Data Availability and Provenance Statements",
        "Computational requirements",
        "Controlled Randomness",
        "Instructions to Replicators",
        "References",
    ):
        assert f" {heading}\n" in text
    assert "**[fill in" in text and "{{" not in text and "{%" not in text
    program = (package / "replicate.py").read_text("utf-8")
    for pin in pinned_versions():
        assert f'"{pin}"' in program
    assert any(pin.startswith("pymc==6.") for pin in pinned_versions())
    for name in (
        "data/base.csv",
        "data/references.csv",
        "imps/posterior/pymc_model.py",
        "settings.json",
    ):
        assert (package / name).is_file(), name
    case = imps.load_case("uk-1991-2001")
    assert pd.read_csv(package / "data/census.csv")["persons"].sum() == pytest.approx(
        case.sources.census.total
    )
    for path in (package / "README.md", package / "replicate.py"):
        assert str(package.parent) not in path.read_text("utf-8")


def test_a_number_outside_its_tolerance_is_named(package):
    expected = pd.read_csv(package / "expected/quantities.csv")
    rows = expected[["quantity", "mean", "sd"]].copy()
    assert compared(expected, rows.to_dict("records"))["reproduced"].all()
    base = rows["quantity"] == "gap[base]"
    rows.loc[base, "mean"] += 1.1 * float(expected.loc[base, "tolerance_mean"].iloc[0])
    table = compared(expected, rows.to_dict("records"))
    assert list(table.loc[~table["reproduced"], "quantity"]) == ["gap[base]"]
    said = repr(Reproduction(table, "different", (), 1.0))
    assert said.startswith("NOT REPRODUCED") and "gap[base]" in said
    missing = compared(expected, rows.iloc[1:].to_dict("records"))
    assert not missing["reproduced"].iloc[0]


def test_tolerances_are_those_of_monte_carlo_error():
    rng = np.random.default_rng(1)
    n, repeats = 400, 200
    kept = 0
    for _ in range(repeats):
        a, b = rng.normal(5.0, 2.0, (2, n))
        rows = [{"quantity": "x", "mean": x.mean(), "sd": x.std(), "ess": n} for x in (a, b)]
        kept += bool(compared(expected_numbers(rows[:1]), rows[1:])["reproduced"].all())
    assert kept >= repeats - 2  # a false alarm in a thousand, by construction
    far = [{"quantity": "x", "mean": 5.6, "sd": 2.0, "ess": n}]
    assert not compared(expected_numbers(rows[:1]), far)["reproduced"].any()


def test_stand_in_holds_no_figure_of_the_paper(results):
    package = imps.replicate(results, results.parent / "stand_in", stand_in=True)
    real = imps.load_case("uk-1991-2001").sources
    census = pd.read_csv(package / "data/census.csv")["persons"]
    assert abs(census.sum() - real.census.total) > 1e6
    assert not set(census) & set(real.census.count.values.ravel())
    paper = pd.read_csv(package / "expected/paper_quantities.csv").set_index("quantity")
    ours = pd.read_csv(package / "expected/quantities.csv").set_index("quantity")
    assert abs(paper.loc["gap[base]", "mean"] - ours.loc["gap[base]", "mean"]) > 1.0
    assert "cannot be shared" in (package / "README.md").read_text("utf-8")


def test_an_existing_folder_is_left_alone(results, package):
    with pytest.raises(OutputExistsError, match="already there"):
        imps.replicate(results, package)
    with pytest.raises(OutputExistsError, match="already there"):
        imps.replicate(results, results, force=True)  # not a replication folder
    assert (results / "manifest.json").is_file()
