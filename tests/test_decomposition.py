"""The account, its observation equations and the exact decomposition of the gap."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import imps
from imps.account.gap import _cell_errors, contributions, rolled_forward_cells
from imps.account.latents import Latents
from imps.account.stocks import stated_errors, stock_sampling
from imps.errors import LabelError, SourceError
from imps.names import SEXES
from imps.sources import BY_SEX_AND_AGE

TOTAL = 1e-6  # persons: contributions sum to the gap in every draw


def random_latents(model, rng, n=20):
    h = rng.standard_normal((n, len(model.scale_names)))
    return model.scale_factors(h) * rng.standard_normal((n, model.n_latent))


def test_contributions_sum_to_the_gap_whatever_the_latents(model, rng):
    w = random_latents(model, rng)
    total = sum(model.evaluate(c.value, w) for c in model.contributions)
    gap = rolled_forward_cells(model.account) - model.sources.census.count.values
    assert np.abs(total - gap).max() < TOTAL
    assert np.abs(total.sum(axis=(1, 2)) - model.sources.gap).max() < TOTAL


def test_population_equals_the_roll_forward_of_its_own_draws(model, rng):
    """The linear map of the stocks against the deterministic roll-forward, cell by cell."""
    w = random_latents(model, rng, 3)
    account, sources = model.account, model.sources

    def array(q, dims):
        coords = {"sex": list(SEXES), "age": sources.ages, "year": sources.years}
        return xr.DataArray(model.evaluate(q, w), dims=("draw", *dims),
                            coords={d: coords[d] for d in dims})  # fmt: skip

    from imps.account.stocks import registered_births, registered_deaths
    from imps.demography.accounting import roll_forward_path

    births = array(registered_births(sources) + account.births_error, ("sex", "age", "year"))
    deaths = array(registered_deaths(sources) + account.deaths_error, ("sex", "age", "year"))
    path = roll_forward_path(
        array(account.base, ("sex", "age")),
        births=births.isel(age=0, drop=True),
        deaths=deaths,
        net_migration=array(account.net_migration, ("sex", "age", "year")),
    )
    for year in (1991, 1996, 2000, 2001):
        linear = model.evaluate(account.population(year), w)
        if year == 2001:
            linear = linear - model.evaluate(account.residual, w)
        rolled = path.sel(year=year).transpose("draw", "sex", "age").values
        assert np.abs(linear - rolled).max() < 1e-8  # persons a cell


def test_survey_rows_are_half_of_two_intervals(model):
    """A flow of one person a year in one cell shows in two calendar years."""
    flow = model.account.flows["immigration"]
    one = np.zeros(flow.true.shape)
    one[0, 30, 5] = 1.0
    from imps.account.latents import Affine

    seen = flow.observe(Affine(one, {})).constant
    assert seen.sum() == pytest.approx(1.0)
    assert (seen.sum(axis=(1, 2)) > 0).sum() == 2
    np.testing.assert_allclose(seen[seen > 0], 0.5)


def test_sources_are_reported_in_the_fixed_order(model):
    names = [c.source for c in contributions(model.account)]
    from imps.sources.kinds import KINDS

    of_registers = {"register_cells"}
    groups = {s: kind.group for s, kind in KINDS.items() if s not in of_registers}
    assert names == [s for s, group in groups.items() if group != "other changes"]


def test_prior_sds_are_those_the_model_promises(model):
    """About 0.25, 0.32, 0.21 and 0.25 million for base, emigration, immigration, census."""
    sd = {c.source: float(model.prior_moments(c.prior.sum())[1]) for c in model.contributions}
    assert sd["base"] == pytest.approx(0.25e6, rel=0.1)
    assert sd["emigration_bias"] == pytest.approx(0.32e6, rel=0.1)
    assert sd["immigration_bias"] == pytest.approx(0.21e6, rel=0.1)
    assert sd["census_coverage"] == pytest.approx(0.25e6, rel=0.1)


def test_prior_moments_equal_those_of_prior_draws(model, rng):
    w = random_latents(model, rng, 20_000)
    for part in model.contributions:
        if part.source in ("base", "emigration_bias", "residual", "visitor_switchers"):
            mean, sd = model.prior_moments(part.value.sum())
            draws = model.evaluate(part.value.sum(), w)
            assert draws.std() == pytest.approx(float(sd), rel=0.03)
            assert abs(draws.mean() - mean) < 4 * sd / np.sqrt(len(draws))


def test_census_cells_have_larger_errors_beside_jumps_and_for_young_men(model):
    census = replace(model.sources.census, observed=BY_SEX_AND_AGE, relative_standard_error=0.0)
    latents, count = Latents(imps.default_priors()), census.count.values
    relative = stated_errors(latents, census)[0] / count
    assert (relative > 0).all()
    assert relative[0, 28] > 1.3 * relative[0, 45]
    shared = stock_sampling(latents, census, "census", "census_sampling")
    moves = shared.effects["census_ages_misstated"]
    moved = np.sqrt((moves**2).sum(axis=-1)) / count
    assert moved[0, 81:83].max() > 1.5 * moved[0, 70]  # births of 1919-20
    assert np.abs(moves.sum(axis=1)).max() < TOTAL  # nobody is lost
    assert not moves[:, -1].any()  # nor moved into the open group


class Pensioners:
    """A source of the user's own: the total of people aged 65 and over at mid-2001."""

    name = "pensioners"
    vintage = "own"
    reference = "own"

    def __init__(self, count, se):
        self.count, self.se = count, se

    def observe(self, account):
        total = account.population(2001)[:, slice(65, None)].sum()
        return imps.Observation(
            "pensioners", total.map(lambda x: x[None]), np.array([self.count]),
            np.array([self.se]), ("pensioners 2001",),
        )  # fmt: skip


