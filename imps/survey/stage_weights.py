"""Result of a weighting stage, what the stages refuse, and how they look up their strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imps.errors import ImpsError, SourceError, WeightError, some

NAMING_STRATA = ("port_group", "direction")
"""Columns that name a record's stratum in messages, where a stage has no strata of its own."""

DIRECTIONS = ("arrival", "departure")
TRANSPORTS = ("air", "sea", "tunnel")
INTERVIEW_TYPES = ("full", "minimum", "migration_slot", "non_response")


@dataclass(frozen=True)
class StageWeights:
    """Weights of one stage.

    Attributes
    ----------
    stage : str
    weights : Series, one per record, in the records' order and index
        The factor of this stage alone.
    summary : DataFrame
        One row per stratum: its labels, `interviews`, `sum_before` and `sum_after` (weighted
        passengers before and after the stage), `target` and the stage's own quantities.
    checks : DataFrame
        `stratum`, `problem`, `value`: what deserves a look but is no error (weights
        outside the plausible range, strata with one sampled shift, totals of zero).
    """

    stage: str
    weights: pd.Series
    summary: pd.DataFrame
    checks: pd.DataFrame


def require_columns(
    table: pd.DataFrame,
    columns: Sequence[str],
    what: str,
    *,
    error: type[ImpsError] = SourceError,
) -> None:
    """Refuse a table without the columns."""
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise error(f"{what}: no column {some(absent)}.")


def require(
    records: pd.DataFrame,
    columns: Sequence[str],
    stage: str,
    strata: Sequence[str] = NAMING_STRATA,
) -> None:
    """Refuse records without the columns, repeated interviews and unknown directions."""
    absent = [name for name in dict.fromkeys(columns) if name not in records.columns]
    if absent:
        raise WeightError(
            f"{stage} stage: the records have no column {some(absent)}. Rename your columns, or "
            "name the stage's own grouping in `strata`."
        )
    twice = records["interview"].duplicated(keep=False).to_numpy()
    if twice.any():
        raise WeightError(
            f"{stage} stage: {twice.sum()} records share an interview identifier "
            f"({places(records, twice, strata)}). Each interview counts once: remove the copies."
        )
    if "direction" in columns:
        refuse_labels(records, "direction", DIRECTIONS, stage, strata)


def refuse_labels(
    records: pd.DataFrame,
    name: str,
    allowed: Sequence[str],
    stage: str,
    strata: Sequence[str] = NAMING_STRATA,
) -> NDArray:
    """The values of a column, refused where other than the allowed ones."""
    values = records[name].to_numpy()
    bad = ~np.isin(values, allowed)
    if bad.any():
        found = dict.fromkeys(np.asarray(values, dtype=object)[bad])
        raise WeightError(
            f"{stage} stage: {name} {some(map(repr, found))} in {bad.sum()} records "
            f"({places(records, bad, strata)}); allowed are {some(allowed)}. Recode them."
        )
    return values


def interview_types(
    records: pd.DataFrame, stage: str, strata: Sequence[str] = NAMING_STRATA
) -> NDArray:
    """The interview types, checked."""
    return refuse_labels(records, "interview_type", INTERVIEW_TYPES, stage, strata)


def flags(
    records: pd.DataFrame,
    name: str,
    stage: str,
    strata: Sequence[str] = NAMING_STRATA,
    *,
    error: type[ImpsError] = WeightError,
) -> NDArray[np.bool_]:
    """A column of True and False; a missing flag is refused, since it would count as True."""
    values = records[name]
    bad = (values.isna() | ~values.isin([True, False])).to_numpy()
    if bad.any():
        raise error(
            f"{stage} stage: {bad.sum()} of {len(records)} records have a {name} that is neither "
            f"True nor False ({places(records, bad, strata)}). Say for each whether it counts."
        )
    return values.to_numpy(bool)


def positive(
    records: pd.DataFrame,
    name: str,
    stage: str,
    strata: Sequence[str] = NAMING_STRATA,
    *,
    zero: bool = False,
    where: NDArray | None = None,
    error: type[ImpsError] = WeightError,
) -> NDArray[np.float64]:
    """A numeric column, refused where missing, negative or (unless `zero`) zero."""
    values = numbers(records[name])
    good = (values >= 0) if zero else (values > 0)
    bad = ~(good & np.isfinite(values))
    if where is not None:
        bad &= where
    if bad.any():
        raise error(
            f"{stage} stage: {bad.sum()} of {len(records)} records have a {name} that is missing, "
            f"{'negative' if zero else 'zero or negative'} ({places(records, bad, strata)}). "
            "Correct the records or the stage that made it."
        )
    return values


