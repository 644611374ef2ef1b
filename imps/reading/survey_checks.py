"""Survey estimates: sampling errors as published become standard errors, and are checked.

Half-widths and bounds have a level: of a two-sided interval of probability L the bounds lie
z = the (1 + L) / 2 point of the standard normal distribution standard errors from the estimate
(1.96 at 95 %), of a one-sided one the L point (1.64). Where the interval is symmetrical on the log
scale the standard error is that of the logarithm times the estimate (delta method). A bound that
was cut at zero says nothing; the other one is taken.
"""

from __future__ import annotations

import re
from statistics import NormalDist
from typing import Final

import numpy as np
import pandas as pd

from imps.reading.grid import ROW, Draft
from imps.reading.totals import describe, key_columns, rounding_unit, tolerance

DISAGREEMENT: Final = 0.15
"""Relative difference by which an interval and its standard error may differ by rounding."""

USUAL_LEVEL: Final = 0.95
"""Level of an interval that only checks the standard error beside it."""

_BOUNDS: Final = ("lower", "upper")
_LEVELS: Final = (0.8, 0.9, 0.99)
_LEVEL: Final = re.compile(r"[_ ]([0-9]{2})\s*%?$")


def use_errors(draft: Draft) -> None:
    """Bring what is published of sampling errors to standard errors; check one by the other."""
    given = "standard_error" in draft.frame and draft.frame["standard_error"].notna().any()
    level = _level(draft, needed=not given)
    if _check_intervals(draft) or level is None or _cv_unit_needed(draft):
        return
    implied = _implied(draft, level, given)
    if given:
        _check_agreement(draft, implied, level)
    for name, (values, _) in implied.items():
        _fill_standard_error(draft, values, name)
    plain = level == USUAL_LEVEL and draft.options.bounds is None
    used = ("cv", "variance", "half_width", *(() if plain and not _cut(draft).any() else _BOUNDS))
    draft.frame = draft.frame.drop(columns=[c for c in used if c in draft.frame])


def quantile(level: float, *, one_sided: bool = False) -> float:
    """Standard errors between an estimate and a bound of this level."""
    return NormalDist().inv_cdf(level if one_sided else (1 + level) / 2)


def _level(draft: Draft, *, needed: bool) -> float | None:
    """Level of half-widths and bounds: of their header, declared, or asked for."""
    columns = [c for c in ("half_width", *_BOUNDS) if c in draft.frame]
    stated = {int(m[1]) / 100 for c in columns if (m := _LEVEL.search(draft.headers.get(c, c)))}
    if (declared := draft.options.level) is not None:
        stated.add(declared)
    if len(stated) > 1:
        draft.add("INTERVAL_BAD.level", column=columns[0], found=sorted(stated))
        return None
    if columns and not stated and (needed or "half_width" in draft.frame):
        draft.add("INTERVAL_ASKED", column=columns[0])
        return None
    return stated.pop() if stated else USUAL_LEVEL


def _check_intervals(draft: Draft) -> bool:
    """Refuse bounds that are exchanged or exclude the estimate, and one that may be of two."""
    frame = draft.frame
    held = [c for c in _BOUNDS if c in frame]
    if len(held) == 1 and draft.options.bounds is None:
        draft.add("INTERVAL_ASKED.one", column=held[0])
        return True
    estimate = frame["estimate"]
    lower, upper = (frame.get(c, pd.Series(np.nan, frame.index)) for c in _BOUNDS)
    crossed = lower > upper
    outside = ~crossed & ((estimate < lower) | (estimate > upper))
    texts = [f"{e:.10g} in [{a:.10g}, {b:.10g}]" for e, a, b in zip(estimate, lower, upper,
                                                                   strict=True)]  # fmt: skip
    shown = np.array(texts, dtype=object)
    found = draft.find(crossed, "INTERVAL_BAD.crossed", column="lower", texts=shown[crossed])
    return (
        draft.find(outside, "INTERVAL_BAD.outside", column="estimate", texts=shown[outside])
        or found
    )


def _cv_unit_needed(draft: Draft) -> bool:
    """Coefficients of variation may be per cent or shares, or be those of totals: asked."""
    frame = draft.frame
    if "cv" not in frame:
        return False
    if draft.options.observed == "total" and draft.find(
        frame["cv"].notna(), "CV_OF_CELLS", column="cv"
    ):
        return True
    if draft.options.cv_unit is not None:
        return False
    return draft.find(frame["cv"] > 1, "CV_UNIT", column="cv")


