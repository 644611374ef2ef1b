"""Replicate weights: made by jackknife or bootstrap, or as a survey's producer gave them.

A replicate is the sample with some shifts taken out and others counted more; each is
calibrated to the totals like the sample itself. The spread of the totals over replicates is
their sampling variance, whatever the weights went through.

References
----------
Rao, Wu and Yue (1992), Some recent work on resampling methods for complex surveys, Survey
Methodology 18. Wolter (2007), Introduction to Variance Estimation, chapters 3 to 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imps.errors import DesignError, some
from imps.survey.design import STAGE, Calibration, CalibrationStage, Design, LonelyRule
from imps.survey.stage_weights import numbers, positive, require_columns

How = tuple[str, LonelyRule | None, int, int | None]
"""Method, rule for lonely units, number of replicates, seed."""


@dataclass(frozen=True)
class ReplicateWeights:
    """Replicate weights of interviews, in the order of the records.

    Attributes
    ----------
    weights : array (record, replicate), persons per interview
        Final weight of each record in each replicate, calibrated where the sample is.
    coefficients : array (replicate)
        What the squared distance of each replicate's total from the sample's is
        multiplied by: 1 / R for R replicates of a bootstrap or of balanced repeated
        replication, (n - 1) / n for a stratum's n units of a jackknife.

    Examples
    --------
    >>> given = pd.DataFrame({"rep1": [0.0, 200.0], "rep2": [200.0, 0.0]})
    >>> ReplicateWeights.of(given, coefficients=0.5).coefficients
    array([0.5, 0.5])
    """

    weights: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    @staticmethod
    def of(weights: pd.DataFrame, *, coefficients: ArrayLike) -> ReplicateWeights:
        """Replicate weights as given: one column each, one coefficient or one for each.

        Raises
        ------
        DesignError
            If a weight is missing or negative, or coefficients are not one or as many.
        """
        values = np.array([numbers(weights[name]) for name in weights]).T.reshape(len(weights), -1)
        bad = ~(values >= 0)
        if bad.any() or values.shape[1] < 2:
            raise DesignError(
                f"replicate weights: {bad.sum()} of {values.size} in {values.shape[-1]} columns "
                f"are missing or negative (rows {some(weights.index[bad.any(axis=1)])}); expected "
                "two columns or more of 0 or more. Correct them."
            )
        factor = np.asarray(coefficients, dtype=float)
        if factor.ndim > 1 or factor.size not in (1, values.shape[1]) or not (factor > 0).all():
            raise DesignError(
                f"replicate weights: {factor.size} coefficients for {values.shape[1]} replicates; "
                "expected one above 0, or one for each. The producer states them: 1 / R for a "
                "bootstrap of R."
            )
        return ReplicateWeights(values, np.broadcast_to(factor, values.shape[1]).copy())


def replicate_weights(
    records: pd.DataFrame,
    *,
    stratum: Sequence[str],
    psu: str,
    method: Literal["jackknife", "bootstrap"],
    weight: str = "final_weight",
    calibration: Sequence[Calibration] = (),
    sampled: pd.DataFrame | None = None,
    lonely_psu: LonelyRule | None = None,
    replicates: int = 500,
    seed: int | None = None,
) -> ReplicateWeights:
    """Replicate weights of a sample, each replicate calibrated as the sample was.

    To hand on with anonymised records, or to estimate something other than totals;
    :func:`imps.survey.estimate_totals` with `method` needs none and holds one replicate at a
    time.

    Parameters
    ----------
    records, stratum, psu, weight, calibration, sampled, lonely_psu, replicates, seed
        As in :func:`imps.survey.estimate_totals`.
    method : 'jackknife' or 'bootstrap'
        One sampling unit left out at a time, or units drawn again (Rao, Wu and Yue).

    Returns
    -------
    ReplicateWeights
        One column a sampling unit, or `replicates` of them.

    Raises
    ------
    DesignError
        As `estimate_totals`, and where a replicate leaves a calibration cell empty.

    Examples
    --------
    >>> records = pd.DataFrame(
    ...     {"port": "A", "shift": [1, 1, 2, 3], "final_weight": [100.0, 120.0, 90.0, 110.0]}
    ... )
    >>> made = replicate_weights(records, stratum=["port"], psu="shift", method="jackknife")
    >>> made.weights.round(0)
    array([[  0., 150., 150.],
           [  0., 180., 180.],
           [135.,   0., 135.],
           [165., 165.,   0.]])
    """
    require_columns(records, [*stratum, psu, weight], "the records", error=DesignError)
    final = positive(records, weight, STAGE, stratum, zero=True, error=DesignError)
    design = Design.read(records, stratum, psu, sampled)
    stages = [CalibrationStage.read(records, stage) for stage in calibration]
    refuse_other_weight(records, weight, final, final > 0, calibration)
    factors, coefficients = _factors((method, lonely_psu, replicates, seed), design)
    columns = [final * scale for scale in _scales(factors, design, stages)]
    return ReplicateWeights(np.column_stack(columns), coefficients)


def refuse_other_weight(
    records: pd.DataFrame,
    weight: str,
    final: NDArray,
    use: NDArray,
    calibration: Sequence[Calibration],
) -> None:
    """The last calibration must lead to the weight of the counted records."""
    if not calibration:
        return
    last = calibration[-1].post
    off = use & (np.abs(final - records[last].to_numpy(float)) > 1e-9 * final)
    if off.any():
        raise DesignError(
            f"{off.sum()} counted records have a {weight} other than {last}, where the last "
            f"calibration ends (rows {some(records.index[off])}). List every stage, in order."
        )


def covariance_of_made(
    final: NDArray,
    use: NDArray,
    cell: NDArray,
    n_cells: int,
    design: Design,
    stages: Sequence[CalibrationStage],
    how: How,
) -> NDArray[np.float64]:
    """Covariance of totals over replicates made one at a time; persons squared."""
    factors, coefficients = _factors(how, design)
    made = (final * scale for scale in _scales(factors, design, stages))
    return _covariance(made, coefficients, final, use, cell, n_cells)


def covariance_of_given(
    given: ReplicateWeights, final: NDArray, use: NDArray, cell: NDArray, n_cells: int
) -> NDArray[np.float64]:
    """Covariance of totals over replicates that were given; persons squared."""
    if len(given.weights) != len(final):
        raise DesignError(
            f"replicate weights: {len(given.weights)} rows for {len(final)} records; expected one "
            "for each, in the same order."
        )
    return _covariance(iter(given.weights.T), given.coefficients, final, use, cell, n_cells)


def _covariance(
    weights: Iterator[NDArray],
    coefficients: NDArray,
    final: NDArray,
    use: NDArray,
    cell: NDArray,
    n_cells: int,
) -> NDArray[np.float64]:
    """Spread of replicate totals around those of the sample."""
    centre = np.bincount(cell, final[use], n_cells)
    distance = np.array([np.bincount(cell, own[use], n_cells) - centre for own in weights])
    return np.asarray((distance * coefficients[:, None]).T @ distance)


def _scales(
    factors: NDArray, design: Design, stages: Sequence[CalibrationStage]
) -> Iterator[NDArray[np.float64]]:
    """Change of each record's weight, replicate by replicate, calibrated again."""
    for column in factors.T:
        scale = column[design.unit]
        for stage in stages:
            scale = scale * _recalibrate(stage, scale)
        yield scale


