"""Fitting: the exact way where the model is conditionally Gaussian, NUTS everywhere.

`method="exact"` integrates the scales by an importance grid and draws everything
else exactly. Each of its chains is an independent randomisation of the grid, so
that R-hat and effective sizes are measured by replication. `method="nuts"`
samples the PyMC model with nutpie. `method="auto"` takes the exact way where
there is one, and NUTS if the weights of the grid are too uneven.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from imps.account.linear import LinearModel
from imps.errors import FitSkippedError, PriorError, ScalesNotFoundError
from imps.names import CHAIN, DRAW
from imps.posterior.chains import GRID_POINTS, LEAST_EFFECTIVE_SHARE, Chains, chains_by_grid, within
from imps.posterior.draws import own_terms
from imps.posterior.exact import RUNAWAY
from imps.posterior.fitted import NEAR as NEAR
from imps.posterior.fitted import Fit as Fit
from imps.posterior.fitted import fit_of_chains, with_terms
from imps.posterior.fitted import needs_fit as needs_fit
from imps.posterior.given_model import Given, allowed, given
from imps.posterior.nuts import chains_by_nuts
from imps.posterior.storage import LOG_SCALE, diagnose
from imps.sampling import Sampling

COMPARED = 1.0
"""Persons of posterior standard deviation from which a quantity is compared between two ways."""


def agreement(exact: Fit, sampled: Fit) -> pd.DataFrame:
    """Two fits of one account beside each other, the quantity that is farthest apart first.

    Parameters
    ----------
    exact : Fit
        By the exact way; its moments of the mixture over the scales are compared.
    sampled : Fit
        By NUTS.

    Returns
    -------
    DataFrame
        quantity; exact_mean, sampled_mean, exact_sd, sampled_sd (persons); apart, the
        difference of the means in posterior standard deviations; monte_carlo_error of that
        difference, from the effective size of the draws; sd_ratio, sampled over exact.
    """
    moments = exact.extras["exact_moments"].set_index("quantity")
    moments = moments[moments["sd"] > COMPARED]
    drawn = sampled.quantities()
    size = diagnose({name: drawn[name] for name in moments.index}).set_index("quantity")["ess_bulk"]
    frame = pd.DataFrame(
        {
            "exact_mean": moments["mean"],
            "sampled_mean": [drawn[name].mean() for name in moments.index],
            "exact_sd": moments["sd"],
            "sampled_sd": [drawn[name].std() for name in moments.index],
        }
    )
    frame["apart"] = (frame["sampled_mean"] - frame["exact_mean"]) / frame["exact_sd"]
    frame["monte_carlo_error"] = size.reindex(frame.index) ** -0.5
    frame["sd_ratio"] = frame["sampled_sd"] / frame["exact_sd"]
    return frame.sort_values("apart", key=abs, ascending=False).reset_index()


def cross_checked(exact: Fit, sampled: Fit, tell: Callable[[str], None]) -> Fit:
    """The exact fit with the comparison in its extras and its notes, and printed."""
    table = agreement(exact, sampled)
    far, wide = table.iloc[0], (table["sd_ratio"] - 1).abs().max()
    line = (
        f"cross-check with NUTS: means within {abs(far['apart']):.3f} posterior standard "
        f"deviations (farthest: {far['quantity']}, Monte Carlo error "
        f"{far['monte_carlo_error']:.3f}), standard deviations within {wide:.1%}"
    )
    tell(line)
    tell(table.head(5).round(3).to_string(index=False))
    return replace(exact, notes=(*exact.notes, line), extras={**exact.extras, "cross_check": table})


FALLBACKS = ("nuts", "skip")
LOG = logging.getLogger("imps")
"""Where a fit says what is going on, unless it is told whom to tell."""


def fit(
    model: object,
    *,
    seed: int,
    method: str = Sampling.method,
    draws: int | None = None,
    chains: int = Sampling.chains,
    tune: int = Sampling.tune,
    target_accept: float = Sampling.target_accept,
    cores: int = Sampling.cores,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
    keep: str | Path | None = None,
    near: Fit | None = None,
    cross_check: bool = False,
    time_limit: float | None = None,
    on_fallback: str = FALLBACKS[0],
) -> Fit:
    """Draw from the posterior of an account.

    Parameters
    ----------
    model : pm.Model or LinearModel
        From :func:`imps.build_model` or :func:`imps.linear_model`.
    seed : int, 0 or more
        One integer; the stream of each chain is derived from it by name, so that a chain
        does not depend on how many others there are.
    method : {"auto", "exact", "nuts"}
    draws : int, optional
        Draws of each chain: 1,000 independent ones the exact way, 2,000 by NUTS.
    chains, tune : int
        `tune` is for NUTS only.
    target_accept : float
        Share of steps that NUTS aims to accept, between 0.5 and 1.
    cores : int
        Chains that NUTS samples at a time; the draws do not depend on it.
    progress : bool
        Show the progress bars of the sampler.
    say : callable, optional
        Told in a line what is going on.
    keep : path, optional
        Folder where each chain is kept as soon as it is finished. Called again with the same
        model and settings, only the missing chains are drawn; the outcome is that of
        an undisturbed call. `load_fit(folder)` looks at what is there.
    near : Fit, optional
        A fit of a like account with the same unknown scales: the exact way begins its search
        for the scales there, and the posterior is the same (:func:`imps.refit`).
    cross_check : bool
        Also sample the same model by NUTS, print how far the two agree and keep the table in
        ``fit.extras["cross_check"]``, see :func:`imps.posterior.fit.agreement`. Takes
        minutes where the fit takes seconds; the draws returned are those of the exact way.
    time_limit : float, optional
        Seconds of wall time after which the fit is given up.
    on_fallback : {"nuts", "skip"}
        Where the exact way does not suit, `method="auto"` samples by NUTS, which takes minutes,
        or raises `FitSkippedError`, for loops over many accounts.

    Returns
    -------
    Fit

    Raises
    ------
    PriorError
        If the exact way, or a cross-check of it, is asked of a model that is not
        conditionally Gaussian.
    OutputExistsError
        If `keep` holds chains of another fit.
    TimeLimitError, FitSkippedError
        See `time_limit` and `on_fallback`.
    """
    if on_fallback not in FALLBACKS:
        raise PriorError(f"on_fallback is '{on_fallback}', expected one of {FALLBACKS}.")
    sampling = Sampling(seed, method, draws, chains, tune, target_accept, cores)
    gaussian, found = allowed(model, sampling), given(model)
    linear, tell = found.linear, say or LOG.info
    if cross_check and (method == "nuts" or not gaussian):
        raise PriorError(
            "cross_check=True compares the exact way with NUTS, and this fit takes NUTS alone. "
            "Leave it out, or take method='exact' and a model without options."
        )
    settings = {**sampling.record(), "variant": found.variant.record()}
    determining = ("seed", "draws", "tune", "target_accept", "variant")
    folder = None if keep is None else Path(keep)
    kept = Chains(folder, linear, {name: settings[name] for name in determining})

    def by_nuts(*notes: str) -> Fit:
        if method == "auto" and on_fallback == "skip" and not cross_check:
            raise FitSkippedError(
                f"{linear.sources.area}: {'; '.join(notes) or 'this model has no exact answer'}. "
                "Nothing was sampled. Take on_fallback='nuts', or method='exact' and its checks."
            )
        return _nuts(found, sampling.by("nuts"), notes, kept, progress, tell)

    def work() -> Fit:
        if not gaussian or method == "nuts":
            return by_nuts()
        try:
            drawn = _with_own(_exact(linear, sampling.by("exact"), kept, tell, near), found)
        except ScalesNotFoundError as error:
            if method == "exact" or cross_check:
                raise
            tell(str(error))
            return by_nuts("no point over the scales counts: NUTS was taken")
        share = float((drawn.stats["effective_points"] / drawn.stats["grid_points"]).min())
        away = _run_away(drawn)
        if away:
            tell(f"{away} has run away and takes up a misfit, which no other way would mend")
        if method == "exact" or away or share >= LEAST_EFFECTIVE_SHARE:
            return cross_checked(drawn, by_nuts(), say or print) if cross_check else drawn
        note = f"grid over the scales too uneven ({share:.0%} effective): NUTS was taken"
        tell(note)
        return by_nuts(note)

    return within(time_limit, work)


def _run_away(drawn: Fit) -> str:
    """The scale that takes up a misfit, if one does; see :func:`imps.check`."""
    scales = drawn.draws[LOG_SCALE].mean((CHAIN, DRAW))
    if not scales.size or float(scales.max()) <= RUNAWAY:
        return ""
    return str(scales["scale"].values[np.argmax(scales.values)])


def _exact(
    linear: LinearModel,
    sampling: Sampling,
    kept: Chains,
    tell: Callable[[str], None],
    near: Fit | None,
) -> Fit:
    start = time.perf_counter()
    tell(f"exact posterior: {sampling.chains} grids of {GRID_POINTS} points over the scales")
    scales = None if near is None else _scales_of(near, linear)
    chains = chains_by_grid(linear, sampling, kept, tell, scales)
    seconds = {"total": time.perf_counter() - start}
    found = fit_of_chains(chains, linear, "exact", sampling, given(linear).variant, seconds)
    return found if near is None else replace(found, extras={**found.extras, NEAR: True})


def _nuts(
    found: Given,
    sampling: Sampling,
    notes: tuple[str, ...],
    kept: Chains,
    progress: bool,
    tell: Callable[[str], None],
) -> Fit:
    start = time.perf_counter()
    chains, seconds = chains_by_nuts(found, sampling, kept, progress, tell)
    seconds["total"] = time.perf_counter() - start
    drawn = fit_of_chains(chains, found.linear, "nuts", sampling, found.variant, seconds, notes)
    return _with_own(drawn, found)


def _with_own(drawn: Fit, found: Given) -> Fit:
    """The fit with deterministics, densities and data of the user's own terms among its extras."""
    if not found.own:
        return drawn
    return with_terms(drawn, own_terms(found, drawn.draws, drawn.own()["posterior"]))


def _scales_of(near: Fit, linear: LinearModel) -> np.ndarray:
    """Draws (draw, scale) of the log scales of a fit of a like account."""
    found = near.draws[LOG_SCALE]
    if tuple(found["scale"].values) != linear.scale_names:
        raise PriorError(
            f"near: that fit has the scales {', '.join(map(str, found['scale'].values))}, this "
            f"account has {', '.join(linear.scale_names)}. Fit without it."
        )
    return found.values.reshape(-1, len(linear.scale_names))
