"""What the data can tell apart: responses, what-if, wider priors, sources left out.

Everything here is exact at fixed scales, or a full refit where a function says so. A
plain table carries the verdict of its fit in ``attrs["verdict"]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg as sl

from imps.account.account import tied_blocks
from imps.account.chained import ChainModel
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import FAMILIES, Priors
from imps.errors import LabelError, PriorError, SourceError, some
from imps.names import AGE, SOURCE
from imps.posterior.exact import GaussianPosterior
from imps.posterior.fit import Fit, fit, needs_fit
from imps.posterior.fitted import PERIOD
from imps.posterior.workers import in_order
from imps.results.attribution import Attribution, attribute
from imps.results.checks import INSEPARABLE, Checks, check
from imps.results.prior_comparison import PriorComparison as PriorComparison
from imps.results.prior_comparison import compare_priors as compare_priors
from imps.results.stability import AGE_BANDS, answers_by_age, stability

TRUE_ERROR = 100_000.0
"""Persons of true error in one source to which the response of all is tabulated."""


def response_table(fit: Fit, by: str = SOURCE, *, checks: Checks | None = None) -> pd.DataFrame:
    """How the posterior of every source answers 100 thousand of true error in each.

    A true error of a source is given the shape that its prior finds most typical
    for that total; the data move by what the sources would then show, and the
    posterior means move by R = Q C^-1 A (exact at the posterior mean scales). On the
    diagonal stands how much of a true error is found, beside it where the rest
    leaks to. The table depends on the design and the priors and not on the data.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.
    by : {"source", "age"}
        A true error in each source, or 100 thousand fewer counted in each band of age of the
        last stock (none where it has no ages).
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    DataFrame, persons
        One row a true error, one column an answering source; 100,000 on the
        diagonal and zero elsewhere would be perfect separation. By age one column a headline
        group: whom the account makes answer for a gap at these ages.

    Raises
    ------
    PriorError
        If the fit is of a variant that is not Gaussian.
    LabelError
        If `by` is something else.
    """
    fit = _gaussian_fit(fit, "response_table")
    model, h = fit.model, mean_scales(fit)
    if by == AGE:
        return _judged(answers_by_age(model, h, TRUE_ERROR), fit, checks)
    if by != SOURCE:
        raise LabelError(f"by='{by}': expected '{AGE}' or '{SOURCE}'.")
    posterior = GaussianPosterior(model)
    factors = model.scale_factors(h)
    factor = posterior.factor(h)
    errors = typical_errors(model, factors, TRUE_ERROR)
    names = list(errors)
    rows = [(posterior.white * factors) @ z for z in errors.values()]
    q = np.stack(
        [model.matrix(c.value.sum()) * factors for c in model.contributions if c.source in names]
    )
    gain = q @ (posterior.white * factors).T
    answer = gain @ factor.solve(np.stack(rows).T)
    table = pd.DataFrame(answer.T, index=pd.Index(names, name="true error in"), columns=names)
    return _judged(table, fit, checks)


def typical_errors(model: LinearModel, factors: np.ndarray, size: float) -> dict[str, np.ndarray]:
    """Latent variables (latent) of the most typical true error of a size, persons, by source.

    `factors` (latent) are the scales; sources without an error of their own are left out.
    """
    out = {}
    for part in model.contributions:
        q = model.matrix(part.value.sum()) * factors
        typical = np.where(model.of_source(part.source), q, 0.0)
        reached = float(typical @ q)
        if reached >= 1.0:
            out[part.source] = typical * (size / reached)
    return out


def correlation_warnings(attribution: Attribution, limit: float = 0.7) -> pd.DataFrame:
    """Pairs of sources that trade off in the posterior, the strongest first.

    Parameters
    ----------
    attribution : Attribution
    limit : float
        Least absolute posterior correlation that is listed.

    Returns
    -------
    DataFrame
        source, other, correlation, and inseparable: whether it is beyond 0.9.
    """
    corr = attribution.correlations()
    rows = [
        (a, b, float(corr.loc[a, b]))
        for i, a in enumerate(corr.index)
        for b in corr.columns[i + 1 :]
        if abs(corr.loc[a, b]) >= limit
    ]
    frame = pd.DataFrame(rows, columns=["source", "other", "correlation"])
    frame["inseparable"] = frame["correlation"].abs() > INSEPARABLE
    return frame.sort_values("correlation", key=abs, ascending=False, ignore_index=True)


class WhatIf:
    """Exact answers at fixed scales to changed priors, faster than one thinks of them.

    Parameters
    ----------
    model : LinearModel
    scales : ndarray (scale)
        Standardised log scales held fixed: the posterior mean of a fit.
    """

    def __init__(self, model: LinearModel, scales: np.ndarray) -> None:
        self.model = model
        self.posterior = GaussianPosterior(model)
        self.scales = scales
        self.squares = model.scale_factors(scales) ** 2
        self.quantities = np.stack([model.matrix(model.reported[k]) for k in self.posterior.names])
        self.factor = self.posterior.factor(scales)
        self.cross = (self.quantities * self.squares) @ self.posterior.white.T
        self.variance = (self.quantities**2) @ self.squares
        self._half_white = self.factor.half(self.posterior.white)
        self._half_cross = self.factor.half(self.cross.T)
        self._half_residual = self.factor.half(self.posterior.residual)
        self._posterior_variance = self.variance - (self._half_cross**2).sum(axis=0)

    def __call__(self, **factors: float) -> pd.DataFrame:
        """Means and sds of the reported quantities with prior sds multiplied by `factors`.

        Parameters
        ----------
        **factors : float
            By prior, for example ``emigration_bias_level=2``; by family of priors or by
            source, ``emigration_bias=2``; or by block of latent variables.

        Returns
        -------
        DataFrame
            quantity, mean, sd, persons: a preview, for the scales are held fixed.
        """
        mean, sd = self.moments(self.changes(factors))
        return pd.DataFrame({"quantity": self.posterior.names, "mean": mean, "sd": sd})

    def blocks_of(self, name: str) -> list[str]:
        """Blocks of latent variables of a prior, of a family of priors or of a source.

        A block by itself, and all of a source of the user's own, go by their names where
        no prior bears that name; blanks may be written as underscores.
        """
        rows = {name, *FAMILIES.get(name, ())}
        blocks = self.model.account.latents.blocks
        found = [n for n, b in blocks.items() if b.prior and (b.prior in rows or b.source == name)]
        return found or [n for n, b in blocks.items() if name in (_spelt(n), _spelt(b.source))]

    @property
    def tied(self) -> frozenset[str]:
        """Blocks of two errors that are correlated, of censuses or of the two directions."""
        return tied_blocks(self.model.account)

    def changes(self, factors: Mapping[str, float]) -> dict[slice, float]:
        """Places of the latent variables whose prior sds change, with their factors.

        Raises
        ------
        PriorError
            If a name is no block, or its block moves two sources at once.
        """
        out: dict[slice, float] = {}
        for name, factor in factors.items():
            blocks = self.blocks_of(name)
            tied = [b for b in blocks if b.rpartition(": ")[2] in self.tied]  # of any period
            if tied:
                raise PriorError(
                    f"{some(tied)} belongs to two errors that are correlated (census_correlation "
                    "or bias_correlation is not 0): a changed prior is no change of one factor. "
                    "Fit again with priors.widen(...)."
                )
            if not blocks:
                raise PriorError(
                    f"no block of latent variables is called '{name}'. Known: "
                    f"{', '.join(map(_spelt, self.model.places))}."
                )
            for block in blocks:
                place = self.model.places[block]
                out[place] = out.get(place, 1.0) * factor
        return out

    def moments(
        self,
        changes: Mapping[slice, float],
        rows: np.ndarray | float = 0.0,
        constants: np.ndarray | float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sd of the reported quantities, persons, after a low-rank change.

        `rows` (in standard errors) and `constants` (persons) are what other prior means
        add to the expected rows and to the quantities before any data are seen.

        With p the latent variables whose prior sds are multiplied by k, and V the posterior
        covariance before the change: M = V_pp + diag(s_p^2 / (1 / k^2 - 1)), the mean moves by
        -V_qp M^-1 E(w_p) and the variance by -V_qp M^-1 V_pq (Woodbury).
        """
        half = self._half_residual
        if isinstance(rows, np.ndarray):
            half = half - self.factor.half(rows)
        mean = self.posterior.constants + constants + half @ self._half_cross
        variance = self._posterior_variance.copy()
        moved = {place: factor for place, factor in changes.items() if factor != 1.0}
        if moved:
            at = np.concatenate([np.arange(place.start, place.stop) for place in moved])
            k = np.repeat(list(moved.values()), [place.stop - place.start for place in moved])
            s2 = self.squares[at]
            a = self._half_white[:, at] * s2
            v_qp = self.quantities[:, at] * s2 - self._half_cross.T @ a
            m = np.diag(s2 + s2 / (1 / k**2 - 1)) - a.T @ a
            gain = sl.solve(m, v_qp.T, assume_a="sym", check_finite=False)
            mean -= (half @ a) @ gain
            variance -= (v_qp.T * gain).sum(axis=0)
        return mean, np.sqrt(np.maximum(variance, 0.0))


