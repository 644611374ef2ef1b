"""Truths from an independent simulator: they pass the right model and fail wrong ones."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from scipy.stats import binom, norm

import imps
from imps.account.linear import CLOSURE_TOLERANCE, largest_misclosure
from imps.account.priors import completed
from imps.calibration import calibration
from imps.calibration.calibration import LEAST_ESS, Calibration, calibrate
from imps.calibration.ranks import inside_probability, points, uniform_p_value
from imps.calibration.scores import FAMILY_LEVEL, score_test, simulator_of
from imps.errors import SourceError
from imps.simulation import true_account
from imps.simulation.from_priors import SYSTEMATIC_GAP, PriorSimulator
from imps.simulation.reference import reference_account, reference_chain
from imps.sources.definitions import Detail

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import faults

CLOSES = 1e-5  # persons, summing 60 million of them year by year


@pytest.fixture(scope="module")
def right():
    return faults.right_model()


@pytest.fixture(scope="module")
def whole(right):
    """Three replicates, one after the other."""
    return calibrate(right, replicates=3, seed=1)


@pytest.mark.parametrize("account", ["reference", *imps.cases()])
def test_simulated_truths_close_on_the_gap(account):
    """The simulator's own contributions sum to rolled-forward minus census, for any truth."""
    sources = reference_account() if account == "reference" else imps.load_case(account).sources
    priors = completed(imps.default_priors(), sources)
    simulated = PriorSimulator(sources, flow_shapes=4, stock_shapes=4)(priors, seed=1)
    parts = [v for k, v in simulated.truth.items() if k.startswith("gap[")]
    assert sum(parts) == pytest.approx(sources.gap, abs=CLOSES)
    random = [v for k, v in simulated.truth.items() if k.endswith("_sampling]")]
    assert simulated.truth[SYSTEMATIC_GAP] + sum(random) == pytest.approx(sources.gap, abs=CLOSES)


def test_unknown_sources_are_not_simulated():
    class Own:
        name = "own"

        def observe(self, account):
            raise NotImplementedError

    sources = reference_account().add(Own())
    simulator = PriorSimulator(sources, flow_shapes=4, stock_shapes=4)
    with pytest.raises(SourceError, match="Own cannot be simulated from the priors"):
        simulator(imps.default_priors(), seed=1)


def test_envelope_is_exact(rng):
    """Its probability equals that of simulated uniform ranks, and its p-values are uniform."""
    n, gamma = 60, 0.01
    at = points(n)
    below = np.cumsum(rng.multinomial(n, np.diff(np.r_[0, at, 1]), size=20_000), axis=1)[:, :-1]
    tails = 2 * np.minimum(binom.cdf(below, n, at), binom.sf(below - 1, n, at))
    simulated = (tails.min(axis=1) > gamma).mean()
    exact = inside_probability(n, round(np.log(gamma), 6))
    assert exact == pytest.approx(simulated, abs=3 * np.sqrt(exact * (1 - exact) / 20_000))
    p = np.array([uniform_p_value(rng.random(n)) for _ in range(200)])
    assert binom.cdf((p < 0.05).sum(), 200, 0.05) < 0.999
    assert uniform_p_value(rng.beta(0.6, 0.6, 200)) < 0.01  # truths too often outside
    assert uniform_p_value(rng.random(200) ** 1.5) < 0.01  # truths too low


def test_ranks_of_the_right_model(right, whole, tmp_path):
    """A broken-off run goes on where it stopped, alone or spread, and gives the same ranks."""
    path = tmp_path / "work.csv"
    calibrate(right, replicates=2, seed=1, path=path)
    path.write_text(path.read_text()[:-400])  # the last line was cut off in writing
    with ThreadPoolExecutor(2) as client:
        resumed = calibrate(right, replicates=3, seed=1, path=path, client=client)
    np.testing.assert_allclose(resumed.ranks, whole.ranks, rtol=1e-12)
    assert whole.runs["ess"].min() >= LEAST_ESS
    for quantity in (
        "gap[migrant_switchers]", SYSTEMATIC_GAP, "net_migration[1993]", "population[1995]",
        "log_scale[residual]", "log_likelihood[census]", "log_likelihood[mirror]",
    ):  # fmt: skip
        assert quantity in whole.ranks
    assert "gap[flows_revised_since]" not in whole.ranks  # known, not inferred
    with pytest.raises(SourceError, match="holds replicates of run"):
        calibrate(right, replicates=3, seed=2, path=path)


