"""Variants that are not Gaussian: their densities, their limits, and contributions that close."""

import numpy as np
import pytest
from scipy import stats

import imps
import imps.results.sensitivity
from imps.account.linear import curve_sizes
from imps.account.variant import BetaShare, Form
from imps.errors import PriorError, SourceError
from imps.posterior import likelihoods
from imps.posterior.exact import GaussianPosterior
from imps.posterior.given_model import is_gaussian, variant
from imps.posterior.likelihoods import (
    BEND,
    STUDENT_T_DEGREES,
    by_source,
    contact_log_likelihood,
    contact_rows,
    log_likelihood_by_row,
    log_prior_by_block,
)
from imps.posterior.pymc_model import quantity

CLOSURE = 1e-6  # persons, in every draw
SHARES = {"visitor_switchers": 0.03, "migrant_switchers": 0.08}  # invented
QUANTILE = 1e-7  # relative: cubic through the quantile function at steps of 0.02
VARIANTS = {
    "contacts": {"likelihood": "contacts"},
    "student_t": {"student_t": ("census",)},
    "log": {"flows": "log"},
    "beta": {"switchers": "beta", "switcher_shares": SHARES},
    "all": {
        "likelihood": "contacts",
        "student_t": ("census",),
        "flows": "log",
        "switchers": "beta",
        "switcher_shares": SHARES,
    },
}


@pytest.fixture(scope="module")
def models(sources):
    return {name: imps.build_model(sources, **options) for name, options in VARIANTS.items()}


def expected_rows(linear, w, options):
    """Expected rows by another way: the linear account, and exp and Beta cell by cell."""
    mean = linear.offset + linear.design @ w
    blocks = dict(
        zip(linear.sizes, np.split(w, np.cumsum(list(linear.sizes.values()))[:-1]), strict=True)
    )
    account, sizes = linear.account, curve_sizes(linear.curves)
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    taken = []

    def columns(label):
        block = f"{label} beyond its linear form"
        taken.append(block)
        return linear.curved_design[:, starts[block] : starts[block] + sizes[block]]

    if options.get("flows") == "log":
        for name, flow in account.flows.items():
            m = flow.true.constant
            moved = sum(e @ blocks[b] for b, e in flow.true.effects.items() if b in blocks)
            beyond = m * np.exp(moved / m) - (m + moved)
            mean = mean + columns(name) @ beyond.ravel()
    if options.get("switchers") == "beta":
        for part in account.sources.administrative:
            if part.name not in SHARES:
                continue
            p, prior = SHARES[part.name], account.priors[part.name]
            steady, yearly = blocks[f"{part.label} constant"], blocks[f"{part.label} by year"]
            n = yearly.size
            lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
            y = np.sqrt(0.7) * steady + np.sqrt(0.3) * np.linalg.cholesky(0.8**lag) @ yearly
            centre, spread = p * (1 - prior.mean), p * prior.sd
            size = centre * (1 - centre) / spread**2 - 1
            q = stats.beta.ppf(stats.norm.cdf(y), centre * size, (1 - centre) * size)
            beyond = (1 - q / p) - (prior.mean + prior.sd * y)
            mean = mean + columns(part.label) @ beyond
    assert sorted(taken) == sorted(sizes)
    return mean


def log_density(linear, mean, options):
    """Sum of scipy terms of every row."""
    sources, rest = np.array(linear.row_sources), np.ones(mean.size, dtype=bool)
    y, se, total = linear.observed, linear.standard_error, 0.0
    if options.get("likelihood") == "contacts":
        cells = contact_rows(linear)
        rest[cells["row"]] = False
        raw = mean[cells["row"]] / cells["grossing_weight"]
        mu, effect = BEND * np.logaddexp(0, raw / BEND), cells["design_effect"]
        total += stats.nbinom.logpmf(cells["contacts"], mu / (effect - 1), 1 / effect).sum()
    robust = np.isin(sources, options.get("student_t", ())) & rest
    sd = se[robust] * np.sqrt((STUDENT_T_DEGREES - 2) / STUDENT_T_DEGREES)
    total += stats.t.logpdf(y[robust], STUDENT_T_DEGREES, mean[robust], sd).sum()
    plain = rest & ~robust
    return total + stats.norm.logpdf(y[plain], mean[plain], se[plain]).sum()


