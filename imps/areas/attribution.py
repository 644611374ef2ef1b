"""Results of a fit of areas: attribution of one area, table of all, and how they depart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from imps.areas.fit import AreaFit
from imps.areas.message import CELLS, message
from imps.areas.priors import BASE, CENSUS, INTERNAL, N_PATTERNS, REMAINDER, SPECIAL
from imps.intervals import ends, level
from imps.names import AGE, CHAIN, DRAW, EMIGRATION, IMMIGRATION, SEX, SEXES, SOURCE
from imps.posterior.workers import one_thread
from imps.results.attribution import Attribution
from imps.sources import BY_SEX_AND_AGE
from imps.sources.definitions import Detail

EXTERNAL = "external"
REPORTED = {
    BASE: (BASE,),
    EXTERNAL: (IMMIGRATION, EMIGRATION),
    INTERNAL: (INTERNAL,),
    CENSUS: (CENSUS,),
    SPECIAL: (SPECIAL,),
    REMAINDER: (REMAINDER,),
}
"""What can be shown of an area: which direction of external migration erred cannot."""
GROUP = {
    BASE: "base",
    IMMIGRATION: "migration",
    EMIGRATION: "migration",
    INTERNAL: "other changes",
    CENSUS: "census",
    SPECIAL: "other changes",
    REMAINDER: "residual",
}
"""Headline group of each source of an area."""
UNLIKE = 3.0
"""Standard errors by which an area's total departs from what the others teach, to be flagged."""
NEGATIVE = 0.05
"""Share of draws with a negative true flow that is flagged."""
HEAVY = 2.0
"""Mean square of an area's standardised cells from which they are flagged; one is expected."""


def reported(fit: AreaFit) -> dict[str, tuple[str, ...]]:
    """What is shown of the areas of a fit, and the sources that it is the sum of."""
    there = fit.model.sources
    return {name: members for name, members in REPORTED.items() if {*members} <= {*there}}


def attribution_of(fit: AreaFit, code: str) -> Attribution:
    """The gap of one area by source, an ordinary attribution in age groups."""
    r, cells = fit.place(code), fit.contrasts.cells
    ages = np.array(cells.lower_ages)
    draws = fit.contributions(code).transpose(2, 0, 1)
    sources = fit.model.sources
    values = draws.reshape(1, fit.n_draws, len(sources), len(SEXES), ages.size)
    labels = {SOURCE: list(sources), SEX: list(SEXES), AGE: ages}
    gap = fit.contrasts.gap[r].reshape(len(SEXES), ages.size)
    sds = np.sqrt(prior_variances(fit, r))
    groups = pd.DataFrame({SOURCE: sources, "group": [GROUP[s] for s in sources]})
    prior = groups.assign(prior_mean=0.0, prior_sd=sds)
    squares = prior.assign(v=sds**2).groupby("group", sort=False)["v"].sum()
    by_group = pd.DataFrame(
        {"group": squares.index, "prior_mean": 0.0, "prior_sd": np.sqrt(squares.to_numpy())}
    )
    return Attribution(
        contributions=xr.DataArray(values, dims=(CHAIN, DRAW, SOURCE, SEX, AGE), coords=labels),
        gap=xr.DataArray(gap, dims=(SEX, AGE), coords={SEX: list(SEXES), AGE: ages}),
        observed=BY_SEX_AND_AGE,
        prior=prior,
        prior_groups=by_group,
        exact=None,
        area=list(fit.areas.names.values())[r],
        period=fit.period,
        verdict=fit.verdict,
        passed=fit.verdict.passed,
        detail=Detail(True, tuple(int(a) for a in ages)),
        words=replace(
            fit.words, unit=type(fit.words.unit).of(float(fit.contrasts.census[r].sum()))
        ),
    )


def prior_variances(fit: AreaFit, area: int) -> np.ndarray:
    """Prior variance of the total of each source of one area, (source).

    The scales of areas are as learnt from all of them: what is left to learn is the area's own.
    """
    model, c = fit.model, fit.contrasts
    mean_square = (fit.scales.to_numpy() ** 2).mean(axis=0)
    own = own_variances(fit, area)
    w = c.reference[area]
    weights = (*c.shares[area], w, w)
    national = np.array([x @ p @ x for x, p in zip(weights, fit.prior, strict=True)])
    pairs = zip(model.design[area], model.patterns, mean_square[-N_PATTERNS:], strict=True)
    pattern = np.array([s * ((a @ f) ** 2).sum() for a, f, s in pairs])
    out = own.copy()
    out[[0, 1, 2, 4, -1]] += national
    out[1:4] += pattern
    return out


def own_variances(fit: AreaFit, area: int) -> np.ndarray:
    """Prior variance of what an area has of its own, in total, at the learnt scales, (source)."""
    mean_square = (fit.scales.to_numpy() ** 2).mean(axis=0)[:-N_PATTERNS]
    own = fit.model.covariances(area, np.sqrt(mean_square)).sum(axis=(1, 2))
    return np.append(own, mean_square[CELLS] * fit.model.noise[area].sum())


def _own(fit: AreaFit, area: int) -> np.ndarray:
    """What an area has of its own of each source, noise of cells last, (source, draw)."""
    lies = fit.national[:, -1] @ fit.contrasts.reference[area]
    return np.concatenate([fit.own_totals[area], fit.totals[area, -1:] - lies])


