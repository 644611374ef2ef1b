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

from imps.reading.draft import ROW, Work
from imps.reading.findings import listed
from imps.reading.totals import describe, key_columns, rounding_unit, tolerance

HALF_WIDTHS: Final = 1.959963984540054
"""97.5 % point of the standard normal distribution."""

DISAGREEMENT: Final = 0.15
"""Relative difference by which an interval and its standard error may differ by rounding."""

IMPLAUSIBLE_RATIO: Final = 0.001
"""A survey estimate is not known to one part in a thousand."""

IMPLAUSIBLE_ERROR: Final = 20.0
"""Standard errors per estimate that no sample gives: one contact has about one."""


def check_survey(work: Work) -> None:
    """Check the errors of a table of flows and bring them to standard errors."""
    if work.schema.nature != "flow":
        return
    if work.schema.kind == "survey_flows":
        _check_intervals(work)
        _use_cv(work)
        _derive_standard_error(work)
        _check_agreement(work)
        _check_error_column(work)
    if "standard_error" in work.frame:
        _check_standard_error(work)
    _check_balance(work)


def _check_error_column(work: Work) -> None:
    """An estimate from a survey is nothing without its sampling error."""
    if "standard_error" in work.frame or work.log.of_codes("CV_UNIT"):
        return
    work.log.add(
        "COLUMN_MISSING", "there is no column of sampling errors",
        "Add 'standard_error', 'half_width_95', 'cv', or 'lower' and 'upper'.",
        column=work.headers.get("estimate", "estimate"),
    )  # fmt: skip


def _positive(values: pd.Series) -> pd.Series:
    return values.notna() & (values > 0)


def _check_intervals(work: Work) -> None:
    frame = work.frame
    if not {"lower", "upper"} <= set(frame):
        return
    crossed = frame["lower"] > frame["upper"]
    work.find(
        crossed, "INTERVAL_BAD", "the lower bound is above the upper bound",
        "Exchange or correct them.", column="lower", texts=_interval_texts(frame[crossed]),
    )  # fmt: skip
    outside = ~crossed & (
        (frame["estimate"] < frame["lower"]) | (frame["estimate"] > frame["upper"])
    )
    work.find(
        outside, "INTERVAL_BAD", "the estimate lies outside its own interval",
        "Correct the estimate or the bounds.", column="estimate",
        texts=_interval_texts(frame[outside]),
    )  # fmt: skip


def _interval_texts(rows: pd.DataFrame) -> list[str]:
    columns = (rows[c] for c in ("estimate", "lower", "upper"))
    return [f"{e:.10g} in [{a:.10g}, {b:.10g}]" for e, a, b in zip(*columns, strict=True)]


def _use_cv(work: Work) -> None:
    """Coefficients of variation become standard errors; per cent or share is asked for."""
    frame, unit = work.frame, work.options.cv_unit
    if "cv" not in frame:
        return
    if unit is None and work.find(
        frame["cv"] > 1, "CV_UNIT", "is a coefficient of variation above 1",
        'Set cv_unit = "percent" or cv_unit = "fraction".', column="cv",
    ):  # fmt: skip
        return
    share = frame["cv"] / (100.0 if unit == "percent" else 1.0)
    _fill_standard_error(work, (share * frame["estimate"].abs()).round(9), "cv")
    work.frame = work.frame.drop(columns="cv")


def _derive_standard_error(work: Work) -> None:
    frame = work.frame
    if "half_width_95" in frame:
        _fill_standard_error(work, frame["half_width_95"] / HALF_WIDTHS, "half_width_95")
    if {"lower", "upper"} <= set(frame):
        width = frame["upper"] - frame["lower"]
        _fill_standard_error(work, width / (2 * HALF_WIDTHS), "upper")


def _fill_standard_error(work: Work, values: pd.Series, origin: str) -> None:
    """Take standard errors from another column where none is given."""
    frame = work.frame
    if "standard_error" not in frame:
        work.frame["standard_error"] = np.nan
    empty = work.frame["standard_error"].isna() & values.notna()
    work.find(empty, "SE_DERIVED", f"standard errors were derived from '{origin}'", column=origin)
    work.frame.loc[empty, "standard_error"] = values[empty]


def _check_agreement(work: Work) -> None:
    """An interval and a standard error in one row have to say the same."""
    frame = work.frame
    if "standard_error" not in frame:
        return
    implied = {}
    if {"lower", "upper"} <= set(frame):
        implied["(upper - lower) / 3.92"] = (frame["upper"] - frame["lower"]) / (2 * HALF_WIDTHS)
    if "half_width_95" in frame:
        implied["half_width_95 / 1.96"] = frame["half_width_95"] / HALF_WIDTHS
    slack = rounding_unit(work)
    for words, value in implied.items():
        apart = (frame["standard_error"] - value).abs()
        bad = (apart > DISAGREEMENT * value.abs() + slack) & (value > 0)
        texts = [
            f"{words} = {v:.6g} beside {s:.6g}"
            for v, s in zip(value[bad], frame["standard_error"][bad], strict=True)
        ]
        work.find(
            bad, "SE_CI_DISAGREE", "the interval and the standard error disagree; the column may "
            "hold half-widths", "Correct the column, or name it 'half_width_95'.",
            column="standard_error", texts=texts,
        )  # fmt: skip


