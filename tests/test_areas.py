"""Many areas at once: exactness, coherence with the nation, invariances."""

import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg as sl
import xarray as xr
from made_areas import made_areas
from scipy.stats import multivariate_normal
from threadpoolctl import threadpool_limits

import imps
from imps.areas import mode as search
from imps.areas.bell import Bell
from imps.areas.deviations import area_model
from imps.areas.draws import Slab, drawn
from imps.areas.factors import (
    LOG_FACTORS,
    MOST_KNOWN,
    Expected,
    Factors,
    _not_all,
    chances,
    expected,
    log_densities,
)
from imps.areas.figures import Areas
from imps.areas.fit import ENOUGH, fit_areas, with_points
from imps.areas.message import CELLS, Nation, evidence, message
from imps.areas.mode import Density, _centred, _in_pairs, _over_factors, mode
from imps.areas.nation import national_draws
from imps.areas.priors import DEVIATIONS, SOURCES, area_priors
from imps.areas.sizes import LOWER_AGES, contrasts
from imps.errors import (
    LabelError,
    PriorError,
    RunChangedError,
    ScalesNotFoundError,
    SettingError,
)
from imps.posterior.importance import effective_share
from imps.posterior.workers import one_thread
from imps.results.verdict import Cause, Verdict

EXACT = 1e-10
PERSONS = 1e-6
AGES = (0, 15, 20, 30, 60)
FEW = (0, 20, 60)


@pytest.fixture(scope="module")
def made(model):
    return made_areas(model)


@pytest.fixture(scope="module")
def compared(made, model):
    return contrasts(made, model, AGES)


@pytest.fixture(scope="module")
def areas_model(compared):
    return area_model(compared, area_priors())


@pytest.fixture(scope="module")
def local(fitted, made):
    return fit_areas(fitted, made, seed=4, draws=40, lower_ages=AGES)


@pytest.fixture(scope="module")
def real_sizes(model):
    return area_model(contrasts(made_areas(model, n=12), model), area_priors())


def nation_of(model, seed=0):
    """Correlated national errors of the two flows, and none of the net moves."""
    rng, n = np.random.default_rng(seed), model.n_cells
    f = 1e3 * rng.standard_normal((2 * n, 6 * n))
    mean = np.r_[1e4 * rng.standard_normal(2 * n), np.zeros(n)]
    return Nation(mean, sl.block_diag(f @ f.T, np.zeros((n, n))))


def conditioned(model, scales, nation, u):
    """All of it in one dense conditioning: S, deviations and noise, on zero sums and contrasts."""
    areas, n = model.contrast.shape
    blocks = [nation.with_patterns(model, u)]
    blocks += [q for r in range(areas) for q in model.covariances(r, scales)]
    blocks += [np.diag(scales[CELLS] ** 2 * model.noise[r]) for r in range(areas)]
    prior, first = sl.block_diag(*blocks), 3 * n
    mean = np.r_[nation.mean, np.zeros(len(prior) - first)]
    cell, noise = np.eye(n), first + areas * 5 * n
    sums = np.zeros((6 * n, len(prior)))
    seen = np.zeros((areas * n, len(prior)))
    for r in range(areas):
        rows = slice(r * n, (r + 1) * n)
        for k in range(5):
            at = slice(first + (r * 5 + k) * n, first + (r * 5 + k + 1) * n)
            sums[k * n : (k + 1) * n, at] = seen[rows, at] = cell
        at = slice(noise + r * n, noise + (r + 1) * n)
        sums[5 * n :, at] = seen[rows, at] = cell
        seen[rows, :first] = np.concatenate([np.diag(a) for a in model.design[r]], axis=1)
    prior = prior - prior @ sums.T @ np.linalg.solve(sums @ prior @ sums.T, sums @ prior)
    seen, y = seen[:-n], model.contrast.ravel()[:-n]  # the last area follows from the others
    root = np.linalg.cholesky(seen @ prior @ seen.T)
    white = sl.solve_triangular(root, np.c_[seen @ prior, y - seen @ mean], lower=True)
    z, e = white[:, :-1], white[:, -1]
    log = -0.5 * (e @ e) - np.log(np.diag(root)).sum()
    return log, mean + z.T @ e, prior - z.T @ z