def area_table(fit: AreaFit, prob: float = 0.90) -> pd.DataFrame:
    """Sources of the gap of every area, one row an area and source.

    Returns
    -------
    DataFrame
        `code`, `name`, `population` (census), `gap`, `gap_percent` of the census, `source`
        (base, external, internal, census, special populations where they are given, remainder),
        `mean`, `sd`, `lower90`, `upper90`
        (persons, equal-tailed), `contraction` of what the area has of its own of that source,
        in total, given the scales that all areas teach, `factor` by which all its deviations are
        taken for larger than those of areas in the middle, and `flagged`: "unlike the others"
        where the total departs by more than 3 standard errors from what scales and patterns
        expect, "ages" where its cells do, "negative flow" where over 5 per cent of draws have a
        true flow below zero.
    """
    c, totals = fit.contrasts, fit.totals
    population, gap = c.census.sum(axis=1), c.gap.sum(axis=1)
    flags = area_flags(fit)
    rows = []
    for r, (code, name) in enumerate(fit.areas.names.items()):
        before, own = own_variances(fit, r), _own(fit, r)
        for source, members in reported(fit).items():
            at = [fit.model.sources.index(m) for m in members]
            draws = totals[r, at].sum(axis=0)
            low, high = ends(draws, prob)
            rows.append(
                {
                    "code": code, "name": name, "population": population[r], "gap": gap[r],
                    "gap_percent": 100 * gap[r] / population[r], "source": source,
                    "mean": draws.mean(), "sd": draws.std(),
                    level("lower95", prob): low, level("upper95", prob): high,
                    "contraction": 1 - own[at].sum(axis=0).var() / before[at].sum(),
                    "factor": fit.model.factor[r],
                    "flagged": flags[r],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def departures(fit: AreaFit) -> pd.DataFrame:
    """How far each area departs from what scales and patterns expect of it.

    Returns
    -------
    DataFrame
        `code`, `z` of the total contrast, and `mean_square` of its standardised cells, both
        at the mean scales, with the uncertainty of nation and patterns.
    """
    model = replace(fit.model, factor=np.ones(len(fit)))
    scales = fit.scales.to_numpy().mean(axis=0)[:-N_PATTERNS]
    s = fit.pattern.copy()
    s[:, :2] += fit.national[:, 1:3]
    mean, rows = s.mean(axis=0), []
    apart = s - mean
    for r, code in enumerate(model.codes):
        gamma = model.covariances(r, scales).sum(axis=0)
        gamma.flat[:: gamma.shape[0] + 1] += scales[CELLS] ** 2 * model.noise[r]
        moved = np.einsum("djc,jc->dc", apart, model.design[r])
        gamma += moved.T @ moved / len(moved)
        left = model.contrast[r] - (model.design[r] * mean).sum(axis=0)
        square = left @ np.linalg.solve(gamma, left) / left.size
        rows.append((code, left.sum() / np.sqrt(gamma.sum()), square))
    return pd.DataFrame(rows, columns=["code", "z", "mean_square"])


def conflict(fit: AreaFit) -> pd.DataFrame:
    """What the areas say of the nation: it is not moved by them unless `move_nation` was asked.

    Returns
    -------
    DataFrame
        `source` (immigration, emigration), `mean` and `sd` of its part of the national gap as it
        stands, `mean_with_areas` and `sd_with_areas`, persons, and `z`, the shift over the root of
        the variance that would be gained; beyond 3 the areas contradict the nation. At the mean
        scales.
    """
    model, n = fit.model, fit.model.n_cells
    scales = fit.scales.to_numpy().mean(axis=0)
    with one_thread():
        said = message(model, scales[:-N_PATTERNS])
    nation = fit.before
    whole = nation.with_patterns(model, scales[-N_PATTERNS:])
    moved = nation.covariance @ np.linalg.inv(np.eye(len(whole)) + said.precision @ whole)
    mean = nation.mean + moved @ (said.linear - said.precision @ nation.mean)
    covariance = nation.covariance - moved @ said.precision @ nation.covariance
    rows = []
    for j, source in enumerate((IMMIGRATION, EMIGRATION)):
        at = slice(j * n, (j + 1) * n)
        before, after = nation.covariance[at, at].sum(), covariance[at, at].sum()
        shift = mean[at].sum() - nation.mean[at].sum()
        rows.append(
            {
                "source": source, "mean": nation.mean[at].sum(), "sd": np.sqrt(before),
                "mean_with_areas": mean[at].sum(), "sd_with_areas": np.sqrt(after),
                "z": shift / np.sqrt(before - after),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def area_flags(fit: AreaFit) -> list[str]:
    """What to know before an area is quoted, in words; empty where there is nothing."""
    apart, out = departures(fit), []
    flows = fit.areas.figures
    arrived = flows["international_in"].sum("year").values
    left = flows["international_out"].sum("year").values
    for r in range(len(fit)):
        i, e = (fit.totals[r, fit.model.sources.index(s)] for s in (IMMIGRATION, EMIGRATION))
        negative = max((arrived[r] - i < 0).mean(), (left[r] + e < 0).mean())
        said = {
            "unlike the others": abs(apart["z"][r]) > UNLIKE,
            "ages": apart["mean_square"][r] > HEAVY,
            "negative flow": negative > NEGATIVE,
        }
        out.append("; ".join(word for word, true in said.items() if true))
    return out
