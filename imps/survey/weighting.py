"""The six weighting stages of the International Passenger Survey.

An interview stands for other passengers six times over: for the shifts and crossings
that were not sampled and the passengers between two sampled ones (shift weight), for
those who could not be interviewed (non-response), for those who gave a minimum of answers
(minimums), for all passengers of the port (traffic), for routes without a survey
(unsampled), and for visitors who balance over a year (imbalance). The final weight is
the product.

Every stage takes a table of records and, where it has one, a table of totals, and
returns :class:`StageWeights`: the weights, a summary with one row per stratum, and checks.
What a stage cannot resolve without a guess is a :class:`~imps.errors.WeightError`.

Columns of the records, in the field's words
    `interview` (identifier), `port_group`, `direction` ('arrival', 'departure'),
    `day_type` (weekday, weekend), `time_of_day`, `transport` ('air', 'sea', 'tunnel'),
    `shift`, `crossing` (identifiers), `migration_interval` (one passenger in so many is
    screened for migrants), `tourism_interval` (one in so many is interviewed at length),
    `migrant` (True for a migrant's interview), `interview_type` ('full', 'minimum',
    'migration_slot', 'non_response'), `flow`, `region`, and for the imbalance stage
    `port_route`, `resident` ('overseas', 'uk'), `eligible`, `country`.
A survey may group its ports differently at each stage: name the columns in `strata`.

References
----------
ONS, International Passenger Survey: overview of weighting methodology; formulas checked against
the outputs of ONS's own system for October and December 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imps.errors import WeightError, some
from imps.survey.imbalance import IMBALANCE_STRATA, imbalance_weights
from imps.survey.stage_weights import (
    StageWeights,
    flags,
    index_of,
    interview_checks,
    interview_types,
    labels,
    own_strata,
    positive,
    refuse_not_positive,
    refuse_strata,
    require,
    sampled_units,
    shift_checks,
    stratum_codes,
    totals_table,
    transport_of,
)

SHIFT_STRATA = ("port_group", "direction", "day_type", "time_of_day")
NON_RESPONSE_STRATA = ("port_group", "direction")
MINIMUMS_STRATA = ("port_group", "flow")
TRAFFIC_STRATA = ("port_group", "direction")
UNSAMPLED_STRATA = ("port_group", "region", "direction")

PLAUSIBLE_SHIFT_WEIGHTS = (50.0, 5000.0)
"""Shift weights outside are flagged, as in the ONS system; they are not refused."""

FINAL_FACTORS = (
    "shift_weight",
    "non_response_weight",
    "minimums_weight",
    "traffic_weight",
    "unsampled_weight",
    "imbalance_weight",
)


def shift_weights(
    records: pd.DataFrame,
    totals: pd.DataFrame,
    *,
    strata: Sequence[str] = SHIFT_STRATA,
    plausible: tuple[float, float] = PLAUSIBLE_SHIFT_WEIGHTS,
) -> StageWeights:
    """Weight for shifts, crossings and passengers that the sampling left out.

    Parameters
    ----------
    records : DataFrame
        `interview`, the `strata`, `transport`, `shift`, `migration_interval`, and for sea
        routes `crossing`.
    totals : DataFrame
        The `strata` and `possible`: possible shifts (air, tunnel) or crossings (sea) in the
        period; several rows of a stratum are added. Optional `sampled`: the number that
        was sampled, where some met nobody and left no record.
    strata : columns
    plausible : (lowest, highest)
        Weights outside it are warned about.

    Notes
    -----
    weight = (possible / sampled) x migration interval. Sampled are the distinct
    shifts of the stratum on air and tunnel routes, and the distinct pairs of shift and
    crossing on sea routes; the factor of the other kind is 1.

    Raises
    ------
    WeightError
        For a record without a total, a total without records, a zero or missing
        factor, a repeated interview, a direction other than arrival or departure.
    """
    stage = "shift"
    require(
        records, ["interview", *strata, "transport", "shift", "migration_interval"], stage, strata
    )
    table = totals_table(totals, strata, ["possible"], stage, optional=["sampled"])
    code = stratum_codes(records, table, strata, stage, total="possible")
    interval = positive(records, "migration_interval", stage, strata)
    table["transport"] = transport_of(records, code, table, strata, stage)
    table["interviews"] = np.bincount(code, minlength=len(table))
    counted = sampled_units(records, code, table["transport"].to_numpy(), stage, strata)
    if "sampled" not in table:
        table["sampled"] = counted
    odd = (table["sampled"] < counted) | (table["sampled"] > table["possible"])
    if "sampled" in totals and odd.any():
        raise WeightError(
            f"{stage} stage: {odd.sum()} strata report fewer sampled shifts than their records "
            f"show, or more than were possible ({labels(table[odd], strata)}). Correct `sampled` "
            "in the totals."
        )
    filled = table["interviews"] > 0
    factor = (table["possible"] / table["sampled"].where(filled)).to_numpy(float)
    weight = factor[code] * interval
    refuse_not_positive(weight, records, strata, stage)
    table["sum_before"] = np.bincount(code, interval, len(table))
    table["sum_after"] = np.bincount(code, weight, len(table))
    table["target"] = factor * table["sum_before"]
    table["mean_weight"] = table["sum_after"] / table["interviews"].where(filled)
    return StageWeights(
        stage,
        pd.Series(weight, records.index, name="shift_weight"),
        table,
        shift_checks(table, strata, plausible),
    )


def non_response_weights(
    records: pd.DataFrame,
    counts: pd.DataFrame,
    *,
    prior: str = "shift_weight",
    strata: Sequence[str] = NON_RESPONSE_STRATA,
    within: Sequence[str] = ("day_type",),
) -> StageWeights:
    """Weight for passengers who were selected and not interviewed.

    Raises WeightError as :func:`shift_weights` does.

    Parameters
    ----------
    records : DataFrame
        `interview`, `strata`, `within`, `prior`, `interview_type`, `migrant`,
        `migration_interval`, `tourism_interval`.
    counts : DataFrame
        `strata`, `within`, `migrants` and `ordinary`: passengers selected for each kind of
        interview and not contacted.
    prior, strata, within : column, columns, columns
        Weight of the stage before; labels within which response is alike; finer labels of counts.

    Notes
    -----
    In each stratum G = sum of prior weights of those who answered; N = sum over `within` of
    the mean prior weight times the passengers not contacted, plus the prior weights of the
    records of type 'non_response'. weight = (G + N) / G. For interviews that are
    not migrants' it is multiplied by tourism interval / migration interval, which puts both
    kinds on one footing. Records of type 'non_response' get 0. `sum_after` in the
    summary is before that multiplication, so that it meets `target` = G + N.
    """
    stage, cell = "non-response", [*strata, *within]
    kinds = ["interview_type", "migrant", "migration_interval", "tourism_interval"]
    require(records, ["interview", *cell, prior, *kinds], stage, cell)
    table = totals_table(counts, cell, ["migrants", "ordinary"], stage)
    table["missed"] = table["migrants"] + table["ordinary"]
    code = stratum_codes(records, table, cell, stage, total="missed")
    answered = interview_types(records, stage, cell) != "non_response"
    weight = positive(records, prior, stage, cell)
    table["interviews"] = np.bincount(code[answered], minlength=len(table))
    table["gross"] = np.bincount(code[answered], weight[answered], len(table))
    table["refused"] = np.bincount(code[~answered], weight[~answered], len(table))
    silent = table[(table["interviews"] == 0) & (table["missed"] + table["refused"] > 0)]
    refuse_strata(silent, cell, stage, "non-respondents but nobody who answered to stand for them")
    mean = (table["gross"] / table["interviews"]).where(table["interviews"] > 0, 0.0)
    table["non_response"] = mean * table["missed"] + table["refused"]
    summary = table.groupby(list(strata), sort=False)[["interviews", "gross", "non_response"]].sum()
    ratio = 1 + summary["non_response"] / summary["gross"].where(summary["gross"] > 0)
    group = summary.index.get_indexer(index_of(table, strata))[code]
    extra = np.where(
        flags(records, "migrant", stage, cell),
        1.0,
        positive(records, "tourism_interval", stage, cell)
        / positive(records, "migration_interval", stage, cell),
    )
    factor = np.where(answered, ratio.to_numpy(float)[group], 0.0)
    summary = summary.assign(
        sum_before=summary["gross"],
        sum_after=np.bincount(group, weight * factor, len(summary)),
        target=summary["gross"] + summary["non_response"],
        weight=ratio,
    ).reset_index()
    weights = pd.Series(factor * extra, records.index, name="non_response_weight")
    return StageWeights(stage, weights, summary, interview_checks(summary, strata))


def minimums_weights(
    records: pd.DataFrame, *, prior: str, strata: Sequence[str] = MINIMUMS_STRATA
) -> StageWeights:
    """Weight that lets full interviews stand for those who gave a minimum of answers.

    Raises WeightError as :func:`shift_weights` does.

    Parameters
    ----------
    records : DataFrame
        `interview`, `strata`, `interview_type` and `prior`, the product of the stages before.
    prior, strata : column, columns

    Notes
    -----
    In each stratum, with M and F the prior weights of minimum and full interviews:
    (M + F) / F for full interviews, 0 for minimum interviews, 1 for migration slots.
    """
    stage = "minimums"
    require(records, ["interview", *strata, "interview_type", prior], stage, strata)
    code, table = own_strata(records, strata, stage)
    kind = interview_types(records, stage, strata)
    present = kind != "non_response"
    weight = positive(records, prior, stage, strata, where=present)
    sums = {
        name: np.bincount(code[kind == name], weight[kind == name], len(table))
        for name in ("minimum", "full", "migration_slot")
    }
    table["interviews"] = np.bincount(code[present], minlength=len(table))
    table["minimum"], table["full"] = sums["minimum"], sums["full"]
    lost = table[(table["minimum"] > 0) & (table["full"] == 0)]
    refuse_strata(lost, strata, stage, "minimum interviews but no full one to stand for them")
    ratio = 1 + table["minimum"] / table["full"].where(table["full"] > 0)
    table["weight"] = ratio
    factor = np.select(
        [kind == "full", kind == "migration_slot"], [ratio.to_numpy(float)[code], 1.0], 0.0
    )
    table["sum_before"] = sum(sums.values())
    table["sum_after"] = np.bincount(code, weight * factor, len(table))
    table["target"] = table["sum_before"]
    weights = pd.Series(factor, records.index, name="minimums_weight")
    return StageWeights(stage, weights, table, interview_checks(table, strata))


def traffic_weights(
    records: pd.DataFrame,
    totals: pd.DataFrame,
    *,
    prior: str,
    strata: Sequence[str] = TRAFFIC_STRATA,
) -> StageWeights:
    """Weight that makes each port group and direction meet its passenger total.

    Raises WeightError as :func:`shift_weights` does.

    Parameters
    ----------
    records : DataFrame
        `interview`, `strata`, `prior` (records at 0 were dropped by an earlier stage).
    totals : DataFrame
        `strata` and `passengers` (persons); several rows of a stratum are added.
    prior, strata : column, columns

    Notes
    -----
    weight = passenger total / sum of prior weights. The cells are disjoint, so this is linear
    calibration (Deville and Särndal, 1992) in its simplest form.
    """
    return _to_totals(records, totals, prior, strata, "traffic", own_sum=False)


def unsampled_weights(
    records: pd.DataFrame,
    totals: pd.DataFrame,
    *,
    prior: str,
    strata: Sequence[str] = UNSAMPLED_STRATA,
) -> StageWeights:
    """Weight for passengers on routes that the survey does not sample.

    Raises WeightError as :func:`shift_weights` does.

    Parameters
    ----------
    records : DataFrame
        `interview`, `strata`, `prior`.
    totals : DataFrame
        `strata` and `passengers` on unsampled routes (persons), to be added to those that the
        sample stands for already. A stratum in which every route is sampled is
        listed with 0: absence is an error, since it might be an omission.
    prior, strata : column, columns

    Notes
    -----
    weight = (sum of prior weights + unsampled passengers) / sum of prior weights.
    """
    return _to_totals(records, totals, prior, strata, "unsampled", own_sum=True)


def final_weights(records: pd.DataFrame, *, factors: Sequence[str] = FINAL_FACTORS) -> StageWeights:
    """Final weight of each record: the product of its stage weights.

    Records that a stage dropped (non-response, minimum interviews) have 0; a missing or
    negative factor is an error.

    Parameters
    ----------
    records : DataFrame
    factors : columns

    Raises
    ------
    WeightError
        For a missing or negative factor.
    """
    stage = "final"
    require(records, ["interview", *factors], stage)
    product = np.ones(len(records))
    for name in factors:
        product *= positive(records, name, stage, zero=True)
    used = product > 0
    summary = pd.DataFrame(
        {
            "interviews": [len(records)],
            "used": [int(used.sum())],
            "sum_after": [product.sum()],
            "target": [np.nan],
            "smallest": [product[used].min() if used.any() else np.nan],
            "largest": [product.max(initial=0.0)],
        }
    )
    weights = pd.Series(product, records.index, name="final_weight")
    return StageWeights(stage, weights, summary, interview_checks(summary, []))


def weight_records(
    records: pd.DataFrame,
    *,
    shifts: pd.DataFrame,
    non_response: pd.DataFrame,
    traffic: pd.DataFrame,
    unsampled: pd.DataFrame,
    imbalance: pd.DataFrame | None = None,
    by: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, StageWeights]]:
    """All six stages in order, with the default strata.

    Parameters
    ----------
    records : DataFrame
        One row per interview, with the columns that the stages name and no weights yet.
    shifts, non_response, traffic, unsampled, imbalance : DataFrame
        Totals of the stages.
    by : columns
        Periods that are weighted apart, for instance ``("year",)``: columns of records and
        totals that stand before the strata of every stage.

    Returns
    -------
    DataFrame, dict
        The records with the seven weight columns, `traffic_prior`, `unsampled_prior` and
        `imbalance_prior` (the products before these stages, for the variance), and the
        stages by name. Without `imbalance` that weight is 1, as it is for every migrant.

    Raises
    ------
    WeightError
        If the records bear weights already, or a stage cannot be computed.

    Examples
    --------
    >>> from imps.survey.simulate import simulate_passengers, simulate_survey
    >>> survey = simulate_survey(simulate_passengers(seed=1, ports=3), seed=1)
    >>> records, stages = weight_records(survey.records, **survey.totals())
    >>> passengers = survey.traffic["passengers"].sum() + survey.unsampled["passengers"].sum()
    >>> bool(abs(records["final_weight"].sum() - passengers) < 1)
    True
    """
    there = [name for name in (*FINAL_FACTORS, "final_weight") if name in records]
    if there:
        raise WeightError(
            f"the records bear weights already ({some(there)}), and totals are given to make them "
            "a second time. Drop these columns, or estimate from them and leave the totals out."
        )
    out, lead = records.copy(deep=False), tuple(by)
    stages = {"shift": shift_weights(out, shifts, strata=(*lead, *SHIFT_STRATA))}
    out["shift_weight"] = stages["shift"].weights
    strata = (*lead, *NON_RESPONSE_STRATA)
    stages["non_response"] = non_response_weights(out, non_response, strata=strata)
    out["non_response_weight"] = stages["non_response"].weights
    out["minimums_prior"] = out["shift_weight"] * out["non_response_weight"]
    strata = (*lead, *MINIMUMS_STRATA)
    stages["minimums"] = minimums_weights(out, prior="minimums_prior", strata=strata)
    out["minimums_weight"] = stages["minimums"].weights
    out["traffic_prior"] = out["minimums_prior"] * out["minimums_weight"]
    strata = (*lead, *TRAFFIC_STRATA)
    stages["traffic"] = traffic_weights(out, traffic, prior="traffic_prior", strata=strata)
    out["traffic_weight"] = stages["traffic"].weights
    out["unsampled_prior"] = out["traffic_prior"] * out["traffic_weight"]
    strata = (*lead, *UNSAMPLED_STRATA)
    stages["unsampled"] = unsampled_weights(out, unsampled, prior="unsampled_prior", strata=strata)
    out["unsampled_weight"] = stages["unsampled"].weights
    out["imbalance_prior"] = out["unsampled_prior"] * out["unsampled_weight"]
    out["imbalance_weight"] = 1.0
    if imbalance is not None:
        strata = (*lead, *IMBALANCE_STRATA)
        stages["imbalance"] = imbalance_weights(
            out, imbalance, prior="imbalance_prior", strata=strata
        )
        out["imbalance_weight"] = stages["imbalance"].weights
    stages["final"] = final_weights(out)
    out["final_weight"] = stages["final"].weights
    return out, stages


def _to_totals(
    records: pd.DataFrame,
    totals: pd.DataFrame,
    prior: str,
    strata: Sequence[str],
    stage: str,
    *,
    own_sum: bool,
) -> StageWeights:
    require(records, ["interview", *strata, prior], stage, strata)
    table = totals_table(totals, strata, ["passengers"], stage)
    weight = positive(records, prior, stage, strata, zero=True)
    code = stratum_codes(records, table, strata, stage, total="passengers", used=weight > 0)
    table["interviews"] = np.bincount(code[weight > 0], minlength=len(table))
    table["sum_before"] = np.bincount(code, weight, len(table))
    table["target"] = table["passengers"] + (table["sum_before"] if own_sum else 0.0)
    ratio = (table["target"] / table["sum_before"].where(table["interviews"] > 0)).to_numpy(float)
    factor = np.where(weight > 0, ratio[code], 0.0)
    refuse_not_positive(factor, records, strata, stage, where=weight > 0)
    table["weight"] = ratio
    table["sum_after"] = np.bincount(code, weight * factor, len(table))
    weights = pd.Series(factor, records.index, name=f"{stage}_weight")
    return StageWeights(stage, weights, table, interview_checks(table, strata))