def test_evidence_mean_and_covariance_equal_one_dense_conditioning(made, model):
    few = area_model(contrasts(Areas(made.figures.isel(area=slice(5))), model, FEW), area_priors())
    few = dataclasses.replace(few, factor=np.array([1.0, 3.0, 0.6, 1.2, 1.0]))
    y = few.contrast - few.contrast.mean(axis=0)
    few = dataclasses.replace(few, contrast=y, design=few.design - few.design.mean(axis=0))
    nation, logs, exact = nation_of(few), [], []
    for h, u in ((0.2, 0.3), (-0.4, 0.8)):
        scales = few.scales(np.full(few.learnt.size, h))
        patterns = few.pattern_scales(np.full(3, u))
        said, prior = message(few, scales), nation.with_patterns(few, patterns)
        log, mean, covariance = conditioned(few, scales, nation, patterns)
        logs.append(evidence(said, nation, prior))
        exact.append(log)
        n = prior.shape[0]
        c = np.linalg.inv(np.linalg.inv(prior) + said.precision)
        found = nation.mean + c @ (said.linear - said.precision @ nation.mean)
        sd = np.sqrt(np.diag(prior))
        assert np.abs((found - mean[:n]) / sd).max() < EXACT
        assert np.abs((c - covariance[:n, :n]) / np.outer(sd, sd)).max() < EXACT
    assert logs[1] - logs[0] == pytest.approx(exact[1] - exact[0], rel=EXACT)


def test_the_gradient_is_that_of_the_evidence(areas_model):
    factor = np.linspace(0.7, 2.5, len(areas_model.codes))
    areas_model = dataclasses.replace(areas_model, factor=factor)
    density = Density(areas_model, nation_of(areas_model))
    x = 0.3 * np.random.default_rng(1).standard_normal(density.n)
    value, slope = density.with_gradient(x)
    h = 1e-4
    by_differences = [
        (density.with_gradient(x + e)[0] - density.with_gradient(x - e)[0]) / (2 * h)
        for e in h * np.eye(density.n)
    ]
    assert np.isfinite(value) and np.abs(slope).max() > 1
    np.testing.assert_allclose(slope, by_differences, atol=1e-5)
    np.testing.assert_array_equal(density.pattern_slope(x, density.said(x)), slope[-3:])


def test_areas_of_three_times_the_deviations_are_found(real_sizes):
    """Deviations from the prior, of every other area three times as large."""
    model, rng = real_sizes, np.random.default_rng(6)
    scales = model.scales(np.zeros(model.learnt.size))
    planted = np.where(np.arange(len(model.codes)) % 2, 3.0, 1.0)
    model = dataclasses.replace(model, factor=planted)
    y = np.stack([
        model.prior_draws(r, scales, 1, rng)[..., 0].sum(axis=0)
        + scales[CELLS] * np.sqrt(model.noise[r]) * rng.standard_normal(model.n_cells)
        for r in range(len(model.codes))
    ])  # fmt: skip
    model = dataclasses.replace(model, contrast=y)
    still = Expected(np.zeros(y.shape), np.zeros((*y.shape, model.n_cells)), np.zeros(len(y)))
    draws = [chances(model, scales, still).drawn(rng.random(13)) for _ in range(30)]
    found = np.exp(np.mean([np.log(draw.factor) for draw in draws], axis=0))
    assert found[planted == 3].min() > found[planted == 1].max()
    assert 0.3 < np.median([draw.tau for draw in draws]) < 1
    assert np.log(found / planted).mean() == pytest.approx(0, abs=0.2)
    held = dataclasses.replace(model, priors=area_priors({"area_factor": (1e-3, 0.0)}))
    quiet = chances(held, scales, still).drawn(rng.random(13))
    assert quiet.tau == 1e-3 and np.abs(quiet.factor - 1).max() < 1e-3


def test_the_density_at_a_factor_is_that_of_the_contrast(areas_model):
    n, rng = areas_model.n_cells, np.random.default_rng(8)
    f = 2e3 * rng.standard_normal((len(areas_model.codes), n, 4))
    mean = 1e3 * rng.standard_normal(f.shape[:2])
    others = Expected(mean, f @ f.transpose(0, 2, 1), np.zeros(len(f)))
    scales = areas_model.scales(np.zeros(areas_model.learnt.size))
    found = np.concatenate([x for _, x in log_densities(areas_model, scales, others, None)])
    for r, at in ((0, 9), (4, 75)):
        known = others.covariance[r] + np.diag(scales[CELLS] ** 2 * areas_model.noise[r])
        q = areas_model.covariances(r, scales).sum(axis=0)
        log = [
            multivariate_normal(others.mean[r], np.exp(2 * f) * q + known).logpdf(
                areas_model.contrast[r]
            )
            for f in LOG_FACTORS[[0, at]]
        ]
        assert found[r, at] - found[r, 0] == pytest.approx(log[1] - log[0], rel=1e-8)


