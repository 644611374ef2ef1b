"""A chain of censuses: links that hold in every draw, and accounts that it must reproduce."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import typer
from scipy.stats import norm
from typer.testing import CliRunner

import imps
from imps.account.linear import largest_misclosure
from imps.account.prior_rows import BETWEEN_PERIODS
from imps.errors import (
    DefinitionError,
    NotFittedError,
    OutputExistsError,
    PriorError,
    SavedFileError,
    SaveFailedError,
    SettingError,
    SourceError,
)
from imps.posterior.chains import Chains
from imps.posterior.exact import GaussianPosterior
from imps.runs import rebuild_report
from imps.runs.cli import app
from imps.runs.console import with_changes
from imps.runs.manifest import draws_digest, read_manifest
from imps.simulation.chains import scenarios_of_chain, simulate_chain
from imps.simulation.reference import reference_account, reference_chain

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from bench_chain import cards_found
from cardland import TOP, YEARS, country


@pytest.fixture(scope="module")
def periods():
    return country([0.04, -0.06, 0.05])


@pytest.fixture(scope="module")
def model(periods):
    return imps.chain(periods)


@pytest.fixture(scope="module")
def fit(model):
    return imps.fit(model, seed=1, chains=2, draws=200, progress=False)


def moments(model, names=None):
    """Exact posterior moments of reported quantities at the prior medians of the scales."""
    posterior = GaussianPosterior(model)
    mean, variance = posterior.moments(np.zeros(posterior.n_scales))
    return {n: (m, v) for n, m, v in zip(posterior.names, mean, variance, strict=True)}


def test_a_later_base_errs_by_what_the_period_before_ended_with(fit):
    w = fit.latents()
    accounts = [part.model.account for part in fit.periods.values()]
    for before, after in pairwise(accounts):
        base, ended = after.sources.base.count.values, before.sources.last_year
        error = fit.model.evaluate(after.base_error, w)
        np.testing.assert_allclose(
            error, base - fit.model.evaluate(before.population(ended), w), rtol=0, atol=1e-8
        )
        np.testing.assert_allclose(
            fit.model.evaluate(after.base, w), fit.model.evaluate(before.population(ended), w)
        )
        assert error.std(axis=0).min() > 1  # it is unknown


def test_rows_less_what_was_carried_reach_one_period_back(model):
    combined = model.combine @ model.design[:, ~model.shared]
    sources, names = np.array(model.row_sources), model.names
    for name in names[2:]:
        earlier = [n for n in names if n < name][:-1]
        own = [model.places[b] for b in model.sizes if b.split(": ")[0] in earlier]
        rows = combined[[source.startswith(name) for source in sources]]
        assert max(np.abs(rows[:, place]).max() for place in own) < 1e-6  # of thousands


def test_the_posterior_is_that_of_the_rows_as_they_are(model):
    """The same numbers as without sums of rows and latent variables beside the blocks."""
    plain = GaussianPosterior(replace(model, combine=None, shared=None))
    posterior = GaussianPosterior(model)
    assert len(posterior.covariance.blocks) < len(posterior.covariance.parts) ** 2 / 2 + 1
    for h in np.random.default_rng(3).standard_normal((5, posterior.n_scales)):
        for found, expected in zip(posterior.moments(h), plain.moments(h), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-4)
        (value, slope), (value0, slope0) = (
            p.log_density_and_gradient(h) for p in (posterior, plain)
        )
        assert value == pytest.approx(value0, rel=1e-10)
        np.testing.assert_allclose(slope, slope0, rtol=1e-8, atol=1e-8)


def test_every_period_closes(fit):
    for part in fit.periods.values():
        assert largest_misclosure(part.model) < 1e-6
        shares = imps.attribute(part)
        whole = shares.contributions.sum(("source", "sex", "age"))
        np.testing.assert_allclose(whole, shares.total, rtol=0, atol=1e-6)
        assert imps.reconcile(part).closure() < 1e-3


def test_a_chain_of_one_is_the_account(periods):
    alone = moments(imps.linear_model(periods[0], imps.default_priors()))
    chain = moments(imps.chain(periods[:1]))
    for name, (mean, variance) in alone.items():
        found = chain[f"2000-2005: {name}"]
        assert found[0] == pytest.approx(mean, rel=1e-10, abs=1e-6)
        assert found[1] == pytest.approx(variance, rel=1e-10, abs=1e-6)


def test_without_links_the_periods_are_the_single_accounts(periods):
    found = moments(imps.chain(periods, linked=False))
    for own in periods:
        name = f"{own.first_year}-{own.last_year}"
        for quantity, (mean, variance) in moments(
            imps.linear_model(own, imps.default_priors())
        ).items():
            other = found[f"{name}: {quantity}"]
            assert other[0] == pytest.approx(mean, abs=1e-4, rel=1e-8)
            assert other[1] == pytest.approx(variance, rel=1e-6, abs=1e-3)


def test_links_teach(periods, model):
    """A later base is known better, and a correlation narrows the bias of every period."""
    apart, linked = moments(imps.chain(periods, linked=False)), moments(model)
    uncorrelated = imps.default_priors().add(replace(BETWEEN_PERIODS, mean=0.0))
    loose = moments(imps.chain(periods, uncorrelated))
    for name in model.names[1:]:
        assert linked[f"{name}: gap[base]"][1] < 0.9 * apart[f"{name}: gap[base]"][1]
        migration = f"{name}: group[migration]"
        assert linked[migration][1] < loose[migration][1] < apart[migration][1]


def test_one_census_is_one_observation(periods, model):
    """Its rows stand once; a later period adds no unknown error of its base."""
    rows = [s for s in model.row_sources if s.endswith("census")]
    assert len(rows) == len(periods) * 2 * (TOP + 1)
    sources = {block.source for block in model.account.latents.blocks.values()}
    assert {"2000-2005: base"} == {s for s in sources if s.endswith(": base")}


@pytest.mark.parametrize("without", [(), (0,), (0, 1)])
def test_of_each_cohort_it_is_said_once_how_much_migration_it_has_had(without):
    """By the first period that has births before its base; nothing of it is lost or said twice."""
    periods = [
        replace(own, extra=()) if i in without else own
        for i, own in enumerate(reference_chain(3, n_years=3))
    ]
    model, born, since = imps.chain(periods), [], 0
    for name, own in zip(model.names, periods, strict=True):
        rows = [x.split()[-1] for x in model.row_labels if x.startswith(f"{name}: born_before")]
        born += [own.first_year - int(age) for age in rows if age != "since"]
        if own.extra:
            assert rows[-1] == "since"
            since += 1
    first = periods[len(without)]
    assert born == [first.first_year - age for age in range(10)] and since == 3 - len(without)
    apart = imps.chain(periods, linked=False)
    assert sum("born_before" in x for x in apart.row_labels) == 11 * since


def test_migration_whose_sign_changes_is_found(fit):
    for part, wrong in zip(fit.periods.values(), (0.04, -0.06, 0.05), strict=True):
        flow = next(s for s in part.model.sources.streams if s.flow == "emigration")
        carried = float(flow.count.sum())
        truth = -carried * wrong / (1 + wrong)
        draws = imps.attribute(part).totals().sel(source=["cards_immigration", "cards_emigration"])
        low, high = np.quantile(draws.sum("source"), [0.05, 0.95])
        assert low < truth < high


def test_misclassified_cards_whose_sign_changes_are_found():
    """Three periods with -14, -44 and +28 thousand; the benchmark has 50 seeds."""
    found = [cards_found(seed) for seed in range(3)]
    assert all(inside and sign for one in found for _, _, _, inside, sign in one)


def test_results_by_period_and_for_the_whole(fit, model):
    found = imps.chain_results(fit)
    assert list(found.attributions) == list(model.names) == list(fit.periods)
    assert set(found.groups()["period"]) == set(model.names)
    series = found.population_by_year().set_index(["year", "period"])
    meeting = series.loc[2005]
    assert meeting["mean"].iloc[0] == pytest.approx(meeting["mean"].iloc[1], rel=1e-9)
    np.testing.assert_allclose(series["revision"], series["mean"] - series["rolled_forward"])
    assert len(found.net_migration_by_year()) == 3 * YEARS
    assert "2010-2015: gap" in repr(found) and "Cardland" in repr(found)
    assert imps.check(fit).verdict == found.verdict
    exact = fit.periods["2005-2010"].extras["exact_moments"].set_index("quantity")
    summary = found.attributions["2005-2010"].summary().set_index("source")
    assert summary.loc["base", "mean"] == pytest.approx(exact.loc["gap[base]", "mean"])


def test_each_period_is_left_out_of_the_fit_of_another(fit):
    table = imps.left_out(fit.periods["2005-2010"], by="period")
    assert list(dict.fromkeys(table["left_out"])) == ["2000-2005", "2005-2010", "2010-2015"]
    rows = table.drop_duplicates("left_out").set_index("left_out")["rows"]
    assert rows.sum() == fit.model.observed.size
    base = table[table["group"] == "base"].set_index("left_out")
    without = base["sd_without"] / base["sd"]
    assert without["2000-2005"] > 1.01  # its census says much of the next base
    assert without["2005-2010"] > without["2010-2015"]


def test_an_error_in_one_period_reaches_the_next(fit):
    table = imps.response_across(fit)
    census = table.loc[("2000-2005", "census_coverage")]
    assert census[("2005-2010", "base")] == pytest.approx(-census[("2000-2005", "census")], rel=0.2)
    assert abs(census[("2005-2010", "base")]) > 10_000
    forward = table.loc[("2010-2015", "census_coverage"), ("2000-2005", "base")]
    assert abs(forward) < abs(census[("2000-2005", "base")]) + 5_000


def test_what_hangs_on_the_correlation_of_biases_is_shown(fit, model, periods, finished):
    """The row of the fit itself is its posterior; the others are those of the chain refitted."""
    table = imps.persistence(fit)
    assert list(table["correlation"].unique()) == [0.0, 0.5, 0.9]
    scales = fit.draws["log_scale"].mean(("chain", "draw")).values
    names = {"base": "gap[base]", "migration": "group[migration]", "census": "group[census]"}
    for correlation in (0.5, 0.9):
        priors = imps.default_priors("bias_between_periods")
        other = imps.chain(periods, priors.replace(bias_between_periods=(correlation, 0.0)))
        posterior = GaussianPosterior(other)
        mean, variance = posterior.moments(scales)
        for row in table[table["correlation"] == correlation].itertuples():
            k = posterior.names.index(f"{row.period}: {names[row.group]}")
            assert (row.mean, row.sd) == (pytest.approx(mean[k]), pytest.approx(variance[k] ** 0.5))
    migration = table[table["group"] == "migration"].set_index(["period", "correlation"])["sd"]
    assert (migration.xs(0.9, level=1) < migration.xs(0.0, level=1)).all()
    printed = pd.read_csv(finished[0] / "tables" / "persistence.csv")
    assert "mean, correlation 0.9" in printed and len(printed) == 6
    with pytest.raises(PriorError, match="periods that are linked"):
        imps.persistence(imps.fit(imps.chain(periods[:1]), seed=1, draws=20, chains=1))
    with pytest.raises(NotFittedError, match="fit of a chain"):
        imps.persistence(fit.periods["2000-2005"])
    assert "correlation 0.5, a judgement" in repr(imps.chain_results(fit))


def test_the_same_bias_has_the_stated_correlation_in_two_periods(periods):
    """Of every kind that persists, in every row: variances in common and alone are .7 and .3."""
    priors = imps.default_priors("bias_between_periods").replace(bias_between_periods=(0.7, 0))
    model = imps.chain(periods[:2], priors)
    common = [block for block in model.sizes if ": " not in block]
    assert {f"cards_{flow}_{part}" for flow in ("immigration", "emigration")
            for part in ("level", "young")} == set(common)  # fmt: skip
    for name in model.names:
        error = model.reported[f"{name}: group[migration]"].effects
        for block in common:
            shared, own = error[block], error[f"{name}: {block}"]
            assert np.abs(own).max() > 0
            np.testing.assert_allclose(shared * np.sqrt(0.3), own * np.sqrt(0.7), rtol=1e-9)


def test_a_chain_is_refitted_under_other_priors(fit, periods):
    """The answer is that of the chain under those priors; its links stand."""
    priors = fit.model.priors.widen("base_level", 3).replace(bias_between_periods={"mean": 0.9})
    again = imps.refit(fit, priors, draws=100)
    assert again.model.names == fit.model.names and again.model.linked
    wanted = imps.chain(periods, priors)
    np.testing.assert_allclose(again.model.design, wanted.design)
    assert imps.chain_results(again).correlation == 0.9


def test_the_pymc_model_of_a_chain_has_its_posterior(model, fit):
    """As for one account: the same log-density, draws by label, and what is refused."""
    built = imps.build_model(model)
    assert built.linear is model
    found = imps.from_draws(built, fit.to_datatree())
    assert list(found.periods) == list(model.names)
    for name in model.names:
        one, other = (imps.attribute(f.periods[name]).contributions for f in (found, fit))
        np.testing.assert_array_equal(one, other)
    z = np.zeros(model.n_latent)
    logp = built.compile_logp()({"log_scale": np.zeros(len(model.scale_names)), "latent": z})
    wanted = norm.logpdf(model.observed, model.expected(z[None])[0], model.standard_error).sum()
    wanted += norm.logpdf(np.zeros(z.size + len(model.scale_names))).sum()
    assert logp == pytest.approx(wanted)
    with built:
        pm.set_data({"observed": 1.01 * model.observed})
    with pytest.raises(SourceError, match="were exchanged"):
        imps.fit(built, seed=1)
    with pytest.raises(PriorError, match="written down already"):
        imps.build_model(model, flows="log")
    with pytest.raises(TypeError, match="needs Sources or a model, got str"):
        imps.build_model("uk-1991-2001")


def test_saved_and_loaded(fit, model, periods, tmp_path):
    fit.save(tmp_path / "chain.nc")
    again = imps.load_fit(tmp_path / "chain.nc", model=model)
    assert again.stale == ()
    np.testing.assert_array_equal(again.latents(), fit.latents())
    one, other = (imps.chain_results(f).groups() for f in (fit, again))
    np.testing.assert_array_equal(one["mean"], other["mean"])
    with pytest.warns(imps.errors.ImpsWarning, match="stale"):
        stale = imps.load_fit(tmp_path / "chain.nc", model=imps.chain(periods, linked=False))
    assert "linked" in stale.stale[0]


def test_a_finished_chain_of_draws_is_kept(model, tmp_path):
    kept = {"seed": 3, "chains": 2, "draws": 50, "progress": False, "keep": tmp_path / "kept"}
    first, second = (imps.fit(model, **kept) for _ in range(2))
    np.testing.assert_array_equal(first.latents(), second.latents())
    assert imps.load_fit(tmp_path / "kept").periods.keys() == first.periods.keys()


def test_an_open_end_follows_censuses(periods):
    opened = imps.open_end(periods[-1])
    model = imps.chain([*periods[:-1], opened])
    apart = imps.linear_model(opened, imps.default_priors())
    last = "population[2015]"
    chained = moments(model)[f"2010-2015: {last}"]
    assert chained[1] > 0 and np.isfinite(chained[0])
    assert largest_misclosure(model.period("2010-2015")) < 1e-6
    with pytest.raises(SourceError, match="only the last period"):
        imps.chain([imps.open_end(periods[0]), periods[1]])
    assert apart.sources.open_end


def test_correlated_undercounts_follow_the_census(periods):
    """The same people missed twice: the undercount of the second census with that of the first."""
    priors = imps.default_priors().replace(census_correlation={"mean": 0.8})
    model = imps.chain(periods[:2], priors)
    w = model.prior_draws(6000, seed=1)
    missed = [
        model.evaluate(part.census_undercount.sum(), w) / part.sources.census.total
        for part in model.accounts
    ]
    assert np.corrcoef(*missed)[0, 1] > 0.6
    assert abs(np.corrcoef(*missed)[0, 1]) < 1


BAD = {
    "a gap": (lambda p: [p[0], p[2]], SourceError, "a gap between them"),
    "an overlap": (lambda p: [p[1], p[1]], SourceError, "an overlap between them"),
    "another area": (
        lambda p: [p[0], replace(p[1], area="Elsewhere")], DefinitionError, "area of period",
    ),
    "other ages": (
        lambda _: [reference_account(n_years=3),
                   reference_account(n_years=3, first_year=1994, n_ages=31)],
        DefinitionError, "last age of period 1991-1994 is '35', that of period 1994-1997 '30'",
    ),
    "two figures": (
        lambda p: [p[0], with_base(p[1], 1.01)], SourceError, "Is it a revision or an error",
    ),
    "another base": (
        lambda p: [p[0], replace(p[1], base=scaled(p[1].base, 1.01))], SourceError,
        "belongs to another base",
    ),
    "nothing": (lambda p: [], SourceError, "at least one period"),
}  # fmt: skip


def scaled(stock, factor):
    return replace(stock, count=stock.count * factor)


def with_base(sources, factor):
    """Another base with the roll-forward that belongs to it."""
    moved = sources.rolled_forward.total + sources.base.total * (factor - 1)
    rolled = replace(sources.rolled_forward, total=moved)
    return replace(sources, base=scaled(sources.base, factor), rolled_forward=rolled)


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_a_chain_is_refused(what, periods):
    change, error, said = BAD[what]
    with pytest.raises(error, match=said):
        imps.chain(change(periods))


def test_a_revised_base_is_taken_when_it_is_said(periods):
    revised = with_base(periods[1], 1.01)
    model = imps.chain([periods[0], revised], revised=["2005-2010"])
    more = revised.base.total - periods[1].base.total
    plain = moments(imps.chain(periods[:2]))["2005-2010: gap[base]"][0]
    assert moments(model)["2005-2010: gap[base]"][0] == pytest.approx(plain + more, abs=0.1 * more)
    with pytest.raises(SourceError, match="revised names"):
        imps.chain(periods[:2], revised=["2000-2005"])


def test_wrong_priors_and_wrong_calls_are_refused(periods, fit):
    odd = imps.default_priors("bias_between_periods").replace(bias_between_periods=(1.5, 0))
    with pytest.raises(PriorError, match="between 0 and 1"):
        imps.chain(periods, odd)
    other = replace(periods[1].streams[0], errors={"level": (0.0, 0.3)})
    apart = replace(periods[1], streams=(other, periods[1].streams[1]))
    with pytest.raises(PriorError, match="differs between period 2000-2005 and period 2005-2010"):
        imps.chain([periods[0], apart])
    with pytest.raises(NotFittedError, match=r"fit\.periods\['2000-2005'\]"):
        imps.attribute(fit)
    with pytest.raises(NotFittedError, match="fit of a chain"):
        imps.chain_results(fit.periods["2000-2005"])
    with pytest.raises(PriorError, match="belongs to no source"):
        imps.linear_model(periods[0], imps.default_priors("bias_between_periods"))
    part = fit.periods["2000-2005"]
    with pytest.raises(PriorError, match="cut its links"):
        imps.refit(part, part.model.priors.widen("base_level", 2))
    with pytest.raises(PriorError, match="this chain has 3"):
        imps.prior_predictive(fit.model, seed=1)
    assert imps.prior_predictive(fit.model.period("2000-2005"), seed=1, draws=50).gap
    with pytest.raises(SaveFailedError, match="save the fit of the chain"):
        part.save("nowhere.nc")
    with pytest.raises(TypeError, match="a period is a name"):
        imps.chain([periods[0], 3])


def test_simulated_periods_follow_each_other():
    rng = np.random.default_rng(5)
    one, two = simulate_chain(scenarios_of_chain(2, persistence=0.5, rng=rng), seed=5, n_years=5)
    np.testing.assert_array_equal(one.sources.census.count, two.sources.base.count)
    gap = sum(two.contributions.values())
    known = (
        float(two.sources.census.total - two.population.sum())
        + two.contributions["census_coverage"]
    )
    assert two.sources.gap == pytest.approx(gap - known, abs=2_000)


@pytest.fixture(scope="module")
def finished(periods, tmp_path_factory):
    """Folder of a run of two periods, and what it said."""
    out = tmp_path_factory.mktemp("chain") / "out"
    return out, imps.run_chain(periods[:2], out=out, **FEW)


FEW = {"draws": 100, "chains": 2, "tables_only": True}


def test_a_run_of_a_chain_writes_all_and_is_not_overwritten(periods, finished):
    out, found = finished
    fit = imps.load_fit(out)
    assert list(fit.periods) == list(found.attributions)
    groups = pd.read_csv(out / "tables" / "attribution_groups.csv")
    np.testing.assert_allclose(groups["mean"], found.groups()["mean"], rtol=1e-9)
    manifest = read_manifest(out)
    assert manifest["status"] == "finished" and manifest["periods"] == ["2000-2005", "2005-2010"]
    assert manifest["draws_sha256"] == draws_digest(fit)
    assert not out.with_name("out.unfinished").exists()
    with pytest.raises(OutputExistsError):
        imps.run_chain(periods[:2], out=out, **FEW)


def test_a_run_of_a_chain_is_continued(periods, finished, tmp_path, monkeypatch):
    """Killed after its first chain of draws it goes on, and comes out the same."""

    class Killed(BaseException):
        pass

    keep = Chains.keep

    def kept_and_killed(self, method, chain, data):
        keep(self, method, chain, data)
        raise Killed

    call, said = {"out": tmp_path / "out", **FEW}, []
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Chains, "keep", kept_and_killed)
        imps.run_chain(periods[:2], **call)
    assert len(list((tmp_path / "out.unfinished" / "chains").glob("exact-*.nc"))) == 1
    imps.run_chain(periods[:2], **call, say=said.append)
    assert any("1 of 2 chains were finished before" in line for line in said)
    one, other = (read_manifest(folder) for folder in (finished[0], tmp_path / "out"))
    assert one["draws_sha256"] == other["draws_sha256"]
    assert {k: v for k, v in one["outputs"].items() if k != "fit.nc"} == {
        k: v for k, v in other["outputs"].items() if k != "fit.nc"
    }
    with pytest.raises(SettingError):
        imps.run_chain(periods[:2], out=tmp_path / "refused", draws=100, chains=0)
    assert not (tmp_path / "refused.unfinished").exists()


def test_a_run_of_a_chain_is_repeated(finished, tmp_path):
    out, found = finished
    again = imps.rerun(out)
    assert again.verdict == "identical" and again.changed == ()
    assert repr(again.run.results) == repr(found)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["request"]["seed"] = 7
    shutil.copytree(out, tmp_path / "other")
    (tmp_path / "other" / "manifest.json").write_text(json.dumps(manifest))
    assert imps.rerun(tmp_path / "other").verdict == "equal within Monte Carlo error"
    (tmp_path / "other" / "fit.nc").unlink()
    with pytest.raises(SavedFileError, match="not all shipped cases"):
        imps.rerun(tmp_path / "other")


def test_reports_of_a_chain_are_made_again(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    loaded = imps.load_run(tmp_path / "run")
    assert repr(loaded.results) == repr(finished[1]) and loaded.fit.stale == ()
    rebuild_report(tmp_path / "run")
    for name in loaded.fit.periods:
        page = tmp_path / "run" / name / "report.html"
        text = page.read_text("utf-8")
        assert "Cardland" in text and "fitted as one account" in text
        assert "with correlations of 0, 0.5 and 0.9 all migration accounts for" in text
        later = name != next(iter(loaded.fit.periods))
        assert ("its base is what the period before ended with" in text) == later
        assert 'id="eq-chain"' in text
        assert read_manifest(tmp_path / "run")["outputs"][f"{name}/report.html"]


@pytest.mark.parametrize("stand_in", [False, True])
def test_a_chain_is_replicated(finished, tmp_path, stand_in):
    folder = imps.replicate(finished[0], tmp_path / "package", stand_in=stand_in)
    again = imps.reproduce(folder)
    assert again.verdict == "identical" and again.reproduced
    figures = {p.parent.name for p in (folder / "data").glob("*/base.csv")}
    assert len(figures) == 2
    assert stand_in or (folder / "data" / "2005-2010" / "cards_emigration.csv").exists()


def test_draws_of_a_chain_are_rounded_below_their_noise(model, fit):
    """Rounding moves no row by a hundredth of its error; files of chains are half as large."""
    z = fit.draws["latent"].values
    np.testing.assert_array_equal(z, np.rint(z * 2.0**36) / 2.0**36)
    assert (z == np.rint(z * 2.0**12) / 2.0**12).all(axis=(0, 1)).mean() > 0.5
    step = np.array([2.0 ** -_bits(column) for column in z.reshape(-1, z.shape[-1]).T])
    rows = model.design * model.scale_factors(np.zeros(len(model.scale_names)))
    moved = np.sqrt(((rows * step) ** 2 / 12).sum(axis=1)) / model.standard_error
    assert moved.max() < 0.01


def _bits(column):
    return next(b for b in range(37) if (column == np.rint(column * 2.0**b) / 2.0**b).all())


PERIODS = ("england-wales-2001-2011", "england-wales-2011-2021")


def chain_command(*words):
    """Exit code and all that the command says, on both streams."""
    done = CliRunner().invoke(app, ["chain", *map(str, words)])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The two later shipped cases as project folders of somebody's own."""
    home, shipped = tmp_path_factory.mktemp("projects"), Path(imps.__file__).parent / "shipped"
    for name in PERIODS:
        shutil.copytree(shipped / name.replace("-", "_"), home / name)
    return [home / name for name in PERIODS]


