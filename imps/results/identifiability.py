"""What the data can tell apart, and what moves the answer.

Contraction says how much was learnt of a source; its signature says whether the
data could see it at all, and whether another source would have looked the same.
Power-scaling says which prior and which figures the answer hangs on. All at the
posterior mean scales of a fit, where every answer is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg as sl

from imps.account.latents import true_flow
from imps.account.linear import LinearModel
from imps.names import FLOWS, SOURCE
from imps.posterior.fit import Fit
from imps.results.attribution import WORDS, Attribution, attribute
from imps.results.checks import INSEPARABLE, TENSION
from imps.results.sensitivity import WhatIf, _gaussian_fit, _judged, mean_scales
from imps.results.verdict import Verdict

LARGEST_CONDITION_NUMBER = 30.0
"""Condition number of the signatures above which sources should be grouped, not split."""
SENSITIVE = 0.3
"""Posterior standard deviations, or share of one, that a doubled power may move."""


@dataclass(frozen=True)
class Identifiability:
    """How well the data tell the sources of a gap apart.

    Attributes
    ----------
    table : DataFrame
        One row a source that is not known: source, group, prior_mean, prior_sd, mean,
        sd (persons), contraction, informed ("prior-driven", "data-informed", "against its prior"),
        tension (prior sds between posterior and prior mean), signal (standard errors
        that one prior sd of this source would show in the data), other and correlation
        (the source with which it trades off most), report_with.
    correlations : DataFrame (source, source)
        Posterior correlations.
    cosines : DataFrame (source, source)
        Cosine between the signatures of two sources; plus or minus one: any data that
        one explains the other explains as well.
    condition_number : float
        Of the matrix of signatures; infinite where two are the same.
    together : tuple of tuple of str
        Groups of sources that should be reported as one.
    area, period, verdict : str
    """

    table: pd.DataFrame
    correlations: pd.DataFrame
    cosines: pd.DataFrame
    condition_number: float
    together: tuple[tuple[str, ...], ...]
    area: str
    period: str
    verdict: Verdict

    def __repr__(self) -> str:
        counts = self.table["informed"].value_counts()
        words = ", ".join(f"{counts.get(k, 0)} {k}" for k in WORDS[1:])
        groups = "; ".join(" + ".join(group) for group in self.together) or "none"
        return (
            f"What the data tell apart: {self.area}, {self.period}\n"
            f"sources: {words}\n"
            f"condition number of the signatures {self.condition_number:,.0f} "
            f"(above {LARGEST_CONDITION_NUMBER:.0f}: group, do not split)\n"
            f"report as one: {groups}\n{self.verdict}"
        )


def identifiability(fit: Fit, *, attribution: Attribution | None = None) -> Identifiability:
    """Prior and posterior of each source, and what the data could have told apart.

    The signature of a source is what one prior standard deviation of its total would
    show in the data, in the shape its prior finds most typical, in standard errors
    after the true flows and everything else that is no source have been left free.
    Sources are proposed to be reported as one where their posterior correlation or
    the cosine of their signatures is above 0.9 in absolute value.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.
    attribution : Attribution, optional
        Of the fit; made where it is not given.

    Returns
    -------
    Identifiability
        Contraction and tension (shares and prior sds), signatures, groups to report as one.

    Raises
    ------
    PriorError
        If the fit is of a variant that is not Gaussian.
    """
    fit = _gaussian_fit(fit, "identifiability")
    found = attribution or attribute(fit)
    correlations = found.correlations()
    signatures = _signatures(fit)
    size = signatures.pow(2).sum().pow(0.5)
    unit = signatures / size
    cosines = unit.T @ unit
    together = _groups(correlations, cosines)
    return Identifiability(
        table=_table(found, correlations, size, together),
        correlations=correlations,
        cosines=cosines,
        condition_number=_condition_number(unit.to_numpy()),
        together=together,
        area=found.area,
        period=found.period,
        verdict=found.verdict,
    )


def _table(
    attribution: Attribution,
    correlations: pd.DataFrame,
    signal: pd.Series,
    together: tuple[tuple[str, ...], ...],
) -> pd.DataFrame:
    rows = attribution.summary()
    rows = rows[rows["prior_sd"] > 0].reset_index(drop=True)
    names = list(signal.index)
    others = correlations.reindex(index=names, columns=names).fillna(0.0)
    others = others.where(~np.eye(len(names), dtype=bool), 0.0)
    strongest = others.abs().idxmax()
    spread = ["prior_mean", "prior_sd", "mean", "sd"]
    table = rows[[SOURCE, "group", *spread, "contraction", "informed"]].copy()
    table["tension"] = (table["mean"] - table["prior_mean"]) / table["prior_sd"]
    table["in_tension"] = table["tension"].abs() > TENSION
    table["signal"] = signal.reindex(table[SOURCE]).to_numpy()
    table["other"] = strongest.reindex(table[SOURCE]).to_numpy()
    pairs = zip(table[SOURCE], table["other"], strict=True)
    table["correlation"] = [others.loc[a, b] if b == b else np.nan for a, b in pairs]
    group_of = {name: " + ".join(group) for group in together for name in group}
    table["report_with"] = [group_of.get(name, "") for name in table[SOURCE]]
    return table


def _signatures(fit: Fit) -> pd.DataFrame:
    """Signature of each source of systematic error, (row, source), in standard errors."""
    model = fit.model
    factors = model.scale_factors(mean_scales(fit))
    white = model.design / model.standard_error[:, None] * factors
    own = {c.source: model.of_source(c.source) for c in model.contributions}
    free = ~np.any(list(own.values()), axis=0)
    spread = np.eye(len(white)) + white[:, free] @ white[:, free].T
    lower = sl.cholesky(spread, lower=True)
    out = {}
    for part in model.contributions:
        q = np.where(own[part.source], model.matrix(part.value.sum()) * factors, 0.0)
        size = float(np.sqrt(q @ q))
        if size >= 1.0:
            shown = white @ (q / size)
            out[part.source] = sl.solve_triangular(lower, shown, lower=True)
    return pd.DataFrame(out)


def _condition_number(unit: np.ndarray) -> float:
    """Of signatures of length one (row, source): largest over smallest singular value."""
    singular = np.linalg.svd(unit, compute_uv=False)
    smallest = singular[-1] if singular.size == unit.shape[1] else 0.0
    return float(singular[0] / smallest) if smallest > 1e-9 else float("inf")


def _groups(correlations: pd.DataFrame, cosines: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Connected sources: posterior correlation or cosine of signatures above 0.9."""
    from scipy.sparse.csgraph import connected_components

    names = list(cosines.index)
    alike = cosines.abs().to_numpy() > INSEPARABLE
    traded = correlations.reindex(index=names, columns=names).abs().to_numpy() > INSEPARABLE
    count, label = connected_components(alike | traded, directed=False)
    groups = [tuple(n for n, k in zip(names, label, strict=True) if k == i) for i in range(count)]
    return tuple(group for group in groups if len(group) > 1)


