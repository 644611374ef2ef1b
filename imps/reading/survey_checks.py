"""Checks of survey estimates: standard errors, intervals, contacts, balance.

References
----------
A published 95 % interval of a survey estimate has a half-width of 1.96 standard
errors, the 97.5 % point of the normal distribution.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from imps.reading.draft import ROW, Draft
from imps.reading.totals import describe, key_columns, rounding_unit, tolerance

HALF_WIDTHS: Final = 1.959963984540054
"""97.5 % point of the standard normal distribution."""

DISAGREEMENT: Final = 0.15
"""Relative difference by which an interval and its standard error may differ by rounding."""

IMPLAUSIBLE_RATIO: Final = 0.001
"""A survey estimate is not known to one part in a thousand."""

IMPLAUSIBLE_ERROR: Final = 20.0
"""Standard errors per estimate that no sample gives: one contact has about one."""


SURVEYS: Final = ("survey_flows", "survey_totals")
"""Kinds in which every figure has a sampling error."""


def check_survey(draft: Draft) -> None:
    """Check the errors of a table of flows and bring them to standard errors."""
    if draft.schema.nature != "flow":
        return
    if draft.schema.kind in SURVEYS:
        _check_intervals(draft)
        _use_cv(draft)
        _derive_standard_error(draft)
        _check_agreement(draft)
        _check_error_column(draft)
    if "standard_error" in draft.frame:
        _check_standard_error(draft)
    _check_balance(draft)


def _check_error_column(draft: Draft) -> None:
    """An estimate from a survey is nothing without its sampling error."""
    if "standard_error" in draft.frame or draft.log.of_codes("CV_UNIT", "CV_OF_CELLS"):
        return
    draft.add("COLUMN_MISSING.error", column="estimate")


def _check_intervals(draft: Draft) -> None:
    frame = draft.frame
    if not {"lower", "upper"} <= set(frame):
        return
    crossed = frame["lower"] > frame["upper"]
    draft.find(
        crossed, "INTERVAL_BAD.crossed", column="lower", texts=_interval_texts(frame[crossed])
    )
    outside = ~crossed & (
        (frame["estimate"] < frame["lower"]) | (frame["estimate"] > frame["upper"])
    )
    draft.find(
        outside, "INTERVAL_BAD.outside", column="estimate", texts=_interval_texts(frame[outside])
    )


def _interval_texts(rows: pd.DataFrame) -> list[str]:
    columns = (rows[c] for c in ("estimate", "lower", "upper"))
    return [f"{e:.10g} in [{a:.10g}, {b:.10g}]" for e, a, b in zip(*columns, strict=True)]


def _use_cv(draft: Draft) -> None:
    """Coefficients of variation become standard errors; per cent or share is asked for."""
    frame, unit = draft.frame, draft.options.cv_unit
    if "cv" not in frame:
        return
    if draft.options.observed == "total" and draft.find(frame["cv"].notna(), "CV_OF_CELLS",
                                                        column="cv"):  # fmt: skip
        return
    if unit is None and draft.find(frame["cv"] > 1, "CV_UNIT", column="cv"):
        return
    share = frame["cv"] / (100.0 if unit == "percent" else 1.0)
    _fill_standard_error(draft, (share * frame["estimate"].abs()).round(9), "cv")
    draft.frame = draft.frame.drop(columns="cv")


def _derive_standard_error(draft: Draft) -> None:
    frame = draft.frame
    if "half_width_95" in frame:
        _fill_standard_error(draft, frame["half_width_95"] / HALF_WIDTHS, "half_width_95")
    if {"lower", "upper"} <= set(frame):
        width = frame["upper"] - frame["lower"]
        _fill_standard_error(draft, width / (2 * HALF_WIDTHS), "upper")


def _fill_standard_error(draft: Draft, values: pd.Series, origin: str) -> None:
    """Take standard errors from another column where none is given."""
    frame = draft.frame
    if "standard_error" not in frame:
        draft.frame["standard_error"] = np.nan
    empty = draft.frame["standard_error"].isna() & values.notna()
    draft.find(empty, "SE_DERIVED", column=origin, origin=origin)
    draft.frame.loc[empty, "standard_error"] = values[empty]


def _check_agreement(draft: Draft) -> None:
    """An interval and a standard error in one row have to say the same."""
    frame = draft.frame
    if "standard_error" not in frame:
        return
    implied = {}
    if {"lower", "upper"} <= set(frame):
        implied["(upper - lower) / 3.92"] = (frame["upper"] - frame["lower"]) / (2 * HALF_WIDTHS)
    if "half_width_95" in frame:
        implied["half_width_95 / 1.96"] = frame["half_width_95"] / HALF_WIDTHS
    slack = rounding_unit(draft)
    for words, value in implied.items():
        apart = (frame["standard_error"] - value).abs()
        bad = (apart > DISAGREEMENT * value.abs() + slack) & (value > 0)
        texts = [
            f"{words} = {v:.6g} beside {s:.6g}"
            for v, s in zip(value[bad], frame["standard_error"][bad], strict=True)
        ]
        draft.find(bad, "SE_CI_DISAGREE", column="standard_error", texts=texts)


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
    for odd, size in (
        ((ratio < IMPLAUSIBLE_RATIO) & (error > 0), "small"),
        (ratio > IMPLAUSIBLE_ERROR, "large"),
    ):
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
