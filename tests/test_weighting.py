"""The six weighting stages: identities, worked cases, refusals, and ONS's own outputs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imps.errors import WeightError
from imps.survey.weighting import (
    FINAL_FACTORS,
    StageWeights,
    final_weights,
    imbalance_weights,
    minimums_weights,
    non_response_weights,
    shift_weights,
    traffic_weights,
    unsampled_weights,
    weight_records,
)

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "ips"
needs_data = pytest.mark.skipif(
    not DATA.exists(), reason=f"ONS's weighting outputs are not in {DATA.parts[-3:]}"
)
PRINTED = 0.0005  # the oracle prints weights to three decimals
FINAL = 0.003  # relative: products of six weights that were rounded to three decimals
EXACT = 1e-12  # relative: sums of a few thousand doubles
PERIODS = ("dec2017", "q3_2017")


def largest_miss(stage: StageWeights) -> float:
    """Largest relative distance of a stratum's weighted sum from its target."""
    known = stage.summary.dropna(subset=["target", "sum_after"]).query("target > 0")
    miss = (known["sum_after"] - known["target"]).abs() / known["target"]
    return float(miss.max()) if len(miss) else 0.0


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"{name}.csv")


def expand(table: pd.DataFrame, size: pd.Series) -> pd.DataFrame:
    """One record per interview of each row; `row` is the row, `turn` counts within it."""
    records = table.loc[table.index.repeat(size.astype(int))].copy()
    records["row"] = records.index
    records["turn"] = records.groupby("row").cumcount()
    return records.reset_index(drop=True).assign(interview=lambda d: np.arange(len(d)))


# --- small worked cases ---------------------------------------------------------------


def small_records() -> pd.DataFrame:
    """Eight interviews at one airport, worked by hand."""
    return pd.DataFrame(
        {
            "interview": range(1, 9),
            "port_group": "H",
            "direction": "arrival",
            "day_type": ["weekday"] * 6 + ["weekend"] * 2,
            "time_of_day": "am",
            "transport": "air",
            "shift": [1, 1, 1, 2, 2, 2, 3, 3],
            "migration_interval": 10,
            "tourism_interval": 20,
            "migrant": [True, False, False, False, False, False, True, False],
            "interview_type": [
                *("full", "full", "minimum", "full"),
                *("migration_slot", "non_response", "full", "full"),
            ],
            "flow": 3,
            "region": 0,
        }
    )


def small_totals() -> dict[str, pd.DataFrame]:
    port = {"port_group": ["H", "H"], "direction": ["arrival"] * 2}
    days = {**port, "day_type": ["weekday", "weekend"]}
    one = {"port_group": ["H"], "direction": ["arrival"]}
    return {
        "shifts": pd.DataFrame({**days, "time_of_day": ["am", "am"], "possible": [40, 9]}),
        "non_response": pd.DataFrame({**days, "migrants": [1, 0], "ordinary": [2, 1]}),
        "traffic": pd.DataFrame({**one, "passengers": [6000.0]}),
        "unsampled": pd.DataFrame({**one, "region": [0], "passengers": [300.0]}),
    }


def test_stages_of_the_worked_case() -> None:
    records, stages = weight_records(small_records(), **small_totals())
    # shift: 40 possible / 2 sampled x 10 = 200; 9 / 1 x 10 = 90
    assert records["shift_weight"].tolist() == [200.0] * 6 + [90.0] * 2
    # non-response: G = 5 x 200 + 2 x 90 = 1180; N = 3 x 200 + 1 x 90 + 200 (one record) = 890
    ratio = (1180 + 890) / 1180
    expected = np.array([1, 2, 2, 2, 2, 0, 1, 2]) * ratio  # 2 = 20 / 10 for non-migrants
    np.testing.assert_allclose(records["non_response_weight"], expected, rtol=EXACT)
    # minimums, in units of the ratio: minimum 400; fulls 200 + 400 + 400 + 90 + 180
    full = (1270 + 400) / 1270
    np.testing.assert_allclose(
        records["minimums_weight"], [full, full, 0, full, 1, 0, full, full], rtol=EXACT
    )
    assert records["traffic_weight"][0] == pytest.approx(6000 / (2070 * ratio), rel=EXACT)
    assert records["final_weight"].sum() == pytest.approx(6300.0, rel=EXACT)
    assert all(largest_miss(stage) < EXACT for stage in stages.values())
    assert stages["shift"].checks["problem"].tolist() == ["one sampled shift or crossing"]
    assert "day_type 'weekend'" in stages["shift"].checks["stratum"][0]
    assert all(len(stages[name].checks) == 0 for name in ("non_response", "traffic", "unsampled"))


