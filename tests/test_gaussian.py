"""The exact posterior: closed forms, least squares, and models that are wrong on purpose."""

from functools import cached_property

import numpy as np
import pytest
import statsmodels.api as sm

import imps
from imps.account.latents import Affine
from imps.account.linear import LinearModel
from imps.account.prior_rows import FAMILIES
from imps.posterior.exact import GaussianPosterior

EXACT = 1e-6  # relative: two ways through the same normal equations


class OneCell(LinearModel):
    """One gap, five sources with independent priors: the worked fixture of the field brief."""

    log_sd = 0.5

    @cached_property
    def reported(self):
        names = ("base", "immigration", "emigration", "census", "residual")
        return {
            name: Affine(np.zeros(()), {"e": np.eye(5)[i] * SD[i]}) for i, name in enumerate(names)
        }


SD = np.array([300.0, 150.0, 350.0, 150.0, 100.0])
GAP = 1117.6
DRAWS = 40_000


@pytest.fixture
def one_cell():
    return OneCell(
        account=None, observations=(), contributions=(), sizes={"e": 5}, scale_names=("none",),
        scale_medians=np.ones(1), scale_of=np.full(5, -1), design=SD[None], offset=np.zeros(1),
        observed=np.array([GAP]), standard_error=np.array([1e-3]), row_labels=("gap",),
        row_sources=("gap",), row_ages=np.full((1, 2), np.nan), row_years=np.full(1, np.nan),
    )  # fmt: skip


def test_closed_form_of_one_cell(one_cell):
    """Published fixture: means, sds, contractions and one correlation."""
    posterior = GaussianPosterior(one_cell)
    mean, variance = posterior.moments(np.zeros(1))
    np.testing.assert_allclose(mean, [376.0, 94.0, 511.8, 94.0, 41.8], atol=0.05)
    np.testing.assert_allclose(np.sqrt(variance), [244.4, 143.6, 257.7, 143.6, 98.1], atol=0.05)
    contraction = 1 - variance / SD**2
    np.testing.assert_allclose(contraction, [0.336, 0.084, 0.458, 0.084, 0.037], atol=5e-4)
    h, z = posterior.draw(posterior.grid(posterior.proposal(seed=3), seed=3), DRAWS, seed=3)
    e = one_cell.scale_factors(h) * z * SD
    sd, three = np.sqrt(variance), 3 / np.sqrt(DRAWS)  # Monte Carlo standard errors, normal draws
    assert (np.abs(e.mean(axis=0) - mean) < three * sd).all()
    assert (np.abs(e.std(axis=0) / sd - 1) < three / np.sqrt(2)).all()
    drawn = 1 - e.var(axis=0) / SD**2
    assert (np.abs(drawn - contraction) < three * np.sqrt(2) * (1 - contraction)).all()
    correlation = np.corrcoef(e[:, 0], e[:, 2])[0, 1]
    assert abs(correlation - -0.654) < three * (1 - 0.654**2) + 5e-4  # published to three places
    assert np.abs(e.sum(axis=1) - GAP).max() < 0.02  # gap known to 1e-3


def test_moments_equal_least_squares_by_statsmodels(model, posterior, rng):
    """Weighted least squares on the rows and the priors together gives the same answer."""
    h = 0.5 * rng.standard_normal(posterior.n_scales)
    scaled = posterior.white * model.scale_factors(h)
    x = np.vstack([scaled, np.eye(model.n_latent)])
    y = np.r_[posterior.residual, np.zeros(model.n_latent)]
    result = sm.OLS(y, x).fit()
    mean, variance = posterior.moments(h)
    q = np.stack([model.matrix(model.reported[k]) for k in posterior.names])
    q = q * model.scale_factors(h)
    np.testing.assert_allclose(mean, posterior.constants + q @ result.params, rtol=EXACT, atol=1)
    expected = np.einsum("qi,ij,qj->q", q, result.normalized_cov_params, q)
    np.testing.assert_allclose(np.sqrt(variance), np.sqrt(expected), rtol=1e-5, atol=1e-2)


def test_gradient_of_the_marginal_likelihood(posterior, rng):
    h = rng.standard_normal(posterior.n_scales)
    _, slope = posterior.log_density_and_gradient(h)
    step = 1e-4
    numeric = [
        (posterior.log_density(h + step * e) - posterior.log_density(h - step * e)) / (2 * step)
        for e in np.eye(posterior.n_scales)
    ]
    np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-5)


def test_grid_integrates_the_scales(posterior):
    """Two runs as a fit makes them, four randomised grids each, give the same moments."""
    runs = []
    for seed in (9, 90):
        proposal = posterior.proposal(seed=seed)
        grids = [posterior.grid(proposal, seed=seed + s) for s in range(4)]
        assert min(g.effective for g in grids) >= 0.5 * 256
        runs.append((np.mean([g.mean for g in grids], axis=0),
                     np.sqrt(np.mean([g.sd**2 for g in grids], axis=0))))  # fmt: skip
    (mean, sd), (other_mean, other_sd) = runs
    moving = sd > 1
    assert (np.abs(mean - other_mean) / sd)[moving].max() < 0.03
    assert np.abs(other_sd / sd - 1)[moving].max() < 0.05


