"""A fit as an ArviZ object, in memory and as the saved file."""

import arviz as az
import matplotlib
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import imps
from imps.account.variant import Variant
from imps.names import GAP_CONVENTION
from imps.posterior.likelihoods import contact_rows, log_likelihood_by_row, replicated_rows
from imps.posterior.pymc_model import pymc_model

matplotlib.use("agg")
GROUPS = {
    "posterior", "sample_stats", "log_likelihood", "log_likelihood_by_source", "log_prior",
    "posterior_predictive", "prior", "prior_predictive", "observed_data", "constant_data",
}  # fmt: skip
SINGLE = 1e-6  # relative: what is saved in single precision
NOT_OURS = pytest.mark.filterwarnings("ignore:Estimated shape parameter", "ignore:invalid value")


@pytest.fixture(scope="module")
def few(model):
    return imps.fit(model, seed=1, draws=100, chains=4)


@pytest.fixture(scope="module")
def tree(few):
    return few.to_datatree()


@pytest.fixture(scope="module")
def file(few, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "fit.nc"
    few.save(path)
    return xr.open_datatree(path)


def test_every_group_is_there_and_labelled(tree, file, few, model):
    assert set(tree.children) == GROUPS
    assert set(file.children) == GROUPS | {"account"}
    quantities = few.quantities()
    for found in (tree, file):
        posterior = found["posterior"]
        assert posterior["latent"].dims == ("chain", "draw", "latent_name")
        for source in posterior["source"].values:
            drawn = posterior["gap"].sel(source=source).values
            np.testing.assert_array_equal(drawn, quantities[f"gap[{source}]"])
        net = posterior["net_migration"].sel(year=1995).values
        np.testing.assert_array_equal(net, quantities["net_migration[1995]"])
        assert list(found["log_likelihood"]["row"].values) == list(model.row_labels)
        assert found["posterior_predictive"]["published"].dims == ("chain", "draw", "row")
        assert found["prior"]["gap"].sizes["draw"] == 500
        np.testing.assert_array_equal(found["observed_data"]["published"], model.observed)
        row = found["observed_data"]["published"].sel(row="immigration 1995 male 15-24")
        assert row["row_source"] == "immigration" and row["row_year"] == 1995
        assert not [name for name in found.children if "warmup" in name]


def test_units_sign_area_and_dates_are_attributes(tree, file, few):
    for found in (tree, file):
        assert found.attrs["area"] == "United Kingdom" and found.attrs["unit"] == "persons"
        assert found.attrs["base_date"] == "1991-06-30"
        assert found.attrs["census_date"] == "2001-04-29"
        assert found.attrs["sign"] == GAP_CONVENTION and found.attrs["made"] == "exact, seed 1"
        assert found["posterior"]["gap"].attrs["sign"] == GAP_CONVENTION
        assert found["posterior"]["gap"].attrs["units"] == "persons"
        assert found["posterior"]["net_migration"].attrs["units"] == "persons per year"
    assert tree.attrs["verdict"] == str(imps.check(few).verdict)


def test_the_open_age_group_is_named(tree, file):
    for found in (tree, file):
        published = found["constant_data"]["census"]
        assert published.dims == ("sex", "age")
        assert str(published["age_group"].values[-1]) == "90+"
        assert found.attrs["open_age_group"] == 90 == int(published["age"][-1])
    later = imps.load_case("england-wales-2011-2021").sources
    linear = imps.linear_model(later, imps.default_priors())
    from imps.posterior.datatree import _row_labels

    ages = dict(zip(linear.row_labels, _row_labels(linear)["row_age"][1], strict=True))
    open_age = later.ages[-1]
    assert ages[f"census male {open_age}"] == f"{open_age}+" and ages["census male 40"] == "40"
    assert ages["immigration 2012"] == ""


@NOT_OURS
def test_loo_by_row_is_that_of_pymc_and_sums_are_as_before(few, tree, file, model):
    pymc = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].to_dataset()[["log_scale", "latent"]]}
    )
    pymc = pm.compute_log_likelihood(pymc, model=pymc_model(model), progressbar=False)
    wanted = az.loo(pymc)
    for found in (tree, file):
        loo = az.loo(found)
        assert loo.n_data_points == 221 == wanted.n_data_points
        assert (loo.elpd, loo.se) == (
            pytest.approx(wanted.elpd, rel=SINGLE), pytest.approx(wanted.se, rel=SINGLE)
        )  # fmt: skip
        sums = found["log_likelihood_by_source"]["log_likelihood"].drop_vars(["chain", "draw"])
        xr.testing.assert_equal(sums.drop_attrs(), few.log_likelihood())
    rows = few.log_likelihood_by_row()
    census = rows.sel(row=[s for s in model.row_labels if s.startswith("census")]).sum("row")
    np.testing.assert_array_equal(census.values, few.log_likelihood().sel(source="census").values)


@NOT_OURS
def test_arviz_takes_it_as_it_stands(tree, file, few):
    for found in (tree, file):
        table = az.summary(found, var_names=["gap", "net_migration"], ci_prob=0.95, ci_kind="eti")
        assert "gap[base]" in table.index and "net_migration[1995]" in table.index
        ranks = az.compare({"one": found, "same": found})
        assert ranks["elpd_diff"].abs().max() == 0
        sensitivity = az.psense_summary(found, var_names=["gap"])
        assert "gap[census_coverage]" in sensitivity.index
    for plot in (az.plot_dist, az.plot_rank, az.plot_prior_posterior, az.plot_psense_dist):
        assert plot(tree, var_names=["net_migration_all_years"])
    assert az.plot_ppc_pit(tree) and az.plot_loo_pit(tree)


def test_replicates_have_the_moments_of_their_likelihood(sources, rng):
    options = {"likelihood": "contacts", "student_t": ("census",)}
    linear = imps.linear_model(sources, imps.default_priors())
    counts, n = contact_rows(linear), 4000
    h, z = np.zeros((n, len(linear.scale_names))), np.zeros((n, linear.n_latent))
    rows = replicated_rows(linear, h, z, Variant(**options), rng)
    mean, se = linear.expected(z[:1])[0], linear.standard_error.copy()
    weight = counts["grossing_weight"]
    se[counts["row"]] = np.sqrt(weight * counts["design_effect"] * mean[counts["row"]])
    apart = np.abs(rows.mean(axis=0) - mean) / se * np.sqrt(n)
    assert apart.max() < stats.norm.isf(1e-5)
    np.testing.assert_allclose(rows.std(axis=0) / se, 1.0, atol=0.15)  # of four degrees, of few
    density = log_likelihood_by_row(linear, h[:1], z[:1], Variant())
    wanted = stats.norm.logpdf(linear.observed, mean, linear.standard_error)
    np.testing.assert_allclose(density[0], wanted)