def what_if(fit: Fit) -> WhatIf:
    """Prepare exact answers at the posterior mean scales of a fit.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.

    Returns
    -------
    WhatIf
        Called with priors and factors of their sds it gives quantity, mean and sd, persons.

    Raises
    ------
    PriorError
        If the fit is of a variant that is not Gaussian.
    """
    fit = _gaussian_fit(fit, "what_if")
    return WhatIf(fit.model, mean_scales(fit))


def refit(fitted: Fit, priors: Priors, *, draws: int = 1000, chains: int = 2) -> Fit:
    """The same figures under other priors, fitted in full from where the scales of a fit lie.

    The answer that :func:`what_if` previews: the scales are integrated again. Starting
    from a like posterior saves the search for them, not the integration.

    Parameters
    ----------
    fitted : Fit
        Of the Gaussian model, of one account or of a chain.
    priors : Priors
        Such as ``fit.model.priors.widen("base", 2)``.
    draws, chains : int
        Independent draws of each chain.

    Returns
    -------
    Fit

    Raises
    ------
    PriorError
        If the fit is of a variant, or a prior belongs to no source.
    """
    fitted = _gaussian_fit(fitted, "refit", of_chain=True)
    if PERIOD in fitted.extras:
        raise PriorError(
            f"refit() of period {fitted.extras[PERIOD]} alone would cut its links: give it the fit "
            "of the chain."
        )
    model = fitted.model
    if isinstance(model, ChainModel):
        return _fit(model.with_priors(priors), fitted, draws, chains)
    return _fit(linear_model(model.sources, priors), fitted, draws, chains)