def test_sea_routes_count_pairs_of_shift_and_crossing() -> None:
    records = small_records().assign(transport="sea", crossing=[1, 2, 2, 1, 1, 1, 5, 6])
    got = shift_weights(records, small_totals()["shifts"])
    # weekday: pairs (1,1), (1,2), (2,1) of 40 possible crossings; weekend: two of 9
    np.testing.assert_allclose(got.weights, [400 / 3] * 6 + [45.0] * 2, rtol=EXACT)


def test_sampled_shifts_that_met_nobody_are_counted_when_given() -> None:
    totals = small_totals()["shifts"].assign(sampled=[4, 1])
    assert shift_weights(small_records(), totals).weights.iloc[0] == 100.0
    for sampled in ([1, 1], [4, 10]):
        with pytest.raises(WeightError, match=r"fewer sampled shifts .*more than were possible"):
            shift_weights(small_records(), totals.assign(sampled=sampled))


def test_imbalance_moves_visitors_and_leaves_the_total_and_migrants() -> None:
    records = pd.DataFrame(
        {
            "interview": range(5),
            "port_route": 121,
            "direction": "departure",
            "resident": ["overseas", "overseas", "uk", "uk", "overseas"],
            "eligible": [True, True, True, True, False],
            "country": ["FR", "US", "FR", "FR", "US"],
            "w": [100.0, 50.0, 200.0, 100.0, 70.0],
        }
    )
    factors = pd.DataFrame({"port_route": [121], "direction": ["departure"], "factor": [1.1]})
    country = pd.DataFrame({"country": ["US"], "factor": [0.9]})
    got = imbalance_weights(records, factors, prior="w", country_factors=country)
    moved = 100 * 0.1 + 50 * (1.1 * 0.9 - 1)
    np.testing.assert_allclose(
        got.weights, [1.1, 0.99, 1 - moved / 300, 1 - moved / 300, 1.0], rtol=EXACT
    )
    assert largest_miss(got) < EXACT
    with pytest.raises(WeightError, match="no UK residents"):
        imbalance_weights(records.iloc[:2], factors, prior="w")