def _factors(how: How, design: Design) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multipliers (unit, replicate) of the weights, and the replicates' coefficients."""
    method, lonely_psu, replicates, seed = how
    alone = design.lonely(lonely_psu)
    if lonely_psu == "centre":
        raise DesignError("lonely_psu='centre' has no replicate form; use method='taylor'.")
    if method == "jackknife":
        return _jackknife(design, alone)
    if method != "bootstrap":
        raise DesignError(f"method '{method}': allowed are taylor, jackknife and bootstrap.")
    if seed is None:
        raise DesignError("the bootstrap draws random replicates: pass seed= to fix them.")
    rng = np.random.default_rng(seed)
    factors = np.ones((len(design.stratum), replicates))
    for h in np.flatnonzero(~alone):
        n, members = int(design.size[h]), np.flatnonzero(design.stratum == h)
        drawn = rng.multinomial(n - 1, np.full(n, 1 / n), size=replicates)[:, : len(members)]
        factors[members] = drawn.T * n / (n - 1)
    return factors, np.full(replicates, 1 / replicates)


def _jackknife(design: Design, alone: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Delete one unit at a time; units that met nobody are deleted too."""
    columns, coefficients = [], []
    for h in np.flatnonzero(~alone):
        n, members = design.size[h], np.flatnonzero(design.stratum == h)
        for gone in [*members, *[-1] * int(n - len(members))]:
            factor = np.ones(len(design.stratum))
            factor[members] = n / (n - 1)
            if gone >= 0:
                factor[gone] = 0.0
            columns.append(factor)
            coefficients.append((n - 1) / n)
    if not columns:
        raise DesignError("jackknife: no stratum has two sampling units.")
    return np.column_stack(columns), np.array(coefficients)


def _recalibrate(stage: CalibrationStage, scale: NDArray) -> NDArray[np.float64]:
    """Change of each record's calibration factor when the prior weights are scaled."""
    prior = np.bincount(stage.cell, stage.prior, stage.count)
    changed = np.bincount(stage.cell, stage.prior * scale, stage.count)
    target = np.bincount(stage.cell, stage.post, stage.count)
    if stage.keeps_own_sum:
        target = target - prior + changed
    used = prior > 0
    if (used & (changed <= 0)).any():
        raise DesignError(
            f"{(used & (changed <= 0)).sum()} calibration cells lose all their interviews in a "
            "replicate, so that their total cannot be met. Merge cells, or use method='taylor'."
        )
    factor = np.where(used, target / np.where(used, changed, 1), 1.0)
    before = np.where(used, np.bincount(stage.cell, stage.post, stage.count), 1.0)
    return (factor * np.where(used, prior, 1.0) / before)[stage.cell]