def widened(
    fit: Fit,
    names: Iterable[str] = ("base", "immigration_bias", "emigration_bias", "census"),
    factors: Iterable[float] = (2.0, 4.0),
    *,
    draws: int = 500,
    client: Any = None,
) -> pd.DataFrame:
    """Refit with each prior widened: does the split move?

    Parameters
    ----------
    fit : Fit
    names : iterable of str
        Priors, families of priors or sources.
    factors : iterable of float
        By which their standard deviations are multiplied.
    draws : int
        Of each of the four chains of a refit.
    client : optional
        A dask client, or any :class:`concurrent.futures.Executor`, to spread the refits.

    Returns
    -------
    DataFrame, persons
        One row a variant: prior, factor, and the posterior mean of each headline group.

    Raises
    ------
    PriorError
        If the fit is of a variant that is not Gaussian, or one period of a chain, whose
        refits would cut its links; or if a name is no prior.
    """
    fit = _gaussian_fit(fit, "widened")
    tasks = [(name, factor) for name in names for factor in factors]
    rows = in_order(client, _widened, tasks, fit, draws)
    return _judged(pd.DataFrame([_headline("as it is", 1.0, attribute(fit)), *rows]), fit)


def _widened(fit: Fit, draws: int, task: tuple[str, float]) -> dict[str, object]:
    name, factor = task
    again = refit(fit, fit.model.priors.widen(name, factor), draws=draws, chains=4)
    return _headline(name, factor, attribute(again))


