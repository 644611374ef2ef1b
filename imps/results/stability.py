"""Does the split stand? The shift of every group when rows are left out, and its conflict.

At fixed scales everything is jointly normal. With C the covariance of the rows, P its
inverse, r the residuals and x the covariance of the rows with a quantity, leaving out the
rows R moves the posterior of the quantity by

    shift     =  -(P x)_R' P_RR^-1 (P r)_R
    variance  +   (P x)_R' P_RR^-1 (P x)_R

without a refit. Under the model the shift is normal with exactly the added variance, so
that

    z = shift / sqrt(variance without - variance with)

is standard normal: a large shift with little added variance is a contradiction between
those rows and all others; a large shift where the variance doubles is lost information.
The same holds for the people of the left out ages themselves, x = C 1_R: known with their
rows, predicted without them.
All z of a table are jointly normal with a known correlation, from which the family-wise
critical value is simulated.

References
----------
Presanis, Ohlssen, Spiegelhalter and De Angelis (2013), Statistical Science 28, 376-397
(conflict diagnostics in evidence synthesis).
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 5.4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg as sl

from imps.account.latents import Affine
from imps.account.linear import LinearModel
from imps.errors import LabelError, some
from imps.names import AGE, SOURCE, YEAR

AGE_BANDS = ((0, 9), (10, 19), (0, 19), (20, 39), (40, 64), (65, 84), (85, None))
"""Bands of age that are left out of the stocks in turn; the last is open."""
FAMILY_LEVEL = 0.05
"""Chance that any z of a table is beyond its critical value although the model is right."""
CRITICAL_DRAWS = 20_000
NO_INFORMATION = 1e-6
"""Share of the posterior variance under which rows say nothing on a quantity."""
MOVED = 1.0
"""Posterior standard deviations of shift beyond which a group does not stand by itself."""
LEAST_SD = 1.0
"""Persons of prior sd from which a group is no known arithmetic."""
COLUMNS = [
    "by", "left_out", "rows", "group", "mean", "sd", "mean_without", "sd_without", "shift",
    "shift_in_sd", "z", "conflict",
]  # fmt: skip
HEADLINE = ("base", "migration", "census")
PERIOD = "period"
COUNTED = "counted"
"""The people of the left out ages, as published against what all other rows predict."""


@dataclass(frozen=True)
class StandingSum:
    """Groups of which the data settle the sum and not the parts.

    Attributes
    ----------
    groups : tuple of str
    mean, sd : float, persons
        Posterior of the sum with all rows.
    left_out, group : str
        Rows without which a group moves farthest, and that group.
    shift_in_sd : float
        By how many of its posterior sds.
    largest_shift : float, posterior sds of the sum
        Over all bands of age.
    """

    groups: tuple[str, ...]
    mean: float
    sd: float
    left_out: str
    group: str
    shift_in_sd: float
    largest_shift: float

    @property
    def stands(self) -> bool:
        """Whether the sum moves by less than one posterior sd whatever is left out."""
        return self.largest_shift <= MOVED


@dataclass(frozen=True)
class Stability:
    """Shift and conflict of every headline group for everything left out.

    Attributes
    ----------
    table : DataFrame, persons
        by, left_out, rows, group, mean, sd, mean_without, sd_without, shift, shift_in_sd (of
        the posterior with all rows), z, conflict (|z| beyond the critical value). The group
        "counted" is the people of the left out ages: `mean` as published, with no sd.
    critical : float
        Family-wise critical value of |z| over the table.
    standing : StandingSum or None
        The sum that moves least over the bands of age, where a group by itself does not stand.
    """

    table: pd.DataFrame
    critical: float
    standing: StandingSum | None

    @property
    def conflicts(self) -> pd.DataFrame:
        """Rows of the table in conflict, the strongest first; of equal ones what moves farthest."""
        found = self.table[self.table["conflict"].astype(bool)]
        order = pd.DataFrame({"z": found["z"].abs().round(6), "shift": found["shift_in_sd"].abs()})
        order = order.sort_values(["z", "shift"], ascending=False, kind="stable")
        return found.loc[order.index].reset_index(drop=True)


class LeaveOut:
    """Exact answers at fixed scales to rows left out, for any sums of contributions.

    Parameters
    ----------
    model : LinearModel
    scales : ndarray (scale)
        Standardised log scales held fixed.
    quantities : sequence of Affine
        Scalars whose posterior is followed.
    """

    def __init__(
        self, model: LinearModel, scales: np.ndarray, quantities: Sequence[Affine]
    ) -> None:
        factors = model.scale_factors(scales)
        self.size = model.standard_error
        rows = model.design / model.standard_error[:, None] * factors
        residual = (model.observed - model.offset) / model.standard_error
        effects = np.stack([model.matrix(q) for q in quantities]) * factors
        self.lower = np.linalg.cholesky(np.eye(residual.size) + rows @ rows.T)
        cross = rows @ effects.T
        self.solved, self.residual = self.solve(cross), self.solve(residual)
        self.mean = np.array([float(q.constant) for q in quantities]) + cross.T @ self.residual
        self.covariance = effects @ effects.T - cross.T @ self.solved

    def half(self, x: np.ndarray) -> np.ndarray:
        """L^-1 x with C = L L': products of two halves are x' P y."""
        return sl.solve_triangular(self.lower, x, lower=True, check_finite=False)

    def solve(self, x: np.ndarray) -> np.ndarray:
        """P x."""
        return sl.cho_solve((self.lower, True), x, check_finite=False)

    def without(
        self, rows: np.ndarray, *, counted: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shift (quantity), added covariance (quantity, quantity), and the gain behind both.

        `gain` (row, quantity), zero outside `rows`: shift = -gain' P r, and the added
        covariance is gain' P gain. With `counted` the sum of the rows' own figures is one
        quantity more, the last.
        """
        unit = np.zeros((self.residual.size, rows.size))
        unit[rows, np.arange(rows.size)] = 1.0
        half, solved = self.half(unit), self.solved[rows]
        if counted:
            solved = np.column_stack([solved, self.size[rows]])
        gain = sl.solve(half.T @ half, solved, assume_a="pos", check_finite=False)
        return -gain.T @ self.residual[rows], solved.T @ gain, unit @ gain