def _check_standard_error(work: Work) -> None:
    error, estimate = work.frame["standard_error"], work.frame[work.schema.value]
    work.find(
        error < 0, "SE_NEGATIVE", "is a negative standard error", "Correct it.",
        column="standard_error",
    )  # fmt: skip
    nothing = (error == 0) & (estimate == 0)
    _unobserved(
        work, nothing, work.options.zero_no_contacts, "ZERO_NO_CONTACTS",
        "the estimate and its standard error are 0: nobody in the sample, not a known zero",
        "zero_no_contacts", "no contacts",
    )  # fmt: skip
    work.find(
        (error == 0) & _positive(estimate), "SE_ZERO",
        "a standard error of 0 claims that the estimate is exact",
        "Give the sampling error, or a smoothed one.", column="standard_error",
    )  # fmt: skip
    if work.schema.kind == "survey_flows":
        _unobserved(
            work, error.isna() & estimate.notna() & ~nothing,
            work.options.standard_error_missing, "SE_MISSING",
            "the estimate has no standard error", "standard_error_missing", "no standard error",
        )  # fmt: skip
    ratio = error / estimate.where(estimate > 0)
    for odd, words in (
        ((ratio < IMPLAUSIBLE_RATIO) & (error > 0),
         "{:.2g} of the estimate; it may be in thousands while the estimate is in persons"),
        (ratio > IMPLAUSIBLE_ERROR,
         "{:,.3g} times the estimate; it may be in persons while the estimate is in thousands"),
    ):  # fmt: skip
        if odd.any():
            work.find(
                odd, "SE_IMPLAUSIBLE",
                f"the standard error is {words.format(ratio[odd].iloc[0])}",
                "Check the units of both columns.", column="standard_error",
            )  # fmt: skip


def _unobserved(
    work: Work,
    rows: pd.Series,
    choice: str | None,
    code: str,
    problem: str,
    option: str,
    kind: str,
) -> None:
    """Ask about estimates without usable error, or mark them unobserved when declared."""
    if not rows.any():
        return
    value = work.schema.value
    if choice != "unobserved":
        work.find(
            rows, code, problem,
            f'Set {option} = "unobserved": the cell then leaves the likelihood.', column=value,
        )  # fmt: skip
        return
    work.find(rows, "CELLS_UNOBSERVED", f"{problem}; marked unobserved as declared", column=value)
    work.frame.loc[rows, value] = np.nan
    work.frame.loc[rows, "standard_error"] = np.nan
    work.frame.loc[rows, work.schema.missing_column] = kind


def _check_balance(work: Work) -> None:
    """Immigration minus emigration equals net; net then leaves the data."""
    frame, value = work.frame, work.schema.value
    net = frame["flow"] == "net"
    if not net.any() or net.all():
        return
    by = key_columns(work, "flow")
    sign = frame["flow"].map({"immigration": 1.0, "emigration": -1.0})
    gross = frame[~net].assign(_signed=(frame[value] * sign)[~net])
    sums = gross.groupby(by, sort=False, dropna=False)["_signed"]
    table = sums.agg(_sum="sum", _parts="size", _known="count").reset_index()
    joined = frame[net].merge(table, on=by, how="left")
    both = joined["_known"] == 2
    slack = tolerance(rounding_unit(work), joined["_parts"].fillna(2) + 1, joined[value])
    difference = joined[value] - joined["_sum"]
    bad = both & (difference.abs() > slack)
    if bad.any():
        rows = joined[bad]
        words = [f"{w} ({d:+,.10g})" for w, d in zip(describe(rows, by), difference[bad],
                                                     strict=False)]  # fmt: skip
        work.log.add(
            "BALANCE", f"net differs from immigration minus emigration: {listed(words)}",
            "Correct one of the three.", column=work.headers.get(value, value),
            rows=rows[ROW], texts=[f"{v:.10g}" for v in rows[value]],
        )  # fmt: skip
    matched = both.to_numpy()
    if matched.any():
        work.log.add(
            "TOTAL_AS_CHECK", "rows of net migration were used as a check and kept out of the data",
            rows=joined[ROW][matched],
        )  # fmt: skip
        work.frame = frame.drop(index=frame.index[net][matched]).reset_index(drop=True)