def numbers(values: pd.Series) -> NDArray[np.float64]:
    """A column as numbers; what is none is missing, and refused where a number is needed."""
    plain = pd.to_numeric(values, errors="coerce").to_numpy(float)
    if values.dtype == object:
        return np.where([isinstance(value, bool) for value in values], np.nan, plain)
    return np.full(len(values), np.nan) if values.dtype == bool else plain


def totals_table(
    totals: pd.DataFrame,
    strata: Sequence[str],
    values: Sequence[str],
    stage: str,
    *,
    optional: Sequence[str] = (),
    add: bool = True,
) -> pd.DataFrame:
    """Totals with one row per stratum; rows of one stratum are added, or refused."""
    absent = [name for name in [*strata, *values] if name not in totals.columns]
    if absent:
        raise WeightError(f"{stage} stage: the totals have no column {some(absent)}.")
    columns = [*values, *(name for name in optional if name in totals.columns)]
    totals = totals.assign(**{name: numbers(totals[name]) for name in columns})
    bad = totals[[*strata, *columns]].isna().any(axis=1) | (totals[columns] < 0).any(axis=1)
    if bad.any():
        raise WeightError(
            f"{stage} stage: {bad.sum()} of {len(totals)} rows of the totals are negative, "
            f"missing or no number ({places(totals, bad.to_numpy(), strata)}). Enter 0 where "
            "nobody passed, and a label of its own for an unknown stratum."
        )
    if not add and totals.duplicated(list(strata)).any():
        raise WeightError(f"{stage} stage: a stratum has two rows in the table of {values[0]}s.")
    summed = totals.groupby(list(strata), sort=False, observed=True)[columns].sum()
    return summed.reset_index()


def stratum_codes(
    records: pd.DataFrame,
    table: pd.DataFrame,
    strata: Sequence[str],
    stage: str,
    *,
    total: str,
    strict: bool = True,
    used: NDArray | None = None,
) -> NDArray[np.int64]:
    """Row of `table` for each record; a record without one, or a total without records, is refused.

    `used` marks the records that carry weight; with `strict` a positive total needs at
    least one of them.
    """
    refuse_no_stratum(records, strata, stage)
    code = index_of(table, strata).get_indexer(index_of(records, strata))
    lost = code < 0
    if lost.any():
        raise WeightError(
            f"{stage} stage: {lost.sum()} of {len(records)} records are in strata without a total "
            f"({places(records, lost, strata)}). Add the totals, or merge the strata."
        )
    if strict:
        kept = code if used is None else code[used]
        empty = table[(np.bincount(kept, minlength=len(table)) == 0) & (table[total] > 0)]
        refuse_strata(empty, strata, stage, f"a total of {total} but no records to carry it")
    return code