@pytest.mark.parametrize("name", list(VARIANTS))
def test_log_density_is_the_plain_sum_of_scipy_terms(models, name, rng):
    built, options = models[name], VARIANTS[name]
    linear, density = built.linear, built.compile_logp()
    for _ in range(2):
        h = 0.5 * rng.standard_normal(len(linear.scale_names))
        z = 0.5 * rng.standard_normal(linear.n_latent)
        w = linear.scale_factors(h) * z
        mean = expected_rows(linear, w, options)
        wanted = stats.norm.logpdf(h).sum() + stats.norm.logpdf(z).sum()
        wanted += log_density(linear, mean, options)
        assert float(density({"log_scale": h, "latent": z})) == pytest.approx(wanted, rel=1e-7)
        np.testing.assert_allclose(linear.expected(w[None])[0], mean, rtol=1e-8, atol=0.01)
        rows = log_likelihood_by_row(linear, h[None], z[None], variant(built))
        parts = by_source(linear, rows)
        parts |= log_prior_by_block(linear, h[None], z[None])
        assert sum(float(part[0]) for part in parts.values()) == pytest.approx(wanted, rel=1e-7)


@pytest.fixture(scope="module")
def everything(models):
    return imps.fit(models["all"], seed=1, draws=10, tune=20, chains=1, progress=False)


def test_contributions_close_in_every_draw_of_every_variant_at_once(everything, sources):
    assert everything.method == "nuts"
    shared = imps.attribute(everything)
    apart = shared.contributions.sum("source") - shared.gap
    assert float(np.abs(apart).max()) < CLOSURE
    assert float(np.abs(shared.totals().sum("source") - sources.gap).max()) < CLOSURE
    found = imps.reconcile(everything)
    with pytest.raises(PriorError, match="works on the Gaussian model only"):
        imps.results.sensitivity.what_if(everything)
    assert found.closure() < CLOSURE
    assert found.negative_flows == 0.0
    last = everything.model.evaluate(
        everything.model.account.population(2001), everything.latents()
    )
    drawn = found.population.sel(year=2001).values.reshape(last.shape)
    np.testing.assert_allclose(drawn, last, atol=1e-5)


def test_flows_and_switchers_are_positive_far_out(models):
    linear = models["all"].linear
    w = 3 * linear.prior_draws(40, seed=5)
    account = linear.account
    for flow in account.flows.values():
        assert linear.evaluate(flow.true, w).min() >= 0
    for curve in linear.curves:
        if isinstance(curve, BetaShare):
            y = linear.evaluate(curve.argument, w)
            assert curve.ratio(y).min() > 0
            assert (curve.share * curve.ratio(y)).max() < 1
    plain = imps.linear_model(account.sources, imps.default_priors())
    assert linear.n_latent == plain.n_latent
    assert plain.evaluate(plain.account.flows["emigration"].true, w).min() < 0  # what log mends


@pytest.mark.parametrize(("share", "mean", "sd"), [(0.03, 0.0, 0.35), (0.4, 0.1, 0.5)])
def test_beta_share_has_the_moments_of_the_table_of_priors(share, mean, sd):
    from imps.account.latents import zero

    curve = BetaShare("switchers", zero((1,)), mean, sd, share)
    y = np.linspace(-5, 5, 777)
    exact = stats.beta.ppf(stats.norm.cdf(y), *curve.shapes) / share
    np.testing.assert_allclose(curve.ratio(y), exact, rtol=QUANTILE)
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    ratio = curve.ratio(node)
    assert weight @ ratio == pytest.approx(1 - mean, rel=1e-4)
    assert np.sqrt(weight @ ratio**2 - (weight @ ratio) ** 2) == pytest.approx(sd, rel=1e-3)
    with pytest.raises(PriorError, match="no Beta distribution has mean"):
        BetaShare("switchers", zero((1,)), mean, sd, 1.5)


def test_many_contacts_agree_with_the_normal_form(models, monkeypatch):
    """Cells of over 100 contacts: both forms find the same flow with the same error."""
    linear = models["contacts"].linear
    few = contact_rows(linear)
    assert 0 < few["row"].size < 100
    assert few["contacts"].max() < 20
    monkeypatch.setattr(likelihoods, "FEW_CONTACTS", np.inf)
    cells = contact_rows(linear)
    large = cells["contacts"] >= 100
    assert large.sum() >= 20
    n, weight, effect = (cells[k][large] for k in ("contacts", "grossing_weight", "design_effect"))
    sd = weight * np.sqrt(effect * n)
    flow = weight * n + np.linspace(-3, 3, 301)[:, None] * sd
    counted = contact_log_likelihood(n, flow, grossing_weight=weight, design_effect=effect)
    share = np.exp(counted - counted.max(axis=0))
    share /= share.sum(axis=0)
    centre = (share * flow).sum(axis=0)
    spread = np.sqrt((share * (flow - centre) ** 2).sum(axis=0))
    assert np.abs((centre - weight * n) / sd).max() < 0.25
    assert np.abs(spread / sd - 1).max() < 0.12