def test_a_chain_of_project_folders_with_another_prior(folders, tmp_path):
    out = tmp_path / "out"
    quick = ("--out", out, "--draws", 100, "--chains", 2, "--tables-only")
    code, said = chain_command(*folders, *quick, "--prior", "bias_between_periods=0.9")
    assert code in (0, 3) and f"results in {out}" in said  # so few draws may not be enough
    assert "correlation 0.9, a judgement" in said
    rows = {row["name"]: row for row in read_manifest(out)["priors"]}
    assert rows["bias_between_periods"]["mean"] == 0.9
    assert imps.rerun(out).verdict == "identical"
    code, said = chain_command(*folders, *quick)
    assert code == 1 and "OUTPUT_EXISTS" in said and "--force" in said


UNLIKE = {
    "other priors": (
        "[priors.base_level]\nsd = 0.01",
        "mean 0, sd 0.0035 in period 2001-2011 and mean 0, sd 0.01 in period 2011-2021",
    ),
    "another year": ("[priors]\nas_of = 2020", "as_of 2020 in period 2011-2021"),
    "a prior of chains": (
        "[priors.bias_between_periods]\nmean = 0.9", "Of chains: imps chain --prior",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNLIKE)
def test_project_folders_whose_priors_differ_are_refused(what, folders, tmp_path):
    settings, wanted = UNLIKE[what]
    later = tmp_path / "later"
    shutil.copytree(folders[1], later)
    with (later / "settings.toml").open("a") as file:
        file.write(f"\n{settings}\n")
    code, said = chain_command(folders[0], later, "--out", tmp_path / "out")
    assert code == 1 and wanted in " ".join(said.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["base_level", "base_level=wide", "base_level=0,1,2", "=,"])
def test_a_prior_that_is_no_number_is_wrong_usage(text):
    assert with_changes(imps.default_priors(), ["base_level=0.1,0.2"])["base_level"].sd == 0.2
    assert with_changes(imps.default_priors(), ["base_level=0.1"])["base_level"].mean == 0.1
    with pytest.raises(typer.BadParameter, match="is not NAME=MEAN,SD"):
        with_changes(imps.default_priors(), [text])
    with pytest.raises(PriorError, match="Did you mean base_level"):
        with_changes(imps.default_priors(), ["bas_level=0"])
