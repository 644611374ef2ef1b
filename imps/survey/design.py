"""The survey's design as arrays: strata, sampling units, calibration stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imps.errors import DesignError, some
from imps.survey.stage_weights import positive, require_columns

LonelyRule = Literal["certainty", "centre"]
STAGE = "estimation"
"""How messages name this step, as the weighting stages name theirs."""

CONSTANT = 1e-9
"""Relative spread allowed to a calibration factor within its cell: rounding of doubles."""


@dataclass(frozen=True)
class Calibration:
    """A weighting stage that scales the weights of a cell to a total.

    Attributes
    ----------
    strata : tuple of str
        Columns whose labels make the cells.
    prior, post : str
        Columns with the product of the weights before and after the stage.
    keeps_own_sum : bool
        False where the target is a fixed total (traffic weight); True where a fixed number is
        added to the sample's own sum (unsampled weight).
    """

    strata: tuple[str, ...]
    prior: str
    post: str
    keeps_own_sum: bool = False


TRAFFIC = Calibration(("port_group", "direction"), "traffic_prior", "unsampled_prior")
UNSAMPLED = Calibration(
    ("port_group", "region", "direction"), "unsampled_prior", "imbalance_prior", True
)


def calibrations(by: Sequence[str] = ()) -> tuple[Calibration, Calibration]:
    """The two calibrations of :func:`imps.survey.weight_records`, by the same periods.

    Parameters
    ----------
    by : columns
        Further labels of the totals, such as year.

    Returns
    -------
    (Calibration, Calibration)
        Of traffic and of unsampled routes, in the order of the stages.

    Examples
    --------
    >>> [stage.strata for stage in calibrations(["year"])]
    [('year', 'port_group', 'direction'), ('year', 'port_group', 'region', 'direction')]
    """
    traffic, unsampled = (
        replace(stage, strata=(*by, *stage.strata)) for stage in (TRAFFIC, UNSAMPLED)
    )
    return traffic, unsampled


@dataclass(frozen=True)
class Design:
    """Sampling unit of each record, stratum of each unit, units drawn per stratum."""

    unit: NDArray[np.int64]
    stratum: NDArray[np.int64]
    size: NDArray[np.float64]
    labels: pd.DataFrame

    @staticmethod
    def read(
        records: pd.DataFrame, stratum: Sequence[str], psu: str, sampled: pd.DataFrame | None
    ) -> Design:
        """Read the design from the records' columns; `sampled` adds units that met nobody."""
        code, labels = label_codes(records, stratum)
        unit, first = combine_codes(code, label_codes(records, [psu])[0])
        of_unit = code[first]
        seen = np.bincount(of_unit, minlength=len(labels)).astype(float)
        size = seen
        if sampled is not None:
            given = sampled.groupby(list(stratum))["sampled"].sum()
            size = given.reindex(label_index(labels)).to_numpy(float)
            bad = labels[~(size >= seen)]
            if len(bad):
                raise DesignError(
                    f"sampled units: {len(bad)} strata are missing from `sampled` or have fewer "
                    f"units there than records show ({words(bad)}). Correct the table."
                )
        return Design(unit, of_unit, size, labels)

    def lonely(self, rule: LonelyRule | None) -> NDArray[np.bool_]:
        """Strata with one unit; refused unless the user named a rule."""
        alone = self.size == 1
        if alone.any() and rule is None:
            raise DesignError(
                f"{alone.sum()} of {len(self.size)} strata have a single sampling unit "
                f"({words(self.labels[alone])}); their variance is not estimable. Merge "
                "strata, or name a rule: lonely_psu='certainty' or 'centre'."
            )
        if rule not in (None, "certainty", "centre"):
            raise DesignError(f"lonely_psu '{rule}': allowed are 'certainty' and 'centre'.")
        return alone


@dataclass(frozen=True)
class CalibrationStage:
    """A calibration stage as arrays over the records."""

    cell: NDArray[np.int64]
    count: int
    prior: NDArray[np.float64]
    post: NDArray[np.float64]
    keeps_own_sum: bool

    @staticmethod
    def read(records: pd.DataFrame, stage: Calibration) -> CalibrationStage:
        """Read a stage from the records; its factor must be constant within each cell."""
        require_columns(
            records, [*stage.strata, stage.prior, stage.post], "the records", error=DesignError
        )
        cell, labels = label_codes(records, stage.strata)
        prior, post = (
            positive(records, name, STAGE, stage.strata, zero=True, error=DesignError)
            for name in (stage.prior, stage.post)
        )
        sums = np.bincount(cell, prior, len(labels)), np.bincount(cell, post, len(labels))
        with np.errstate(invalid="ignore"):
            factor = sums[1] / sums[0]
        uneven = np.abs(post - np.nan_to_num(factor)[cell] * prior) > CONSTANT * (post + 1)
        if uneven.any():
            bad = labels.iloc[np.unique(cell[uneven])]
            raise DesignError(
                f"calibration {stage.prior} to {stage.post}: the factor is not constant in "
                f"{len(bad)} cells ({words(bad)}). Name the columns that the stage used."
            )
        return CalibrationStage(cell, len(labels), prior, post, stage.keeps_own_sum)


def label_codes(
    table: pd.DataFrame, columns: Sequence[str]
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Integer label of each row, and the labels in order; missing labels are refused."""
    code = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        part, values = pd.factorize(table[name], sort=True)
        if (part < 0).any():
            raise DesignError(
                f"column '{name}': {(part < 0).sum()} of {len(table)} records have no label "
                f"(rows {some(table.index[part < 0])}). Give them one, or leave them out of "
                "`counted`."
            )
        code = code * len(values) + part
    code, first = combine_codes(code, np.zeros(len(code), dtype=np.int64))
    return code, table[list(columns)].iloc[first].reset_index(drop=True)


def combine_codes(
    one: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Code of each pair, dense, and the row where each code first occurs."""
    pairs = one * (int(other.max(initial=0)) + 1) + other
    _, first, code = np.unique(pairs, return_index=True, return_inverse=True)
    return code.astype(np.int64), first


def label_index(labels: pd.DataFrame) -> pd.Index:
    """Labels as an index, single for one column."""
    columns = list(labels.columns)
    return pd.Index(labels[columns[0]]) if len(columns) == 1 else pd.MultiIndex.from_frame(labels)


def words(labels: pd.DataFrame) -> str:
    """At most five rows of labels in words."""
    rows = labels.itertuples(index=False, name=None)
    return some(" ".join(str(part) for part in row) for row in rows)