def own_strata(
    records: pd.DataFrame, strata: Sequence[str], stage: str
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Strata as the records have them, for a stage without totals."""
    refuse_no_stratum(records, strata, stage)
    groups = records.groupby(list(strata), sort=False, observed=True)
    code = groups.ngroup().to_numpy()
    table = records[list(strata)].iloc[np.unique(code, return_index=True)[1]]
    return code, table.reset_index(drop=True)


def refuse_no_stratum(records: pd.DataFrame, strata: Sequence[str], stage: str) -> None:
    """Refuse interviews without a label of their stratum."""
    missing = records[list(strata)].isna().any(axis=1).to_numpy()
    if missing.any():
        raise WeightError(
            f"{stage} stage: {missing.sum()} of {len(records)} records have no "
            f"{' or '.join(strata)} ({places(records, missing, strata)}): an interview without "
            "stratum stands for nobody. Give it a label of its own, and that stratum a total."
        )


def transport_of(
    records: pd.DataFrame, code: NDArray, table: pd.DataFrame, strata: Sequence[str], stage: str
) -> NDArray:
    """Kind of transport of each stratum; a mixture is refused."""
    values = refuse_labels(records, "transport", TRANSPORTS, stage, strata)
    number = pd.Categorical(values, categories=list(TRANSPORTS)).codes.astype(int)
    seen = np.zeros((len(table), len(TRANSPORTS)), dtype=bool)
    seen[code, number] = True
    by_crossing = seen[:, TRANSPORTS.index("sea")]
    mixed = table[by_crossing & seen[:, [0, 2]].any(axis=1)]
    refuse_strata(mixed, strata, stage, "sea routes, counted by crossings, mixed with others")
    return np.where(by_crossing, "sea", np.where(seen[:, 2], "tunnel", "air"))


def sampled_units(
    records: pd.DataFrame,
    code: NDArray,
    transport: NDArray,
    stage: str,
    strata: Sequence[str],
) -> NDArray[np.int64]:
    """Distinct sampled shifts of each stratum; on sea routes pairs of shift and crossing."""
    sea = (transport == "sea")[code]
    if sea.any():
        require(records, ["interview", "crossing"], stage, strata)
    crossing = records["crossing"].where(sea, 0) if sea.any() else 0
    units = pd.DataFrame({"code": code, "shift": records["shift"].to_numpy(), "crossing": crossing})
    missing = units.isna().any(axis=1).to_numpy()
    if missing.any():
        raise WeightError(
            f"{stage} stage: {missing.sum()} records have no shift or crossing identifier "
            f"({places(records, missing, strata)}); the number of sampled shifts is then unknown."
        )
    return np.bincount(units.drop_duplicates()["code"], minlength=len(transport))


def refuse_strata(bad: pd.DataFrame, strata: Sequence[str], stage: str, what: str) -> None:
    """Refuse the strata of `bad`, if any."""
    if len(bad):
        raise WeightError(
            f"{stage} stage: {len(bad)} strata have {what} ({labels(bad, strata)}; rows of the "
            f"totals {some(bad.index)}). Merge each with a neighbouring stratum in `strata`, "
            "or correct the table."
        )


def refuse_not_positive(
    weight: NDArray,
    records: pd.DataFrame,
    strata: Sequence[str],
    stage: str,
    *,
    where: NDArray | None = None,
) -> None:
    """Refuse zero, negative or missing weights that a stage has just made."""
    bad = ~(np.isfinite(weight) & (weight > 0))
    if where is not None:
        bad &= where
    if bad.any():
        raise WeightError(
            f"{stage} stage: a zero or missing factor for {bad.sum()} records "
            f"({places(records, bad, strata)}). A stratum with interviews had "
            "passengers: correct its total."
        )


def stratum_checks(
    strata: Sequence[str], found: Sequence[tuple[pd.DataFrame, str, str]]
) -> pd.DataFrame:
    """Table of what deserves a look: strata, problem, and the column that shows its value."""
    rows_of = [
        (label(row, strata), problem, float(row[column]))
        for part, problem, column in found
        for _, row in part.iterrows()
    ]
    return pd.DataFrame(rows_of, columns=["stratum", "problem", "value"])


def shift_checks(
    table: pd.DataFrame, strata: Sequence[str], plausible: tuple[float, float]
) -> pd.DataFrame:
    """Implausible mean weights, strata with a single sampled unit, empty strata."""
    low, high = plausible
    mean, filled = table["mean_weight"], table["interviews"] > 0
    outside = filled & ((mean < low) | (mean > high))
    return stratum_checks(
        strata,
        [
            (table[outside], f"mean weight outside {low:g} to {high:g}", "mean_weight"),
            (table[filled & (table["sampled"] == 1)], "one sampled shift or crossing", "sampled"),
            (table[~filled], "no possible shifts and no records", "possible"),
        ],
    )


def interview_checks(table: pd.DataFrame, strata: Sequence[str]) -> pd.DataFrame:
    """Strata whose total rests on one interview, and strata without any."""
    return stratum_checks(
        strata,
        [
            (table[table["interviews"] == 1], "one interview", "interviews"),
            (table[table["interviews"] == 0], "no interviews and a total of 0", "interviews"),
        ],
    )


def label(row: pd.Series, strata: Sequence[str]) -> str:
    """One stratum in words."""
    return " ".join(f"{name} {row[name]!r}" for name in strata)


def labels(table: pd.DataFrame, strata: Sequence[str]) -> str:
    """At most five strata in words."""
    return some(label(row, strata) for _, row in table.iterrows())


def places(table: pd.DataFrame, bad: NDArray, strata: Sequence[str]) -> str:
    """Strata and rows of a table in words, at most five of each."""
    known = [name for name in strata if name in table.columns]
    rows = f"rows {some(table.index[bad])}"
    if not known:
        return rows
    return f"{labels(table.loc[bad].drop_duplicates(known), known)}; {rows}"


def index_of(table: pd.DataFrame, strata: Sequence[str]) -> pd.MultiIndex:
    """The strata labels of a table as an index."""
    return pd.MultiIndex.from_frame(table[list(strata)])
