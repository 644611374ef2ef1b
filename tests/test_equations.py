"""The printed equations are those of the code: evaluated beside the account."""

import re

import numpy as np
import pytest

import imps
from imps.account.latents import Resolution
from imps.demography.accounting import lexis_matrix
from imps.demography.schedules import autoregressive, smooth_shapes, within_groups, young_adults
from imps.report.equations import EQUATIONS, mathml

CLOSE = 1e-9  # relative; both sides are sums of the same doubles in another order


@pytest.fixture(scope="module")
def unknowns(model):
    """Latent variables with their scales in, whole and by block."""
    w = model.prior_draws(1, seed=5)
    return w, {k: v[0] for k, v in model._blocks(model.sizes, w).items()}


def test_every_equation_becomes_mathml():
    import xml.etree.ElementTree as ET

    for equation in EQUATIONS:
        root = ET.fromstring(equation.to_mathml())
        parts = list(root.iter("math"))
        assert parts and all(part.get("display") == "block" for part in parts)
        assert "\\" not in "".join(root.itertext()), equation.name  # no command left over
        assert "$" not in equation.words_to_html()
        said = equation.says + equation.latex
        assert not re.search(r"<\w*_\w*>", said), equation.name  # no constant left over
        ET.fromstring(f"<p>{equation.words_to_html()}</p>")
    assert "mfrac" in mathml(r"\frac{1}{2}")


def test_homes_of_the_equations_exist():
    import importlib

    for equation in EQUATIONS:
        module, *path = equation.home.removeprefix("imps.").split(".")
        found = importlib.import_module(f"imps.{module}")
        for name in path:
            found = getattr(found, name)


def test_error_of_a_stock(model, unknowns):
    w, z = unknowns
    priors, count = model.priors, model.sources.base.count.values
    shapes = smooth_shapes(
        count.shape[1], Resolution.for_sources(model.sources).stock_shapes, young=5.0, old=12.0
    )
    smooth = shapes @ z["base_age"].reshape(2, -1).T  # the scale s is in w already
    ages = np.arange(count.shape[1])
    child, old = np.clip((15 - ages) / 6, 0, 1), np.clip((ages - 70) / 15, 0, 1)

    def drawn(part):
        row = priors[f"base_{part}"]
        return row.mean + row.sd * z[f"base_{part}"]

    u = (
        (1 - child) * drawn("level")[0]
        + child * drawn("children")[0]
        + old * drawn("old")[0]
        + np.array([[1.0], [0.4]]) * young_adults(ages.size) * drawn("young")[:, None]
        + smooth.T
    )
    base = model.sources.base  # of which the total was published
    e = base.relative_standard_error * count * z["base_sampling"][0]
    np.testing.assert_allclose(
        model.evaluate(model.account.base, w)[0], count * (1 - u) - e, rtol=CLOSE
    )


@pytest.mark.parametrize("flow", ["immigration", "emigration"])
def test_true_flow_and_bias(model, unknowns, flow):
    w, z = unknowns
    priors, operator = model.priors, model.account.flows[flow]
    m = operator.true.constant[:, :, 0]
    n = operator.true.shape[2]
    shapes = smooth_shapes(m.shape[1], Resolution.for_sources(model.sources).flow_shapes)
    slow, quick = autoregressive(n, 0.9), autoregressive(n, 0.8)
    hats = np.stack([np.interp(np.arange(91), 5 * np.arange(5), k) for k in np.eye(5)[:4]], axis=1)
    laid = (hats @ z[f"{flow}_children"])[None, :, None]  # the scale is in w already
    unseen = (hats @ z[f"{flow}_bias_children"])[None, :, None]
    alone = z[f"{flow}_cells"].reshape(2, n, -1)  # by sex, interval and group
    v_moving = np.einsum("tv,skv->skt", slow, z[f"{flow}_age_years"].reshape(2, -1, n))
    relative = (
        1
        + priors[f"{flow}_level"].sd * z[f"{flow}_level"][0]
        + (slow @ z[f"{flow}_years"])[None, None]
        + (shapes @ z[f"{flow}_age"].reshape(2, -1).T).T[..., None]
        + np.einsum("ak,skt->sat", shapes, v_moving)
        + laid
        + unseen
        + np.einsum("sga,stg->sat", operator.groups, alone)
    )
    groups_of = zip(operator.groups, m, z[f"{flow}_layout"].reshape(2, -1), strict=True)
    fine = smooth_shapes(m.shape[1], 45, young=2.0, old=4.0)
    within = np.stack([within_groups(g, x, fine) @ w_s for g, x, w_s in groups_of])
    within *= priors[f"{flow}_layout"].sd
    first = np.gradient(m, axis=1)
    second = np.gradient(first, axis=1)
    shift = z[f"{flow}_schedule"].reshape(2, 2)
    bent = priors[f"{flow}_schedule"].sd * (
        2 * second * shift[:, 1:] - first * shift[:, :1]
    )  # the code leaves the ends of the age range alone
    inner = slice(4, -4)
    found = model.evaluate(operator.true, w)[0]
    expected = m[..., None] * relative + (bent + within)[..., None]
    np.testing.assert_allclose(found[:, inner], expected[:, inner], rtol=1e-6)

    bias = m[..., None] * (
        priors[f"{flow}_bias_level"].mean
        + priors[f"{flow}_bias_level"].sd * z[f"{flow}_bias_level"][0]
        + priors[f"{flow}_bias_sex"].sd
        * z[f"{flow}_bias_sex"][0]
        * np.array([1, -1])[:, None, None]
        - unseen
        + (
            priors[f"{flow}_bias_young"].sd
            * young_adults(m.shape[1])
            * z[f"{flow}_bias_young"][:, None]
        )[..., None]
        + priors[f"{flow}_bias_drift"].sd * (quick @ z[f"{flow}_bias_drift"])
    )
    np.testing.assert_allclose(model.evaluate(operator.bias, w)[0], bias, rtol=1e-8, atol=1e-6)