def test_the_weight_of_drawn_factors_is_prior_over_chance(areas_model, compared):
    """Mean of p/q over draws of one area is the sum of its prior: no factor counts twice."""
    one = dataclasses.replace(
        areas_model, priors=area_priors({"area_factor": (0.4, 0.0)}), codes=areas_model.codes[:1]
    )
    scales = one.scales(np.zeros(one.learnt.size))
    n = one.n_cells
    others = Expected(np.zeros((1, n)), np.zeros((1, n, n)), np.zeros(1))
    odds = chances(one, scales, others, np.array([0]))
    weak = dataclasses.replace(odds, table=0.05 * odds.table)
    rng = np.random.default_rng(1)
    ratios = np.exp([weak.drawn(rng.random(2)).log_ratio for _ in range(4000)])
    assert ratios.mean() == pytest.approx(1, abs=4 * ratios.std() / np.sqrt(4000))
    assert ratios.std() > 0.01


def test_a_tilt_makes_weights_of_drawn_factors_even(real_sizes):
    """Coupled by zero sums and nation, areas drawn one by one weigh unevenly without it."""
    nation, rng = nation_of(real_sizes), np.random.default_rng(2)
    y = real_sizes.contrast - real_sizes.contrast.mean(axis=0)
    density = Density(dataclasses.replace(real_sizes, contrast=y), nation)
    x = np.zeros(density.n)
    others = density.expected(x)
    *_, tilted = _over_factors(density, x, others, _in_pairs(density, rng))

    def spread(given):
        odds, logs = density.chances(x, given), []
        for _ in range(30):
            taken = odds.drawn(rng.random(13))
            there = Density(dataclasses.replace(density.model, factor=taken.factor), nation)
            logs.append(there.with_gradient(x)[0] + taken.log_ratio)
        return np.std(logs)

    assert np.abs(tilted.tilt).max() > 0.1
    assert spread(tilted) < 0.7 * spread(others)


def test_what_others_expect_of_an_area_is_without_the_area(areas_model):
    """National errors given one area, taken back to what they were before it."""
    nation = nation_of(areas_model)
    nation = dataclasses.replace(nation, covariance=0.03 * nation.covariance)
    scales = areas_model.scales(np.zeros(areas_model.learnt.size))
    for r in (0, 3):
        a = np.concatenate([np.diag(x) for x in areas_model.design[r]], axis=1)
        gamma = areas_model.covariances(r, scales).sum(axis=0)
        gamma += np.diag(scales[CELLS] ** 2 * areas_model.noise[r])
        before = a @ nation.covariance @ a.T
        gain = nation.covariance @ a.T @ np.linalg.inv(before + gamma)
        seen = Nation(
            nation.mean + gain @ (areas_model.contrast[r] - a @ nation.mean),
            nation.covariance - gain @ a @ nation.covariance,
        )
        found = expected(areas_model, scales, seen, np.array([r]))
        np.testing.assert_allclose(found.covariance[r], before, atol=1e-8 * np.abs(before).max())
        np.testing.assert_allclose(found.mean[r], a @ nation.mean, rtol=1e-6)
        assert np.abs(a @ seen.mean / found.mean[r] - 1).max() > 1e-3


def test_no_area_settles_more_of_the_national_errors_than_allowed():
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((3, 3)))[0]
    below, above = (turn * np.array(v) @ turn.T for v in ((0.2, 0.5, 0.9), (0.2, 0.5, 0.99)))
    assert np.array_equal(_not_all(below[None]), below[None])
    found = np.linalg.eigvalsh(_not_all(np.stack([below, above])))
    np.testing.assert_allclose(found, [[0.2, 0.5, 0.9], [0.2, 0.5, MOST_KNOWN]], rtol=1e-12)


def test_the_search_of_scales_ends_at_the_mode_from_afar(model, monkeypatch):
    """Its first parts cut short, safe steps lead from far away to where the whole search ends."""
    found = areas_of_known_scales(model)
    nation = nation_of(found)
    whole = mode(found, nation)
    for name in ("LOOKS", "TURNS", "ON_ALL", "MOST_STEPS"):
        monkeypatch.setattr(search, name, 1)
    afar = mode(found, nation, start=np.full(whole.x.size, -3.0))
    sd = np.sqrt(np.diag(whole.spread))
    assert np.abs((afar.x - whole.x) / sd).max() < 1
    assert np.linalg.eigvalsh(afar.spread).max() < 1.3