def test_replicates_spread_over_dask(right, whole, tmp_path, monkeypatch):
    """Each worker ranks its own chunk; the finished ones are kept and told as they come."""
    monkeypatch.setattr(calibration, "CHUNK", 1)
    path, told = tmp_path / "work.csv", []
    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as dask:
        spread = calibrate(right, replicates=2, seed=1, path=path, client=dask, say=told.append)
    np.testing.assert_allclose(spread.ranks, whole.ranks.iloc[:2], rtol=1e-12)
    assert len(pd.read_csv(path)) == 2
    assert [line.split(" data sets")[0] for line in told] == ["1 of 2", "2 of 2"]
    pickle.loads(pickle.dumps(right))  # what goes to a worker in another process


@pytest.mark.parametrize("shared", [0.0, 0.9], ids=["independent", "correlated"])
def test_family_of_quantities_fails_by_chance_in_five_per_cent_at_most(shared):
    """Uniform ranks of many quantities at once, independent or nearly the same."""
    n, quantities, families = 30, 20, 200
    rng = np.random.default_rng(2)
    z = np.sqrt(1 - shared) * rng.standard_normal((families, n, quantities))
    ranks = norm.cdf(z + np.sqrt(shared) * rng.standard_normal((families, n, 1)))
    runs = pd.DataFrame({"ess": [LEAST_ESS], "seconds": [0.0]})
    failed = sum(not Calibration(pd.DataFrame(r), runs).passed for r in ranks)
    assert binom.sf(failed - 1, families, FAMILY_LEVEL) > 0.01