@pytest.mark.parametrize("seed", range(5))
def test_every_stage_meets_its_totals_for_random_records(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3000
    records = pd.DataFrame(
        {
            "interview": rng.permutation(n),
            "port_group": rng.choice(["A", "B", "C"], n),
            "direction": rng.choice(["arrival", "departure"], n),
            "region": rng.choice(["north", "south"], n),
            "w": rng.uniform(10, 500, n),
        }
    )
    strata = ["port_group", "direction"]
    traffic = records[strata].drop_duplicates().assign(passengers=rng.uniform(1e5, 2e6, 6))
    stage = traffic_weights(records, traffic, prior="w")
    sums = (records["w"] * stage.weights).groupby([records[k] for k in strata]).sum()
    np.testing.assert_allclose(sums, traffic.set_index(strata)["passengers"].sort_index())
    assert largest_miss(stage) < EXACT
    cells = records[["port_group", "region", "direction"]].drop_duplicates()
    extra = cells.assign(passengers=rng.uniform(0, 9e4, len(cells)))
    more = unsampled_weights(records, extra, prior="w")
    assert largest_miss(more) < EXACT
    total = (records["w"] * more.weights).sum()
    assert total == pytest.approx(records["w"].sum() + extra["passengers"].sum(), rel=EXACT)


def test_splitting_a_stratum_of_equal_weights_changes_nothing() -> None:
    records = small_records()
    totals = small_totals()["shifts"]
    split = pd.concat([totals.assign(possible=totals["possible"] - 3), totals.assign(possible=3)])
    pd.testing.assert_series_equal(
        shift_weights(records, split).weights, shift_weights(records, totals).weights
    )


def test_what_deserves_a_look_is_listed_and_not_refused() -> None:
    totals = small_totals()
    empty = totals["traffic"].assign(direction="departure", passengers=0.0)
    traffic = pd.concat([totals["traffic"], empty], ignore_index=True)
    one = traffic_weights(small_records().iloc[[0]].assign(w=10.0), traffic, prior="w")
    assert one.checks["problem"].tolist() == ["one interview", "no interviews and a total of 0"]
    assert "departure" in one.checks["stratum"][1]
    many = shift_weights(small_records(), totals["shifts"].assign(possible=[4000, 9]))
    assert "mean weight outside 50 to 5000" in many.checks["problem"].tolist()
    assert many.checks["value"].max() == 20_000.0


# --- refusals -------------------------------------------------------------------------


def change(records: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    out = records.astype({column: object})
    out.loc[row, column] = value
    return out


# port, direction, day and time of row 3, as messages name them
STRATUM = r"port_group 'H' direction 'arrival' day_type 'weekday' time_of_day 'am'"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("interview", 1, rf"shift stage: 2 records share .*{STRATUM}; rows 0, 3"),
        (
            "direction",
            "transit",
            r"shift stage: direction 'transit' in 1 records "
            r"\(port_group 'H' direction 'transit' .*; rows 3\)",
        ),
        ("day_type", "holiday", r"shift stage: 1 of 8 records .*day_type 'holiday'.*rows 3"),
        ("migration_interval", 0, rf"shift stage: 1 of 8 .*migration_interval.*{STRATUM}; rows 3"),
        (
            "migration_interval",
            np.nan,
            rf"shift stage: .*missing, zero or negative \({STRATUM}; rows 3\)",
        ),
        (
            "port_group",
            None,
            r"shift stage: 1 of 8 records have no port_group or .*rows 3\): an interview without "
            "stratum",
        ),
        ("shift", None, rf"shift stage: 1 records have no shift .*{STRATUM}; rows 3"),
        ("transport", "sea", "crossings, mixed with others"),
        ("transport", "rocket", r"port_group 'H' .*rows 3\); allowed are air, sea, tunnel"),
        (
            "interview_type",
            "maybe",
            r"non-response stage: interview_type 'maybe' .*day_type 'weekday'; rows 3",
        ),
        ("migrant", np.nan, r"non-response stage: 1 of 8 records have a migrant that is neither"),
    ],
)
def test_bad_records_are_refused(column: str, value: object, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        weight_records(change(small_records(), 3, column, value), **small_totals())


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        (
            "shifts",
            {"possible": [40, -9]},
            "shift stage: 1 of 2 rows of the totals are negative.*day_type 'weekend'.*; rows 1",
        ),
        (
            "shifts",
            {"possible": [0, 9]},
            rf"shift stage: a zero or missing factor for 6 records \({STRATUM}; rows 0, 1, 2",
        ),
        (
            "traffic",
            {"passengers": [np.nan]},
            "traffic stage: 1 of 1 rows .*port_group 'H' direction 'arrival'; rows 0",
        ),
        ("traffic", {"passengers": ["many"]}, "traffic stage: 1 of 1 rows .*no number"),
        (
            "traffic",
            {"passengers": [0.0]},
            "traffic stage: a zero or missing factor for 6 records "
            r"\(port_group 'H' direction 'arrival'; rows 0, 1, 3",
        ),
        (
            "unsampled",
            {"region": [1]},
            r"unsampled stage: 8 of 8 records are in strata without.*region.*0.*; rows 0, 1",
        ),
    ],
)
def test_bad_totals_are_refused(name: str, edit: dict, message: str) -> None:
    totals = small_totals()
    totals[name] = totals[name].assign(**edit)
    with pytest.raises(WeightError, match=message):
        weight_records(small_records(), **totals)


@pytest.mark.parametrize("name", ["shifts", "non_response", "traffic", "unsampled"])
def test_a_total_with_no_records_is_refused(name: str) -> None:
    totals = small_totals()
    table = totals[name]
    value = {"shifts": "possible", "non_response": "ordinary"}.get(name, "passengers")
    extra = table.iloc[:1].assign(direction="departure", **{value: 5.0})
    totals[name] = pd.concat([table, extra], ignore_index=True)
    stage = {"shifts": "shift", "non_response": "non-response"}.get(name, name)
    with pytest.raises(
        WeightError,
        match=rf"{stage} stage: 1 strata have a total .*'departure'.*totals {len(table)}",
    ):
        weight_records(small_records(), **totals)


