"""Runs and the command line: folders, manifest, refusals, kills, repetitions."""

import getpass
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import imps
from imps.errors import ImpsWarning, OutputExistsError, SavedFileError, UnknownCaseError
from imps.plots import standard_figures
from imps.results.attribution import COLUMNS
from imps.runs.cli import app
from imps.runs.rerun import _case_of as case_of
from imps.runs.working_folder import alone

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
        patch.setattr("imps.report.report.report_figures", standard)
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


def test_numbers_without_notes_have_them_beside(folder):
    """A CSV file holds numbers only: verdict, unit and kind of interval stand in NOTES.md."""
    notes = (folder / "tables/NOTES.md").read_text("utf-8")
    assert notes.startswith("# Notes of the tables\n\nFit: usable")
    for file in (folder / "tables").glob("*.tex"):
        assert f"## {file.stem}.csv\n" in notes, file.stem
    assert "equal-tailed 95 %" in notes.split("## attribution.csv")[1].split("##")[0]


def test_tables_have_their_columns_and_close(folder):
    table = pd.read_csv(folder / "tables/attribution.csv")
    shares = list(table.columns)
    shares.remove("share")
    assert shares == COLUMNS
    assert table["share"].sum() == pytest.approx(1.0, abs=1e-8)
    gap = pd.read_csv(folder / "tables/gap.csv")
    assert table["mean"].sum() == pytest.approx(gap["gap"].iloc[0], abs=1e-3)
    assert "gap" not in set(table["source"])
    net = pd.read_csv(folder / "tables/net_migration.csv")
    assert list(net.columns) == [
        "year", "mean", "sd", "lower95", "upper95", "survey", "survey_lower95", "survey_upper95",
        "published_flows", "carried",
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
    assert manifest["request"]["variant"]["likelihood"] == "normal"
    assert len(manifest["lock_sha256"]) == len(manifest["account_sha256"]) == 64
    assert {"numpy", "pymc", "nutpie"} <= set(manifest["packages"])
    assert any("openblas" in library or "mkl" in library for library in manifest["blas"])
    inputs = {row["file"]: row for row in manifest["inputs"]}
    assert inputs["births.csv"]["rows"] == 22  # eleven years, two sexes
    assert all(row["vintage"] for row in inputs.values())
    assert manifest["origin"] == "shipped" and len(manifest["case_sha256"]) == 64
    assert manifest["started"] <= manifest["finished"]


def test_manifest_can_be_published(folder):
    """No absolute path, no name of user or computer, wherever it was written."""
    text = (folder / "manifest.json").read_text("utf-8")
    package = Path(imps.__file__).parent
    for path in (folder.parent, Path.cwd(), Path.home(), package.parent, Path(sys.prefix)):
        assert str(path) not in text
    assert not re.search(r'"(/|[A-Za-z]:\\\\|~)', text), "an absolute path"
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)
    assert platform.node() not in text


def test_saved_draws_come_back_bit_by_bit(folder, model):
    saved = imps.load_fit(folder)
    again = imps.fit(model, seed=3, draws=500)
    np.testing.assert_array_equal(saved.draws["latent"].values, again.draws["latent"].values)
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


def test_a_prior_is_changed_for_one_run(tmp_path):
    quick = ["--draws", "100", "--chains", "2", "--tables-only", "--quiet"]
    words = ["reconcile", "uk-1991-2001", "--out", str(tmp_path / "x"), "--prior"]
    outcome = CliRunner().invoke(app, [*words, "base_level=0,0.02", *quick])
    assert outcome.exit_code in (0, 3)  # so few draws may not be enough
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text("utf-8"))
    rows = {row["name"]: row for row in manifest["priors"]}
    assert (rows["base_level"]["mean"], rows["base_level"]["sd"]) == (0.0, 0.02)
    outcome = CliRunner().invoke(app, ["prior", "uk-1991-2001", "--prior", "base_levle=0"])
    assert outcome.exit_code == 1 and "Did you mean base_level" in outcome.stderr


