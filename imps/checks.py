"""Can the draws be trusted? R-hat, effective sizes, divergences, weights, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from imps.cards import Bar, bars, card
from imps.draws import LOG_SCALE, diagnose
from imps.fit import (
    GRID_POINTS,
    LARGEST_LOG_SCALE,
    LEAST_EFFECTIVE_SHARE,
    Fit,
    needs_fit,
)

LARGEST_R_HAT = 1.01
LEAST_ESS = 400

USABLE = "usable"
WITH_CARE = "use with care"
DO_NOT_USE = "do not use"


@dataclass(frozen=True)
class Checks:
    """Computational checks of a fit, and its misfit to the figures, in one verdict.

    Attributes
    ----------
    table : DataFrame
        quantity, r_hat, ess_bulk, ess_tail for every reported quantity and scale.
    misfit : DataFrame
        source, rows, mean_square (of standardised residuals), worst row.
    divergences : int
    effective_points : float or None
        Smallest effective number of grid points of the exact way.
    largest_log_scale : float
        Largest posterior mean of a standardised log scale, in absolute value.
    verdict : str
        "usable", "use with care" or "do not use".
    reasons : tuple of str
        Why, with the source and one next step.
    """

    table: pd.DataFrame
    misfit: pd.DataFrame
    divergences: int
    effective_points: float | None
    largest_log_scale: float
    verdict: str
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the fit may be used at all."""
        return self.verdict != DO_NOT_USE

    @property
    def line(self) -> str:
        """The verdict in one line, with the figures behind it."""
        worst = self.table
        text = (
            f"{self.verdict}: R-hat at most {worst['r_hat'].max():.3f}, effective size at least "
            f"{worst['ess_bulk'].min():.0f} (bulk) and {worst['ess_tail'].min():.0f} (tail), "
            f"{self.divergences} divergences"
        )
        if self.effective_points is not None:
            text += f", {self.effective_points:.0f} of {GRID_POINTS} grid points effective"
        return text + "".join(f"; {reason}" for reason in self.reasons)

    def __repr__(self) -> str:
        return f"Checks: {self.line}"

    def _repr_html_(self) -> str:
        """Compact card for a notebook: verdict, its figures, and the misfit of each source."""
        rows = [
            Bar(str(r.source), 0.0, float(r.mean_square), 0.0, 0.0,
                f"{r.mean_square:.2f} over {r.rows} rows")
            for r in self.misfit.itertuples()
        ]  # fmt: skip
        said = "; ".join(f"{r.name} {r.text}" for r in rows)
        return card(
            "Can the draws be trusted?",
            self.verdict.capitalize(),
            ("Mean square of standardised residuals by source; about 1 or less is a good fit.",),
            picture=bars(rows, f"Mean square of residuals: {said}"),
            verdict=self.line,
        )


def check(fit: Fit) -> Checks:
    """Check a fit: R-hat at most 1.01, effective sizes at least 400, no divergences, no misfit.

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit.
    """
    fit = needs_fit(fit, "check")
    table = diagnose(fit.quantities())
    divergences = int(fit.stats["diverging"].sum()) if "diverging" in fit.stats else 0
    points = float(fit.stats["effective_points"].min()) if "effective_points" in fit.stats else None
    scales = fit.draws[LOG_SCALE].mean(("chain", "draw"))
    largest = float(np.abs(scales).max()) if scales.size else 0.0
    misfit = _misfit(fit)
    hard, soft = _reasons(fit, table, divergences, points, misfit)
    return Checks(
        table=table,
        misfit=misfit,
        divergences=divergences,
        effective_points=points,
        largest_log_scale=largest,
        verdict=DO_NOT_USE if hard else WITH_CARE if soft else USABLE,
        reasons=tuple(hard + soft),
    )


def _misfit(fit: Fit) -> pd.DataFrame:
    """Mean square of standardised residuals at the posterior mean, by source."""
    model = fit.model
    fitted = model.expected(fit.latents().mean(axis=0)[None])[0]
    residual = (model.observed - fitted) / model.standard_error
    rows = []
    sources = np.array(model.row_sources)
    for source in dict.fromkeys(model.row_sources):
        r = np.where(sources == source, residual, 0.0)
        worst = int(np.abs(r).argmax())
        rows.append(
            {
                "source": source,
                "rows": int((sources == source).sum()),
                "mean_square": float((r**2).sum() / (sources == source).sum()),
                "worst_row": model.row_labels[worst],
                "worst_residual": float(r[worst]),
            }
        )
    return pd.DataFrame(rows)


def _reasons(
    fit: Fit, table: pd.DataFrame, divergences: int, points: float | None, misfit: pd.DataFrame
) -> tuple[list[str], list[str]]:
    hard, soft = [], []
    bad = table[
        (table["r_hat"] > LARGEST_R_HAT)
        | (table["ess_bulk"] < LEAST_ESS)
        | (table["ess_tail"] < LEAST_ESS)
    ]
    if len(bad):
        name = bad.loc[bad["ess_bulk"].idxmin(), "quantity"]
        hard.append(f"{len(bad)} quantities have not converged, worst {name}: take more draws")
    if divergences:
        hard.append(f"{divergences} divergences: take method='exact', or look at the priors")
    if points is not None and points < LEAST_EFFECTIVE_SHARE * GRID_POINTS:
        hard.append("the grid over the scales is too uneven: take method='nuts'")
    scales = fit.draws[LOG_SCALE].mean(("chain", "draw"))
    for name, value in zip(fit.model.scale_names, scales.values, strict=True):
        if abs(value) > LARGEST_LOG_SCALE:
            hard.append(
                f"the scale '{name}' is {value:+.1f} prior deviations out: single ages or cells of "
                "a source are wrong or misplaced"
            )
    for row in misfit.itertuples():
        if row.rows >= 20 and row.mean_square > 2:
            soft.append(
                f"{row.source} fits badly (mean square {row.mean_square:.1f}), worst at "
                f"{row.worst_row}"
            )
    soft += [f"STALE: {reason}" for reason in fit.stale]
    return hard, soft
