"""Replicate weights: those that are made equal those of svy, so do estimates from given ones."""

import numpy as np
import pandas as pd
import pytest
from test_estimation import DESIGN, two_stage

from imps.errors import DesignError
from imps.survey import Calibration, ReplicateWeights, estimate_totals, replicate_weights

AGREE = 1e-8  # relative, to svy: sums in another order
POST = Calibration(("direction",), "w", "final")


def in_svy(records: pd.DataFrame, how: str, **options: object):
    """The sample in svy with replicate weights, poststratified to totals by direction."""
    polars = pytest.importorskip("polars")
    svy = pytest.importorskip("svy")
    frame = polars.DataFrame({name: records[name].to_list() for name in records.columns})
    sample = svy.Sample(
        data=frame.with_columns(one=polars.lit(1.0)),
        design=svy.Design(stratum="stratum", psu="shift", wgt="w"),
    )
    sample = getattr(sample.weighting, f"create_{how}_wgts")(rep_prefix="rep", **options)
    if "target" in records:
        totals = records.groupby("direction")["target"].first().to_dict()
        sample = sample.weighting.poststratify(totals, cells="direction")
    table = sample.estimation.total(
        "one", by="cell", method="replication", variance_center="estimate"
    )
    weights = sample.data.select(sample.rep_columns).to_numpy()
    return weights, np.array([sample.rep_coefs[name] for name in sample.rep_columns]), table


def compare(own, found) -> None:
    table = found.to_polars()
    order = np.argsort(table["cell"].to_numpy())
    for mine, theirs in (("estimate", "est"), ("standard_error", "se")):
        np.testing.assert_allclose(own.table[mine], table[theirs].to_numpy()[order], rtol=AGREE)


def calibrated(seed: int) -> pd.DataFrame:
    records = two_stage(seed)
    records["target"] = records["direction"].map({"arrival": 9e4, "departure": 4e4})
    by = records.groupby("direction")["w"].transform("sum")
    return records.assign(final=records["w"] * records["target"] / by)


@pytest.mark.parametrize("seed", range(5))
def test_jackknife_weights_equal_those_of_svy(seed: int) -> None:
    records = two_stage(seed)
    weights, coefficients, table = in_svy(records, "jk")
    own = replicate_weights(records, weight="w", method="jackknife", **DESIGN)
    place = {tuple(np.flatnonzero(column == 0)): i for i, column in enumerate(weights.T)}
    order = [place[tuple(np.flatnonzero(column == 0))] for column in own.weights.T]
    np.testing.assert_allclose(own.weights, weights[:, order], rtol=AGREE)
    np.testing.assert_allclose(own.coefficients, coefficients[order], rtol=AGREE)
    compare(estimate_totals(records, cells=["cell"], weight="w", replicate_weights=own), table)


@pytest.mark.parametrize("how", ["jk", "bs"])
def test_given_weights_of_a_calibrated_sample_estimate_as_svy_does(how: str) -> None:
    records = calibrated(3)
    weights, coefficients, table = in_svy(
        records, how, **({"n_reps": 40, "rstate": 1} if how == "bs" else {})
    )
    given = ReplicateWeights.of(pd.DataFrame(weights), coefficients=coefficients)
    own = estimate_totals(records, cells=["cell"], weight="final", replicate_weights=given)
    compare(own, table)
    assert (own.method, own.degrees_of_freedom) == (
        "replicate weights as given",
        len(weights.T) - 1,
    )


@pytest.mark.parametrize("method", ["jackknife", "bootstrap"])
def test_made_weights_estimate_what_the_method_does(method: str) -> None:
    records = calibrated(4)
    how = {"method": method, "replicates": 30, "seed": 2, "calibration": [POST], **DESIGN}
    made = replicate_weights(records, weight="final", **how)
    one = estimate_totals(records, cells=["cell"], weight="final", replicate_weights=made)
    other = estimate_totals(records, cells=["cell"], weight="final", **how)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-12)
    targets = records.groupby("direction")["target"].first()
    for column in made.weights.T:  # every replicate meets the totals
        found = pd.Series(column).groupby(records["direction"]).sum()
        np.testing.assert_allclose(found, targets[found.index], rtol=1e-12)


GIVEN = ReplicateWeights(np.ones((3, 4)), np.full(4, 0.25))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicate_weights": GIVEN, **DESIGN}, "that is the design twice"),
        ({"replicate_weights": GIVEN, "method": "jackknife"}, "that is the design twice"),
        ({"replicate_weights": GIVEN}, "3 rows for .* records"),
        ({}, "neither a design nor replicate weights"),
        ({"stratum": ["stratum"]}, "neither a design nor replicate weights"),
    ],
)
def test_a_design_is_given_once(options: dict, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        estimate_totals(two_stage(1), cells=["cell"], weight="w", **options)


@pytest.mark.parametrize(
    ("weights", "coefficients", "message"),
    [
        ({"a": [1.0, np.nan], "b": [1.0, 2.0]}, 0.5, r"1 of 4 .* missing or negative \(rows 1\)"),
        ({"a": [1.0, 2.0]}, 0.5, "two columns or more"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, [1, 1, 1], "3 coefficients for 2 replicates"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, 0.0, "expected one above 0"),
    ],
)
def test_bad_replicate_weights_are_refused(weights, coefficients, message) -> None:
    with pytest.raises(DesignError, match=message):
        ReplicateWeights.of(pd.DataFrame(weights), coefficients=coefficients)
