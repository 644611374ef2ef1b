"""The imbalance stage: completed visits of overseas residents balance over a year."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imps.survey.stage_weights import (
    StageWeights,
    flags,
    interview_checks,
    positive,
    refuse_labels,
    refuse_strata,
    require,
    stratum_codes,
    totals_table,
)

IMBALANCE_STRATA = ("port_route", "direction")


def imbalance_weights(
    records: pd.DataFrame,
    factors: pd.DataFrame,
    *,
    prior: str,
    country_factors: pd.DataFrame | None = None,
    strata: Sequence[str] = IMBALANCE_STRATA,
) -> StageWeights:
    """Weight that balances completed visits of overseas residents.

    Parameters
    ----------
    records : DataFrame
        `interview`, `strata`, `prior`, `resident` ('overseas', 'uk'), `eligible` (a visitor's
        record; long-stay records, migrants among them, are not) and, with
        `country_factors`, `country`.
    factors : DataFrame
        `strata` and `factor`, for overseas residents; 1 where nothing is to be moved.
    country_factors : DataFrame, optional
        `country` and `factor`, for departing overseas residents; countries not listed have 1.
    prior : column
        Product of the stages before.
    strata : columns

    Returns
    -------
    StageWeights
        Weight of each record, and a summary by stratum.

    Raises
    ------
    WeightError
        For a record without a stratum or a total, a total without records, a zero or missing
        factor, or a repeated interview.

    Notes
    -----
    Overseas residents get port factor x country factor. UK residents of the stratum get
    1 - (change of the overseas sum) / (UK sum), so that the stratum's total stays put.
    """
    stage = "imbalance"
    require(records, ["interview", *strata, prior, "resident", "eligible"], stage, strata)
    table = totals_table(factors, strata, ["factor"], stage, add=False)
    code = stratum_codes(records, table, strata, stage, total="factor", strict=False)
    weight = positive(records, prior, stage, strata, zero=True)
    eligible = flags(records, "eligible", stage, strata)
    resident = refuse_labels(records, "resident", ("overseas", "uk"), stage, strata)
    overseas, home = eligible & (resident == "overseas"), eligible & (resident == "uk")
    factor = np.where(overseas, table["factor"].to_numpy(float)[code], 1.0)
    if country_factors is not None:
        leaving = overseas & (records["direction"].to_numpy() == "departure")
        known = country_factors.set_index("country")["factor"]
        factor *= np.where(leaving, records["country"].map(known).fillna(1.0), 1.0)
    table["interviews"] = np.bincount(code, minlength=len(table))
    table["moved"] = np.bincount(code, weight * (factor - 1), len(table))
    table["uk"] = np.bincount(code[home], weight[home], len(table))
    stuck = table[(table["moved"].abs() > 1e-9) & (table["uk"] <= table["moved"])]
    refuse_strata(stuck, strata, stage, "no UK residents enough to offset the factor")
    offset = 1 - table["moved"] / table["uk"].where(table["uk"] > 0, 1.0)
    factor = np.where(home, offset.to_numpy(float)[code], factor)
    table["sum_before"] = np.bincount(code, weight, len(table))
    table["sum_after"] = np.bincount(code, weight * factor, len(table))
    table["target"] = table["sum_before"]
    weights = pd.Series(factor, records.index, name="imbalance_weight")
    return StageWeights(stage, weights, table, interview_checks(table, strata))
