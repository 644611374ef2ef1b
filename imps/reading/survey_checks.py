"""Checks of survey estimates: standard errors, contacts, balance."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from imps.reading.draft import ROW, Draft
from imps.reading.sampling_errors import use_errors
from imps.reading.totals import describe, key_columns, rounding_unit, tolerance

IMPLAUSIBLE_RATIO: Final = 0.001
"""A survey estimate is not known to one part in a thousand."""

IMPLAUSIBLE_ERROR: Final = 20.0
"""Standard errors per estimate that no sample gives: one contact has about one."""

LARGEST_CV: Final = 2.0
"""A column of standard errors of persons that are all below this holds shares."""

_ASKED: Final = ("CV_UNIT", "CV_OF_CELLS", "INTERVAL_ASKED")

SURVEYS: Final = ("survey_flows", "survey_totals")
"""Kinds in which every figure has a sampling error."""


def check_survey(draft: Draft) -> None:
    """Check the errors of a table of flows and bring them to standard errors."""
    if draft.schema.nature != "flow":
        return
    if draft.schema.kind in SURVEYS:
        use_errors(draft)
        _check_error_column(draft)
    if "standard_error" in draft.frame:
        _check_standard_error(draft)
    _check_balance(draft)


def _check_error_column(draft: Draft) -> None:
    """An estimate from a survey is nothing without its sampling error."""
    if "standard_error" in draft.frame or draft.log.of_codes(*_ASKED):
        return
    draft.add("COLUMN_MISSING.error", column="estimate")


def _check_standard_error(draft: Draft) -> None:
    error, estimate = draft.frame["standard_error"], draft.frame[draft.schema.value]
    draft.find(error < 0, "SE_NEGATIVE", column="standard_error")
    nothing = (error == 0) & (estimate == 0)
    _unobserved(draft, nothing, "ZERO_NO_CONTACTS", "zero_no_contacts", "no contacts")
    draft.find((error == 0) & (estimate > 0), "SE_ZERO", column="standard_error")
    if draft.schema.kind in SURVEYS:
        bare = error.isna() & estimate.notna() & ~nothing
        _unobserved(draft, bare, "SE_MISSING", "standard_error_missing", "no standard error")
    ratio = error / estimate.where(estimate > 0)
    small, large = (ratio < IMPLAUSIBLE_RATIO) & (error > 0), ratio > IMPLAUSIBLE_ERROR
    shares = bool(small.any() and error.max() < LARGEST_CV)
    root = np.sqrt(error[large]) / estimate[large]
    squared = bool(large.mean() > 0.5 and root.between(IMPLAUSIBLE_RATIO, 1.0).mean() > 0.5)
    for odd, size in ((small, "cv" if shares else "small"), (large, "variance" if squared else
                                                            "large")):  # fmt: skip
        if odd.any():
            first = ratio[odd].iloc[0]
            draft.find(odd, f"SE_IMPLAUSIBLE.{size}", column="standard_error", ratio=first)


def _unobserved(draft: Draft, rows: pd.Series, code: str, option: str, kind: str) -> None:
    """Ask about estimates without usable error, or mark them unobserved when declared."""
    value = draft.schema.value
    if getattr(draft.options, option) != "unobserved":
        draft.find(rows, code, column=value)
        return
    draft.find(rows, f"CELLS_UNOBSERVED.{kind.replace(' ', '_')}", column=value)
    draft.frame.loc[rows, value] = np.nan
    draft.frame.loc[rows, "standard_error"] = np.nan
    draft.frame.loc[rows, draft.schema.missing_column] = kind


def _check_balance(draft: Draft) -> None:
    """Immigration minus emigration equals net; net then leaves the data."""
    frame, value = draft.frame, draft.schema.value
    net = frame["flow"] == "net"
    if not net.any() or net.all():
        return
    by = key_columns(draft, "flow")
    sign = frame["flow"].map({"immigration": 1.0, "emigration": -1.0})
    gross = frame[~net].assign(_signed=(frame[value] * sign)[~net])
    sums = gross.groupby(by, sort=False, dropna=False)["_signed"]
    table = sums.agg(_sum="sum", _parts="size", _known="count").reset_index()
    joined = frame[net].merge(table, on=by, how="left")
    both = joined["_known"] == 2
    slack = tolerance(rounding_unit(draft), joined["_parts"].fillna(2) + 1, joined[value])
    difference = joined[value] - joined["_sum"]
    bad = both & (difference.abs() > slack)
    if bad.any():
        rows = joined[bad]
        words = [f"{w} ({d:+,.10g})" for w, d in zip(describe(rows, by), difference[bad],
                                                     strict=False)]  # fmt: skip
        draft.add(
            "BALANCE",
            column=value,
            rows=rows[ROW],
            texts=[f"{v:.10g}" for v in rows[value]],
            cells=words,
        )
    matched = both.to_numpy()
    if matched.any():
        draft.add("TOTAL_AS_CHECK.net", rows=joined[ROW][matched])
        draft.frame = frame.drop(index=frame.index[net][matched]).reset_index(drop=True)
