"""Can the fit be trusted? Computation, misfit, tension and separability in one verdict.

The verdict is one line: usable, use with care or do not use; the cause, named by
the source it comes from; one next step; and the figures behind it. Where chance
alone explains the gap, the line says that there is nothing to explain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from imps.names import AGE
from imps.notebook_cards import Bar, bars, card
from imps.posterior.chains import LEAST_EFFECTIVE_SHARE
from imps.posterior.exact import RUNAWAY
from imps.posterior.fit import Fit, needs_fit
from imps.posterior.storage import LOG_SCALE, diagnose
from imps.reading.plausibility import ROBUST
from imps.results.stability import COUNTED, Stability, stability
from imps.results.verdict import (
    DO_NOT_USE,
    GRAVITY,
    SAVED_FIT,
    USABLE,
    WITH_CARE,
    Cause,
    Verdict,
    nothing_to_explain,
    together,
)

LARGEST_R_HAT = 1.01
LEAST_ESS = 400
ONE_FIGURE = 0.001
"""Probability that a residual of any row is called a misfit of its own where the model is right."""
LEAST_ROWS = 20
"""Rows of a source from which its residuals are judged together."""
LARGEST_MEAN_SQUARE = 2.0
"""Mean square of standardised residuals above which a source of 20 rows or more fits badly."""
TENSION = 2.0
"""Prior standard deviations between posterior and prior mean that are called tension."""
INSEPARABLE = 0.9
"""Absolute posterior correlation above which two sources should be read together."""


@dataclass(frozen=True)
class Checks:
    """Checks of a fit, its computation and its misfit to the figures, in one verdict.

    Attributes
    ----------
    table : DataFrame
        quantity, r_hat, ess_bulk, ess_tail for every reported quantity and scale.
    misfit : DataFrame
        source, rows, mean_square (of standardised residuals), worst row.
    divergences : int
    effective_points, grid_points : number or None
        Effective points of the grid over the scales and all its points, in the chain of the
        exact way that has the smallest share.
    largest_log_scale : float
        Largest posterior mean of a standardised log scale, in absolute value.
    verdict : Verdict
    stability : Stability or None
        What moves when ages or sources are left out; None for a variant of the model.
    """

    table: pd.DataFrame
    misfit: pd.DataFrame
    divergences: int
    effective_points: float | None
    grid_points: int | None
    largest_log_scale: float
    verdict: Verdict
    stability: Stability | None = None

    @property
    def passed(self) -> bool:
        """Whether the fit may be used at all."""
        return self.verdict.passed

    @property
    def computation(self) -> tuple[Cause, ...]:
        """Faults of the computation alone, whatever the figures say; empty where it converged."""
        points, of = self.effective_points, self.grid_points
        return tuple(_computation(self.table, self.divergences, points, of))

    @property
    def nothing_to_explain(self) -> bool:
        """Chance alone explains the gap."""
        return self.verdict.nothing_to_explain

    @property
    def short(self) -> str:
        """The verdict without the figures behind it."""
        return self.verdict.short

    def __repr__(self) -> str:
        return f"Checks: {self.verdict}"

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
            self.verdict.level.capitalize(),
            ("Mean square of standardised residuals by source; about 1 or less is a good fit.",),
            picture=bars(rows, f"Mean square of residuals: {said}"),
            verdict=self.verdict,
        )


_MADE: WeakKeyDictionary[Fit, Checks] = WeakKeyDictionary()
"""Checks are made once a fit, however many results ask for them."""


def check(fit: Fit) -> Checks:
    """Check a fit: computation, misfit, tension with the priors, separability.

    R-hat at most 1.01, effective sizes at least 400, no divergences, an even grid, no
    scale that has run away: a fit that fails these must not be used. One chain, a source or a
    figure that fits badly, a source or scale that stands two prior standard deviations off,
    rows that contradict all others, and two sources that cannot be told apart ask for care.

    Parameters
    ----------
    fit : Fit
        Of one account, or of a chain.

    Returns
    -------
    Checks
        With the verdict, `passed`, and the tables behind them.

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit.
    """
    fit = needs_fit(fit, "check", of_chain=True, rows=False)
    if fit not in _MADE:
        _MADE[fit] = _of_chain(fit) if fit.periods else _checked(fit)
    return _MADE[fit]


def _of_chain(fit: Fit) -> Checks:
    """Checks of a chain: those of its periods, with the worst of their verdicts."""
    parts = {name: check(part) for name, part in fit.periods.items()}
    worst = max(parts.values(), key=lambda part: GRAVITY.index(part.verdict.level))
    verdict = together({name: part.verdict for name, part in parts.items()})
    whole = diagnose(fit.quantities())
    figures = _in_words(whole, worst.divergences, worst.effective_points, worst.grid_points)
    return replace(
        worst,
        table=whole,
        misfit=_misfit(fit),
        verdict=replace(verdict, figures=figures),
        stability=None,
    )


def _checked(fit: Fit) -> Checks:
    quantities = fit.quantities()
    table = diagnose(quantities)
    divergences = int(fit.stats["diverging"].sum()) if "diverging" in fit.stats else 0
    points, of = _least_even_grid(fit)
    scales = fit.draws[LOG_SCALE].mean(("chain", "draw"))
    misfit = _misfit(fit)
    hard = [*_scales(fit, -np.inf, RUNAWAY), *_computation(table, divergences, points, of)]
    stale = [Cause(SAVED_FIT, f"STALE: {reason}", "fit again") for reason in fit.stale]
    stands = _stability(fit)
    soft = [
        *stale,
        *_one_chain(fit),
        *_bad_fits(fit, misfit),
        *_conflicts(stands, len(fit.model.row_sources)),
    ]
    soft += [*_tensions(fit, quantities), *_inseparable(quantities)]
    soft += [cause for cause in _scales(fit, -TENSION, TENSION) if cause not in hard]
    by_chance, causes = nothing_to_explain(fit.model, fit.latents()), (*hard, *soft)
    by_chance = by_chance and not hard  # draws that must not be used say nothing
    step = "read imps.attribute beside imps.identifiability"
    if causes or by_chance:
        chance = "report the gap as chance, and blame no source for it"
        step = causes[0].next_step if causes else chance
    return Checks(
        table=table,
        misfit=misfit,
        divergences=divergences,
        effective_points=points,
        grid_points=of,
        largest_log_scale=float(np.abs(scales).max()) if scales.size else 0.0,
        verdict=Verdict(
            level=DO_NOT_USE if hard else WITH_CARE if soft else USABLE,
            causes=causes,
            nothing_to_explain=by_chance,
            next_step=step,
            figures=_in_words(table, divergences, points, of),
        ),
        stability=stands,
    )


def _stability(fit: Fit) -> Stability | None:
    """What moves when ages of the stocks or sources are left out; of the Gaussian model only."""
    if not fit.gaussian:
        return None
    scales = fit.draws[LOG_SCALE].mean(("chain", "draw")).values
    return stability(fit.model, scales)


def _conflicts(found: Stability | None, n_rows: int) -> list[Cause]:
    """Ages or sources that contradict all other figures, the strongest first."""
    if found is None:
        return []
    strongest = found.conflicts.drop_duplicates("left_out")
    together = ""
    if found.standing is not None and found.standing.stands:
        together = f"report {' and '.join(found.standing.groups)} as one sum; "
    return [
        Cause(
            f"ages {row.left_out}" if row.by == AGE else str(row.left_out),
            f"{_against(row, n_rows)} (conflict z {row.z:+.2f}, {found.critical:.2f} is allowed)",
            f"{together}look at their figures, and report only what stands: "
            f"imps.left_out(fit, by='{row.by}')",
        )
        for row in strongest.itertuples()
    ]


def _against(row: Any, n_rows: int) -> str:
    """What rows contradict, all others or where there are none the priors, and what moves."""
    other = "the priors, beside which there is nothing else" if row.rows == n_rows else "the rest"
    if row.group == COUNTED:
        moved = f"all other figures predict {row.shift:+,.0f} persons there"
    else:
        moved = f"without them {row.group} moves by {row.shift_in_sd:+.2f} posterior sds"
    return f"the figures contradict {other}: {moved}"


def _in_words(table: pd.DataFrame, divergences: int, points: float | None, of: int | None) -> str:
    """R-hat, effective sizes, divergences and grid points."""
    largest = table["r_hat"].max()
    r_hat = "unknown" if np.isnan(largest) else f"at most {largest:.3f}"
    text = (
        f"R-hat {r_hat}, effective size at least "
        f"{table['ess_bulk'].min():.0f} (bulk) and {table['ess_tail'].min():.0f} (tail), "
        f"{divergences} divergences"
    )
    return text if points is None else f"{text}, {points:.0f} of {of} grid points effective"


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
    columns = ["source", "rows", "mean_square", "worst_row", "worst_residual"]
    return pd.DataFrame(rows, columns=columns)


def _computation(
    table: pd.DataFrame, divergences: int, points: float | None, of: int | None
) -> list[Cause]:
    """Faults of the computation, for which the draws are not the posterior's."""
    causes = []
    bad = table[
        (table["r_hat"] > LARGEST_R_HAT)
        | (table["ess_bulk"] < LEAST_ESS)
        | (table["ess_tail"] < LEAST_ESS)
    ]
    if len(bad):
        name = bad.loc[bad["ess_bulk"].idxmin(), "quantity"]
        what = f"{len(bad)} quantities have not converged, worst {name}"
        causes.append(Cause("draws", what, "fit again with more draws"))
    if divergences:
        what = f"{divergences} divergences, none is allowed"
        causes.append(Cause("sampler", what, "fit with method='exact', or narrow the widest prior"))
    if points is not None and of is not None and points < LEAST_EFFECTIVE_SHARE * of:
        what = f"{points:.0f} of {of} points of the grid over the scales are effective"
        causes.append(Cause("grid", what, "fit with method='nuts'"))
    return causes


