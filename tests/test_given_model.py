"""A PyMC model that users changed, and draws that they made: one account, or a refusal."""

import dataclasses
import logging
import pickle

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import imps
from imps.errors import LabelError, NotFittedError, PriorError, SourceError
from imps.posterior.given_model import given
from imps.posterior.pymc_model import account_model, pymc_model, quantity
from imps.sources import Register

MOVED = 500_000.0
SAME = 1e-9  # of persons beside millions: the order of sums
DRAWS = {"seed": 1, "draws": 100, "chains": 2, "progress": False}


@pytest.fixture(scope="module")
def built(model):
    return pymc_model(model)


@pytest.fixture(scope="module")
def few(model):
    return imps.fit(model, **DRAWS)


def moved(linear, row="census", by=MOVED):
    figures = linear.observed.copy()
    figures[linear.row_labels.index(row)] += by
    return figures


def exchanged(built, figures):
    model = built.copy()
    with model:
        pm.set_data({"observed": figures})
    return model


def base_of(fit):
    return fit.quantities()["gap[base]"]


def test_other_figures_of_the_census_are_another_account(built, model, sources, few):
    """By whatever way they were put in: the gap, the draws and NUTS are of the new figures."""
    census = sources.census
    total = census.total + MOVED
    count = census.count * (total / census.total)
    other = dataclasses.replace(sources, census=dataclasses.replace(census, count=count))
    wanted = imps.fit(imps.linear_model(other, imps.default_priors()), **DRAWS)
    figures = moved(model)
    ways = (
        exchanged(built, figures),
        pm.observe(built, {"published": figures}),
        pm.do(built, {"observed": figures}),
    )
    for way in ways:
        found = given(way)
        assert found.gaussian and not found.variant.added
        assert found.linear.sources.gap == pytest.approx(sources.gap - MOVED)
        np.testing.assert_allclose(found.pymc()["observed"].get_value(), figures, rtol=SAME)
    fit = imps.fit(ways[0], **DRAWS)
    np.testing.assert_allclose(base_of(fit), base_of(wanted), rtol=SAME, atol=1e-3)
    assert abs(base_of(fit).mean() - base_of(few).mean()) > 10_000
    shared = imps.attribute(fit)
    assert float(np.asarray(shared.gap).sum()) == pytest.approx(sources.gap - MOVED)
    assert given(built).linear is model, "the model that was copied is as it was"


def test_the_account_of_a_model_follows_its_data(built, model, sources):
    own = pickle.loads(pickle.dumps(built))
    assert isinstance(own, account_model())
    with own:
        pm.set_data({"observed": moved(model)})
    assert own.linear.sources.gap == pytest.approx(sources.gap - MOVED)


def test_other_figures_of_a_register_are_another_account(sources):
    year, ages = 1996, sources.ages[20:30]
    count = sources.census.count.sel(age=ages)
    register = Register(
        "patients", year, count, 0.01 * count, 0.02, 0.02, 0.01, vintage="", reference="invented"
    )  # fmt: skip
    with_it = imps.build_model(sources.add(register))
    figures = moved(with_it.linear, "patients male 25", 1000.0)
    found = given(exchanged(with_it, figures)).linear
    assert float(found.sources.extra[-1].count.sel(sex="male", age=25)) == pytest.approx(
        float(count.sel(sex="male", age=25)) + 1000
    )
    assert found.sources.gap == sources.gap
    np.testing.assert_array_equal(found.observed, figures)


def test_figures_that_the_account_cannot_take_are_refused(built, model):
    row = "immigration 1995 male 15-24"
    with pytest.raises(SourceError, match=rf"1 rows of immigration.*\({row}\).*part of the pub"):
        imps.fit(exchanged(built, moved(model, row)), **DRAWS)
    hole = model.observed.copy()
    hole[3] = np.nan
    with pytest.raises(SourceError, match="of which 220 are numbers, expected 221"):
        imps.attribute(imps.fit(exchanged(built, hole), **DRAWS))
    changed = exchanged(built, moved(model))
    with changed:
        pm.Potential("own", -(changed["latent"][0] ** 2))
    with pytest.raises(SourceError, match=r"beside them \(own\), which cannot be carried over"):
        imps.prior_predictive(changed, seed=1)


def test_a_copy_is_the_model_and_a_fixed_scale_is_sampled(built, model, few):
    copy = built.copy()
    np.testing.assert_array_equal(base_of(imps.fit(copy, **DRAWS)), base_of(few))
    zero = {"log_scale": np.zeros(len(model.scale_names))}
    for changed in (pm.do(built, zero), pm.observe(built, zero)):
        found = given(changed)
        assert not found.gaussian and found.variant.added == ("log_scale",)
        with pytest.raises(PriorError, match="use method='nuts'"):
            imps.fit(changed, method="exact", **DRAWS)
        drawn = few.to_datatree()["posterior"].to_dataset().drop_vars(("log_scale", "scale"))
        fit = imps.from_draws(changed, drawn)
        assert not fit.draws["log_scale"].any()
        assert base_of(fit).std() > 1000
        blocks = list(fit.log_prior()["block"].values)
        assert not [name for name in blocks if name.startswith("log_scale")]


