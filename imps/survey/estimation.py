"""Totals of long-term migrants from weighted interviews, with design-based errors.

Interviews are clustered in shifts (the primary sampling units) drawn within strata of
port, direction, day and time; their weights are calibrated to passenger totals. Both
matter: clustering raises the variance, calibration lowers it. Variances are by Taylor
linearisation, or by replicates (rescaled bootstrap, jackknife) as a check on it, and
always with the covariance matrix across cells, because a shift that meets one migrant of
a flight often meets several.

Own code rather than the library `svy`, which is the reference in the tests (totals, standard
errors and covariance agree to 1e-8): (1) the survey calibrates twice, first to
passengers, then to passengers on unsampled routes, and the linearisation goes through both;
(2) sampled shifts that met nobody count as sampling units; (3) it is faster: see the
rows `svy_cpu_seconds` and `estimate_cpu_seconds` of `benchmarks/results/survey.csv`.

References
----------
Särndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, chapters 4 and 7.
Deville and Särndal (1992), Calibration estimators in survey sampling, JASA 87.
Rao, Wu and Yue (1992), Some recent work on resampling methods for complex surveys, Survey
Methodology 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from imps.errors import DesignError, some
from imps.survey.design import (
    STAGE,
    TRAFFIC,
    UNSAMPLED,
    Calibration,
    CalibrationStage,
    Design,
    LonelyRule,
    combine_codes,
    label_codes,
    label_index,
    words,
)
from imps.survey.replicates import (
    ReplicateWeights,
    covariance_of_given,
    covariance_of_made,
    refuse_other_weight,
)
from imps.survey.stage_weights import flags, positive, require_columns

__all__ = [
    "TRAFFIC",
    "UNSAMPLED",
    "Calibration",
    "LonelyRule",
    "SurveyTotals",
    "estimate_totals",
]

Method = Literal["taylor", "jackknife", "bootstrap"]
GIVEN = "replicate weights as given"


@dataclass(frozen=True)
class SurveyTotals:
    """Estimated totals of cells, with their sampling errors.

    Attributes
    ----------
    table : DataFrame
        Cell labels, `contacts` (interviews), `estimate` and `standard_error` (persons),
        `design_effect` (CV squared times contacts). A cell without contacts is listed only
        where the user named the cells expected; its estimate is 0 and its standard error NaN,
        because the sample cannot tell it: see :mod:`imps.survey.variance_function`.
    covariance : array (cell, cell), persons squared
        NaN in the rows and columns of cells without contacts.
    cells : tuple of str
        The label columns.
    method : str
    degrees_of_freedom : int
        Sampling units minus strata; replicates minus one where these were given.
    """

    table: pd.DataFrame
    covariance: NDArray[np.float64]
    cells: tuple[str, ...]
    method: str
    degrees_of_freedom: int

    def aggregate(self, by: Sequence[str]) -> SurveyTotals:
        """Add cells up to the labels of `by`, covariance included.

        A cell without contacts adds nothing; a sum has an error if any of its cells does.
        """
        unknown = [name for name in by if name not in self.cells]
        if unknown:
            raise DesignError(f"aggregate: no cell label {some(unknown)}; have {some(self.cells)}.")
        code, labels = label_codes(self.table, by)
        add = csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))))
        covariance = np.asarray(add @ (add @ np.nan_to_num(self.covariance)).T)
        estimate = add @ self.table["estimate"].to_numpy(float)
        contacts = add @ self.table["contacts"].to_numpy(float)
        table, covariance = _result_table(labels, contacts, estimate, covariance)
        return SurveyTotals(table, covariance, tuple(by), self.method, self.degrees_of_freedom)

    def __str__(self) -> str:
        error = np.sqrt(np.nansum(self.covariance))
        empty = int((self.table["contacts"] == 0).sum())
        silent = f"{empty} of them without contacts" if empty else "those without contacts unlisted"
        return (
            f"{len(self.table)} cells by {', '.join(self.cells)}, {silent}; "
            f"{self.table['contacts'].sum()} contacts; sum {self.table['estimate'].sum():,.0f} "
            f"persons, standard error {error:,.0f} ({self.method})"
        )


def estimate_totals(
    records: pd.DataFrame,
    *,
    cells: Sequence[str],
    stratum: Sequence[str] = (),
    psu: str = "",
    weight: str = "final_weight",
    counted: str | None = None,
    calibration: Sequence[Calibration] = (),
    sampled: pd.DataFrame | None = None,
    expected_cells: pd.DataFrame | None = None,
    lonely_psu: LonelyRule | None = None,
    method: Method = "taylor",
    replicates: int = 500,
    seed: int | None = None,
    replicate_weights: ReplicateWeights | None = None,
) -> SurveyTotals:
    """Weighted totals by cell, with design-based standard errors and covariance.

    Parameters
    ----------
    records : DataFrame
        All interviews, migrants' and others': the others carry the calibration and
        show that a shift met no migrant.
    cells : columns
        For instance direction, age group, sex, citizenship, period.
    stratum, psu : columns, column
        Design strata; sampling unit (shift, or shift and crossing) within them.
    weight : column
        Final weight (persons per interview). Records at 0 were dropped by a stage.
    counted : column, optional
        True for the interviews to be counted (long-term migrants); default all.
    calibration : sequence of Calibration
        In the order of the stages, for instance ``(TRAFFIC, UNSAMPLED)``; the last
        one's `post` must equal `weight` in the records that are counted.
    sampled : DataFrame, optional
        The `stratum` columns and `sampled`: sampling units drawn, where some met nobody.
    expected_cells : DataFrame, optional
        The `cells` columns, one row for every cell that could occur; the result has these
        cells in this order, those without contacts included. Without it only the
        cells that were met are listed.
    lonely_psu : 'certainty' or 'centre', optional
        What a stratum with one sampling unit adds: nothing, or its squared
        distance from the mean of all units. Without a rule such strata are refused.
    method : 'taylor', 'jackknife' or 'bootstrap'
        The replicate methods recalibrate every replicate.
    replicates, seed : int
        For the bootstrap; the seed is required there.
    replicate_weights : ReplicateWeights, optional
        As the survey's producer gave them, or from :func:`replicate_weights`; they hold the
        design and the calibration, which are then not named.

    Returns
    -------
    SurveyTotals
        Table of cells with estimate, standard error (persons) and contacts, and the covariance
        (cell, cell), persons squared.

    Raises
    ------
    DesignError
        Missing columns or labels, an interview without stratum, negative weights, lonely
        units without a rule, replicate weights beside a design (the same given twice), or a
        cell that was met and is not among those expected.

    Notes
    -----
    Total Y = sum w y. Linearised value of record i, calibration cells g, from the last stage to
    the first: u_i = y_i - (1 - a p_i / w_i) mean_g(u), with p the prior weight, w the post
    weight and a = 1 where the target keeps the sample's own sum, 0 otherwise. With z_hj the sum
    of w u over unit j of stratum h: V = sum_h n_h / (n_h - 1) sum_j (z_hj - z_h)^2. Units
    are taken as drawn with replacement, which overstates the variance by less than the
    sampled share of shifts.

    Examples
    --------
    >>> from imps.names import SEXES
    >>> from imps.survey.simulate import (
    ...     AGE_GROUPS, SHIFT_LABELS, simulate_passengers, simulate_survey
    ... )
    >>> from imps.survey.weighting import weight_records
    >>> survey = simulate_survey(simulate_passengers(seed=1), seed=1)
    >>> records, stages = weight_records(survey.records, **survey.totals())
    >>> labels = ["direction", "sex", "age_group"]
    >>> every_cell = pd.MultiIndex.from_product(
    ...     [["arrival", "departure"], SEXES, AGE_GROUPS], names=labels
    ... ).to_frame(index=False)
    >>> totals = estimate_totals(
    ...     records,
    ...     cells=labels,
    ...     expected_cells=every_cell,
    ...     counted="long_term",
    ...     stratum=SHIFT_LABELS[:4],
    ...     psu="sampling_unit",
    ...     calibration=[TRAFFIC, UNSAMPLED],
    ...     sampled=survey.shifts,
    ... )
    >>> totals.covariance.shape
    (20, 20)
    """
    given = replicate_weights is not None
    _refuse_twice_or_never(given, stratum, psu, calibration, sampled, method)
    needed = [*cells, *stratum, *([psu] if psu else []), weight, *([counted] if counted else [])]
    require_columns(records, needed, "the records", error=DesignError)
    if records.empty:
        raise DesignError("there are no records: an estimate needs some.")
    final = positive(records, weight, STAGE, stratum, zero=True, error=DesignError)
    use = final > 0
    if counted is not None:
        use &= flags(records, counted, STAGE, stratum, error=DesignError)
    cell, labels = label_codes(records.loc[use], cells)
    if expected_cells is not None:
        cell, labels = _among(expected_cells, cell, labels)
    if replicate_weights is not None:
        covariance = covariance_of_given(replicate_weights, final, use, cell, len(labels))
        freedom = len(replicate_weights.coefficients) - 1
    else:
        design = Design.read(records, stratum, psu, sampled)
        stages = [CalibrationStage.read(records, stage) for stage in calibration]
        refuse_other_weight(records, weight, final, use, calibration)
        if method == "taylor":
            units = _linearised(final, use, cell, len(labels), design, stages)
            covariance = _between_units(units, design, lonely_psu)
        else:
            parts = (final, use, cell, len(labels))
            how = (method, lonely_psu, replicates, seed)
            covariance = covariance_of_made(*parts, design, stages, how)
        freedom = int(design.size.sum()) - len(design.size)
    estimate = np.bincount(cell, final[use], len(labels))
    contacts = np.bincount(cell, minlength=len(labels))
    table, covariance = _result_table(labels, contacts, estimate, covariance)
    return SurveyTotals(table, covariance, tuple(cells), GIVEN if given else method, freedom)


def _refuse_twice_or_never(given: bool, stratum: Sequence[str], psu: str, *more: object) -> None:
    """A design is named, or is in the replicate weights; never both, never neither."""
    calibration, sampled, method = more
    named = stratum or psu or calibration or sampled is not None or method != "taylor"
    if given and named:
        raise DesignError(
            "replicate weights are given, and stratum, psu, calibration, sampled or method beside "
            "them: that is the design twice. Leave the design out, or the replicate weights."
        )
    if not given and not (stratum and psu):
        raise DesignError(
            "neither a design nor replicate weights: name stratum= and psu=, or replicate_weights=."
        )


def _linearised(
    final: NDArray,
    use: NDArray,
    cell: NDArray,
    n_cells: int,
    design: Design,
    stages: Sequence[CalibrationStage],
) -> NDArray[np.float64]:
    """Sums of w u over sampling units (unit, cell); see the notes of `estimate_totals`."""
    atom, first = design.unit, np.unique(design.unit, return_index=True)[1]
    for stage in stages:
        atom, first = combine_codes(atom, stage.cell)
    n = len(first)
    # records that share unit and calibration cells enter together: far fewer than records
    sums = np.bincount(atom[use] * n_cells + cell, final[use], n * n_cells).reshape(n, n_cells)
    for stage in reversed(stages):
        post = np.bincount(atom, stage.post, n)
        prior = np.bincount(atom, stage.prior, n) if stage.keeps_own_sum else 0.0
        member = csr_matrix((np.ones(n), (stage.cell[first], np.arange(n))), (stage.count, n))
        weight = np.asarray(member @ post)
        mean = (member @ sums) / np.where(weight > 0, weight, 1.0)[:, None]
        sums -= (post - prior)[:, None] * mean[stage.cell[first]]
    unit = csr_matrix((np.ones(n), (design.unit[first], np.arange(n))))
    return np.asarray(unit @ sums)


def _between_units(
    units: NDArray, design: Design, lonely_psu: LonelyRule | None
) -> NDArray[np.float64]:
    """Covariance of the totals from the spread of unit sums within strata."""
    alone = design.lonely(lonely_psu)
    size = design.size
    member = csr_matrix(
        (np.ones(len(units)), (design.stratum, np.arange(len(units)))), (len(size), len(units))
    )
    mean = np.asarray(member @ units) / size[:, None]
    if lonely_psu == "centre":
        mean[alone] = units.sum(axis=0) / size.sum()
    scale = np.where(alone, 1.0 if lonely_psu == "centre" else 0.0, size / np.maximum(size - 1, 1))
    centred = (units - mean[design.stratum]) * np.sqrt(scale[design.stratum])[:, None]
    # units that met nobody have a sum of 0, at distance `mean` from their stratum
    silent = size - np.asarray(member.sum(axis=1)).ravel()
    absent = mean * np.sqrt(silent * scale)[:, None]
    return centred.T @ centred + absent.T @ absent


def _among(
    expected: pd.DataFrame, cell: NDArray[np.int64], found: pd.DataFrame
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Cell codes and labels in the order of the cells expected."""
    columns = list(found.columns)
    require_columns(expected, columns, "expected_cells", error=DesignError)
    labels = expected[columns].reset_index(drop=True)
    if labels.duplicated().any():
        raise DesignError(
            f"expected_cells: {labels.duplicated().sum()} cells are listed twice "
            f"({words(labels[labels.duplicated()])}). List each once."
        )
    place = label_index(labels).get_indexer(label_index(found))
    if (place < 0).any():
        raise DesignError(
            f"expected_cells: {(place < 0).sum()} cells were met and are not listed "
            f"({words(found[place < 0])}). Add them, or leave their records out of `counted`."
        )
    return place[cell].astype(np.int64), labels


def _result_table(
    labels: pd.DataFrame, contacts: NDArray, estimate: NDArray, covariance: NDArray
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Table and covariance; a cell without contacts has no standard error, rather than 0."""
    met = contacts > 0
    covariance = np.where(np.outer(met, met), covariance, np.nan)
    variance = np.diag(covariance)
    table = labels.assign(
        contacts=contacts.astype(int),
        estimate=estimate,
        standard_error=np.sqrt(variance),
        design_effect=variance / np.where(met, estimate, np.nan) ** 2 * contacts,
    )
    return table, covariance
