"""Rows left out at fixed scales: exact, standard normal under the model, seen by the verdict."""

from dataclasses import replace

import numpy as np
import pytest

import imps
from imps.errors import LabelError
from imps.posterior.exact import GaussianPosterior
from imps.results.sensitivity import without_rows
from imps.results.stability import (
    AGE_BANDS,
    LeaveOut,
    answers_by_age,
    band_label,
    headline_names,
    headline_totals,
    rows_by,
    stability,
)

EXACT = 1e-7  # relative: one algebra against another
BANDS = tuple(band_label(*band) for band in AGE_BANDS)


@pytest.fixture(scope="module")
def account():
    """A small account with both stocks by sex and age, and the scales at their medians."""
    sources = imps.simulate_account("null", seed=3).sources
    model = imps.linear_model(sources, imps.default_priors())
    return model, np.zeros(len(model.scale_names))


def drawn(model, scales, rng):
    """The same account with figures drawn from the model at these scales."""
    latents = model.scale_factors(scales) * rng.standard_normal(model.n_latent)
    noise = model.standard_error * rng.standard_normal(model.observed.size)
    return replace(model, observed=model.offset + model.design @ latents + noise)


def test_equal_to_the_posterior_without_the_rows(account):
    model, scales = account
    totals = headline_totals(model)
    exact = LeaveOut(model, scales, list(totals.values()))
    rows = rows_by(model, "source")["immigration"]
    shift, added, _ = exact.without(rows)
    again = GaussianPosterior(without_rows(model, "immigration"))
    mean, variance = (dict(zip(again.names, x, strict=True)) for x in again.moments(scales))
    for i, name in enumerate(totals):
        key = f"group[{name}]" if f"group[{name}]" in mean else None
        if key:
            assert exact.mean[i] + shift[i] == pytest.approx(mean[key], rel=EXACT, abs=0.01)
            total = exact.covariance[i, i] + added[i, i]
            assert total == pytest.approx(variance[key], rel=EXACT)


def test_conflict_is_standard_normal_and_its_family_level_holds(account, rng):
    """At fixed scales exactly: 400 data sets of the model itself."""
    model, scales = account
    parts = {**rows_by(model, "age"), **rows_by(model, "source")}
    totals = headline_totals(model)
    base = LeaveOut(model, scales, list(totals.values()))
    gains = {label: base.without(rows, counted=label in BANDS) for label, rows in parts.items()}
    critical = stability(model, scales).critical
    z, beyond = [], 0
    for _ in range(400):
        other = drawn(model, scales, rng)
        residual = (other.observed - other.offset) / other.standard_error
        solved = base.solve(residual)
        here = []
        for _, added, gain in gains.values():
            more = np.diag(added)
            before = np.append(np.diag(base.covariance), [0.0] * (len(more) - len(totals)))
            informed = more > 1e-6 * before
            here.append((-gain.T @ solved)[informed] / np.sqrt(more[informed]))
        z.append(np.concatenate(here))
        beyond += np.abs(z[-1]).max() > critical
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(400)
    assert z.std(axis=0).min() > 0.85 and z.std(axis=0).max() < 1.15
    assert 0.02 <= beyond / 400 <= 0.09  # 0.05 +- four standard errors


@pytest.mark.parametrize("case", ["england-wales-2001-2011", "england-wales-2011-2021"])
def test_error_of_the_children_in_the_census_is_found(case, rng):
    """Three per cent too few of 0-9 counted, five times what the model gives to it or more."""
    model = imps.linear_model(imps.load_case(case).sources, imps.default_priors())
    scales = GaussianPosterior(model).mode()
    rows = rows_by(model, "age")["0-9"]
    critical = stability(model, scales, ("age",)).critical
    exact = LeaveOut(model, scales, list(headline_totals(model).values()))
    _, added, gain = exact.without(rows, counted=True)
    found = 0
    for _ in range(200):
        wrong = drawn(model, scales, rng).observed.copy()
        wrong[rows] *= 0.97
        residual = (wrong - model.offset) / model.standard_error
        z = gain.T @ exact.solve(residual) / np.sqrt(np.diag(added))
        found += np.abs(z).max() > critical
    assert found >= 160
    last = stability(replace(model, observed=wrong), scales, ("age",))
    assert ("0-9" in set(last.conflicts["left_out"])) == (np.abs(z).max() > critical)


def test_people_of_the_left_out_ages_are_predicted_by_all_other_rows(account):
    model, scales = account
    table = stability(model, scales, ("age",)).table.set_index(["left_out", "group"])
    effects = model.design * model.scale_factors(scales)
    covariance = effects @ effects.T + np.diag(model.standard_error**2)
    for band, rows in rows_by(model, "age").items():
        rest = np.setdiff1d(np.arange(model.observed.size), rows)
        across = covariance[rows][:, rest].sum(axis=0)
        weights = np.linalg.solve(covariance[np.ix_(rest, rest)], across)
        residual = model.observed - model.offset
        predicted = model.offset[rows].sum() + weights @ residual[rest]
        variance = covariance[np.ix_(rows, rows)].sum() - weights @ across
        row = table.loc[band, "counted"]
        assert row["mean"] == pytest.approx(model.observed[rows].sum()) and row["sd"] == 0
        assert row["mean_without"] == pytest.approx(predicted, rel=EXACT)
        assert row["sd_without"] == pytest.approx(np.sqrt(variance), rel=1e-5)


def test_answers_by_age_are_those_of_the_posterior_with_other_figures(account):
    model, scales = account[0], account[1]
    answers = answers_by_age(model, scales, 1e5)
    assert list(answers.index) == list(BANDS)
    at = rows_by(model, "age")["10-19"]
    fewer = model.observed.copy()
    fewer[at] -= 1e5 * fewer[at] / fewer[at].sum()
    posterior = GaussianPosterior(model)
    names = [headline_names(model)[group] for group in answers]
    places = [posterior.names.index(name) for name in names]
    moved = posterior.given(fewer).moments(scales)[0] - posterior.moments(scales)[0]
    moved = moved[places] + 1e5 * (answers.columns == "census")
    np.testing.assert_allclose(answers.loc["10-19"], moved, atol=1e-3)


def test_every_band_and_headline_group_stands_in_the_table(account):
    model, scales = account
    found = stability(model, scales, ("age",))
    assert set(found.table["left_out"]) == set(BANDS)
    assert {"base", "migration", "census"} <= set(found.table["group"])
    assert (found.table["sd_without"] >= found.table["sd"] * (1 - EXACT)).all()


def test_totals_alone_have_no_bands_and_a_band_without_rows_is_refused(model, account):
    assert rows_by(model, "age") == {}  # the United Kingdom of 2001: published as totals
    with pytest.raises(LabelError, match=r"age band 0-4.*no stock by age"):
        rows_by(model, "age", [(0, 4)])
    with pytest.raises(LabelError, match=r"age band 120-130.*ages 0 to"):
        rows_by(account[0], "age", [(0, 9), (120, 130)])
    for wrong in ((7.5, 9), ("0", "9"), (50, 40), (None, 9), 5):
        with pytest.raises(LabelError, match="age band .* expected a pair of whole ages"):
            rows_by(account[0], "age", [wrong])
    with pytest.raises(LabelError, match="by='sex'"):
        rows_by(model, "sex")