def left_out(
    fit: Fit,
    by: str = SOURCE,
    *,
    bands: Sequence[tuple[int, int | None]] = AGE_BANDS,
    checks: Checks | None = None,
) -> pd.DataFrame:
    """How far every headline group moves when rows are left out, and whether they contradict.

    Exact at the posterior mean scales, without a refit; see :mod:`imps.results.stability`.

    Parameters
    ----------
    fit : Fit
    by : {"source", "age", "year", "period"}
        Each source of evidence in turn; each band of age of the census and of registers;
        each year of the flows; each period of a chain, in the fit of one of them (`fit.periods`).
    bands : sequence of (first age, last age)
        Bands that are left out by age; None is the end of an open band.
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    DataFrame, persons
        by, left_out, rows, group, mean, sd, mean_without, sd_without, shift, shift_in_sd (of the
        posterior with all rows), z (standard normal under the model), conflict (whether |z|
        is beyond the family-wise 5 per cent level, `attrs["critical_z"]`). By age the group
        "counted" is the people of the band: as published, and as all other rows predict them.
        No row where nothing was published by age.

    Raises
    ------
    LabelError
        If `by` is something else, or a band that was asked for has no row.
    """
    fit = _gaussian_fit(fit, "left_out")
    found = stability(fit.model, mean_scales(fit), (by,), bands=bands)
    found.table.attrs["critical_z"] = found.critical
    return _judged(found.table, fit, checks)


def without_rows(model: LinearModel, source: str) -> LinearModel:
    """The same model with the rows of one source taken out of the likelihood."""
    keep = np.array([s != source for s in model.row_sources])
    if keep.all():
        raise SourceError(
            f"no rows of the likelihood come from '{source}'. Known: "
            f"{', '.join(dict.fromkeys(model.row_sources))}."
        )
    return model.with_rows(keep)


def _gaussian_fit(fit: object, function: str, *, of_chain: bool = False) -> Fit:
    """The fit, if it is of the Gaussian model: everything here refits or solves that one."""
    found = needs_fit(fit, function, of_chain=of_chain)
    if not found.gaussian:
        raise PriorError(
            f"{function}() works on the Gaussian model only, and this fit is of a variant of it. "
            "Call it on a fit of build_model(sources, priors) without options."
        )
    return found


def _judged(table: pd.DataFrame, fit: Fit, checks: Checks | None = None) -> pd.DataFrame:
    """The table with the verdict of its fit among its attributes."""
    return (checks or check(fit)).verdict.put_on(table)


def _fit(model: LinearModel, like: Fit, draws: int, chains: int = 4) -> Fit:
    return fit(
        model, seed=like.seed, method="exact", draws=draws, chains=chains, progress=False, near=like
    )


def _headline(name: str, factor: float, attribution: Attribution) -> dict[str, object]:
    means = attribution.groups().set_index("group")["mean"]
    return {"prior": name, "factor": factor, **means.to_dict()}


def mean_scales(fit: Fit) -> np.ndarray:
    """Posterior mean of the standardised log scales (scale), at which exact answers are given."""
    return fit.draws["log_scale"].mean(("chain", "draw")).values


def _spelt(name: str) -> str:
    """A name as it can stand for an argument of a function."""
    return name.replace(" ", "_")