def test_draws_have_the_exact_moments(model, posterior):
    grid = posterior.grid(posterior.proposal(seed=5), seed=5)
    h, z = posterior.draw(grid, 8_000, seed=6)
    w = model.scale_factors(h) * z
    for i, name in enumerate(posterior.names):
        q = model.evaluate(model.reported[name], w)
        if grid.sd[i] > 1:
            assert abs(q.mean() - grid.mean[i]) < 4 * grid.sd[i] / np.sqrt(8_000), name
            assert q.std() == pytest.approx(grid.sd[i], rel=0.04), name


def covered(model, truth_model, quantity, n, rng, prior_shift=None):
    """Share of 90 % intervals of `quantity` that hold the truth, data drawn at median scales."""
    h = np.zeros(len(model.scale_names))
    truth_scales = truth_model.scale_factors(np.zeros(len(truth_model.scale_names)))
    hits = 0
    posterior = GaussianPosterior(model)
    factor = posterior.factor(h)
    index = posterior.names.index(quantity)
    _, variance = posterior.moments(h)
    effects = np.stack([model.matrix(model.reported[name]) for name in posterior.names])
    cross = (effects * model.scale_factors(h) ** 2) @ posterior.white.T
    for _ in range(n):
        w = truth_scales * rng.standard_normal(truth_model.n_latent)
        if prior_shift is not None:
            w = w + prior_shift
        y = truth_model.offset + truth_model.design @ w
        y = y + truth_model.standard_error * rng.standard_normal(y.size)
        r = (y - model.offset) / model.standard_error
        mean = posterior.constants[index] + cross[index] @ factor.solve(r)
        truth = truth_model.evaluate(truth_model.reported[quantity], w[None])[0]
        hits += abs(truth - mean) < 1.645 * np.sqrt(variance[index])
    return hits / n


def test_recovery_and_a_model_that_is_wrong_on_purpose(sources, model, rng):
    """Leaving the emigration bias out must break the intervals of net migration."""
    priors = imps.default_priors()
    without = priors.replace(
        **{row: (0.0, 1e-9) for row in FAMILIES["emigration_bias"] if row in priors}
    )
    wrong = imps.linear_model(sources, without)
    quantity, n = "net_migration[all years]", 2000
    right = covered(model, model, quantity, n, rng)
    assert 0.88 < right < 0.92  # 90 % give or take 3 standard errors
    assert covered(wrong, model, quantity, n, rng) < 0.78  # 0.745 (0.007) of 4,000 data sets


def test_a_source_repeated_four_times_acts_like_half_its_error(model):
    """Adding a row k times is the same as dividing its standard error by the root of k."""
    import dataclasses

    rows = np.r_[np.arange(model.observed.size), [model.observed.size - 1] * 3]
    repeated = dataclasses.replace(
        model, design=model.design[rows], offset=model.offset[rows], observed=model.observed[rows],
        standard_error=model.standard_error[rows],
        row_sources=tuple(np.array(model.row_sources)[rows]),
    )  # fmt: skip
    se = model.standard_error.copy()
    se[-1] /= 2
    sharper = dataclasses.replace(model, standard_error=se)
    h = np.zeros(len(model.scale_names))
    for a, b in zip(
        GaussianPosterior(repeated).moments(h), GaussianPosterior(sharper).moments(h), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-3)


def test_a_source_with_a_huge_error_changes_nothing(model):
    import dataclasses

    keep = slice(0, model.observed.size - 1)
    without = dataclasses.replace(
        model, design=model.design[keep], offset=model.offset[keep],
        observed=model.observed[keep], standard_error=model.standard_error[keep],
        row_sources=model.row_sources[keep],
    )  # fmt: skip
    se = model.standard_error.copy()
    se[-1] = 1e12
    vague = dataclasses.replace(model, standard_error=se)
    h = np.zeros(len(model.scale_names))
    for a, b in zip(
        GaussianPosterior(without).moments(h), GaussianPosterior(vague).moments(h), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-2)


@pytest.mark.parametrize("name", ["uk-1991-2001", "england-wales-2001-2011"])
def test_bias_of_the_survey_is_not_read_off_the_rise_of_a_flow(name):
    """Without the census the survey alone must say nothing about its own bias.

    Neither in a period nor in an era: the second case has eras, and a flow that rose in 2004.
    """
    import dataclasses

    model = imps.linear_model(imps.load_case(name).sources, imps.default_priors())
    survey = np.array([s != "census" for s in model.row_sources])
    alone = dataclasses.replace(
        model, design=model.design[survey], offset=model.offset[survey],
        observed=model.observed[survey], standard_error=model.standard_error[survey],
        row_labels=(), row_sources=tuple(np.array(model.row_sources)[survey]),
    )  # fmt: skip
    posterior = GaussianPosterior(alone)
    grid = posterior.grid(posterior.proposal(seed=1), seed=1)
    for flow in ("immigration", "emigration"):
        part = next(c for c in model.contributions if c.source == f"{flow}_bias")
        mean, sd = model.prior_moments(part.prior.sum())
        i = posterior.names.index(f"gap[{flow}_bias]")
        assert abs(grid.mean[i] - mean) < 0.1 * sd, flow
        assert grid.sd[i] > 0.95 * sd, flow
