"""The simulated survey: its own truth, unbiased weights, honest errors, and a wrong survey."""

import numpy as np
import pandas as pd
import pytest

from imps.survey.estimation import TRAFFIC, UNSAMPLED, estimate_totals
from imps.survey.simulate import (
    SHIFT_LABELS,
    SimulatedPassengers,
    simulate_passengers,
    simulate_stays,
    simulate_survey,
)
from imps.survey.weighting import weight_records

REPETITIONS = 60
MONTE_CARLO = 3.5  # standard errors of a mean over the repetitions; fails once in 2,000
CELLS = ["direction", "sex", "age_group"]


@pytest.fixture(scope="module")
def passengers() -> SimulatedPassengers:
    return simulate_passengers(seed=2, ports=4)


def estimates(passengers: SimulatedPassengers, **options: float) -> pd.DataFrame:
    """Directions' totals of repeated surveys, with their errors and the truth."""
    truth = passengers.truth(["direction"]).set_index("direction")["migrants"]
    found = []
    for seed in range(REPETITIONS):
        survey = simulate_survey(passengers, seed=seed, **options)
        records, _ = weight_records(survey.records, **survey.totals())
        table = estimate_totals(
            records,
            cells=["direction"],
            counted="long_term",
            stratum=SHIFT_LABELS[:4],
            psu="sampling_unit",
            calibration=[TRAFFIC, UNSAMPLED],
            sampled=survey.shifts,
        ).table
        found.append(table.assign(truth=table["direction"].map(truth), seed=seed))
    return pd.concat(found, ignore_index=True)


@pytest.fixture(scope="module")
def repeated(passengers: SimulatedPassengers) -> pd.DataFrame:
    return estimates(passengers)


def test_estimates_are_unbiased(repeated: pd.DataFrame) -> None:
    error = repeated["estimate"] / repeated["truth"] - 1
    spread = error.groupby(repeated["direction"]).agg(["mean", "std"])
    z = spread["mean"] / (spread["std"] / np.sqrt(REPETITIONS))
    assert (z.abs() < MONTE_CARLO).all()


def test_standard_errors_are_the_spread_of_the_estimates(repeated: pd.DataFrame) -> None:
    z = (repeated["estimate"] - repeated["truth"]) / repeated["standard_error"]
    n = len(z)
    # a variance from n values has relative standard error sqrt(2 / n)
    assert abs(z.var() - 1) < MONTE_CARLO * np.sqrt(2 / n)


def test_a_survey_that_migrants_avoid_is_seen_to_be_wrong(passengers: SimulatedPassengers) -> None:
    """No weight repairs it: the estimates are off by the factor, the errors do not show it."""
    found = estimates(passengers, migrant_response_ratio=0.7)
    error = found["estimate"] / found["truth"] - 1
    assert abs(error.mean() + 0.3) < 0.05  # less 0.3 of the migrants, and a little back
    z = error.mean() / (error.std() / np.sqrt(len(error)))
    assert z < -MONTE_CARLO


def test_calibration_reproduces_all_passengers(passengers: SimulatedPassengers) -> None:
    survey = simulate_survey(passengers, seed=1)
    records, stages = weight_records(survey.records, **survey.totals())
    everyone = passengers.passengers.sum() + passengers.unsampled.sum()
    assert records["final_weight"].sum() == pytest.approx(everyone, rel=1e-12)
    for stage in stages.values():
        known = stage.summary.dropna(subset=["target"])
        np.testing.assert_allclose(known["sum_after"], known["target"], rtol=1e-12)


def test_truth_adds_up(passengers: SimulatedPassengers) -> None:
    fine, coarse = passengers.truth(CELLS), passengers.truth()
    np.testing.assert_allclose(
        fine.groupby("direction")["migrants"].sum(),
        coarse.set_index("direction")["migrants"],
        rtol=1e-12,
    )
    assert len(fine) == 2 * 2 * 5
    # a tenth of all passengers use routes without survey, and migrate like the others
    ratio = coarse["migrants"].sum() / passengers.migrants.sum()
    assert ratio == pytest.approx(1.1, abs=0.02)


def test_records_have_the_columns_of_the_stages_and_no_answers_that_were_not_given(
    passengers: SimulatedPassengers,
) -> None:
    records = simulate_survey(passengers, seed=4).records
    assert records["interview"].is_unique
    assert records.loc[records["long_term"], ["sex", "age_group"]].notna().all().all()
    assert records.loc[~records["long_term"], ["sex", "age_group"]].isna().all().all()
    assert set(records["transport"]) == {"air", "sea"}
    sea = records[records["transport"] == "sea"]
    assert sea.groupby("sampling_unit")[["shift", "crossing"]].nunique().max().max() == 1


def test_the_same_seed_gives_the_same_survey(passengers: SimulatedPassengers) -> None:
    one, other = (simulate_survey(passengers, seed=9) for _ in range(2))
    pd.testing.assert_frame_equal(one.records, other.records)
    assert not simulate_survey(passengers, seed=10).records.equals(one.records)


def test_stays_are_those_of_their_truth() -> None:
    truth, interviews = simulate_stays(seed=1, interviews=200_000)
    share = interviews.groupby("intended_stay")["stayed_long"].agg(["mean", "size"])
    expected = (
        truth.set_index("intended_stay")["switchers"] / truth.set_index("intended_stay")["visitors"]
    ).reindex(share.index)
    error = np.sqrt(expected * (1 - expected) / share["size"])
    assert ((share["mean"] - expected).abs() < MONTE_CARLO * error).all()
    weight = interviews.groupby("intended_stay")["weight"].sum().reindex(truth["intended_stay"])
    np.testing.assert_allclose(weight, truth["visitors"], rtol=1e-9)
