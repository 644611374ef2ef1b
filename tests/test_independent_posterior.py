"""The package agrees with the posterior that was written from docs/appendix.md alone."""

import functools
import re
from dataclasses import replace
from pathlib import Path

import independent_posterior
import numpy as np
import pytest
import xarray as xr
from independent_posterior import PAGE, C, IndependentPosterior, pulled

import imps
from imps.account.prior_rows import LAYOUT_PRIORS
from imps.demography.accounting import INFANT_DEATHS_IN_BIRTH_COHORT
from imps.demography.schedules import group_matrix, migration_schedule, pull_to_groups
from imps.posterior import chains, exact, importance
from imps.sources import Register
from imps.sources.kinds import PARTS

CLOSE = 1e-6  # of a posterior standard deviation
LEAST = 1e-3  # persons, where a quantity is known exactly or sums to nothing
CASES = ("uk-1991-2001", "england-wales-2001-2011", "england-wales-2011-2021")
NOT_IN_A_SHIPPED_CASE = {
    "grid_points": chains.GRID_POINTS,
    "more_grid_points": chains.MORE_GRID_POINTS,
    "even_share": chains.EVEN_SHARE,
    "least_effective_share": chains.LEAST_EFFECTIVE_SHARE,
    "proposal_degrees": importance.DEGREES,
    "leaning_degrees": importance.LIGHT_DEGREES,
    "largest_log_scale": exact.LARGEST_LOG_SCALE,
    "infants_in_birth_cohort": INFANT_DEATHS_IN_BIRTH_COHORT,
}


@functools.cache
def figures(name):
    return imps.load_case(name).sources


def both(sources, priors, *, cells=False):
    """The package and the second implementation of one account."""
    posterior = exact.GaussianPosterior(imps.linear_model(sources, priors))
    rows = {row.name: (row.mean, row.sd) for row in posterior.model.priors.rows}
    return posterior, IndependentPosterior(sources, rows, cells=cells)


def compare(posterior, independent, h):
    mean, variance = posterior.moments(h)
    found = independent.moments(dict(zip(posterior.model.scale_names, h, strict=True)))
    assert {name for name in found if not name.startswith("cells")} == set(posterior.names)
    sd = np.sqrt(variance)
    theirs, their_sd = np.array([found[name] for name in posterior.names])[..., 0].T
    unit = CLOSE * np.maximum(sd, LEAST)
    assert (np.abs(theirs - mean) < unit).all()
    assert (np.abs(their_sd - sd) < unit).all()
    return found


def scales(posterior, seed):
    return np.random.default_rng(seed).standard_normal(posterior.n_scales)


@pytest.fixture(scope="module", params=CASES)
def pair(request):
    return both(figures(request.param), imps.default_priors(), cells=True)


def test_sources_groups_and_net_migration_of_the_shipped_cases_agree(pair):
    posterior, independent = pair
    for seed in (1, 2):
        compare(posterior, independent, scales(posterior, seed))


def test_density_of_the_scales_agrees(pair):
    posterior, independent = pair
    differences = []
    for seed in (1, 2):
        h = scales(posterior, seed)
        named = dict(zip(posterior.model.scale_names, h, strict=True))
        differences.append(posterior.log_density(h) - independent.log_density(named))
    assert differences[0] == pytest.approx(differences[1], abs=1e-8)
    beyond = dict.fromkeys(posterior.model.scale_names, C["largest_log_scale"] + 1e-6)
    assert independent.log_density(beyond) == -np.inf
    assert posterior.log_density(np.array(list(beyond.values()))) == -np.inf