def stability(
    model: LinearModel,
    scales: np.ndarray,
    by: Sequence[str] = (AGE, SOURCE),
    *,
    bands: Sequence[tuple[int, int | None]] = AGE_BANDS,
    seed: int = 0,
) -> Stability:
    """Leave out parts of the rows in turn and follow the headline groups.

    Parameters
    ----------
    model : LinearModel
    scales : ndarray (scale)
        Standardised log scales held fixed.
    by : sequence of {"age", "source", "year"}
        What is left out in turn: see :func:`rows_by`. One family of conflicts.
    seed : int
        Of the simulated critical value.
    """
    parts = [(kind, *item) for kind in by for item in rows_by(model, kind, bands).items()]
    if not parts:
        return Stability(pd.DataFrame(columns=COLUMNS), np.inf, None)
    totals = headline_totals(model)
    names = list(totals)
    exact = LeaveOut(model, scales, list(totals.values()))
    sd = np.sqrt(np.diag(exact.covariance))
    frames, contrasts, moves = [], [], {}
    for kind, label, rows in parts:
        own = kind == AGE
        shift, added, gain = exact.without(rows, counted=own)
        before = np.append(sd, [0.0] * own)
        mean = np.append(exact.mean, [model.observed[rows].sum()] * own)
        more = np.diag(added)
        informed = more > NO_INFORMATION * before**2
        step = np.where(informed, np.sqrt(np.maximum(more, 0)), np.nan)
        contrasts.append(gain[:, informed] / step[informed])
        if own:
            moves[label] = shift[:-1]
        frames.append(
            pd.DataFrame(
                {
                    "by": kind,
                    "left_out": label,
                    "rows": rows.size,
                    "group": [*names, *[COUNTED] * own],
                    "mean": mean,
                    "sd": before,
                    "mean_without": mean + shift,
                    "sd_without": np.sqrt(before**2 + more),
                    "shift": shift,
                    "shift_in_sd": shift / np.where(before > 0, before, np.nan),
                    "z": shift / step,
                }
            )
        )
    critical = critical_value(exact.half(np.concatenate(contrasts, axis=1)), seed=seed)
    table = pd.concat(frames, ignore_index=True)
    table["conflict"] = table["z"].abs() > critical
    return Stability(table[COLUMNS], critical, standing_sum(names, exact, moves))


def answers_by_age(model: LinearModel, scales: np.ndarray, size: float) -> pd.DataFrame:
    """How the headline groups answer people who are counted too few in a band of age, persons.

    The last stock shows `size` persons fewer in the band, in proportion to those it has there,
    so that the gap is that much larger. Means move by x' P d, d the change in standard
    errors, and the census by `size` more, for it is true minus counted. One row a band that
    was published, one column a group; what is left of `size` is with births, deaths and the
    residual.
    """
    totals = headline_totals(model)
    exact = LeaveOut(model, scales, list(totals.values()))
    own = np.array(model.row_sources) == model.sources.census.name
    out = {}
    for label, rows in rows_by(model, AGE).items():
        at = rows[own[rows]]
        if at.size:
            change = -size * model.observed[at] / model.observed[at].sum()
            answer = exact.solved[at].T @ (change / model.standard_error[at])
            out[label] = answer + size * np.array([name == "census" for name in totals])
    columns = pd.Index(list(totals), dtype=object)
    return pd.DataFrame.from_dict(out, orient="index", columns=columns).rename_axis("counted short")