def test_a_source_of_ones_own_moves_the_answer(sources, model):
    base = imps.fit(model, seed=1, draws=200)
    true = float(sources.census.count.sel(age=slice(65, None)).sum()) + 200_000
    own = sources.add(Pensioners(true, 5_000.0))
    fitted = imps.fit(imps.linear_model(own, imps.default_priors()), seed=1, draws=200)
    assert "pensioners" in set(imps.check(fitted).misfit["source"])

    def old(fit):
        quantity = fit.model.account.population(2001)[:, slice(65, None)].sum()
        return fit.model.evaluate(quantity, fit.latents())

    assert abs(old(fitted).mean() - true) < 3 * 5_000
    assert old(fitted).std() < 0.5 * old(base).std()


def test_register_and_mirror_series_are_sources(sources):
    count = sources.census.count.isel(age=slice(65, 91))
    register = imps.Register(
        "pension register", 2001, count, 0.01 * count, 0.0, 0.01, 0.01, "v", "r"
    )
    years = sources.emigration.years
    mirror = imps.MirrorSeries(
        "Australia", "emigration",
        xr.DataArray(np.full(11, 2e4), dims="year", coords={"year": years}),
        xr.DataArray(np.full(11, 2e3), dims="year", coords={"year": years}),
        0.09, 0.03, "v", "r",
    )  # fmt: skip
    model = imps.linear_model(sources.add(register, mirror), imps.default_priors())
    assert {"pension register", "Australia"} <= set(model.row_sources)
    assert model.row_sources.count("pension register") == count.size
    assert model.row_sources.count("Australia") == years.size
    checks = imps.check(imps.fit(model, seed=2, draws=500))
    assert checks.table["r_hat"].max() < 1.02
    # single ages of a census that was published as one total: the check says who misfits
    assert "pension register: fits badly" in str(checks.verdict)


def test_a_source_that_cannot_observe_is_refused(sources):
    with pytest.raises(SourceError, match="cannot be a source"):
        imps.linear_model(sources.add("a string"), imps.default_priors())
    late = sources.census.count.isel(age=slice(65, 91))
    register = imps.Register("late", 2010, late, 0.01 * late, 0.0, 0.01, 0.01, "v", "r")
    with pytest.raises(LabelError, match="'late'.*lie outside the account"):
        imps.linear_model(sources.add(register), imps.default_priors())


def test_an_error_of_the_schedule_is_no_sampling_error():
    """Where a survey was published as totals, its sampling error has the ages of the schedule."""
    ew = imps.linear_model(imps.load_case("england-wales-2011-2021").sources, imps.default_priors())
    w = ew.prior_draws(3, seed=1)
    for flow, survey in ew.sources.survey_flows.items():
        sampling, schedule = (ew.evaluate(e, w) for e in _cell_errors(ew.account, flow))
        share = survey.estimate.values / survey.estimate.values.sum(axis=(1, 2), keepdims=True)
        by_year = sampling.sum(axis=(2, 3))
        np.testing.assert_allclose(sampling, share * by_year[..., None, None], atol=1e-6)
        np.testing.assert_allclose(schedule.sum(axis=(2, 3)), 0.0, atol=1e-6)
        expected = ew.evaluate(
            ew.account.flows[flow].observe(
                ew.account.flows[flow].true + ew.account.flows[flow].bias
            ),
            w,
        )
        np.testing.assert_allclose(sampling + schedule, survey.estimate.values - expected)


def test_cells_that_were_published_have_no_schedule_to_err(model):
    _, schedule = _cell_errors(model.account, "immigration")
    assert not schedule.constant.any() and not schedule.effects