@pytest.mark.parametrize("name", ["shifts", "non_response", "traffic", "unsampled"])
def test_a_record_whose_stratum_has_no_total_is_refused(name: str) -> None:
    totals = small_totals()
    totals[name] = totals[name].assign(port_group="elsewhere")
    stage = {"shifts": "shift", "non_response": "non-response"}.get(name, name)
    with pytest.raises(
        WeightError,
        match=rf"{stage} stage: 8 of 8 records are in strata without a total "
        r"\(port_group 'H' .*direction 'arrival'.*; rows 0, 1, 2, 3, 4 and 3 more\)",
    ):
        weight_records(small_records(), **totals)


def test_weights_given_twice_are_refused() -> None:
    records, _ = weight_records(small_records(), **small_totals())
    with pytest.raises(WeightError, match=r"weights already \(shift_weight, .*a second time"):
        weight_records(records, **small_totals())


def test_periods_are_weighted_apart() -> None:
    totals = small_totals()
    later = {name: table.copy() for name, table in totals.items()}
    later["traffic"]["passengers"] = 9000.0
    both = [small_records().assign(year=2001), small_records().assign(year=2002)]
    records = pd.concat(both, ignore_index=True).assign(interview=range(16))
    joined = {
        name: pd.concat([totals[name].assign(year=2001), later[name].assign(year=2002)])
        for name in totals
    }
    got, _ = weight_records(records, **joined, by=["year"])
    apart = [weight_records(small_records(), **t)[0]["final_weight"] for t in (totals, later)]
    np.testing.assert_allclose(got["final_weight"], np.concatenate(apart), rtol=EXACT)


def test_minimums_without_a_full_interview_are_refused() -> None:
    records = small_records().iloc[[2]].assign(w=10.0)
    with pytest.raises(WeightError, match="minimum interviews but no full one"):
        minimums_weights(records, prior="w")


def by_non_response(records: pd.DataFrame) -> StageWeights:
    return non_response_weights(records, small_totals()["non_response"], prior="w")


def by_minimums(records: pd.DataFrame) -> StageWeights:
    return minimums_weights(records, prior="w")


def by_traffic(records: pd.DataFrame) -> StageWeights:
    return traffic_weights(records, small_totals()["traffic"], prior="w")


def by_unsampled(records: pd.DataFrame) -> StageWeights:
    return unsampled_weights(records, small_totals()["unsampled"], prior="w")


def by_imbalance(records: pd.DataFrame) -> StageWeights:
    records = records.assign(port_route=121, resident="uk", eligible=True)
    factors = pd.DataFrame({"port_route": [121], "direction": ["arrival"], "factor": [1.0]})
    return imbalance_weights(records, factors, prior="w")


def by_final(records: pd.DataFrame) -> StageWeights:
    return final_weights(records, factors=["w"])