def headline_names(model: LinearModel) -> dict[str, str]:
    """Reported totals of base, migration and census, each where it is not known arithmetic."""
    names = {}
    for part in model.contributions:
        group = f"group[{part.group}]"
        name = group if group in model.reported else f"gap[{part.source}]"
        if part.group in HEADLINE and model.prior_moments(model.reported[name])[1] > LEAST_SD:
            names[part.group] = name
    return names


def headline_totals(model: LinearModel) -> dict[str, Affine]:
    """The totals of :func:`headline_names`, persons."""
    return {group: model.reported[name] for group, name in headline_names(model).items()}


def critical_value(half: np.ndarray, *, seed: int) -> float:
    """Value that the largest |z| exceeds with probability 0.05 under the model.

    Each z is a contrast c' P r with r ~ Normal(0, C), so that their correlation is c' P c:
    `half` (row, z) are the halves L^-1 c.
    """
    values, vectors = np.linalg.eigh(half.T @ half)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = np.random.default_rng(seed).standard_normal((CRITICAL_DRAWS, len(values)))
    return float(np.quantile(np.abs(draws @ root.T).max(axis=1), 1 - FAMILY_LEVEL))


def standing_sum(
    names: Sequence[str], exact: LeaveOut, moves: Mapping[str, np.ndarray]
) -> StandingSum | None:
    """The sum of two headline groups that stands best, where one of them by itself does not.

    Of the pairs that hold the group that moves farthest, the one whose sum moves least.
    """
    sd = np.sqrt(np.diag(exact.covariance))
    size = {(label, i): float(x) for label, m in moves.items() for i, x in enumerate(m / sd)}
    if not size or max(map(abs, size.values())) <= MOVED or len(names) < 2:
        return None
    label, worst = max(size, key=lambda key: abs(size[key]))
    sums = []
    for other in range(len(names)):
        if other != worst:
            pair = np.ix_([worst, other], [worst, other])
            spread = float(np.sqrt(exact.covariance[pair].sum()))
            farthest = max(float(abs(m[worst] + m[other])) / spread for m in moves.values())
            sums.append((farthest, other, spread))
    farthest, other, spread = min(sums)
    return StandingSum(
        groups=tuple(names[i] for i in sorted((worst, other))),
        mean=float(exact.mean[worst] + exact.mean[other]),
        sd=spread,
        left_out=label,
        group=names[worst],
        shift_in_sd=size[label, worst],
        largest_shift=farthest,
    )


def rows_by(
    model: LinearModel, by: str, bands: Sequence[tuple[int, int | None]] = AGE_BANDS
) -> dict[str, np.ndarray]:
    """Rows that are left out together: by age band of the stocks, by source, year or period.

    Raises
    ------
    LabelError
        If `by` is something else, a band is none, or one that was asked for has no row.
    """
    if by == SOURCE:
        sources = np.array(model.row_sources)
        return {str(s): np.flatnonzero(sources == s) for s in dict.fromkeys(model.row_sources)}
    if by == YEAR:
        years = model.row_years
        return {
            f"{year:.0f}": np.flatnonzero(years == year)
            for year in np.unique(years[years == years])
        }
    if by == PERIOD:
        own = f"{model.account.sources.first_year}-{model.account.sources.last_year}"
        periods = np.array([s.rpartition(": ")[0] or own for s in model.row_sources])
        return {str(p): np.flatnonzero(periods == p) for p in np.unique(periods)}
    if by != AGE:
        raise LabelError(f"by='{by}': expected '{AGE}', '{SOURCE}', '{YEAR}' or '{PERIOD}'.")
    wrong = [band for band in bands if not _is_band(band)]
    if wrong:
        raise LabelError(
            f"age band {wrong[0]!r}: expected a pair of whole ages, the first not above the last, "
            "or None in place of the last where the band is open."
        )
    first, last = model.row_ages.T
    out = {}
    for low, high in bands:
        inside = (first >= low) & (last <= (np.inf if high is None else high))
        if inside.any():
            out[band_label(low, high)] = np.flatnonzero(inside)
    missing = [band_label(*b) for b in bands if band_label(*b) not in out]
    if missing and tuple(bands) != AGE_BANDS:
        seen = np.unique(first[~np.isnan(first)]).astype(int)
        allowed = f"ages {seen[0]} to {seen[-1]}" if seen.size else "no stock by age at all"
        raise LabelError(
            f"no row of a stock lies in the age band {some(missing)}: the account has {allowed}. "
            "Give bands that hold whole published ages, as pairs of first and last age."
        )
    return out


def _is_band(band: object) -> bool:
    """Whether it is a pair of whole ages in order, or of a first age and None."""
    if not (isinstance(band, Sequence) and not isinstance(band, str) and len(band) == 2):
        return False
    low, high = band
    whole = all(isinstance(age, int | np.integer) for age in band if age is not None)
    return whole and low is not None and (high is None or low <= high)


def band_label(low: int, high: int | None) -> str:
    """'0-9', or '85+' where the band is open."""
    return f"{low}+" if high is None else f"{low}-{high}"
