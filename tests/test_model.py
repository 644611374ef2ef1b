"""The PyMC model: the log-density itself, and agreement with the exact way."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import imps
from imps.errors import NotFittedError, PriorError
from imps.posterior.fit import agreement
from imps.posterior.given_model import linear_part

AGREEMENT_MEAN = 0.1  # posterior sds; 4 x 2,000 NUTS draws err by about 0.04
AGREEMENT_SD = 0.08  # relative, same reason
SPLIT = ("base", "immigration_bias", "emigration_bias", "census_coverage")


@pytest.fixture(scope="module")
def pymc_model(sources):
    return imps.build_model(sources)


def test_four_nodes(pymc_model):
    assert {v.name for v in pymc_model.free_RVs} == {"log_scale", "latent"}
    assert [v.name for v in pymc_model.observed_RVs] == ["published"]
    assert len(pymc_model.deterministics) == 0


def test_log_density_is_the_plain_sum_of_normal_terms(pymc_model, model, rng):
    log_density = pymc_model.compile_logp()
    for _ in range(3):
        h = rng.standard_normal(len(model.scale_names))
        z = rng.standard_normal(model.n_latent)
        mean = model.offset + model.design @ (model.scale_factors(h) * z)
        expected = (
            stats.norm.logpdf(h).sum()
            + stats.norm.logpdf(z).sum()
            + stats.norm.logpdf(model.observed, mean, model.standard_error).sum()
        )
        assert float(log_density({"log_scale": h, "latent": z})) == pytest.approx(
            expected, rel=1e-10
        )


def test_gradient_is_finite_and_equals_differences(pymc_model, model, rng):
    log_density, slope = pymc_model.compile_logp(), pymc_model.compile_dlogp()
    point = {
        "log_scale": 0.3 * rng.standard_normal(len(model.scale_names)),
        "latent": 0.3 * rng.standard_normal(model.n_latent),
    }
    gradient = slope(point)
    assert np.isfinite(gradient).all()
    names = [v.name for v in pymc_model.continuous_value_vars]
    sizes = [point[n].size for n in names]
    step = 1e-5
    for k in (0, 3, sum(sizes) - 1, sum(sizes) // 2):
        flat = np.concatenate([point[n] for n in names])
        up, down = flat.copy(), flat.copy()
        up[k] += step
        down[k] -= step
        parts = [dict(zip(names, np.split(x, [sizes[0]]), strict=True)) for x in (up, down)]
        numeric = (float(log_density(parts[0])) - float(log_density(parts[1]))) / (2 * step)
        assert gradient[k] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_nuts_agrees_with_the_exact_way(pymc_model, tmp_path, capsys):
    """A cross-check prints and keeps the comparison; its chains are those of a NUTS fit."""
    asked = {"seed": 1, "progress": False, "keep": tmp_path / "chains"}
    exact = imps.fit(pymc_model, cross_check=True, **asked)
    sampled = imps.fit(pymc_model, method="nuts", **asked)
    checks = imps.check(sampled)
    assert checks.divergences == 0
    assert checks.table["r_hat"].max() <= 1.01
    assert checks.table[["ess_bulk", "ess_tail"]].min().min() >= 400
    table = exact.extras["cross_check"].set_index("quantity")
    pd.testing.assert_frame_equal(table, agreement(exact, sampled).set_index("quantity"))
    assert {f"gap[{c.source}]" for c in exact.model.contributions if c.source in SPLIT} <= set(
        table.index
    )
    assert table["apart"].abs().max() < AGREEMENT_MEAN
    assert (table["sd_ratio"] - 1).abs().max() < AGREEMENT_SD
    assert exact.method == "exact" and exact.notes[-1].startswith("cross-check with NUTS: means")
    assert exact.notes[-1] in capsys.readouterr().out


def test_a_cross_check_needs_two_ways(sources, pymc_model):
    with pytest.raises(PriorError, match="this fit takes NUTS alone"):
        imps.fit(pymc_model, seed=1, method="nuts", cross_check=True)
    with pytest.raises(PriorError, match="this fit takes NUTS alone"):
        imps.fit(imps.build_model(sources, likelihood="student_t"), seed=1, cross_check=True)


def test_student_t_is_not_conditionally_gaussian(sources):
    model = imps.build_model(sources, likelihood="student_t")
    with pytest.raises(PriorError, match="not conditionally Gaussian"):
        imps.fit(model, seed=1, method="exact")
    with pytest.raises(PriorError, match="likelihood is 'cauchy'"):
        imps.build_model(sources, likelihood="cauchy")


def test_only_models_of_the_package_are_fitted():
    with pytest.raises(NotFittedError, match="expected a model of build_model"):
        linear_part(object())