def test_a_search_that_does_not_end_is_a_named_error(model, monkeypatch):
    found = areas_of_known_scales(model)
    for name in ("LOOKS", "TURNS", "ON_ALL", "MOST_STEPS", "MOST_STEPS_TO_MODE"):
        monkeypatch.setattr(search, name, 1)
    with pytest.raises(ScalesNotFoundError, match="60 areas has not ended after 1 steps.*log_sd 0"):
        mode(found, nation_of(found), start=np.full(found.learnt.size + 3, -3.0))
    nowhere = dataclasses.replace(found, contrast=np.full(found.contrast.shape, np.nan))
    with pytest.raises(ScalesNotFoundError, match="are not found.*log_sd 0"):
        mode(nowhere, nation_of(found))


def areas_of_known_scales(model):
    """60 areas whose deviations are drawn at the medians of the scales, factors of sd 0.4."""
    plain = area_model(contrasts(made_areas(model, n=60), model, AGES), area_priors())
    rng, scales = np.random.default_rng(0), plain.scales(np.zeros(plain.learnt.size))
    own = dataclasses.replace(plain, factor=np.exp(0.4 * rng.standard_normal(60)))
    y = np.stack([own.prior_draws(r, scales, 1, rng)[..., 0].sum(axis=0) for r in range(60)])
    y += scales[CELLS] * np.sqrt(own.noise) * rng.standard_normal(y.shape)
    return dataclasses.replace(plain, contrast=y - y.mean(axis=0))


def test_what_factors_have_in_common_goes_to_the_scales(areas_model):
    """Deviations keep their covariance, and base and census, whose scales are set, lose it."""
    density = Density(areas_model, nation_of(areas_model))
    x, k = np.full(density.n, 0.2), density.n_local
    factor = np.exp(np.linspace(0.1, 0.9, len(areas_model.codes)))
    moved, centred = _centred(density, x, Factors(factor, 0.3, 0.0))
    assert np.log(centred.factor).mean() == pytest.approx(0, abs=1e-12)
    before = dataclasses.replace(areas_model, factor=factor).covariances(
        1, areas_model.scales(x[:k])
    )
    after = centred.covariances(1, centred.scales(moved[:k]))
    np.testing.assert_allclose(after[1:4], before[1:4], rtol=1e-9)
    np.testing.assert_allclose(after[0] * np.exp(1.0), before[0], rtol=1e-9)
    assert centred.scales(moved[:k])[CELLS] == areas_model.scales(x[:k])[CELLS]


def test_few_effective_points_enter_the_verdict(local):
    even = np.full(local.points.weight.shape, 1 / local.points.weight.size)
    uneven = np.full(even.shape, 1e-9)
    uneven[0, 0] = 1.0
    usable = Verdict("usable")
    assert with_points(usable, dataclasses.replace(local.points, weight=even)) is usable
    said = with_points(usable, dataclasses.replace(local.points, weight=uneven))
    assert said.level == "use with care" and said.causes[0].source == "scales of areas"
    assert f"0% of {even.size} points" in str(said) and f"{ENOUGH:.0%}" in str(said)
    worse = Verdict("do not use", (Cause("grid", "one point", "stop"),), next_step="stop")
    found = with_points(worse, dataclasses.replace(local.points, weight=uneven))
    assert (found.level, found.next_step, len(found.causes)) == ("do not use", "stop", 2)
    named = any(cause.source == "scales of areas" for cause in local.verdict.causes)
    assert named == (local.points.effective < ENOUGH)


def test_a_bell_moves_to_a_density_it_is_shown():
    """Half of a standard deviation off and too narrow: fitted to its points it weighs evenly."""
    n, shift = 13, np.linspace(-0.5, 0.5, 13)
    bell = Bell(np.zeros(n), np.eye(n), 10)
    off = Bell(shift, 0.8 * np.eye(n), 10)

    def weighed(bell, seed):
        local, pattern = bell.points(64, seed)
        x = np.concatenate([np.repeat(local[:, None], 8, axis=1), pattern], axis=-1)
        log = -0.5 * (x**2).sum(axis=-1)
        return (
            local,
            pattern,
            log,
            effective_share((log - bell.log_density(local, pattern)).ravel()),
        )

    local, pattern, log, before = weighed(off, 1)
    fitted = off.fitted(local, pattern, log)
    assert np.abs(fitted.centre).max() < 0.15
    assert weighed(fitted, 2)[-1] > max(1.2 * before, 0.9 * weighed(bell, 2)[-1])