def test_scores_of_the_right_model_have_mean_zero(right):
    table = score_test(right, replicates=150, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    assert {"immigration", "emigration", "census", "school_census", "mirror"} <= set(table["of"])


FIVE = tuple(range(0, 36, 5))


def in_groups(sources, *, by_sex):
    """The account with stocks and deaths as published for age groups, or for persons."""
    observed = "sex and age" if by_sex else "age"
    last = FIVE if by_sex else None
    return replace(
        sources,
        base=replace(sources.base, observed=observed, lower_ages=FIVE),
        census=replace(sources.census, observed=observed, lower_ages=last),
        deaths=replace(sources.deaths, cells=Detail(by_sex, FIVE), at_death=not by_sex),
    )


@pytest.mark.parametrize("by_sex", [True, False], ids=["five-year ages", "persons"])
def test_scores_of_figures_in_groups_and_what_a_layout_without_error_does(by_sex, monkeypatch):
    sources = in_groups(reference_account(), by_sex=by_sex)
    model = imps.linear_model(sources, imps.default_priors(), faults.RESOLUTION)
    table = score_test(model, replicates=150, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    assert {"block base_layout", "block deaths_layout"} <= set(table["of"])
    simulated = simulator_of(model)(model.priors, seed=1)
    parts = [v for k, v in simulated.truth.items() if k.startswith("gap[")]
    assert sum(parts) == pytest.approx(sources.gap, abs=CLOSES)
    monkeypatch.setattr(true_account, "laid_out_wrongly", lambda *told: 0.0 * told[-1])
    table = score_test(model, replicates=60, seed=2).set_index("of")
    assert not table.loc["block base_layout", "mean_is_zero"].all()


def test_scores_with_optional_sources_and_priors_off_their_defaults():
    """Means that are not zero, an uncertain known change, errors of two figures correlated."""
    priors = imps.default_priors("cross_border").replace(
        base_level=(0.004, 0.004), immigration_bias_level=(-0.1, 0.05), asylum_seekers=(0.2, 0.2),
        deaths=(0.01, 0.002), cross_border=(0.5, 0.5), census_level=(-0.002, 0.003),
        census_correlation={"mean": 0.6}, bias_correlation={"mean": 0.8},
        immigration_bias_era=(-0.1, 0.06),
    )  # fmt: skip
    model = imps.linear_model(reference_account(), priors, faults.RESOLUTION)
    table = score_test(model, replicates=150, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    assert "block cross_border constant" in set(table["of"])


def far_bias_mean_forgotten():
    """Three times the mean of the default prior is seen in a ninth of the data sets."""
    return faults.bias_mean_forgotten(emigration_bias_level=(-0.15, 0.12))


@pytest.mark.parametrize(
    ("fault", "where", "data_sets"),
    [
        (faults.sampling_error_halved, "immigration", 20),
        (faults.switcher_sign_turned, "immigration", 150),
        (faults.age_shifted, "immigration", 20),
        (faults.calendar_year_taken_for_mid_year, "block emigration_years", 250),
        (faults.bias_independent_each_year, "block emigration_bias_level", 60),
        (faults.census_error_left_out, "block census_sampling", 30),
        (faults.base_error_at_fixed_ages, "born_before", 80),
        (far_bias_mean_forgotten, "block emigration_bias_level", 100),
        (faults.date_change_left_out, "census", 80),
        (faults.children_left_out, "block immigration_bias_children", 80),
        (faults.directions_turned, "block immigration_bias_level", 300),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_scores_find(fault, where, data_sets):
    """Each wrong model is found, and where it is wrong."""
    table = score_test(fault().model, replicates=data_sets, seed=2)
    assert not table["mean_is_zero"].all()
    assert table.loc[table["of"] == where, "p_family"].min() < FAMILY_LEVEL


def test_ranks_find_a_likelihood_left_out():
    """All scores of the other sources have mean zero; its own log-likelihood gives it away."""
    wrong = faults.likelihood_switched_off("census")
    found = calibrate(wrong.model, fitted=wrong.fitted, replicates=12, seed=2)
    table = found.table().set_index("quantity")
    assert not table.loc["log_likelihood[census]", "inside"]
    assert table["inside"].sum() == len(table) - 1
    assert "outside: log_likelihood[census]" in repr(found)


@pytest.mark.parametrize(
    "fault",
    [faults.switcher_sign_turned, faults.age_shifted, faults.base_error_at_fixed_ages],
    ids=lambda x: x.__name__,
)
def test_contributions_that_do_not_close_are_found_at_building(fault, right):
    assert largest_misclosure(right) < CLOSURE_TOLERANCE
    assert largest_misclosure(fault().model) > 1.0


@pytest.fixture(scope="module")
def chain():
    priors = imps.default_priors("bias_between_periods").replace(
        bias_between_periods={"mean": 0.8}, census_correlation={"mean": 0.6},
        bias_correlation={"mean": 0.8}, immigration_bias_level=(-0.1, 0.05),
    )  # fmt: skip
    return imps.chain(reference_chain(n_years=3), priors)


def test_simulated_chains_close_and_persist(chain):
    """Each period closes on its gap, and begins where the one before ended; biases persist."""
    simulator = simulator_of(chain)
    drawn = [simulator(chain.priors, seed=seed) for seed in range(150)]
    for name, account in zip(chain.names, chain.accounts, strict=True):
        parts = [v for k, v in drawn[0].truth.items() if k.startswith(f"{name}: gap[")]
        assert sum(parts) == pytest.approx(account.sources.gap, abs=CLOSES)
    ended = np.array([d.truth["1991-1994: population[1994]"] for d in drawn])
    base = np.array([d.truth["1994-1997: gap[base]"] for d in drawn])
    np.testing.assert_allclose(base, chain.account.sources.base.total - ended, atol=CLOSES)
    bias = [[d.truth[f"{n}: gap[immigration_bias]"] for d in drawn] for n in chain.names]
    assert np.corrcoef(*bias)[0, 1] > 0.4


def test_scores_of_a_chain_have_mean_zero(chain):
    table = score_test(chain, replicates=100, seed=2)
    assert table["mean_is_zero"].all(), table.nsmallest(3, "p_value")
    assert {"immigration_bias_level", "1991-1994: census"} <= {
        of.removeprefix("block ") for of in table["of"]
    }


def test_ranks_of_a_chain():
    """Quantities of each period, and scales that are those of all."""
    totals = [
        replace(own, **{f: replace(s, observed="total") for f, s in own.survey_flows.items()})
        for own in reference_chain(n_years=3)
    ]
    found = calibrate(imps.chain(totals), replicates=1, seed=1)
    assert found.runs["ess"].min() >= LEAST_ESS
    for quantity in (
        "1991-1994: gap[base]", "1994-1997: gap[base]", f"1994-1997: {SYSTEMATIC_GAP}",
        "log_scale[residual]", "log_likelihood[1991-1994: census]",
    ):  # fmt: skip
        assert quantity in found.ranks