def test_quiet_prints_nothing_and_force_replaces(folder):
    outcome = CliRunner().invoke(
        app,
        ["reconcile", "uk-1991-2001", "--out", str(folder), "--force", "--quiet", "--draws", "500",
         "--seed", "3"],
    )  # fmt: skip
    assert outcome.exit_code == 0
    assert outcome.output == ""


def test_a_run_that_fails_at_the_end_leaves_no_results_and_loses_no_chain(tmp_path, monkeypatch):
    import imps.runs.run

    def broken(*_, **__):
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("imps.report.report.html_report", broken)
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


def test_two_runs_never_work_in_one_folder(tmp_path):
    """A second command would take the results of the first away while they are written."""
    out, again = tmp_path / "results", []
    arguments = ["reconcile", "uk-1991-2001", "--out", str(out), "--draws", "200", "--force"]

    def second_while_the_first_fits(line):
        if line.startswith("exact posterior"):
            again.append(CliRunner().invoke(app, arguments))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imps.run("uk-1991-2001", out=out, draws=200, progress=False, force=True,
                 say=second_while_the_first_fits)  # fmt: skip
    assert again[0].exit_code == 1 and "RUN_BUSY" in again[0].stderr
    assert "at work in" in again[0].stderr and not out.exists()
    with alone(tmp_path / "results.unfinished"):  # let go with the end of the first
        pass


def test_results_that_appeared_meanwhile_are_not_replaced(folder, tmp_path, monkeypatch):
    out = tmp_path / "results"

    def appeared(*_, **__):
        shutil.copytree(folder, out)
        return imps.load_fit(folder)

    monkeypatch.setattr("imps.runs.run.fit", appeared)
    with pytest.raises(OutputExistsError, match="already there"):
        imps.run("uk-1991-2001", out=out, draws=200, progress=False)
    assert drawn(out) == drawn(folder) and (tmp_path / "results.unfinished").is_dir()


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(OutputExistsError, match="not the folder of a run"):
        imps.run("uk-1991-2001", out=tmp_path, force=True)
    assert (tmp_path / "thesis.txt").exists()


def command(*arguments):
    return [sys.executable, "-c", "from imps.runs.cli import main; main()", *map(str, arguments)]