def test_areas_add_up_to_the_nation_in_every_draw(local, fitted):
    total = sum(local.contributions(code) for code in local.codes)
    national = local.national.transpose(1, 2, 0)
    for source, home in zip((0, 1, 2, 4, 5), range(5), strict=True):
        assert np.abs(total[source] - national[home]).max() < PERSONS
    assert np.abs(total[SOURCES.index("internal")]).max() < PERSONS
    gap = local.contrasts.national_gap
    assert np.abs(national.sum(axis=0) - gap[:, None]).max() < PERSONS


BARRACKS = 15_000.0
"""Men of every age from 18 to 39 who stand in the barracks of one area by mistake."""


def with_barracks(made):
    """Areas of which two have barracks: men of one are counted, and belong, in the other."""
    figures = made.figures.copy(deep=True)
    lives = np.zeros(figures["base"].shape)
    lives[[2, 4], 0, 18:40] = 2 * BARRACKS
    moved = 0.5 * lives
    moved[4] *= -1
    figures["special"] = (("area", "sex", "age"), lives)
    figures["census"] = figures["census"] - moved
    return Areas(figures)


def test_special_populations_are_a_source_of_their_own(fitted, made, local):
    planted = with_barracks(made)
    found = fit_areas(fitted, planted, seed=4, draws=200, lower_ages=AGES)
    assert found.model.sources[-2:] == ("special populations", "remainder")
    assert local.model.sources == SOURCES and "area_special" not in local.scales
    every = sum(found.contributions(code) for code in found.codes)
    assert np.abs(every[-2]).max() < PERSONS
    for r, code in enumerate(found.codes):
        own = found.contributions(code)
        off = own.sum(axis=0) - found.contrasts.gap[r][:, None]
        assert np.abs(off).max() < PERSONS
        np.testing.assert_allclose(own.sum(axis=1), found.totals[r], atol=PERSONS)
    table = found.table().set_index(["code", "source"])["mean"].unstack()
    special, error = table["special populations"], 22 * BARRACKS
    assert 0.5 * error < special["X02"] < 1.5 * error
    assert -1.5 * error < special["X04"] < -0.5 * error
    assert special.drop(["X02", "X04"]).abs().max() < 0.01 * error
    assert set(found["X02"].summary()["source"]) == set(found.model.sources)

    unknown = fit_areas(fitted, Areas(planted.figures.drop_vars("special")), seed=4, draws=200,
                        lower_ages=AGES)  # fmt: skip
    of_migration = ["external", "internal"]
    before, without, with_source = (
        fit.table().set_index(["source", "code"])["mean"].loc[of_migration, "X02"].sum()
        for fit in (local, unknown, found)
    )
    assert abs(with_source - before) < 0.5 * abs(without - before)


def test_a_run_is_continued_with_another_number_of_threads(fitted, made, tmp_path):
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            found.append(fit_areas(fitted, made, seed=4, draws=40, lower_ages=AGES, keep=tmp_path))
    assert np.array_equal(found[0].totals, found[1].totals)


def test_every_area_closes_on_its_gap(local):
    for r, code in enumerate(local.codes):
        off = local.contributions(code).sum(axis=0) - local.contrasts.gap[r][:, None]
        assert np.abs(off).max() < PERSONS


def test_draws_have_the_moments_of_the_conditioning(areas_model, local):
    """Many draws at one point: mean and spread of an area's deviations, against dense algebra."""
    nation, n = nation_of(areas_model), areas_model.n_cells
    point = dataclasses.replace(local.points, messages=(), pattern=local.points.pattern[:, :1])
    factor = np.linspace(0.7, 2.5, len(local))
    point = dataclasses.replace(point, factor=np.tile(factor, (len(point.local), 1)))
    areas_model = dataclasses.replace(areas_model, factor=factor)
    scales = areas_model.scales(point.local[0])
    u = areas_model.pattern_scales(point.pattern[0, 0])
    zero = dataclasses.replace(nation, covariance=1e-6 * np.eye(3 * n))
    _, mean, covariance = conditioned(areas_model, scales, zero, u)
    draws = 3000
    national = np.zeros((draws, 5, n))
    national[:, 1:3] = nation.mean[: 2 * n].reshape(2, n)
    slab = Slab(0, np.zeros(draws, dtype=int), national)
    found = drawn(areas_model, point, 5, None, slab).deviation[1]
    at = slice(3 * n + 5 * n, 3 * n + 10 * n)
    sd = np.sqrt(np.diag(covariance)[at])
    z = (found.reshape(5 * n, draws).mean(axis=1) - mean[at]) / sd * np.sqrt(draws)
    assert np.abs(z).max() < 4.5
    assert np.abs(found.reshape(5 * n, draws).std(axis=1) / sd - 1).max() < 0.07