def power_scaling(fit: Fit) -> pd.DataFrame:
    """How the answer moves when a prior or the figures of a source are given more weight.

    The prior of each source, and the likelihood of each source of figures, is raised to
    a power alpha; for normals that divides the variance by alpha. Derivatives at
    alpha = 1 with respect to log2(alpha), so that a row says what a doubled power would
    do; exact at the posterior mean scales. With r the residual over its error, C its
    covariance, Q and A the effects of the latent variables w on quantities and rows,
    S = var(w) and G = Q - cov(q, r) C^-1 A:

        prior block p      d mean = -ln 2  G_p S_p A_p' C^-1 r,   d var = -ln 2 (G_p^2 S_p)
        rows k             d mean = ln 2  K_k (C^-1 r)_k,  d var = -ln 2 K_k^2,  K = cov(q, r) C^-1

    A quantity that both its prior and the likelihood move is torn between them; one
    that its prior moves and the likelihood does not rests on its prior.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.

    Returns
    -------
    DataFrame
        quantity, component ("prior" or "likelihood"), of (source or figures), shift
        (persons), shift_in_sd, sd_change (relative), sensitive: beyond 0.3 of a
        posterior standard deviation, or of the spread. The verdict of the fit stands in
        `attrs`, where :func:`imps.plot_power_scaling` finds it.

    Raises
    ------
    PriorError
        If the fit is of a variant that is not Gaussian.

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari (2024), Detecting and diagnosing prior and
    likelihood sensitivity with power-scaling, Statistics and Computing 34, 57.
    """
    fit = _gaussian_fit(fit, "power_scaling")
    exact = WhatIf(fit.model, mean_scales(fit))
    posterior, white = exact.posterior, exact.posterior.white
    solved = exact.factor.solve(posterior.residual)
    gain = exact.factor.solve(exact.cross.T).T
    left = exact.quantities - gain @ white
    variance = np.maximum(exact.variance - (gain * exact.cross).sum(axis=1), 1e-12)
    pull = exact.squares * (white.T @ solved)
    rows = np.array(fit.model.row_sources)
    log2 = np.log(2.0)
    parts = []
    for name, own in _prior_blocks(fit.model).items():
        moved = -log2 * left[:, own] @ pull[own]
        narrowed = -log2 * left[:, own] ** 2 @ exact.squares[own]
        parts.append(_moves(posterior.names, "prior", name, moved, narrowed, variance))
    for name in dict.fromkeys(fit.model.row_sources):
        k = rows == name
        moved, narrowed = log2 * gain[:, k] @ solved[k], -log2 * (gain[:, k] ** 2).sum(axis=1)
        parts.append(_moves(posterior.names, "likelihood", name, moved, narrowed, variance))
    return _judged(pd.concat(parts, ignore_index=True), fit)


def _moves(
    names: list[str],
    component: str,
    of: str,
    moved: np.ndarray,
    narrowed: np.ndarray,
    variance: np.ndarray,
) -> pd.DataFrame:
    """Rows of one component; quantities that are known have none."""
    sd = np.sqrt(variance)
    frame = pd.DataFrame(
        {
            "quantity": names,
            "component": component,
            "of": of,
            "shift": moved,
            "shift_in_sd": moved / sd,
            "sd_change": narrowed / (2 * variance),
        }
    )
    frame["sensitive"] = (frame[["shift_in_sd", "sd_change"]].abs() > SENSITIVE).any(axis=1)
    return frame[sd > 1.0]


def _prior_blocks(model: LinearModel) -> dict[str, np.ndarray]:
    """Latent variables of each source, and of the true flows beside their biases."""
    out = {c.source: model.of_source(c.source) for c in model.contributions}
    out |= {true_flow(flow): model.of_source(true_flow(flow)) for flow in FLOWS}
    return {name: own for name, own in out.items() if own.any()}