def _implied(draft: Draft, level: float, given: bool) -> dict[str, tuple[pd.Series, str]]:
    """Standard errors that each column implies, and how they were reached."""
    frame, z, z95 = draft.frame, quantile(level), quantile(0.95)
    found = {}
    if "cv" in frame:
        share = frame["cv"] / (100.0 if draft.options.cv_unit == "percent" else 1.0)
        found["cv"] = ((share * frame["estimate"].abs()).round(9), "cv x estimate")
    if "variance" in frame:
        found["variance"] = (np.sqrt(frame["variance"].where(frame["variance"] >= 0)),
                             "root of the variance")  # fmt: skip
    if "half_width" in frame:
        found["half_width"] = (frame["half_width"] / z, f"half-width / {z:.3g}")
    if "half_width_95" in frame:
        found["half_width_95"] = (frame["half_width_95"] / z95, "half_width_95 / 1.96")
    if set(_BOUNDS) & set(frame):
        values = _from_bounds(draft, level, given)
        if values is not None:
            found["upper" if "upper" in frame else "lower"] = values
    return found


def _from_bounds(draft: Draft, level: float, given: bool) -> tuple[pd.Series, str] | None:
    """Standard errors from bounds, which may be one-sided, cut at zero or on the log scale."""
    frame, kind = draft.frame, draft.options.bounds
    estimate = frame["estimate"]
    lower, upper = (frame.get(c, pd.Series(np.nan, frame.index)) for c in _BOUNDS)
    below, above = estimate - lower, upper - estimate
    z = quantile(level, one_sided=kind == "one-sided")
    if kind == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            both = np.log(upper / lower) / 2
            one = np.log(upper / estimate).fillna(np.log(estimate / lower))
        width = both.where(np.isfinite(both), one).where(estimate > 0)
        return estimate * width / z, f"log(upper / lower) / {2 * z:.3g} x estimate"
    cut = _cut(draft)
    odd = ~cut & ((above - below).abs() > DISAGREEMENT * (above + below) + 2 * rounding_unit(draft))
    if kind is None and not given and odd.any():
        logs = (np.log(upper[odd] / estimate[odd]) / np.log(estimate[odd] / lower[odd])).median()
        code = "INTERVAL_ASKED.log" if 0.8 < logs < 1.25 else "INTERVAL_ASKED.uneven"
        texts = [f"{e:.10g} in [{a:.10g}, {b:.10g}]" for e, a, b in
                 zip(estimate[odd], lower[odd], upper[odd], strict=True)]  # fmt: skip
        draft.find(odd, code, column="upper", texts=texts)
        return None
    if not given:
        draft.find(cut, "SE_DERIVED.cut", column="lower")
    width = ((above + below) / 2).where(~cut, above)
    width = width.fillna(above).fillna(below)
    words = f"(upper - lower) / {2 * z:.3g}" if kind != "one-sided" else f"bound / {z:.3g}"
    return width / z, words


def _cut(draft: Draft) -> pd.Series:
    """Rows whose lower bound was cut at zero."""
    frame = draft.frame
    if not set(_BOUNDS) <= set(frame):
        return pd.Series(False, frame.index)
    longer = frame["upper"] - frame["estimate"] > (frame["estimate"] - frame["lower"]) * (1 + 1e-9)
    return (frame["lower"] <= 0) & (frame["estimate"] > 0) & longer


def _fill_standard_error(draft: Draft, values: pd.Series, origin: str) -> None:
    """Take standard errors from another column where none is given."""
    if "standard_error" not in draft.frame:
        draft.frame["standard_error"] = np.nan
    empty = draft.frame["standard_error"].isna() & values.notna()
    draft.find(empty, "SE_DERIVED", column=origin, origin=origin)
    draft.frame.loc[empty, "standard_error"] = values[empty]


def _check_agreement(draft: Draft, implied: dict[str, tuple[pd.Series, str]], level: float) -> None:
    """An interval and a standard error in one row have to say the same; if not, why."""
    error, slack = draft.frame["standard_error"], rounding_unit(draft)
    for name, (value, words) in implied.items():
        bad = ((error - value).abs() > DISAGREEMENT * value.abs() + slack) & (value > 0)
        if not bad.any():
            continue
        texts = [
            f"{words} = {v:.6g} beside {s:.6g}" for v, s in zip(value[bad], error[bad], strict=True)
        ]
        code, fields = _cause(draft, name, error[bad], value[bad], level)
        draft.find(bad, code, column="standard_error", texts=texts, **fields)


def _cause(
    draft: Draft, name: str, error: pd.Series, value: pd.Series, level: float
) -> tuple[str, dict[str, float]]:
    """Why standard errors are not what stands beside them: which figures they would be."""
    estimate = draft.frame.loc[error.index, "estimate"].abs()

    def near(other: pd.Series | float) -> bool:
        return bool(abs((error / other).median() - 1) < 0.05)

    if near(value**2):
        return "SE_CI_DISAGREE.variance", {}
    if near(value / estimate) or near(100 * value / estimate):
        return "SE_CI_DISAGREE.cv", {}
    for other in _LEVELS:
        if name in (*_BOUNDS, "half_width") and near(value * quantile(level) / quantile(other)):
            return "SE_CI_DISAGREE.level", {"level": other}
    return "SE_CI_DISAGREE", {}


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