def test_log_flows_and_beta_shares_become_linear_when_errors_are_small(sources):
    """A tenth of the spread leaves a hundredth of the curvature."""
    form = Form("log", "beta", SHARES)
    curved = imps.linear_model(sources, imps.default_priors(), form=form)
    w = curved.prior_draws(20, seed=2)
    for part in curved.contributions:
        whole, tenth = (
            curved.evaluate(part.value.sum(), x) - _linear(curved, part.value.sum(), x)
            for x in (w, 0.1 * w)
        )
        # the Beta median differs from the mean, which stays when the latent variables shrink
        if part.group == "migration" and "switchers" not in part.source:
            assert np.abs(tenth).max() <= 0.03 * np.abs(whole).max() + 1e-6


def _linear(model, value, w):
    return value.constant + w @ model.matrix(value)


def test_variants_move_the_prior_as_they_say(sources, models):
    plain = imps.linear_model(sources, imps.default_priors())
    curved = models["all"].linear
    for a, b in zip(plain.contributions, curved.contributions, strict=True):
        mean, sd = plain.prior_moments(a.prior.sum())
        other, spread = curved.prior_moments(b.prior.sum())
        if "switchers" in a.source:
            assert other == pytest.approx(mean, abs=0.06 * sd)
            assert spread == pytest.approx(sd, rel=0.06)
        elif not any(curve.block in b.prior.effects for curve in curved.curves):
            assert (other, spread) == (pytest.approx(mean), pytest.approx(sd))


def test_a_changed_model_is_never_fitted_as_if_it_were_gaussian(sources):
    """How users write their own: take the model, add a term, fit."""
    import pymc as pm

    built = imps.build_model(sources)
    assert is_gaussian(built)
    account = built.linear.account
    net = quantity(built, account.net_migration.sum())
    believed, sd = 1.5e6, 0.05e6
    with built:
        trust = pm.Normal("trust")
        pm.Potential("mirror", pm.logp(pm.Normal.dist(believed, sd), net + sd * trust))
    assert not is_gaussian(built)
    with pytest.raises(PriorError, match="a term was added"):
        imps.fit(built, seed=1, method="exact")
    found = imps.fit(built, seed=1, draws=150, tune=150, chains=2, progress=False)
    assert found.method == "nuts"
    assert found.extras["own_variables"]["trust"].shape == (2, 150)
    drawn = found.quantities()["net_migration[all years]"]
    assert drawn.mean() == pytest.approx(believed, abs=3 * sd)
    shared = imps.attribute(found)
    assert float(np.abs(shared.contributions.sum("source") - shared.gap).max()) < CLOSURE


def test_what_cannot_be_is_refused_before_anything_is_compiled(sources, models):
    with pytest.raises(PriorError, match="no published share for 'visitor_switchers'"):
        imps.build_model(sources, switchers="beta")
    with pytest.raises(PriorError, match="switcher_shares belong to switchers='beta'"):
        imps.build_model(sources, switcher_shares=SHARES)
    with pytest.raises(PriorError, match="flows is 'exp'"):
        imps.build_model(sources, flows="exp")
    with pytest.raises(PriorError, match="no rows of the likelihood come from registers"):
        imps.build_model(sources, student_t=("registers",))
    later = imps.load_case("england-wales-2011-2021").sources
    with pytest.raises(SourceError, match="no survey cell has under 20 contacts"):
        imps.build_model(later, likelihood="contacts")
    with pytest.raises(PriorError, match="hold no switchers"):
        imps.build_model(later, switchers="beta", switcher_shares=SHARES)
    with pytest.raises(PriorError, match="has no exact posterior"):
        GaussianPosterior(models["log"].linear)
    with pytest.raises(PriorError, match="not conditionally Gaussian"):
        imps.fit(models["log"].linear, seed=1, method="exact")
    for built in models.values():
        assert not is_gaussian(built)