def test_a_likelihood_that_is_not_the_accounts_is_refused(built, model):
    latent, name = built["latent"], "published"
    doubled = pm.do(built, {"latent": 2.0 * latent})
    for changed in (doubled, pm.do(built, {name: model.observed})):
        with pytest.raises(PriorError, match="published, the likelihood of the published rows"):
            imps.fit(changed, **DRAWS)
    with pm.Model(name="uk"):
        prefixed = pymc_model(model)
    with pytest.raises(PriorError, match="without a prefix"):
        imps.fit(prefixed, **DRAWS)
    with pytest.raises(NotFittedError, match=r"expected a model of build_model\(\), got Model"):
        imps.fit(pm.Model(), **DRAWS)


def test_changed_models_are_refused_where_only_the_account_counts(built):
    changed = built.copy()
    with changed:
        pm.Normal("seen", changed["latent"][0], 1.0, observed=1.0)
    assert imps.prior_predictive(changed, seed=1, draws=50).gap
    with pytest.raises(PriorError, match=r"calibrate\(\) works on the Gaussian model only"):
        imps.calibration.calibrate(changed, replicates=1, seed=1)
    with changed:
        pm.Potential("belief", -(changed["latent"][0] ** 2))
    with pytest.raises(PriorError, match="belief of the model is no part of it"):
        imps.prior_predictive(changed, seed=1)


def test_deterministics_of_ones_own_keep_their_dims_and_the_exact_way(built, few, tmp_path):
    years = few.model.sources.years
    mine = built.copy()
    net = quantity(mine, few.model.account.net_migration.sum((0, 1)))
    mine.add_coord("ending", years)
    with mine:
        pm.Deterministic("net", net, dims="ending")
    fit = imps.fit(mine, **DRAWS)
    assert fit.method == "exact" and fit.gaussian
    found = fit.extras["own_variables"]["net"]
    assert found.dims == ("chain", "draw", "ending") and list(found["ending"].values) == list(years)
    wanted = fit.quantities()[f"net_migration[{years[3]}]"]
    np.testing.assert_allclose(found.sel(ending=years[3]).values, wanted, rtol=1e-7)
    fit.save(tmp_path / "fit.nc")
    again = imps.load_fit(tmp_path / "fit.nc").extras["own_variables"]["net"]
    xr.testing.assert_equal(again, found)


def permuted(tree, seed=1):
    """The tree with the labels of every dim of the posterior in another order."""
    order = np.random.default_rng(seed).permutation
    data = tree["posterior"].to_dataset()
    dims = ("scale", "latent_name")
    return xr.DataTree.from_dict(
        {"posterior": data.isel({dim: order(data.sizes[dim]) for dim in dims})}
    )


def test_draws_are_aligned_by_label(few, built):
    tree = few.to_datatree()
    for draws in (tree, permuted(tree), tree["posterior"].to_dataset()):
        fit = imps.from_draws(built, draws)
        np.testing.assert_array_equal(base_of(fit), base_of(few))
        xr.testing.assert_equal(
            imps.attribute(fit).contributions, imps.attribute(few).contributions
        )
    assert "made elsewhere, by a sampler that is not named" in repr(fit)
    assert fit.method == "given" and "seed" not in fit.made
    turned = dataclasses.replace(few, draws=few.draws.sortby("latent_name"))
    np.testing.assert_array_equal(base_of(turned), base_of(few))


def test_draws_of_something_else_are_refused(few, built, model):
    data = few.to_datatree()["posterior"].to_dataset()
    with pytest.raises(LabelError, match="no labels on 'latent_name'"):
        imps.from_draws(built, data.drop_vars("latent_name"))
    with pytest.raises(LabelError, match="needs labelled draws, got ndarray"):
        imps.from_draws(built, data["latent"].values)
    with pytest.raises(LabelError, match="hold no 'log_scale'"):
        imps.from_draws(built, data.drop_vars("log_scale"))
    with pytest.raises(LabelError, match="expected chain, draw and scale"):
        imps.from_draws(built, data.stack(sample=("chain", "draw")))
    other = data.assign_coords(latent_name=[f"{x} of Wales" for x in data["latent_name"].values])
    with pytest.raises(LabelError, match=r"of another account.* of Wales.*Pass the model that was"):
        imps.from_draws(built, other)
    hole = data.copy(deep=True)
    hole["latent"][0, 0, 0] = np.nan
    with pytest.raises(SourceError, match="'latent': 1 of .* draws are no numbers"):
        imps.from_draws(built, hole)
    later = dataclasses.replace(
        few, draws=few.draws.assign_coords(scale=data["scale"][::-1].values)
    )
    assert not later.stale, "labels in another order are put in order"
    strange = dataclasses.replace(few, draws=few.draws.assign_coords(scale=data["scale"] + "x"))
    assert "labels that are not the account's" in strange.stale[0]
    fewer = dataclasses.replace(few, draws=few.draws.isel(latent_name=slice(1, None)))
    with pytest.raises(NotFittedError, match=r"draws are those of another account: .*Fit again"):
        imps.attribute(fewer)


