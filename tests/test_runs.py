"""Runs and the command line: folders, manifest, refusals."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import imps
from imps.attribution import COLUMNS
from imps.cli import app
from imps.errors import OutputExistsError, UnknownCaseError
from imps.plots import standard_figures

FILES = [
    "figures/net_migration.png",
    "figures/prior_posterior.png",
    "figures/waterfall.png",
    "fit.nc",
    "manifest.json",
    "report.html",
    "tables/attribution.csv",
    "tables/attribution_groups.csv",
    "tables/gap.csv",
    "tables/net_migration.csv",
]


@pytest.fixture(scope="module", autouse=True)
def few_figures():
    """The standard figures only: all of them are tested with the report, and take long."""

    def standard(fit, attribution, reconciliation, checks, *, case=None):
        return standard_figures(attribution, reconciliation)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imps.runs.report_figures", standard)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("runs") / "results"
    outcome = CliRunner().invoke(
        app, ["reconcile", "uk-1991-2001", "--out", str(target), "--seed", "3", "--draws", "500"]
    )
    assert outcome.exit_code == 0, outcome.output
    assert "usable" in outcome.output
    return target


def test_folder_holds_everything(folder):
    for name in FILES:
        assert (folder / name).stat().st_size > 0, name
    assert not list(folder.parent.glob(".*")), "a partial folder was left behind"


def test_tables_have_their_columns_and_close(folder):
    table = pd.read_csv(folder / "tables/attribution.csv")
    assert list(table.columns) == COLUMNS
    gap = pd.read_csv(folder / "tables/gap.csv")
    assert table["mean"].sum() == pytest.approx(gap["gap"].iloc[0], abs=1e-3)
    assert "gap" not in set(table["source"])
    net = pd.read_csv(folder / "tables/net_migration.csv")
    assert list(net.columns) == [
        "year", "mean", "sd", "lower95", "upper95", "ips", "tim_final", "implied_original",
    ]  # fmt: skip


def test_manifest_says_how_it_was_made(folder):
    text = (folder / "manifest.json").read_text("utf-8")
    manifest = json.loads(text)
    assert manifest["status"] == "finished"
    assert manifest["seed"] == 3
    assert manifest["diagnostics"]["largest_r_hat"] <= 1.01
    assert manifest["diagnostics"]["least_ess_bulk"] >= 400
    assert manifest["diagnostics"]["least_ess_tail"] >= 400
    assert manifest["diagnostics"]["divergences"] == 0
    assert manifest["diagnostics"]["largest_closure_error_persons"] < 1e-8
    assert "usable" in manifest["verdict"]
    assert set(FILES) - {"manifest.json"} <= set(manifest["outputs"])
    assert str(folder.parent) not in text
    assert "/root" not in text and "/home" not in text


def test_saved_draws_come_back_bit_by_bit(folder):
    saved = imps.load_fit(folder)
    again = imps.run("uk-1991-2001", seed=3, draws=500)
    np.testing.assert_array_equal(saved.draws["latent"].values, again.fit.draws["latent"].values)
    assert saved.seed == 3
    assert saved.stale == ()


def test_an_existing_folder_is_left_alone_without_force(folder):
    before = (folder / "manifest.json").read_bytes()
    outcome = CliRunner().invoke(app, ["reconcile", "uk-1991-2001", "--out", str(folder)])
    assert outcome.exit_code == 1
    assert "already there" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert (folder / "manifest.json").read_bytes() == before
    with pytest.raises(OutputExistsError, match="--force"):
        imps.run("uk-1991-2001", out=folder)


def test_unknown_case_lists_the_known_and_writes_nothing(tmp_path):
    outcome = CliRunner().invoke(app, ["reconcile", "uk-1991-2011", "--out", str(tmp_path / "x")])
    assert outcome.exit_code == 1
    assert "uk-1991-2001" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "x").exists()
    with pytest.raises(UnknownCaseError, match="Known: .*uk-1991-2001"):
        imps.load_case("nowhere")


def test_quiet_prints_nothing_and_force_replaces(folder):
    outcome = CliRunner().invoke(
        app,
        ["reconcile", "uk-1991-2001", "--out", str(folder), "--force", "--quiet", "--draws", "500",
         "--seed", "3"],
    )  # fmt: skip
    assert outcome.exit_code == 0
    assert outcome.output == ""


def test_a_run_that_fails_at_the_end_leaves_no_results_and_loses_no_chain(tmp_path, monkeypatch):
    import imps.runs

    def broken(*_, **__):
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(imps.runs, "html_report", broken)
        with pytest.raises(RuntimeError, match="disk full"):
            imps.run("uk-1991-2001", out=tmp_path / "results", draws=200, chains=2)
    assert [p.name for p in tmp_path.iterdir()] == ["results.unfinished"]
    partial = imps.load_fit(tmp_path / "results.unfinished")
    assert partial.n_chains == 2
    assert "not finished" in partial.notes[0]
    with pytest.raises(OutputExistsError, match="seed 1 then, 2 now"):
        imps.run("uk-1991-2001", out=tmp_path / "results", draws=200, chains=2, seed=2)
    said = []
    done = imps.run("uk-1991-2001", out=tmp_path / "results", draws=200, chains=2, say=said.append)
    assert any("2 of 2 chains were finished before" in line for line in said)
    assert [p.name for p in tmp_path.iterdir()] == ["results"]
    np.testing.assert_array_equal(done.fit.draws["latent"], partial.draws["latent"])


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(OutputExistsError, match="not the folder of a run"):
        imps.run("uk-1991-2001", out=tmp_path, force=True)
    assert (tmp_path / "thesis.txt").exists()


def test_cases_are_listed():
    outcome = CliRunner().invoke(app, ["cases"])
    assert outcome.exit_code == 0
    assert "uk-1991-2001" in outcome.output
    assert "uk-1991-2001" in imps.cases()


def test_init_and_check_go_together(tmp_path):
    folder = tmp_path / "project"
    assert CliRunner().invoke(app, ["init", str(folder)]).exit_code == 0
    report = CliRunner().invoke(app, ["check", str(folder), "--json"])
    assert report.exit_code in (0, 1)
    assert isinstance(json.loads(report.stdout), dict)
    again = CliRunner().invoke(app, ["init", str(folder)])
    assert again.exit_code == 1
    assert "Traceback" not in again.output
    missing = CliRunner().invoke(app, ["check", str(tmp_path / "nowhere")])
    assert missing.exit_code == 1
    assert "Traceback" not in missing.output