def drawn(folder):
    """Digests of draws and tables."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    tables = {k: v for k, v in manifest["outputs"].items() if k.endswith(".csv")}
    assert len(tables) >= 9
    return manifest["draws_sha256"], tables


def test_a_run_that_is_killed_again_and_again_ends_as_if_undisturbed(folder, tmp_path):
    """Each process is fresh, by turns with two threads of BLAS and on one core.

    `benchmarks/bench_interrupted.py` kills at 20 random times.
    """
    out = tmp_path / "results"
    kept = tmp_path / "results.unfinished" / "chains"
    line = command("reconcile", "uk-1991-2001", "--out", out, "--seed", 3, "--draws", 500, "-q",
                   "--tables-only")  # fmt: skip
    two = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    one = [*line]
    if hasattr(os, "sched_setaffinity"):
        core = min(os.sched_getaffinity(0))
        one[2] = f"import os; os.sched_setaffinity(0, [{core}]); {line[2]}"
    signs = (kept / "exact-2.nc", kept.parent / "results" / "fit.nc")
    for sign, words in zip(signs, (line, one), strict=True):
        process = subprocess.Popen(words, env=two)
        while not sign.exists() and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
        before = {p.name: p.read_bytes() for p in kept.glob("exact-*.nc")}
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
        assert json.loads((kept.parent / "manifest.json").read_text("utf-8"))["seed"] == 3
        after = {p.name: p.read_bytes() for p in kept.glob("exact-*.nc")}
        assert before.items() <= after.items()
    assert imps.load_fit(kept.parent).n_chains == 4
    subprocess.run(line, env=two, check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["results"]
    assert drawn(out) == drawn(folder)


def test_rerun_tells_identical_from_equal_from_different(folder, tmp_path, monkeypatch):
    outcome = CliRunner().invoke(app, ["rerun", str(folder)])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.splitlines()[0] == "identical"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    copy = tmp_path / "manifest.json"
    manifest["request"]["seed"] = 4
    copy.write_text(json.dumps(manifest))
    other = imps.rerun(copy)
    assert other.verdict == "equal within Monte Carlo error"
    assert other.differences == ()
    base = next(row for row in manifest["quantities"] if row["quantity"] == "gap[base]")
    base["mean"] += 10 * base["sd"] / np.sqrt(base["ess"])
    manifest["inputs"], manifest["python"] = [], "3.11.0"
    copy.write_text(json.dumps(manifest))
    monkeypatch.setattr(sys.modules["imps.runs.rerun"], "run", lambda *_, **__: other.run)
    outcome = CliRunner().invoke(app, ["rerun", str(copy)])
    assert outcome.exit_code == 4
    assert re.match(r"different: mean of gap\[base\] .* then, .* standard errors", outcome.stdout)
    assert "not as it was: python 3.11.0 then" in outcome.stdout
    manifest["request"]["variant"]["added"] = ["mirror"]
    copy.write_text(json.dumps(manifest))
    outcome = CliRunner().invoke(app, ["rerun", str(copy)])
    assert outcome.exit_code == 1
    assert "terms of your own (mirror)" in outcome.stderr


def test_runs_side_by_side_hold_the_numbers_of_their_tables(folder, tmp_path, monkeypatch):
    import imps.runs.rerun

    fit = tmp_path / "again.nc"
    shutil.copy(folder / "fit.nc", fit)
    frame = imps.compare_runs(folder, fit)
    table = pd.read_csv(folder / "tables/attribution.csv").set_index("source")
    names = frame.columns.get_level_values(0).unique()
    assert list(frame.attrs["verdicts"]) == list(names)
    assert all(n.endswith(place.name) for n, place in zip(names, (folder, fit), strict=True))
    for name in names:
        for column in ("mean", "lower95", "upper95"):
            found = frame.loc["source", (name, column)]
            np.testing.assert_allclose(found, table[column].loc[found.index], rtol=1e-12)
    alone = CliRunner().invoke(app, ["compare", str(folder)])
    assert alone.exit_code == 1
    monkeypatch.setattr(sys.modules["imps.runs.rerun"], "compare_runs", lambda *_: frame)
    shown = CliRunner().invoke(app, ["compare", str(folder), str(fit)])
    assert shown.exit_code == 0
    assert f"{table.loc['base', 'mean'] / 1000:+,.0f} [" in shown.stdout
    assert f"{names[0]}: usable" in shown.stdout
    csv = CliRunner().invoke(app, ["compare", str(folder), str(fit), "--csv"]).stdout
    assert len(csv.splitlines()) == len(frame) + 1


def test_edits_of_the_fit_and_of_tables_are_noticed_and_named(folder, tmp_path):
    """Numbers that were changed after the run are not passed on as its own."""
    copy = tmp_path / "results"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "figures")  # what is not there is no edit
    with (copy / "fit.nc").open("ab") as fit:
        fit.write(b"\0")
    table = copy / "tables" / "attribution.csv"
    table.write_text(table.read_text("utf-8").replace("1", "2"), "utf-8")
    named = [f"{name} is not the file that the run wrote"
             for name in ("fit.nc", "tables/attribution.csv")]  # fmt: skip
    with pytest.warns(ImpsWarning, match="fit.nc is not the file"):
        done = imps.load_run(copy)
    assert done.fit.stale == tuple(named)
    assert done.checks.verdict.level == "use with care"
    assert all(f"STALE: {line}" in str(done.attribution.verdict) for line in named)
    with pytest.raises(SavedFileError, match=r"fit.nc is not the file .*; tables/attribution.csv"):
        imps.replicate(copy, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_report_is_rebuilt_from_the_saved_fit(folder, tmp_path):
    there = (folder / "report.html").read_bytes()
    (folder / "report.html").write_text("lost")
    assert CliRunner().invoke(app, ["report", str(folder), "-q"]).output == ""
    assert (folder / "report.html").read_bytes() == there
    missing = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert missing.exit_code == 1
    assert "there is no manifest" in missing.stderr


def test_refused_options_leave_no_folder_and_touch_no_results(folder, tmp_path):
    refused = {
        "no rows of the likelihood come from registers": ["--student-t", "registers"],
        "flows is 'exp'": ["--flows", "exp"],
        "no published share for 'visitor_switchers'": ["--switchers", "beta"],
        "likelihood is 'poisson'": ["--likelihood", "poisson"],
        "method is 'vb'": ["--method", "vb"],
    }
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    outs = [tmp_path / "new" / "results", folder] * len(refused)
    for out, (message, options) in zip(outs, refused.items(), strict=False):
        line = ["reconcile", "uk-1991-2001", "--out", str(out), "--force", *options]
        outcome = CliRunner().invoke(app, line)
        assert outcome.exit_code == 1, options
        assert message in outcome.stderr
        assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert not list(folder.parent.glob("*unfinished*"))
    usage = CliRunner().invoke(app, ["reconcile", "uk-1991-2001", "--draws", "3"])
    assert usage.exit_code == 2
    share = ["--switchers", "beta", "--switcher-share", "visitor_switchers"]
    assert CliRunner().invoke(app, ["reconcile", "uk-1991-2001", *share]).exit_code == 2


def test_prior_is_printed_without_fitting():
    outcome = CliRunner().invoke(app, ["prior", "uk-1991-2001", "--draws", "500"])
    assert outcome.exit_code == 0, outcome.output
    for text in ("emigration_bias_level", "Normal(-0.05, 0.12)", "published +1,243,460"):
        assert text in outcome.stdout
    assert CliRunner().invoke(app, ["prior", "nowhere"]).exit_code == 1


def test_variants_are_options_and_stand_in_the_manifest_of_a_stopped_run(tmp_path, monkeypatch):
    from imps.account.variant import Variant
    from imps.posterior.given_model import variant

    seen = {}

    def stopped(model, **_):
        seen.update(variant(model).record())
        raise KeyboardInterrupt

    monkeypatch.setattr("imps.runs.run.fit", stopped)
    shares = ["--switcher-share", "visitor_switchers=0.03",
              "--switcher-share", "migrant_switchers=0.08"]  # fmt: skip
    line = ["reconcile", "uk-1991-2001", "--out", str(tmp_path / "r"), "--likelihood", "contacts",
            "--student-t", "census", "--flows", "log", "--switchers", "beta", *shares]  # fmt: skip
    outcome = CliRunner().invoke(app, line)
    assert outcome.exit_code == 130
    assert "the same command continues" in outcome.stderr
    request = json.loads((tmp_path / "r.unfinished" / "manifest.json").read_text("utf-8"))[
        "request"
    ]
    assert request["variant"] == seen
    assert seen["switcher_shares"] == {"visitor_switchers": 0.03, "migrant_switchers": 0.08}
    words = str(Variant.of_record(seen))
    for text in ("contacts", "Student-t rows of census", "flows log", "switchers beta", "0.03"):
        assert text in words


def test_a_project_is_run_loaded_and_goes_stale(tmp_path):
    """From `imps init` to a fit that says which file was changed since."""
    project = tmp_path / "project"
    assert CliRunner().invoke(app, ["init", str(project)]).exit_code == 0
    births, settings = project / "data" / "births.csv", project / "settings.toml"
    settings.write_text(settings.read_text("utf-8").replace(
        '"data/births.csv"', f"'{births.resolve()}'"), "utf-8")  # fmt: skip
    line = ["reconcile", str(project), "--draws", "100", "--chains", "2", "-q"]
    outcome = CliRunner().invoke(app, line)
    assert outcome.exit_code == 3, "so few draws are not to be used"
    text = (project / "results" / "manifest.json").read_text("utf-8")
    manifest = json.loads(text)
    for output in (text, (project / "results" / "report.html").read_text("utf-8")):
        assert str(tmp_path.resolve()) not in output and str(tmp_path) not in output
    assert {row["file"] for row in manifest["inputs"]} >= {"births.csv", "data/deaths.csv"}
    assert all(row["rows"] and len(row["sha256"]) == 64 for row in manifest["inputs"])
    assert manifest["inputs"][0]["vintage"] == ["census 2001", "census 2006"]
    assert "AGES_MAPPED" in {row["code"] for row in manifest["import_log"]}
    assert imps.load_run(project / "results").fit.stale == ()
    births.write_text(births.read_text("utf-8") + "\n", "utf-8")
    again = imps.rerun(project / "results")
    assert again.verdict == "identical", "the figures that were saved with the run"
    assert again.changed == ("the input births.csv has changed",)
    stale = imps.load_run(project / "results")
    assert stale.fit.stale == again.changed
    assert "STALE: the input births.csv has changed" in str(stale.attribution.verdict)


def test_a_project_titled_like_a_shipped_case_reruns_itself(tmp_path):
    """A case is known by where it was read and by its digest, never by its title."""
    settings = imps.write_project(tmp_path / "project")
    text = settings.read_text("utf-8")
    title = "Exampleland, mid-2001 to mid-2006 (invented figures)"
    settings.write_text(text.replace(title, "UK 1991-2001"), "utf-8")
    first = imps.run(settings, out=tmp_path / "run", draws=100, chains=2, progress=False)
    assert first.case.name in imps.cases()
    again = imps.rerun(tmp_path / "run", progress=False)
    assert again.verdict == "identical" and again.run.case.sources.area == "Exampleland"
    assert imps.load_run(tmp_path / "run").fit.stale == ()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert manifest["origin"] == "folder" and manifest["case_sha256"] == first.case.digest
    assert "births.csv" not in {row["file"] for row in manifest["inputs"]}
    del manifest["origin"]  # as written before it was recorded
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    assert case_of(manifest, tmp_path / "run").title == "UK 1991-2001"
    manifest["input_settings"] = None
    assert case_of(manifest, tmp_path / "run").origin == "shipped"


def test_exit_codes_stand_in_the_help_and_the_readme():
    shown = CliRunner().invoke(app, ["--help"]).stdout
    readme = (Path(imps.__file__).parents[1] / "README.md").read_text("utf-8")
    for code in (0, 1, 2, 3, 4, 130):
        assert re.search(rf"\b{code}\b", shown.split("Exit codes")[1]), code
        assert f"`{code}`" in readme, code
    assert "--install-completion" in shown


def test_doctor_names_what_is_wrong(monkeypatch):
    import imps.runs.doctor

    monkeypatch.setattr(imps.runs.doctor, "_sampler", lambda: "left out")
    monkeypatch.setattr(imps.runs.doctor, "_posterior", lambda: "left out")
    good = CliRunner().invoke(app, ["doctor"])
    assert good.exit_code == 0, good.output
    assert "FAIL" not in good.stdout

    def broken():
        raise OSError("no compiler")

    monkeypatch.setattr(imps.runs.doctor, "_sampler", broken)
    bad = CliRunner().invoke(app, ["doctor"])
    assert bad.exit_code == 1
    assert "FAIL  NUTS (nutpie, numba): OSError: no compiler" in bad.stdout


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
