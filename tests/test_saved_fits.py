"""Saved fits: what comes back, when a fit is stale, and files from strangers."""

import dataclasses
import typing
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import imps
from imps.errors import ImpsWarning, NotFittedError, OutputExistsError, SavedFileError
from imps.names import CHAIN, DRAW
from imps.plots import figure_data, standard_figures
from imps.posterior.archive import CLASSES, pack, unpack
from imps.posterior.chains import one_chain
from imps.posterior.storage import load, save
from imps.report.report import report_figures
from imps.runs.run import Run
from imps.sampling import DRAWS

MEGABYTES = 50  # of the file of a full national fit
NATIONAL = "england-wales-2001-2011"  # the case with most latent variables


@pytest.fixture(scope="module")
def saved(fitted, case, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    fitted.save(path, case=case)
    return path


@pytest.fixture(scope="module")
def loaded(saved):
    return imps.load_fit(saved)


def tables_and_figures(fit, case):
    """Frames of all tables, and the numbers that every figure draws."""
    checks = imps.check(fit)
    attribution, found = imps.attribute(fit, checks=checks), imps.reconcile(fit, checks=checks)
    run = Run(case, fit, checks, attribution, found, None)
    drawn = {}
    figures = report_figures(fit, attribution, found, checks, case=case)
    figures |= {f"standard {k}": f for k, f in standard_figures(attribution, found).items()}
    for name, figure in figures.items():
        drawn[f"{name} data"] = figure_data(figure)
        for i, ax in enumerate(figure.axes):
            parts = [line.get_xydata() for line in ax.lines]
            parts += [patch.get_path().vertices for patch in ax.patches]
            parts += [p.vertices for c in ax.collections for p in c.get_paths()]
            drawn[f"{name} {i}"] = parts
    return {name: table.frame for name, table in run.tables().items()}, drawn


def test_every_table_and_figure_comes_back_to_the_last_bit(fitted, loaded, case):
    tables, figures = tables_and_figures(fitted, case)
    again, redrawn = tables_and_figures(loaded, case)
    assert len(tables) >= 8
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(frame, again[name], check_exact=True, obj=name)
    assert len(figures) >= 20
    for name, parts in figures.items():
        if isinstance(parts, pd.DataFrame):
            assert len(parts) > 3
            pd.testing.assert_frame_equal(parts, redrawn[name], check_exact=True, obj=name)
            continue
        assert len(parts) == len(redrawn[name])
        for a, b in zip(parts, redrawn[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_draws_settings_and_densities_come_back(fitted, loaded, saved):
    for name in ("log_scale", "latent"):
        np.testing.assert_array_equal(loaded.draws[name].values, fitted.draws[name].values)
    assert (loaded.seed, loaded.method) == (fitted.seed, fitted.method)
    assert (loaded.settings, loaded.notes) == (fitted.settings, fitted.notes)
    assert loaded.stale == ()
    assert loaded.model.priors == fitted.model.priors
    groups, _ = load(saved)
    likelihood = groups["log_likelihood_by_source"]["log_likelihood"].drop_vars(["chain", "draw"])
    assert list(likelihood["source"].values) == ["immigration", "emigration", "census"]
    xr.testing.assert_equal(likelihood, fitted.log_likelihood())
    log_prior = groups["log_prior"]["log_prior"].drop_vars(["chain", "draw"])
    xr.testing.assert_equal(log_prior, fitted.log_prior())


def test_arrays_of_every_shape_come_back_and_no_byte_is_lost(tmp_path, rng):
    """Draws are deflated here and not by HDF5: chunks at the end, scalars, nothing at all."""
    draws = (CHAIN, DRAW)
    group = xr.Dataset(
        {
            "many": ((*draws, "of"), rng.standard_normal((2, 230, 3))),
            "constant": ((*draws, "of"), np.full((2, 230, 3), np.nan)),
            "none": ((*draws, "nobody"), np.zeros((2, 230, 0))),
            "short": ("of", np.array([1.5, 2.5, -0.0], dtype="float32")),
            "whole": (draws, rng.integers(9, size=(2, 230))),
            "one": ((), 2.5),
            "empty": ("nothing", np.zeros(0)),
        },
        coords={"of": ["a", "b", "c"]},
    )
    save(tmp_path / "a.nc", {"a": group, "b": group}, {"x": 1}, single=["b"])
    groups, record = load(tmp_path / "a.nc")
    assert record["x"] == 1
    xr.testing.assert_identical(groups["a"], group)
    assert groups["b"]["many"].dtype == "float32"
    np.testing.assert_array_equal(groups["b"]["many"], group["many"].astype("float32"))


def test_file_of_a_full_national_fit_is_small(fitted, tmp_path, rng):
    linear = imps.linear_model(imps.load_case(NATIONAL).sources, imps.default_priors())
    assert linear.n_latent > fitted.model.n_latent
    shape = (4, DRAWS["exact"])  # draws of white noise pack as badly as those of a fit
    scales = rng.standard_normal((*shape, len(linear.scale_names)))
    draws = one_chain(linear, scales, rng.standard_normal((*shape, linear.n_latent)))
    full = dataclasses.replace(fitted, model=linear, draws=draws, stats=xr.Dataset(), extras={})
    full.save(tmp_path / "fit.nc")
    assert (tmp_path / "fit.nc").stat().st_size < MEGABYTES * 1e6


def test_a_stale_fit_says_so_and_why(saved, sources, fitted):
    wide = imps.linear_model(sources, imps.default_priors().widen("base_level", 2))
    with pytest.warns(ImpsWarning, match="stale"):
        found = imps.load_fit(saved, model=wide)
    sd = imps.default_priors()["base_level"].sd
    said = f"prior 'base_level': Normal(0, {sd:g}) then, Normal(0, {2 * sd:g}) now"
    assert found.stale == (said,)
    assert found.model.priors["base_level"].sd == sd, "numbers stay those of the fit"
    assert "STALE" in repr(found)
    assert "STALE: prior 'base_level'" in str(imps.attribute(found).verdict)
    count = sources.deaths.count.copy()
    count[0, 0, 0] += 7
    changed = dataclasses.replace(sources, deaths=dataclasses.replace(sources.deaths, count=count))
    with pytest.warns(ImpsWarning, match="sources.deaths.count: 1 cells differ, by up to 7"):
        imps.load_fit(saved, model=imps.linear_model(changed, imps.default_priors()))
    assert imps.load_fit(saved, model=fitted.model).stale == ()


def test_a_release_that_writes_another_model_makes_a_fit_stale(saved, monkeypatch):
    import imps.posterior.archive
    from imps.account.linear import linear_model

    def another(*arguments, **options):
        linear = linear_model(*arguments, **options)
        return dataclasses.replace(linear, offset=linear.offset + 50.0)

    monkeypatch.setattr(imps.posterior.archive, "linear_model", another)
    with pytest.warns(ImpsWarning, match="log-likelihood of 'immigration' differs"):
        assert len(imps.load_fit(saved).stale) == 3


class OwnSource:
    """A source that is code: it cannot be saved, and must not keep a fit from being saved."""

    name = "own"

    def observe(self, account):
        total = account.population(1996).sum().map(lambda x: x[None])
        return imps.Observation(
            "own", total, np.array([58.2e6]), np.array([2e5]), ("population 1996",)
        )


def test_a_source_of_ones_own_stays_behind_and_is_asked_for(sources, tmp_path):
    linear = imps.linear_model(sources.add(OwnSource()), imps.default_priors())
    fit = imps.fit(linear, seed=1, draws=20, chains=2, keep=tmp_path / "chains")
    fit.save(tmp_path / "fit.nc")
    with pytest.raises(SavedFileError, match=r"OwnSource.*load_fit\(path, model=...\)"):
        imps.load_fit(tmp_path / "fit.nc")
    again = imps.load_fit(tmp_path / "fit.nc", model=linear)
    assert again.stale == ()
    assert again.log_likelihood().equals(fit.log_likelihood())
    with pytest.warns(ImpsWarning, match="stale"):
        other = imps.load_fit(tmp_path / "fit.nc", model=imps.linear_model(
            sources, imps.default_priors()))  # fmt: skip
    assert "OwnSource" in other.stale[0]


def test_a_chain_does_not_depend_on_the_others(model, fitted, tmp_path):
    """Cut off after any chain, and with another number of chains: the same draws."""
    kept = tmp_path / "chains"
    imps.fit(model, seed=1, draws=500, chains=3, keep=kept)
    (kept / "exact-2.nc").unlink()
    looked = imps.load_fit(kept)
    assert looked.n_chains == 2
    assert "not finished: 2 chains" in looked.notes[0]
    times = {p.name: p.stat().st_mtime_ns for p in kept.iterdir()}
    whole = imps.fit(model, seed=1, draws=500, chains=4, keep=kept)
    for name in ("log_scale", "latent"):
        np.testing.assert_array_equal(whole.draws[name].values, fitted.draws[name].values)
    pd.testing.assert_frame_equal(
        whole.extras["exact_moments"], fitted.extras["exact_moments"], check_exact=True
    )
    assert times.items() <= {p.name: p.stat().st_mtime_ns for p in kept.iterdir()}.items()
    with pytest.raises(OutputExistsError, match="seed: 1 then, 2 now"):
        imps.fit(model, seed=2, draws=500, keep=kept)
    wide = imps.linear_model(model.sources, model.priors.widen("base_level", 2))
    with pytest.raises(OutputExistsError, match="prior 'base_level'"):
        imps.fit(wide, seed=1, draws=500, keep=kept)


def test_files_from_strangers_are_data_only(saved, tmp_path):
    with pytest.raises(SavedFileError, match="there is no file"):
        imps.load_fit(tmp_path / "nowhere.nc")
    cut = tmp_path / "cut.nc"
    cut.write_bytes(saved.read_bytes()[:50_000])
    with pytest.raises(SavedFileError, match="cut off"):
        imps.load_fit(cut)
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.arange(3)
    linked = tmp_path / "linked.nc"
    linked.write_bytes(saved.read_bytes())
    with h5py.File(linked, "a") as file:
        file["posterior/outside"] = h5py.ExternalLink(str(secret), "x")
    with pytest.raises(SavedFileError, match="is a link"):
        imps.load_fit(linked)
    with h5py.File(linked, "w") as file:
        file.create_dataset("x", (3,), "i1", external=[(str(secret), 0, 3)])
    with pytest.raises(SavedFileError, match="lies in another file"):
        imps.load_fit(linked)
    with h5py.File(linked, "w") as file:
        file.create_dataset("x", (10**6, 10**6), "f8", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(SavedFileError, match="unpacks to over"):
        imps.load_fit(linked)
    other = tmp_path / "other.nc"
    save(other, {"posterior": xr.Dataset({"x": ("draw", [1.0])})}, {"anything": 1})
    with pytest.raises(SavedFileError, match="not a saved fit"):
        imps.load_fit(other)
    with pytest.raises(SavedFileError, match="'Popen', which is none of this package"):
        unpack({"class": "Popen", "fields": {"args": "id"}}, {})


def test_everything_that_sources_and_priors_hold_can_be_saved():
    """Classes of the package that a field of a saved class may hold are saved classes too."""
    for kind in CLASSES.values():
        hints = typing.get_type_hints(kind)
        todo = [hints[field.name] for field in dataclasses.fields(kind)]
        while todo:
            hint = todo.pop()
            todo += [x for x in typing.get_args(hint) if x is not ...]
            if dataclasses.is_dataclass(hint):
                assert hint in CLASSES.values(), f"{hint.__name__} in {kind.__name__}"


def test_memory_order_labels_and_texts_survive_packing(case):
    arrays = {}
    turned = np.arange(6.0).reshape(2, 3).T
    back = unpack(pack(turned, arrays), arrays)
    np.testing.assert_array_equal(back, turned)
    assert back.strides == turned.strides
    frame = pd.DataFrame({"text": ["a", None], "x": [1.5, np.nan], "n": [1, 2], "b": [True, False]})
    pd.testing.assert_frame_equal(unpack(pack(frame, arrays), arrays), frame)
    assert repr(unpack(pack(case, arrays), arrays)) == repr(case)


def test_nuts_continues_with_the_chains_that_are_missing(sources, tmp_path, monkeypatch):
    """Compiled once for all calls: what is under test is the seeds and the files."""
    import nutpie

    compiled = nutpie.compile_pymc_model(imps.build_model(sources))
    monkeypatch.setattr(nutpie, "compile_pymc_model", lambda _: compiled)
    linear = imps.linear_model(sources, imps.default_priors())
    settings = {"seed": 1, "method": "nuts", "draws": 20, "tune": 30, "progress": False}
    whole = imps.fit(linear, **settings, chains=3, cores=2)
    kept = tmp_path / "chains"
    imps.fit(linear, **settings, chains=2, cores=1, keep=kept)
    (kept / "nuts-1.nc").unlink()
    assert imps.load_fit(kept).n_chains == 1
    said = []
    again = imps.fit(linear, **settings, chains=3, keep=kept, say=said.append)
    assert said[0].startswith("1 of 3 chains were finished before")
    for name in ("log_scale", "latent"):
        np.testing.assert_array_equal(again.draws[name].values, whole.draws[name].values)
    np.testing.assert_array_equal(again.stats["n_steps"], whole.stats["n_steps"])
    assert not np.array_equal(whole.draws["latent"][0], whole.draws["latent"][1])


def test_a_fit_of_release_0_1_gives_the_tables_of_that_release():
    """Its account is that of today at one point; what needs its rows is refused by name."""
    folder = Path(__file__).parent / "data" / "fits"
    with pytest.warns(ImpsWarning, match=r"imps 0\.1\.0 made its draws, of the model before 0\.2"):
        fit = imps.load_fit(folder / "form_1.nc")
    found = imps.attribute(fit)
    assert float(np.abs(found.totals().sum("source") - found.total).max()) < 1e-6
    then = pd.read_csv(folder / "form_1.csv").set_index("source")
    then = then.rename(index={"period_and_age_conversion": "period_conversion"})
    now = found.summary().set_index("source")
    assert set(now.index) - set(then.index) == {"ages_and_sexes_of_flows"}
    pd.testing.assert_frame_equal(now.loc[then.index, then.columns], then, rtol=1e-9, atol=1e-6)
    assert "STALE: imps 0.1.0" in str(imps.check(fit).verdict)
    net = imps.reconcile(fit).net_migration.sum(("sex", "age", "year"))
    np.testing.assert_allclose(net, fit.quantities()["net_migration[all years]"])
    assert imps.plot_waterfall(found) and imps.plot_lexis(imps.migration_error(fit))
    for function in (imps.what_if, imps.left_out, imps.posterior_predictive, imps.power_scaling):
        with pytest.raises(NotFittedError, match=rf"{function.__name__}\(\) needs the likelihood"):
            function(fit)
    for method in (fit.log_likelihood, fit.log_prior, fit.to_datatree):
        with pytest.raises(NotFittedError, match=r"saved by imps 0\.1\.0, of the model before"):
            method()


def test_a_file_of_the_form_before_loads():
    """Form 2 had no reported quantities, no prior and no densities; its draws are all there."""
    fit = imps.load_fit(Path(__file__).parent / "data" / "fits" / "form_2.nc")
    assert fit.stale == () and fit.draws.sizes["chain"] == 2
    found = imps.attribute(fit)
    np.testing.assert_allclose(found.totals().sum("source"), found.total, atol=1e-6)
    assert {"posterior", "log_likelihood", "observed_data"} <= set(fit.to_datatree().children)