def test_areas_that_may_move_the_nation_are_a_conditioning(areas_model, local):
    """Moments of the moved national errors and patterns, and no person lost among the homes."""
    n, draws, rng = areas_model.n_cells, 4000, np.random.default_rng(3)
    point = dataclasses.replace(local.points, messages=(), pattern=local.points.pattern[:, :1])
    f = np.kron(rng.standard_normal((5, 12)), np.eye(n)) * 3e4
    f = f - np.tile(f.reshape(5, n, -1).mean(axis=0), (5, 1))  # homes sum to a known gap
    national = (f @ rng.standard_normal((f.shape[1], draws))).T.reshape(draws, 5, n)
    slab = Slab(0, np.zeros(draws, dtype=int), national)
    covariance = f @ f.T
    found = drawn(areas_model, point, 5, covariance, slab)
    before = Nation(
        np.zeros(3 * n), sl.block_diag(covariance[n : 3 * n, n : 3 * n], np.zeros((n, n)))
    )
    areas_model = dataclasses.replace(areas_model, factor=point.factor[0])
    said = message(areas_model, areas_model.scales(point.local[0]))
    prior = before.with_patterns(areas_model, areas_model.pattern_scales(point.pattern[0, 0]))
    after = before.given(said, prior)
    s = found.pattern.copy()
    s[:, :2] += found.national[:, 1:3]
    s, sd = s.reshape(draws, -1), np.sqrt(np.diag(after.covariance))
    assert np.abs((s.mean(axis=0) - after.mean) / sd).max() < 4.5 / np.sqrt(draws)
    assert np.abs(s.std(axis=0) / sd - 1).max() < 0.07
    assert np.abs(found.national.sum(axis=1) - national.sum(axis=1)).max() < 1e-4
    assert np.abs(found.national - national).std() > 1e3


def test_areas_may_move_the_nation_if_asked(local, fitted, made):
    told = []
    moved = fit_areas(fitted, made, seed=4, draws=40, lower_ages=AGES, move_nation=True,
                      say=told.append)  # fmt: skip
    assert sum("conflict z" in line for line in told) == 2
    total = sum(moved.contributions(code) for code in moved.codes)
    home = moved.national.transpose(1, 2, 0)
    for source, j in zip((0, 1, 2, 4, 5), range(5), strict=True):
        assert np.abs(total[source] - home[j]).max() < PERSONS
    assert np.abs(moved.national - local.national).max() > 1
    np.testing.assert_array_equal(moved.conflict(), local.conflict())


