"""Design-based totals: identities, textbook formulas, and agreement with the library svy."""

import doctest

import numpy as np
import pandas as pd
import pytest

from imps.errors import DesignError
from imps.survey import (
    design,
    estimation,
    interviews,
    replicates,
    switchers,
    variance_function,
    weighting,
)
from imps.survey.estimation import (
    TRAFFIC,
    UNSAMPLED,
    Calibration,
    SurveyTotals,
    estimate_totals,
)

AGREE = 1e-8  # relative, to svy and to textbook formulas: sums in another order
EXACT = 1e-10  # relative: identities in doubles
DESIGN = {"stratum": ["stratum"], "psu": "shift"}


def two_stage(seed: int, strata: int = 12, units: int = 6) -> pd.DataFrame:
    """A stratified two-stage sample: strata, shifts within them, interviews within shifts."""
    rng = np.random.default_rng(seed)
    rows = []
    for stratum in range(strata):
        for shift in range(rng.integers(2, units + 1)):
            n = rng.integers(4, 30)
            mix = rng.dirichlet(np.ones(6))
            rows.append(
                pd.DataFrame(
                    {
                        "stratum": stratum,
                        "shift": 100 * stratum + shift,
                        "direction": "arrival" if stratum % 2 else "departure",
                        "cell": rng.choice(list("abcdef"), n, p=mix),
                        "route": rng.choice(["north", "south"], n),
                        "w": rng.uniform(40, 400, n),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def calibrated(records: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Weights after two stages: totals by direction, then additions by direction and route."""
    rng = np.random.default_rng(seed)
    out = records.assign(port_group="P", region=records["route"], traffic_prior=records["w"])
    by = out.groupby("direction")["w"].transform("sum")
    total = out["direction"].map({"arrival": 70_000.0, "departure": 50_000.0})
    out["unsampled_prior"] = out["w"] * total / by
    cell = [out["region"], out["direction"]]
    own = out["unsampled_prior"].groupby(cell).transform("sum")
    extra = pd.Series(rng.uniform(0, 3e4, 4)).reindex(out.groupby(cell).ngroup()).to_numpy()
    out["imbalance_prior"] = out["unsampled_prior"] * (own + extra) / own
    return out


def svy_total(records: pd.DataFrame, **design: object) -> tuple[pd.DataFrame, np.ndarray]:
    polars = pytest.importorskip("polars")
    svy = pytest.importorskip("svy")
    frame = polars.DataFrame({name: records[name].to_list() for name in records.columns})
    sample = svy.Sample(
        data=frame.with_columns(one=polars.lit(1.0)),
        design=svy.Design(stratum="stratum", psu="shift", wgt="w", **design),
    )
    if "target" in records:
        totals = records.groupby("direction")["target"].first().to_dict()
        sample = sample.weighting.poststratify(totals, cells="direction")
    found = sample.estimation.total("one", by="cell")
    table = pd.DataFrame({k: found.to_polars()[k].to_list() for k in ("cell", "est", "se")})
    return table, np.asarray(found.covariance)


def compare(own: SurveyTotals, table: pd.DataFrame, covariance: np.ndarray) -> None:
    order = table["cell"].argsort().to_numpy()
    np.testing.assert_allclose(own.table["estimate"], table["est"].to_numpy()[order], rtol=AGREE)
    np.testing.assert_allclose(
        own.table["standard_error"], table["se"].to_numpy()[order], rtol=AGREE
    )
    scale = np.sqrt(np.outer(np.diag(own.covariance), np.diag(own.covariance)))
    difference = (own.covariance - covariance[np.ix_(order, order)]) / scale
    assert np.abs(difference).max() < AGREE


@pytest.mark.parametrize("seed", range(20))
def test_totals_errors_and_covariance_agree_with_svy(seed: int) -> None:
    records = two_stage(seed)
    own = estimate_totals(records, cells=["cell"], weight="w", **DESIGN)
    compare(own, *svy_total(records))


@pytest.mark.parametrize("seed", range(20))
def test_calibrated_totals_agree_with_svy(seed: int) -> None:
    records = two_stage(seed)
    records["target"] = records["direction"].map({"arrival": 9e4, "departure": 4e4})
    by = records.groupby("direction")["w"].transform("sum")
    records["final"] = records["w"] * records["target"] / by
    stage = Calibration(("direction",), "w", "final")
    own = estimate_totals(records, cells=["cell"], weight="final", calibration=[stage], **DESIGN)
    compare(own, *svy_total(records))


@pytest.mark.parametrize("seed", range(5))
def test_centred_lonely_units_agree_with_svy(seed: int) -> None:
    records = two_stage(seed)
    records.loc[records["stratum"].isin([3, 4]), "shift"] = -1
    # svy leaves strata without the cell out of the mean over units; R's survey and this
    # package keep them. So the cells here are wide enough to occur in every stratum.
    records["cell"] = records["cell"].map(dict(zip("abcdef", "aaabbb", strict=True)))
    assert (records.groupby("stratum")["cell"].nunique() == 2).all()
    own = estimate_totals(records, cells=["cell"], weight="w", lonely_psu="centre", **DESIGN)
    compare(own, *svy_total(records, singleton="center"))
    skipped = estimate_totals(records, cells=["cell"], weight="w", lonely_psu="certainty", **DESIGN)
    compare(skipped, *svy_total(records, singleton="skip"))


@pytest.mark.parametrize("seed", range(5))
def test_centred_lonely_units_by_hand(seed: int) -> None:
    records = two_stage(seed)
    records.loc[records["stratum"].isin([3, 4]), "shift"] = -1
    own = estimate_totals(records, cells=["cell"], weight="w", lonely_psu="centre", **DESIGN)
    sums = records.pivot_table("w", ["stratum", "shift"], "cell", "sum", fill_value=0.0)
    expected = np.zeros((6, 6))
    for stratum, group in sums.groupby("stratum"):
        centre = sums.mean() if stratum in (3, 4) else group.mean()
        n = len(group)
        expected += (n / (n - 1) if n > 1 else 1) * (group - centre).T @ (group - centre).to_numpy()
    np.testing.assert_allclose(own.covariance, expected, rtol=1e-7)


def test_lonely_units_are_refused_without_a_rule() -> None:
    records = two_stage(1)
    records.loc[records["stratum"] == 3, "shift"] = -1
    with pytest.raises(DesignError, match=r"1 of 12 strata .*\(3\).*lonely_psu"):
        estimate_totals(records, cells=["cell"], weight="w", **DESIGN)


def test_variance_is_the_textbook_formula() -> None:
    records = two_stage(2)
    own = estimate_totals(records, cells=[], weight="w", **DESIGN)
    sums = records.groupby(["stratum", "shift"])["w"].sum()
    size = sums.groupby("stratum").size()
    expected = (size * sums.groupby("stratum").var(ddof=1)).sum()
    assert own.covariance[0, 0] == pytest.approx(expected, rel=EXACT)
    assert own.table["estimate"][0] == pytest.approx(records["w"].sum(), rel=EXACT)
    cv = np.sqrt(expected) / records["w"].sum()
    assert own.table["design_effect"][0] == pytest.approx(cv**2 * len(records), rel=EXACT)


def test_a_total_that_is_calibrated_has_no_sampling_error() -> None:
    records = calibrated(two_stage(3))
    kept = estimate_totals(
        records, cells=["direction"], weight="unsampled_prior", calibration=[TRAFFIC], **DESIGN
    )
    loose = estimate_totals(records, cells=["direction"], weight="unsampled_prior", **DESIGN)
    ratio = kept.table["standard_error"] / loose.table["standard_error"]
    assert (ratio < 1e-7).all()
    np.testing.assert_allclose(kept.table["estimate"], [70_000, 50_000], rtol=EXACT)


def test_jackknife_equals_linearisation_for_plain_totals() -> None:
    records = two_stage(4)
    one = estimate_totals(records, cells=["cell"], weight="w", **DESIGN)
    other = estimate_totals(records, cells=["cell"], weight="w", method="jackknife", **DESIGN)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=EXACT, atol=1e-4)


def test_linearisation_through_two_stages_is_the_derivative() -> None:
    """Move one shift's design weights by a little and recalibrate: the total's slope is its u."""
    records = calibrated(two_stage(5))
    stages = [TRAFFIC, UNSAMPLED]
    options = {"cells": ["cell"], "weight": "imbalance_prior", "calibration": stages, **DESIGN}
    taylor = estimate_totals(records, **options).covariance
    fixed = records.groupby("direction")["unsampled_prior"].first().index
    extra = (records["imbalance_prior"] - records["unsampled_prior"]).groupby(
        [records["region"], records["direction"]]
    )
    added = extra.sum()

    def totals(weight: pd.Series) -> np.ndarray:
        target = {"arrival": 70_000.0, "departure": 50_000.0}
        by = weight.groupby(records["direction"]).transform("sum")
        w = weight * records["direction"].map(target) / by
        cell = [records["region"], records["direction"]]
        own = w.groupby(cell).transform("sum")
        more = added.reindex(pd.MultiIndex.from_arrays(cell)).to_numpy()
        return (w * (own + more) / own).groupby(records["cell"]).sum().to_numpy()

    assert len(fixed) == 2
    step, expected = 1e-4, 0.0
    for _, stratum in records.groupby("stratum"):
        slopes = []
        for shift in stratum["shift"].unique():
            move = step * records["w"] * (records["shift"] == shift)
            slopes.append((totals(records["w"] + move) - totals(records["w"] - move)) / (2 * step))
        n = len(slopes)
        expected = expected + n * np.atleast_2d(np.cov(np.array(slopes).T, ddof=1))
    # central differences: relative error of order step^2
    np.testing.assert_allclose(np.sqrt(np.diag(taylor)), np.sqrt(np.diag(expected)), rtol=1e-6)
    np.testing.assert_allclose(taylor, expected, atol=1e-6 * np.diag(expected).max())


def test_replicates_of_calibrated_totals_are_near_the_linearisation() -> None:
    records = calibrated(two_stage(6, strata=30, units=12))
    options = {
        "cells": ["cell"],
        "weight": "imbalance_prior",
        "calibration": [TRAFFIC, UNSAMPLED],
        **DESIGN,
    }
    taylor = estimate_totals(records, **options).table["standard_error"]
    jackknife = estimate_totals(records, method="jackknife", **options).table["standard_error"]
    bootstrap = estimate_totals(
        records, method="bootstrap", replicates=2000, seed=1, **options
    ).table["standard_error"]
    # second-order terms of the jackknife, with about 200 shifts
    np.testing.assert_allclose(jackknife, taylor, rtol=0.03)
    # 2,000 replicates: standard error of a standard error 1.6 %, times 4
    np.testing.assert_allclose(bootstrap, taylor, rtol=0.065)
    ignoring = estimate_totals(records, **{**options, "calibration": []}).table["standard_error"]
    assert (np.abs(ignoring / taylor - 1) > 0.1).any()  # leaving calibration out is wrong


def test_shifts_that_met_nobody_count_as_units() -> None:
    records = two_stage(7)
    drawn = records.groupby("stratum", as_index=False)["shift"].nunique()
    drawn = drawn.rename(columns={"shift": "sampled"}).assign(sampled=lambda d: d["sampled"] + 1)
    own = estimate_totals(records, cells=[], weight="w", sampled=drawn, **DESIGN)
    sums = records.groupby(["stratum", "shift"])["w"].sum()
    expected = 0.0
    for _, group in sums.groupby("stratum"):
        full = np.append(group.to_numpy(), 0.0)
        expected += len(full) * full.var(ddof=1)
    assert own.covariance[0, 0] == pytest.approx(expected, rel=EXACT)
    again = estimate_totals(
        records, cells=[], weight="w", sampled=drawn, method="jackknife", **DESIGN
    )
    assert again.covariance[0, 0] == pytest.approx(expected, rel=EXACT)
    with pytest.raises(DesignError, match="fewer units"):
        estimate_totals(records, cells=[], weight="w", sampled=drawn.assign(sampled=1), **DESIGN)


def test_aggregating_cells_equals_estimating_the_aggregate() -> None:
    records = two_stage(8)
    fine = estimate_totals(records, cells=["direction", "cell"], weight="w", **DESIGN)
    coarse = estimate_totals(records, cells=["direction"], weight="w", **DESIGN)
    added = fine.aggregate(["direction"])
    np.testing.assert_allclose(added.covariance, coarse.covariance, rtol=EXACT, atol=1e-3)
    pd.testing.assert_frame_equal(added.table, coarse.table, rtol=EXACT)
    # arrivals and departures are sampled in separate strata, so their errors are independent
    assert abs(added.covariance[0, 1]) < EXACT * added.covariance[0, 0]
    with pytest.raises(DesignError, match="no cell label age"):
        fine.aggregate(["age"])


def test_only_counted_records_enter_the_total_but_all_shifts_enter_the_variance() -> None:
    records = two_stage(9).assign(migrant=lambda d: d["cell"] == "a")
    own = estimate_totals(records, cells=[], weight="w", counted="migrant", **DESIGN)
    full = estimate_totals(records, cells=["cell"], weight="w", **DESIGN)
    assert own.table["contacts"][0] == records["migrant"].sum()
    assert own.covariance[0, 0] == pytest.approx(full.covariance[0, 0], rel=EXACT)


CELLS = pd.DataFrame({"cell": list("gfedcba")})  # 'g' is never met


def test_cells_without_contacts_are_listed_where_the_user_expects_them() -> None:
    records = two_stage(10)
    plain = estimate_totals(records, cells=["cell"], weight="w", **DESIGN)
    listed = estimate_totals(records, cells=["cell"], weight="w", expected_cells=CELLS, **DESIGN)
    assert listed.table["cell"].tolist() == list("gfedcba")
    empty = listed.table.iloc[0]
    assert (empty["contacts"], empty["estimate"]) == (0, 0.0)
    # not 0: a cell that nobody was met in is not known exactly
    assert np.isnan(empty["standard_error"]) and np.isnan(empty["design_effect"])
    assert np.isnan(listed.covariance[0]).all() and np.isnan(listed.covariance[:, 0]).all()
    met = listed.table.iloc[:0:-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(met, plain.table)
    np.testing.assert_array_equal(listed.covariance[:0:-1, :0:-1], plain.covariance)
    assert "7 cells by cell, 1 of them without contacts" in str(listed)
    assert "6 cells by cell, those without contacts unlisted" in str(plain)


def test_a_sum_over_cells_without_contacts_keeps_its_error() -> None:
    records = two_stage(11)
    every = pd.MultiIndex.from_product(
        [["arrival", "departure", "transit"], list("abcdefg")], names=["direction", "cell"]
    ).to_frame(index=False)
    cells = ["direction", "cell"]
    listed = estimate_totals(records, cells=cells, weight="w", expected_cells=every, **DESIGN)
    coarse = estimate_totals(records, cells=["direction"], weight="w", **DESIGN)
    added = listed.aggregate(["direction"])
    pd.testing.assert_frame_equal(added.table.iloc[:2], coarse.table, rtol=EXACT)
    assert np.isnan(added.table["standard_error"][2])


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (CELLS.iloc[1:-1], r"1 cells were met and are not listed \(a\)"),
        (pd.concat([CELLS, CELLS.iloc[:2]]), r"2 cells are listed twice \(g, f\)"),
        (CELLS.rename(columns={"cell": "group"}), "expected_cells: no column cell"),
    ],
)
def test_bad_lists_of_cells_are_refused(expected: pd.DataFrame, message: str) -> None:
    records = two_stage(1)
    with pytest.raises(DesignError, match=message):
        estimate_totals(records, cells=["cell"], weight="w", expected_cells=expected, **DESIGN)


@pytest.mark.parametrize(
    ("edit", "options", "message"),
    [
        ({"w": -1.0}, {}, r"have a w that is missing, negative \(stratum 0, .*; rows 0, 1"),
        ({"cell": None}, {}, "column 'cell': .* records have no label"),
        ({}, {"method": "bootstrap"}, "pass seed="),
        ({}, {"method": "guess"}, "allowed are taylor"),
        ({}, {"cells": ["age"]}, "the records: no column age"),
        ({"flag": None}, {"counted": "flag"}, "neither True nor False"),
        ({}, {"calibration": [Calibration(("direction",), "w", "twice")]}, "List every stage"),
        ({}, {"calibration": [Calibration(("cell",), "w", "v")]}, "factor is not constant"),
    ],
)
def test_bad_input_is_refused(edit: dict, options: dict, message: str) -> None:
    records = (
        two_stage(1).assign(v=lambda d: d["w"] ** 2, twice=lambda d: 2 * d["w"]).assign(**edit)
    )
    with pytest.raises(DesignError, match=message):
        estimate_totals(records, **{"cells": ["cell"], "weight": "w", **DESIGN, **options})


@pytest.mark.parametrize(
    "module",
    [estimation, variance_function, replicates, interviews, design, weighting, switchers],
)
def test_examples_in_the_docstrings_run(module: object) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0