def test_bias_has_a_step_in_an_era():
    """Calendar years 2004 to 2008 are half of the year to mid-2004 and half of that to mid-2009."""
    model = imps.linear_model(
        imps.load_case("england-wales-2001-2011").sources, imps.default_priors()
    )
    operator = model.account.flows["immigration"]
    m = operator.true.constant[:, :, 0]
    sd = model.priors["immigration_bias_era"].sd
    step = operator.bias.effects["immigration_bias_era 2004 to 2008"][..., 0]
    share = np.array([0.0] * 3 + [0.5] + [1.0] * 4 + [0.5] + [0.0] * 3)  # mid-2001 to mid-2012
    np.testing.assert_allclose(step, sd * m[..., None] * share, rtol=CLOSE)
    free = operator.true.effects["immigration_level 2004 to 2008"][..., 0]
    np.testing.assert_allclose(free, model.priors["immigration_level"].sd * m[..., None] * share)
    assert "emigration_bias_era 2004 to 2008" not in model.sizes
    assert "emigration_bias_era 2009 to 2011" in model.sizes


def test_population_is_carried_by_the_lexis_map(model, unknowns):
    w, _ = unknowns
    account = model.account
    years = len(model.sources.years)
    base = model.evaluate(account.base, w)[0]
    carried = np.zeros_like(base)
    for age in range(base.shape[1]):
        carried[:, min(age + years, base.shape[1] - 1)] += base[:, age]
    change = model.evaluate(account.natural + account.net_migration, w)[0]
    from imps.account.parts import known_changes

    change = change + known_changes(model.sources)
    lexis = lexis_matrix(base.shape[1], years)
    moved = np.stack([lexis @ change[s].ravel() for s in range(2)])
    late = account.residual - account.deaths_misplaced
    expected = carried + moved + model.evaluate(late, w)[0]
    found = model.evaluate(account.population(model.sources.last_year), w)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


def test_posterior_formulas_at_given_scales(model, posterior):
    h = np.linspace(-0.5, 0.5, posterior.n_scales)
    s2 = model.scale_factors(h) ** 2
    a, rho = posterior.white, posterior.residual
    c = np.eye(rho.size) + (a * s2) @ a.T
    log_density = -0.5 * (rho @ np.linalg.solve(c, rho) + np.linalg.slogdet(c)[1] + h @ h)
    assert posterior.log_density(h) == pytest.approx(log_density, rel=1e-9)
    mean, variance = posterior.moments(h)
    q = np.stack([model.matrix(model.reported[name]) for name in posterior.names])
    cross = (q * s2) @ a.T
    np.testing.assert_allclose(
        mean, posterior.constants + cross @ np.linalg.solve(c, rho), rtol=1e-7, atol=1e-3
    )
    expected = (q**2) @ s2 - np.einsum("qi,iq->q", cross, np.linalg.solve(c, cross.T))
    keep = expected > 1.0
    np.testing.assert_allclose(variance[keep], expected[keep], rtol=1e-6)