def test_draws_that_come_with_other_figures_or_rows_are_refused(few, built, model):
    tree = few.to_datatree()
    with pytest.raises(SourceError, match=r"observed_data.*1 of 221 figures.*'census'"):
        imps.from_draws(exchanged(built, moved(model)), tree)
    rows = tree.copy()
    rows["log_likelihood"] = xr.DataTree(tree["log_likelihood"].to_dataset().isel(row=slice(220)))
    with pytest.raises(LabelError, match=r"log_likelihood, 'published': 220 rows, the account has"):
        imps.from_draws(built, rows)
    alone = xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset()})
    density = few.log_likelihood().sum("source") + few.log_prior().sum("block")
    alone["sample_stats"] = xr.DataTree(xr.Dataset({"lp": density}))
    assert imps.from_draws(built, alone)
    wide = imps.linear_model(few.model.sources, imps.default_priors().widen("census", 3))
    with pytest.raises(SourceError, match="other log-densities than the model gives them"):
        imps.from_draws(wide, alone)


@pytest.fixture(scope="module")
def own(model):
    """A model with a free variable over years, a term and a likelihood of the user's own."""
    years = model.sources.years
    mine = pymc_model(model)
    net = quantity(mine, model.account.net_migration.sum((0, 1)))
    with mine:
        mine.add_coord("source", years)  # a dim that has a name of ours and other labels
        share = pm.Normal("share", 0.0, 0.1, dims="source")
        pm.Normal(
            "border", net * (1 + share), 2e4, observed=np.full(len(years), 1e5), dims="source"
        )
    return mine


def test_terms_of_ones_own_are_sampled_with_their_dims(own, few, tmp_path, caplog, monkeypatch):
    """NUTS, nutpie by hand and a permuted copy of its draws: one attribution, one file."""
    import arviz as az
    import nutpie

    compiled = nutpie.compile_pymc_model(own)
    monkeypatch.setattr(nutpie, "compile_pymc_model", lambda _: compiled)
    with caplog.at_level(logging.INFO, "imps"):
        fit = imps.fit(own, seed=1, draws=30, tune=30, chains=2, cores=1, progress=False)
    said = [record.getMessage() for record in caplog.records]
    assert fit.method == "nuts" and set(fit.variant.added) == {"share", "border"}
    assert (
        "NUTS: compiling, then 2 chains of 30 + 30 draws" in said
        and "chain 2 finished, 2 of 2" in said
    )
    share = fit.extras["own_variables"]["share"]
    years = few.model.sources.years
    assert share.dims == ("chain", "draw", "source") and list(share["source"].values) == list(years)
    fit.save(tmp_path / "fit.nc")
    tree = xr.open_datatree(tmp_path / "fit.nc")
    assert tree["posterior"]["share"].dims == ("chain", "draw", "own: source")
    assert tree["log_likelihood"]["border"].shape == (2, 30, len(years))
    assert list(tree["observed_data"]["border"].values) == [1e5] * len(years)
    assert tree["log_prior"]["share"].shape[:2] == (2, 30) and "prior" not in tree
    assert az.loo(tree, var_name="published").n_data_points == 221
    again = imps.load_fit(tmp_path / "fit.nc")
    assert not again.stale
    xr.testing.assert_equal(again.extras["own_variables"]["share"].drop_attrs(), share.drop_attrs())

    drawn = nutpie.sample(compiled, draws=20, tune=20, chains=2, cores=1, seed=3,
                          progress_bar=False)  # fmt: skip
    found = imps.from_draws(own, drawn)
    assert "made elsewhere, by nutpie" in repr(found) and "diverging" in found.stats
    np.testing.assert_array_equal(found.draws["latent"], drawn["posterior"]["latent"])
    account = own.linear
    for fitted, draws in ((found, permuted(drawn)), (fit, fit.to_datatree())):
        again = imps.from_draws(account, draws)
        xr.testing.assert_equal(
            imps.attribute(again).contributions, imps.attribute(fitted).contributions
        )


def test_draws_of_pm_sample_come_in(built, few, model):
    with built:
        drawn = pm.sample(20, tune=20, chains=2, cores=1, random_seed=1, progressbar=False)
    fit = imps.from_draws(built, drawn)
    w = (
        model.scale_factors(drawn["posterior"]["log_scale"].values)
        * drawn["posterior"]["latent"].values
    )
    base = model.evaluate(model.reported["gap[base]"], w.reshape(-1, model.n_latent))
    np.testing.assert_allclose(base_of(fit).ravel(), base, rtol=SAME)
    shared = imps.attribute(fit)
    assert float(np.abs(shared.totals().sum("source") - model.sources.gap).max()) < 1e-6
    with pytest.raises(SourceError, match="'census': 58,789,194 in the draws, 59,289,194 in"):
        imps.from_draws(exchanged(built, moved(model)), drawn)