def test_contrasts_shares_and_net_moves_sum_to_nothing_or_to_one(compared):
    scale = np.abs(compared.gap).sum()
    assert np.abs(compared.contrast.sum(axis=0)).max() < EXACT * scale
    assert np.abs(compared.net.sum(axis=0)).max() < EXACT * scale
    np.testing.assert_allclose(compared.shares.sum(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(compared.reference.sum(axis=0), 1, atol=1e-12)


def test_a_cell_that_is_empty_everywhere_is_shared_as_the_reference(made, model):
    figures = made.figures.copy(deep=True)
    figures["international_in"][1] = 0.0
    figures["base"][2, 0, 80:] = 0.0
    found = contrasts(Areas(figures), model, AGES)
    assert np.isfinite(found.contrast).all() and (found.shares[1, 1] == 0).all()
    np.testing.assert_allclose(found.shares.sum(axis=0), 1, atol=1e-12)


def test_the_census_reaches_no_regressor(made, model, compared):
    figures = made.figures.copy(deep=True)
    figures["census"][0] += 700.0
    figures["census"][1] *= 0.9
    moved = contrasts(Areas(figures), model, AGES)
    assert np.array_equal(moved.design, compared.design)
    assert np.array_equal(moved.shares, compared.shares)
    assert np.array_equal(moved.reference, compared.reference)
    assert not np.array_equal(moved.contrast, compared.contrast)


def test_the_prior_of_a_total_does_not_depend_on_how_ages_are_cut(made, model):
    cuts = [tuple(range(0, 90, 5)), LOWER_AGES, tuple(range(91))]
    models = [area_model(contrasts(made, model, cut), area_priors()) for cut in cuts]
    scales = models[0].scales(np.full(models[0].learnt.size, 0.3))
    own = [m.covariances(2, scales).sum(axis=(1, 2)) for m in models]
    noise = [m.noise.sum(axis=1) for m in models]
    np.testing.assert_allclose(own[1], own[0], rtol=EXACT)
    np.testing.assert_allclose(own[2], own[0], rtol=EXACT)
    np.testing.assert_allclose(noise[2], noise[0], rtol=EXACT)


def test_a_model_that_was_sent_is_the_same_bit_by_bit(real_sizes):
    sent = pickle.dumps(real_sizes)
    assert len(sent) < real_sizes.rest.nbytes
    assert np.array_equal(pickle.loads(sent).rest, real_sizes.rest)


def test_the_relative_error_of_an_external_flow_falls_with_its_size(compared):
    flows = {name: 10 * flow for name, flow in compared.flows.items()}
    of = area_model(compared, area_priors()).leading
    larger = area_model(dataclasses.replace(compared, flows=flows), area_priors()).leading
    times = {DEVIATIONS[k]: after[before != 0] / before[before != 0]
             for (k, _, before), (_, _, after) in zip(of, larger, strict=True)}  # fmt: skip
    np.testing.assert_allclose(times["immigration"], 10**0.83, rtol=EXACT)
    np.testing.assert_allclose(times["emigration"], 10**0.83, rtol=EXACT)
    np.testing.assert_allclose(times["internal"], 10.0, rtol=EXACT)


def test_permuted_areas_give_the_same_draws(local, fitted, made):
    order = np.random.default_rng(2).permutation(len(made))
    again = fit_areas(fitted, Areas(made.figures.isel(area=order)), seed=4, draws=40,
                      lower_ages=AGES)  # fmt: skip
    assert again.codes == local.codes
    assert np.array_equal(again.totals, local.totals)


def test_workers_give_the_same_draws(local, fitted, made, tmp_path):
    with ThreadPoolExecutor(2) as client:
        again = fit_areas(fitted, made, seed=4, draws=40, lower_ages=AGES, client=client,
                          keep=tmp_path)  # fmt: skip
    assert np.array_equal(again.totals, local.totals)
    assert len(list(tmp_path.glob("slab-*.nc"))) == len(again.slab_points)


def test_scales_of_coarse_cells_serve_fine_ones(local, fitted, made):
    fine = fit_areas(fitted, made, seed=4, draws=40, lower_ages=tuple(range(0, 90, 10)),
                     scales_of=local)  # fmt: skip
    assert fine.scales.equals(local.scales) and fine.model.n_cells == 18
    total = sum(fine.contributions(code) for code in fine.codes)
    assert np.abs(total[3]).max() < PERSONS
    assert np.abs(total.sum(axis=0) - fine.contrasts.national_gap[:, None]).max() < PERSONS
    other = Areas(made.figures.isel(area=slice(4)))
    with pytest.raises(SettingError, match="scales_of is a fit of other areas"):
        fit_areas(fitted, other, seed=4, lower_ages=AGES, scales_of=local)


def test_the_national_fit_is_the_same_with_areas(local, fitted, compared):
    with one_thread():  # as areas are: last bits of a product go by the number of threads
        again = national_draws(fitted.model, fitted.latents(), compared.cells)
    assert {x.tobytes() for x in local.national} <= {x.tobytes() for x in again}


def test_one_area_is_the_nation(fitted, model):
    whole = made_areas(model, n=1)
    found = contrasts(whole, model, AGES)
    assert np.abs(found.contrast).max() < PERSONS and np.abs(found.design).max() < PERSONS
    assert np.abs(found.shares - 1).max() < EXACT


def test_two_areas_merged_are_their_sum(made, model, compared):
    figures = made.figures
    both = figures.isel(area=[0, 1]).sum("area").expand_dims(area=["X00"])
    both["mobility"] = figures["mobility"].isel(area=[0])
    rest = figures.isel(area=slice(2, None))
    merged = Areas(
        xr.concat([both.assign_coords(name=("area", ["A"])), rest], "area", join="exact")
    )
    found = contrasts(merged, model, AGES)
    np.testing.assert_allclose(found.gap[0], compared.gap[:2].sum(axis=0))
    np.testing.assert_allclose(found.reference[0], compared.reference[:2].sum(axis=0))
    np.testing.assert_allclose(found.shares[0, 0], compared.shares[:2, 0].sum(axis=0))


def test_an_area_is_an_ordinary_attribution(local):
    found = local["X02"]
    assert found.total == pytest.approx(local.contrasts.gap[2].sum())
    assert (found.totals().sum("source").values == pytest.approx(found.total)) and found.passed
    assert set(found.summary()["source"]) == set(SOURCES)
    assert local["Area 2"].area == "Area 2"
    by_age = local.by_age("X02")
    assert len(by_age) == len(SOURCES) * 2 * len(AGES) and by_age["observed"].all()


def test_the_table_has_a_row_for_each_area_and_source(local):
    table = local.table()
    assert len(table) == 5 * len(local)
    gaps = table.groupby("code")["mean"].sum()
    np.testing.assert_allclose(gaps, local.contrasts.gap.sum(axis=1), rtol=1e-9)
    assert (table["lower90"] < table["upper90"]).all() and (table["contraction"] < 1).all()


def test_the_conflict_is_that_of_letting_areas_speak_of_the_nation(local):
    found = local.conflict().set_index("source")
    nation, model = local.before, local.model
    scales = local.scales.to_numpy().mean(axis=0)
    _, mean, _covariance = conditioned(model, scales[:-3], nation, scales[-3:])
    n = model.n_cells
    whole = nation.with_patterns(model, scales[-3:])[: 2 * n, : 2 * n]
    gain = nation.covariance[: 2 * n, : 2 * n] @ np.linalg.pinv(whole, hermitian=True)
    after = nation.mean[: 2 * n] + gain @ (mean - np.r_[nation.mean, mean[3 * n :]])[: 2 * n]
    assert found["mean_with_areas"]["immigration"] == pytest.approx(after[:n].sum(), rel=1e-4)
    assert found["mean_with_areas"]["emigration"] == pytest.approx(after[n:].sum(), rel=1e-4)
    assert (found["sd_with_areas"] < found["sd"]).all()


@pytest.mark.parametrize("theme", ["official", "paper"])
def test_figures_draw_the_table(local, theme):
    funnel = imps.plot_area_funnel(local, theme=theme)
    gaps = local.contrasts.gap.sum(axis=1) / local.contrasts.census.sum(axis=1)
    drawn_at = funnel.axes[0].collections[0].get_offsets()[:, 1]
    np.testing.assert_allclose(drawn_at, 100 * gaps)
    ranking = imps.plot_area_ranking(local, source="internal", theme=theme)
    shown = imps.plots.figure_data(ranking)
    assert shown["mean"].is_monotonic_decreasing and set(shown["source"]) == {"internal"}
    assert "Internal" in imps.plots.caption(ranking)
    with pytest.raises(LabelError, match="expected one of base, external"):
        imps.plot_area_ranking(local, source="immigration")


def test_finished_slabs_are_kept_and_taken_up_again(local, fitted, made, tmp_path):
    first = fit_areas(fitted, made, seed=4, draws=40, lower_ages=AGES, keep=tmp_path)
    assert np.array_equal(first.totals, local.totals)
    with first.slabs.open(first.slab_points[0]) as slab:
        assert slab["deviation"].dims == ("area", "source", "cell", "draw")
    files = [first.slabs.path(point) for point in first.slab_points]
    with xr.open_mfdataset(files, combine="nested", concat_dim="draw", engine="h5netcdf") as whole:
        assert whole["deviation"].chunks is not None  # nothing is loaded
        found = whole["deviation"].isel(area=2)
        assert np.array_equal(found, first.deviation(first.codes[2]))
    lost = sorted(tmp_path.glob("slab-*.nc"))[0]
    lost.unlink()
    told = []
    again = fit_areas(
        fitted, made, seed=4, draws=40, lower_ages=AGES, keep=tmp_path, say=told.append
    )
    assert np.array_equal(again.totals, local.totals)
    assert any("finished before" in line for line in told) or len(again.slab_points) == 1
    with pytest.raises(RunChangedError, match="another fit"):
        fit_areas(fitted, made, seed=5, draws=40, lower_ages=AGES, keep=tmp_path)


def test_what_cannot_be_is_refused(fitted, made, model, local):
    with pytest.raises(SettingError, match="draws is"):
        fit_areas(fitted, made, seed=1, draws=10**6, lower_ages=AGES)
    with pytest.raises(PriorError, match="area_bases"):
        fit_areas(fitted, made, seed=1, priors={"area_bases": (0.1, 0.0)})
    with pytest.raises(PriorError, match="positive median"):
        fit_areas(fitted, made, seed=1, priors={"area_base": (-0.1, 0.0)})
    with pytest.raises(LabelError, match="lower ages"):
        contrasts(made, model, (5, 10))
    with pytest.raises(LabelError, match="no area is called"):
        local["Atlantis"]
    with pytest.raises(imps.errors.UnknownCaseError, match="england-wales-2011-2021"):
        imps.load_areas("uk-1991-2001")