def _least_even_grid(fit: Fit) -> tuple[float | None, int | None]:
    """Effective points of the chain with the least share of them, and how many it took."""
    if "effective_points" not in fit.stats:
        return None, None
    points, of = fit.stats["effective_points"].values, fit.stats["grid_points"].values
    least = int(np.argmin(points / of))
    return float(points[least]), int(of[least])


def _scales(fit: Fit, lower: float, upper: float) -> list[Cause]:
    """Scales far off their median: figures that vary more, or less, than the prior expects."""
    scales = fit.draws[LOG_SCALE].mean(("chain", "draw"))
    steps = (
        "ask whether these figures are smoothed, or one year copied",
        "look for wrong or misplaced single ages or cells in this source",
    )
    return [
        Cause(name, f"the scale is {value:+.1f} prior deviations out{_cell(fit, name)}",
              steps[int(value > 0)])
        for name, value in zip(fit.model.scale_names, scales.values, strict=True)
        if not lower <= value <= upper
    ]  # fmt: skip


def _cell(fit: Fit, scale: str) -> str:
    """The one row, in words, that stands out of what is fitted without the part of a scale."""
    model = fit.model
    own = model.scale_of == model.scale_names.index(scale)
    rows = np.flatnonzero(np.abs(model.design[:, own]).any(axis=1))
    if len(rows) < LEAST_ROWS:
        return ""
    without = np.where(own, 0.0, fit.latents().mean(axis=0))
    off = ((model.observed - model.expected(without[None])[0]) / model.standard_error)[rows]
    apart = np.abs(off - np.median(off))
    worst = int(apart.argmax())
    if apart[worst] <= _bound(len(rows)) * max(ROBUST * float(np.median(apart)), 1.0):
        return ""
    row = rows[worst]
    return f", most of all for {_named(fit, model.row_sources[row], model.row_labels[row])}"