def test_every_source_agrees_at_every_sex_and_age(pair):
    posterior, independent = pair
    model, h = posterior.model, scales(posterior, 3)
    found = independent.moments(dict(zip(model.scale_names, h, strict=True)))
    squares, factor = model.scale_factors(h) ** 2, posterior.factor(h)
    moved = squares * (posterior.white.T @ factor.solve(posterior.residual))
    for part in model.contributions:
        effects = model.matrix(part.value).reshape(-1, model.n_latent)
        half = factor.half(posterior.white @ (effects * squares).T)
        sd = np.sqrt(np.maximum((effects**2) @ squares - (half**2).sum(axis=0), 0))
        theirs, their_sd = found[f"cells[{part.source}]"]
        unit = CLOSE * np.maximum(sd, 10 * LEAST)
        mean = part.value.constant.ravel() + effects @ moved
        assert (np.abs(theirs - mean) < unit).all(), part.source
        assert (np.abs(their_sd - sd) < unit).all(), part.source


def test_rules_that_no_shipped_case_needs_agree():
    """Correlated errors, rows of their own, unpublished cells, stated errors of other sizes,
    a roll-forward by sex and age at the end only."""
    sources = figures("england-wales-2001-2011")
    asked = ("cross_border", "immigration_bias_era 2004 to 2008")
    priors = imps.default_priors(*asked).replace(
        bias_correlation={"mean": 0.5}, census_correlation={"mean": 0.3}, births=(0.001, 0.002)
    )
    changed = replace(
        sources,
        base=replace(sources.base, relative_standard_error=1e-4),
        census=replace(sources.census, relative_standard_error=0.0),
    )
    posterior, independent = both(changed, priors)
    compare(posterior, independent, scales(posterior, 4))
    sources = figures("uk-1991-2001")
    hidden = xr.zeros_like(sources.emigration.estimate, dtype=bool)
    hidden[2, 1, 3] = hidden[5] = True
    ended = sources.rolled_forward  # published by sex and age at the end, the base as a total
    count = sources.census.count * (float(ended.total[-1]) / sources.census.total)
    changed = replace(
        sources,
        rolled_forward=replace(ended, by_sex_and_age=count.expand_dims(year=[2001])),
        emigration=replace(sources.emigration, unobserved=hidden),
        immigration=replace(sources.immigration, unobserved=hidden, observed="total"),
        census=replace(sources.census, observed="sex"),
        base=replace(sources.base, relative_standard_error=0.002),
    )
    posterior, independent = both(changed, imps.default_priors())
    compare(posterior, independent, scales(posterior, 5))


def test_constants_without_a_trace_in_the_shipped_cases():
    for name, value in NOT_IN_A_SHIPPED_CASE.items():
        assert C[name] == value, name
    lower = np.array([[0.0, 15, 25, 45], [0.0, 15, 25, 45]])
    groups, schedule = group_matrix(lower, 91), migration_schedule(91, "emigration")
    nobody = np.array([[0.0, 500, 900, 10], [40, 700, 800, 0]])
    np.testing.assert_allclose(
        pulled(schedule, groups, nobody), pull_to_groups(schedule, groups, nobody), rtol=1e-10
    )
    sources = figures("uk-1991-2001")
    count = sources.base.count
    register = Register("patients", 1995, count, 0.01 * count + 1, 0.02, 0.01, 0.01, "1995", "-")
    model = imps.linear_model(replace(sources, extra=(register,)), imps.default_priors())
    assert model.sizes["patients coverage by age"] == C["register_shapes"]


def test_every_constant_of_the_page_is_used_and_every_prior_is_named():
    code = Path(independent_posterior.__file__).read_text("utf-8")
    elsewhere = {*NOT_IN_A_SHIPPED_CASE, "register_shapes"}
    assert set(C) == {name for name in C if f'"{name}"' in code} | elsewhere
    priors = imps.default_priors("immigration_bias_era 2004 to 2008", *LAYOUT_PRIORS)
    named = set(re.findall(r"`([a-z_]+[a-z0-9_ ]*)`", PAGE.read_text("utf-8"))) - set(C)
    assert named <= set(priors)
    alike = {
        "emigration": "immigration",
        "census": "base",
    }  # said of one, and of the other "likewise"
    for name in set(priors) - set(PARTS) - named:
        stem, _, rest = name.partition("_")
        assert f"{alike.get(stem, '')}_{rest}" in named, name