STAGES = {
    "non-response": (by_non_response, "port_group 'H' direction 'arrival' day_type 'weekday'"),
    "minimums": (by_minimums, "port_group 'H' flow 3"),
    "traffic": (by_traffic, "port_group 'H' direction 'arrival'"),
    "unsampled": (by_unsampled, "port_group 'H' region 0 direction 'arrival'"),
    "imbalance": (by_imbalance, "port_route 121 direction 'arrival'"),
    "final": (by_final, "port_group 'H' direction 'arrival'"),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_negative_and_missing_weights_name_stage_stratum_and_rows(stage: str, value: float) -> None:
    run, stratum = STAGES[stage]
    records = small_records().assign(w=10.0)
    records.loc[[1, 4], "w"] = value
    with pytest.raises(WeightError) as caught:
        run(records)
    message = str(caught.value)
    assert f"{stage} stage: 2 of 8 records have a w that is missing" in message
    assert stratum in message and "rows 1, 4" in message


@pytest.mark.parametrize("stage", ["non-response", "minimums"])
def test_zero_weights_are_refused_before_a_stage_has_dropped_records(stage: str) -> None:
    records = small_records().assign(w=10.0)
    records.loc[1, "w"] = 0.0
    with pytest.raises(WeightError, match=rf"{stage} stage: .*zero or negative.*'H'.*rows 1"):
        STAGES[stage][0](records)


@pytest.mark.parametrize("stage", STAGES)
def test_repeated_interviews_name_stage_stratum_and_rows(stage: str) -> None:
    records = small_records().assign(w=10.0)
    records.loc[4, "interview"] = records.loc[1, "interview"]
    run, stratum = STAGES[stage]
    with pytest.raises(WeightError) as caught:
        run(records)
    assert f"{stage} stage: 2 records share an interview identifier" in str(caught.value)
    assert stratum in str(caught.value) and "rows 1, 4" in str(caught.value)


# --- ONS's outputs --------------------------------------------------------------------


def shift_case(period: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Records and totals that lead to the published summary: sampled shifts and intervals."""
    names = {
        "SHIFT_PORT_GRP_PV": "port_group",
        "ARRIVEDEPART": "direction",
        "WEEKDAY_END_PV": "day_type",
        "AM_PM_NIGHT_PV": "time_of_day",
        "MIGSI": "migration_interval",
    }
    summary = read(f"{period}_shift_summary_expected").rename(columns=names)
    keys = list(names.values())
    summary = summary.dropna(subset=[*keys, "MEAN_SH_WT"]).reset_index(drop=True)
    summary["direction"] = summary["direction"].map({1: "arrival", 2: "departure"})
    size = np.maximum(summary["COUNT_RESPS"], summary["SAMP_SHIFT_CROSS"])
    records = expand(summary, size)
    sea = pd.to_numeric(records["port_group"], errors="coerce").between(600, 900)
    records["transport"] = np.where(sea, "sea", "air")
    unit = records["turn"] % records["SAMP_SHIFT_CROSS"]
    records["shift"], records["crossing"] = np.where(sea, unit // 2, unit), unit % 2
    totals = summary.drop_duplicates(keys[:4]).rename(columns={"POSS_SHIFT_CROSS": "possible"})
    return summary, records, totals


@needs_data
@pytest.mark.parametrize(("period", "strata"), [("dec2017", 134), ("q3_2017", None)])
def test_shift_weights_of_ons(period: str, strata: int | None) -> None:
    summary, records, totals = shift_case(period)
    assert strata is None or len(summary) == strata
    weights = shift_weights(records, totals).weights
    by_row = weights.groupby(records["row"]).agg(["min", "max"])
    assert (by_row["min"] - summary["MIN_SH_WT"]).abs().max() <= PRINTED
    assert (by_row["max"] - summary["MAX_SH_WT"]).abs().max() <= PRINTED


@needs_data
def test_possible_shifts_of_ons_add_up_to_the_summary() -> None:
    totals = read("dec2017_shift_possible_input")
    keys = ["SHIFT_PORT_GRP_PV", "ARRIVEDEPART", "WEEKDAY_END_PV", "AM_PM_NIGHT_PV"]
    summary = read("dec2017_shift_summary_expected").dropna(subset=[*keys, "MEAN_SH_WT"])
    possible = totals.groupby(keys)["TOTAL"].sum()
    found = possible.reindex(pd.MultiIndex.from_frame(summary[keys])).to_numpy()
    np.testing.assert_array_equal(found, summary["POSS_SHIFT_CROSS"])


def non_response_case(period: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    names = {
        "NR_PORT_GRP_PV": "port_group",
        "ARRIVEDEPART": "direction",
        "WEEKDAY_END_PV": "day_type",
    }
    keys = list(names.values())
    summary = read(f"{period}_nonresponse_summary_expected").rename(columns=names)
    summary = summary.dropna(subset=["COUNT_RESPS", *keys]).reset_index(drop=True)
    records = expand(summary, summary["COUNT_RESPS"]).assign(interview_type="full", migrant=True)
    records["shift_weight"] = records["PRIOR_SUM"] / records["COUNT_RESPS"]
    if period == "dec2017":
        counts = read("dec2017_nonresponse_counts_input").rename(columns=names)
        counts = counts.groupby(keys, as_index=False)[["MIGTOTAL", "ORDTOTAL"]].sum()
        counts = counts.merge(summary[keys], how="right").fillna(0)
        counts = counts.rename(columns={"MIGTOTAL": "migrants", "ORDTOTAL": "ordinary"})
    else:
        counts = summary[keys].assign(migrants=0, ordinary=0)
    # what the counts leave of the published sum are the records coded as non-response
    mean = summary["PRIOR_SUM"] / summary["COUNT_RESPS"]
    counted = (mean * (counts["migrants"] + counts["ordinary"])).groupby(
        [summary[k] for k in keys[:2]]
    )
    left = summary.groupby(keys[:2])["GNR"].first() - counted.sum()
    first = summary.drop_duplicates(keys[:2])
    coded = first.assign(
        shift_weight=left.reindex(pd.MultiIndex.from_frame(first[keys[:2]])).to_numpy(),
        interview_type="non_response",
        migrant=False,
    ).query("shift_weight > 0.01")
    both = pd.concat([records, coded], ignore_index=True)
    both = both.assign(migration_interval=10, tourism_interval=20, interview=range(len(both)))
    recode = {1: "arrival", 2: "departure"}
    return (
        summary,
        both.assign(direction=both["direction"].map(recode)),
        counts.assign(direction=counts["direction"].map(recode)),
    )


@needs_data
@pytest.mark.parametrize(("period", "strata"), [("dec2017", 122), ("q3_2017", None)])
def test_non_response_weights_of_ons(period: str, strata: int | None) -> None:
    summary, records, counts = non_response_case(period)
    assert strata is None or len(summary) == strata
    stage = non_response_weights(records, counts)
    used = (records["interview_type"] == "full").to_numpy()
    got = stage.weights[used].groupby(records.loc[used, "row"]).agg(["min", "max"])
    assert (got["min"] - summary["MEAN_NR_WT"]).abs().max() <= PRINTED
    assert (got["max"] - summary["MEAN_NR_WT"]).abs().max() <= PRINTED
    assert largest_miss(stage) < EXACT


@needs_data
@pytest.mark.parametrize(("period", "strata"), [("dec2017", 177), ("q3_2017", 209)])
def test_minimums_weights_of_ons(period: str, strata: int) -> None:
    summary = read(f"{period}_minimums_summary_expected").fillna(
        {"MINS_CTRY_GRP_PV": -1, "MINS_CASES": 0}
    )
    assert len(summary) == strata
    parts = []
    slots = summary["PRIOR_GROSS_ALL"] - summary["PRIOR_GROSS_MINS"] - summary["PRIOR_GROSS_FULLS"]
    for kind, count, total in [
        ("full", summary["FULLS_CASES"], summary["PRIOR_GROSS_FULLS"]),
        ("minimum", summary["MINS_CASES"], summary["PRIOR_GROSS_MINS"]),
        ("migration_slot", (slots > 0.01).astype(int), slots),
    ]:
        part = expand(summary.assign(w=total / count.where(count > 0)), count)
        parts.append(part.assign(interview_type=kind))
    records = pd.concat(parts, ignore_index=True).assign(interview=lambda d: range(len(d)))
    stage = minimums_weights(records, prior="w", strata=["MINS_PORT_GRP_PV", "MINS_CTRY_GRP_PV"])
    full = (records["interview_type"] == "full").to_numpy()
    got = stage.weights[full].groupby(records.loc[full, "row"]).first()
    assert (got - summary["MINS_WT"]).abs().max() <= PRINTED
    np.testing.assert_allclose(
        (records["w"] * stage.weights).groupby(records["row"]).sum(), summary["POST_SUM"], rtol=1e-6
    )


@needs_data
@pytest.mark.parametrize("period", PERIODS)
def test_traffic_weights_of_ons(period: str) -> None:
    keys = ["SAMP_PORT_GRP_PV", "ARRIVEDEPART"]
    summary = read(f"{period}_traffic_summary_expected")
    if period == "dec2017":
        totals = read("dec2017_traffic_totals_input")
        np.testing.assert_allclose(
            totals.groupby(keys)["TRAFFICTOTAL"].sum(),
            summary.set_index(keys)["TRAFFICTOTAL"].sort_index(),
            rtol=EXACT,
        )
    filled = summary.dropna(subset=["TRAFFIC_WT"]).reset_index(drop=True)
    assert period != "dec2017" or len(filled) == 77
    # the summary prints the weighted sum after the stage and the weight to three decimals; the
    # prior sum is then known to that precision only, so this checks consistency, and the
    # record-level test below the weights themselves
    records = expand(filled, filled["CASES"])
    records["w"] = records["SUM_TRAFFIC_WT"] / records["TRAFFIC_WT"] / records["CASES"]
    records["direction"] = records["ARRIVEDEPART"].map({1: "arrival", 2: "departure"})
    table = filled.rename(columns={"TRAFFICTOTAL": "passengers"})
    table["direction"] = table["ARRIVEDEPART"].map({1: "arrival", 2: "departure"})
    strata = ["SAMP_PORT_GRP_PV", "direction"]
    stage = traffic_weights(records, table, prior="w", strata=strata)
    got = stage.weights.groupby(records["row"]).first()
    assert (got - filled["TRAFFIC_WT"]).abs().max() <= PRINTED


@needs_data
def test_traffic_and_final_weights_of_every_october_record() -> None:
    records = read("oct2017_records_traffic_to_final")
    records = records.rename(columns={"ROW": "interview"})
    totals = read("oct2017_traffic_totals_input").rename(columns={"TRAFFICTOTAL": "passengers"})
    assert len(records) == 8195
    for table in (records, totals):
        table["direction"] = table["ARRIVEDEPART"].map({1: "arrival", 2: "departure"})
    strata = ["SAMP_PORT_GRP_PV", "direction"]
    stage = traffic_weights(records, totals, prior="TRAF_DESIGN_WEIGHT", strata=strata)
    assert (stage.weights - records["TRAFFIC_WT"]).abs().max() <= PRINTED
    assert largest_miss(stage) < EXACT
    given = ["SHIFT_WT", "NON_RESPONSE_WT", "MINS_WT", "TRAFFIC_WT", "UNSAMP_TRAFFIC_WT"]
    named = records.rename(columns=dict(zip([*given, "IMBAL_WT"], FINAL_FACTORS, strict=True)))
    final = final_weights(named).weights
    assert (final / records["FINAL_WT"] - 1).abs().max() <= FINAL


@needs_data
@pytest.mark.parametrize("period", PERIODS)
def test_unsampled_weights_of_ons(period: str) -> None:
    keys = ["UNSAMP_PORT_GRP_PV", "UNSAMP_REGION_GRP_PV", "ARRIVEDEPART"]
    summary = read(f"{period}_unsampled_summary_expected").fillna({keys[1]: 0})
    assert period != "dec2017" or len(summary) == 203
    records = expand(summary, summary["CASES"])
    records["w"] = records["SUM_PRIOR_WT"] / records["CASES"]
    if period == "dec2017":
        totals = read("dec2017_unsampled_totals_input").fillna({keys[1]: 0})
        totals = totals.rename(columns={"UNSAMP_TOTAL": "passengers"})[[*keys, "passengers"]]
        # cells without an unsampled route are not in the file: they are listed with 0
        totals = pd.concat([totals, summary[keys].assign(passengers=0)])
    else:
        extra = summary["SUM_UNSAMP_TRAFFIC_WT"] - summary["SUM_PRIOR_WT"]
        totals = summary[keys].assign(passengers=extra.clip(lower=0))
    for table in (records, totals):
        table["direction"] = table["ARRIVEDEPART"].map({1: "arrival", 2: "departure"})
    strata = [*keys[:2], "direction"]
    stage = unsampled_weights(records, totals, prior="w", strata=strata)
    got = stage.weights.groupby(records["row"]).first()
    assert (got - summary["UNSAMP_TRAFFIC_WT"]).abs().max() <= PRINTED


@needs_data
@pytest.mark.parametrize("period", PERIODS)
def test_final_weights_of_the_samples(period: str) -> None:
    sample = read(f"{period}_final_weight_sample").rename(columns={"ROW": "interview"})
    sample = sample.dropna(subset=["FINAL_WT"])
    columns = ["SHIFT_WT", "NON_RESPONSE_WT", "MINS_WT", "TRAFFIC_WT", "UNSAMP_TRAFFIC_WT"]
    got = final_weights(sample, factors=[*columns, "IMBAL_WT"])
    assert isinstance(got, StageWeights)
    assert (got.weights / sample["FINAL_WT"] - 1).abs().max() <= FINAL