def _bound(rows: int) -> float:
    """Standard errors that any of so many right residuals exceeds with probability `ONE_FIGURE`."""
    return NormalDist().inv_cdf(1 - ONE_FIGURE / (2 * max(rows, 1)))


def _named(fit: Fit, source: str, label: str) -> str:
    """A row of the likelihood, and the file or reference that it stands in."""
    files = fit.model.sources.table().drop_duplicates("source").set_index("source")["reference"]
    where = str(files.get(source, ""))
    return f"'{label}'" + (f" ({where})" if where else "")


def _one_chain(fit: Fit) -> list[Cause]:
    """Draws of one chain, which nothing can be compared with."""
    if fit.draws.sizes["chain"] > 1:
        return []
    what = "there is one chain, so that nothing shows whether it has converged"
    return [Cause("draws", what, "fit again with two chains or more")]


def _bad_fits(fit: Fit, misfit: pd.DataFrame) -> list[Cause]:
    """Sources that fit badly as a whole, or in one figure, with that figure and its file."""
    bound, causes = _bound(int(misfit["rows"].sum())), []
    for row in misfit.sort_values("worst_residual", key=np.abs, ascending=False).itertuples():
        worst = _named(fit, str(row.source), str(row.worst_row))
        off = f"{row.worst_residual:+.1f} standard errors off"
        if row.rows >= LEAST_ROWS and row.mean_square > LARGEST_MEAN_SQUARE:
            what = f"fits badly (mean square {row.mean_square:.1f}, 1 is expected)"
            causes.append(Cause(str(row.source), what, f"look at its row {worst}, {off}"))
        elif abs(row.worst_residual) > bound:
            what = f"one figure fits badly: {worst} is {off}, {bound:.1f} are allowed"
            causes.append(Cause(str(row.source), what, "compare that figure with its publication"))
    return causes


def _tensions(fit: Fit, quantities: dict[str, np.ndarray]) -> list[Cause]:
    """Sources whose posterior mean lies far from the prior mean, the farthest first."""
    found = []
    for part in fit.model.contributions:
        mean, sd = (float(x) for x in fit.model.prior_moments(part.prior.sum()))
        if sd > 1.0:
            off = (float(quantities[f"gap[{part.source}]"].mean()) - mean) / sd
            if abs(off) > TENSION:
                what = f"stands {off:+.1f} prior standard deviations off its prior mean"
                step = "ask whether its figure or its prior is wrong: imps.compare_priors"
                found.append((abs(off), Cause(part.source, what, step)))
    return [cause for _, cause in sorted(found, key=lambda pair: -pair[0])]


def _inseparable(quantities: dict[str, np.ndarray]) -> list[Cause]:
    """Pairs of sources of which the data see only the sum."""
    draws = {k[4:-1]: v.ravel() for k, v in quantities.items() if k.startswith("gap[")}
    draws = {k: v for k, v in draws.items() if v.std() > 1.0}
    corr, names = np.corrcoef(np.stack(list(draws.values()))), list(draws)
    return [
        Cause(
            f"{names[i]} and {names[j]}",
            f"cannot be told apart (posterior correlation {corr[i, j]:+.2f})",
            "report them as one group",
        )
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True)
        if abs(corr[i, j]) > INSEPARABLE
    ]
