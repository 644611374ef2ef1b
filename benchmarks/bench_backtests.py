"""Back-tests on real figures: the second census predicted, and the attribution against ONS.

1. The model is fitted WITHOUT the second census and predicts it, in total, by sex and
   by single years of age, for 2001-2011, then 2011-2021 (and in total for 1991-2001).
   Rivals: the roll-forward as published (by sex where it was published for that date,
   by age the account's own reconstruction of it); the account of the later series with
   the stated standard errors only; pro-rata allocation, which gives the published total
   the ages of the base. Scored by coverage of 50, 90 and 95 % intervals and by the
   continuous ranked probability score (CRPS), which for a forecast without spread is
   the absolute error. Census figures are used to score. They enter the prediction only
   as the size of which coverage error is a share, and in the standard error of cells.
   Bands of age say where single years are missed. As errors of neighbouring ages go
   together, so do misses: the chance that the model itself gives to no more cells inside
   its intervals stands beside them, in the columns of coverage. Each decade is
   also predicted with the priors whose figures were known in the year before its census, and
   scales fixed at what a full fit of the other decade has found; and from the mid-year before
   its census with the priors of that year; and the net migration of
   children that the roll-forward carried stands against what births, deaths and both stocks imply.
2. The posterior attribution of the full fit is set against what ONS published later
   (`case.published_afterwards`; no likelihood holds it, but the default priors name some of
   it as reasons), beside three rivals: the gap less
   known revisions allocated pro rata to size, balanced by least squares with the stated
   standard errors (Stone; generalised least squares of statsmodels), and put on gross
   flows by the smallest change of them.

Appends to results/backtests.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_backtests.py
"""

import sys

import numpy as np
import pandas as pd
import statsmodels.api as sm
from results_file import append

import imps
from imps.account.gap import rolled_forward_cells
from imps.account.linear import LinearModel
from imps.account.stocks import registered_births, registered_deaths
from imps.demography.accounting import along_cohorts, carry
from imps.names import FLOW_SIGN, FLOWS, SEXES

SEED, DRAWS = 1, 1000
MODEL = "model without the census"
LEARNT = "model without the census, priors of the time, scales of the other decade"
EARLIER = "model of the year before, without the census, priors of the time"
CHANCE = "model without the census, chance of no more inside"
PUBLISHED = "roll-forward as published"
BANDS = {"0-9": (0, 10), "10-19": (10, 20), "20-39": (20, 40), "40-64": (40, 65), "65+": (65, 91)}
PROBS = (50, 90, 95)
STATED_FOR_STOCKS = 0.001
"""Relative standard error of a stock that states none: that of the 2001 Census."""
KNOWN_SCALE = 0.01
"""Spread of the logarithm of a scale that is fixed."""
CASES = ("uk-1991-2001", "england-wales-2001-2011", "england-wales-2011-2021")
DECADES = dict(zip(CASES[1:], CASES[:0:-1], strict=True))
"""Each case with stocks by age, and the other one."""
LATER = {
    "uk-1991-2001": {
        "base": ("mid-1991 base lowered",),
        "revisions": ("net international migration 1992-2001 lowered",),
        "census": ("census base raised", "census base raised again in 15 areas"),
        "migration and residual": ("never attributed",),
    },
    "england-wales-2001-2011": {
        "migration": ("net international migration 2001-2011 raised",),
    },
    "england-wales-2011-2021": {
        "migration": ("net international migration mid-2011 to mid-2021 lowered",),
    },
}


def crps(draws: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of draws (draw, cell), persons.

    E|X - y| - E|X - X'| / 2 (Gneiting and Raftery 2007, JASA 102, equation 21).
    """
    x, n = np.sort(draws, axis=0), len(draws)
    weight = (2 * np.arange(1, n + 1) - n - 1)[:, None]
    return np.abs(x - actual).mean(axis=0) - (weight * x).sum(axis=0) / n**2


def score(case: str, target: str, method: str, draws: np.ndarray, actual: np.ndarray) -> dict:
    """One row: a prediction (draw, cell) against the figures (cell)."""
    row = {
        "part": "prediction",
        "case": case,
        "target": target,
        "method": method,
        "cells": actual.size,
        "predicted": round(float(draws.mean(axis=0).sum())),
        "sd": round(float(draws.sum(axis=1).std())) if len(draws) > 1 else "",
        "actual": round(float(actual.sum())),
        "mean_error": round(float((draws.mean(axis=0) - actual).mean())),
        "crps": round(float(crps(draws, actual).mean())),
    }
    for prob in PROBS:
        held = round(float(inside(draws, actual, prob)), 3) if len(draws) > 1 else ""
        row[f"coverage{prob}"] = held
    return row


def inside(draws: np.ndarray, figures: np.ndarray, prob: int) -> np.ndarray:
    """Share of figures (..., cell) within the central intervals of draws (draw, cell)."""
    low, high = np.quantile(draws, [(100 - prob) / 200, (100 + prob) / 200], axis=0)
    return ((low <= figures) & (figures <= high)).mean(axis=-1)


def chance(case: str, target: str, draws: np.ndarray, actual: np.ndarray) -> dict:
    """One row: how often draws of the model lie no better within its intervals than the figures."""
    row = score(case, target, CHANCE, draws, actual) | {"crps": ""}
    for prob in PROBS:
        rarer = inside(draws, draws, prob) <= inside(draws, actual, prob)
        row[f"coverage{prob}"] = round(float(rarer.mean()), 3)
    return row


def known_before(year: int, other: str) -> imps.Priors:
    """Priors known the year before a census, with the scales that a fit of another case finds."""
    priors = imps.default_priors(as_of=year - 1)
    model = imps.linear_model(imps.load_case(other).sources, priors)
    found = imps.fit(model, seed=SEED, method="exact", draws=DRAWS, progress=False)
    squares = np.exp(2 * model.log_sd * found.draws["log_scale"]).mean(("chain", "draw")).values
    for name, square in zip(model.scale_names, squares, strict=True):  # the variance found there
        priors = priors.widen(name, float(np.sqrt(square)))
    return priors.replace(scale_log_sd=(KNOWN_SCALE, 0.0))


def predicted_census(
    sources: imps.Sources, priors: imps.Priors, last_year: int | None = None
) -> np.ndarray:
    """Draws (draw, sex, age) of the census figure from the account of an open end."""
    opened = imps.open_end(sources, last_year)
    blind = imps.fit(imps.linear_model(opened, priors), seed=SEED, method="exact", draws=DRAWS)
    count = imps.predicted_census(blind, date=sources.census.date, seed=SEED).count
    return count.values.reshape(-1, *count.shape[2:])


def account_with_stated_errors(model: LinearModel) -> np.ndarray:
    """Draws (draw, sex, age): the published account with sampling errors and nothing else."""
    sources, account = model.sources, model.account
    cells = rolled_forward_cells(account) - revised(model)
    base = sources.base.relative_standard_error or STATED_FOR_STOCKS
    variance = (base * sources.base.total) ** 2
    for part in model.contributions:
        if part.source.endswith("_sampling") and part.source != "census_sampling":
            variance += float(model.prior_moments(part.prior.sum())[1]) ** 2
    variance += (sources.census.relative_standard_error * sources.census.total) ** 2
    rng = np.random.default_rng([SEED, 2])
    total = rng.standard_normal(4 * DRAWS) * np.sqrt(variance)
    return cells + total[:, None, None] * cells / cells.sum()


def revised(model: LinearModel) -> np.ndarray:
    """Flows revised since, (sex, age): known arithmetic."""
    part = next(c for c in model.contributions if c.source == "flows_revised_since")
    return part.value.constant


def predictions(case: str, model: LinearModel) -> list[dict]:
    """Scores of the second census, for each method and detail."""
    sources = model.sources
    published = rolled_forward_cells(model.account)
    ages = sources.base.count.values
    methods = {
        MODEL: predicted_census(sources, model.priors),
        PUBLISHED: published[None],
        "stated standard errors only": account_with_stated_errors(model),
        "pro rata to the base": (published.sum() * ages / ages.sum())[None],
    }
    if case in DECADES:
        priors = known_before(sources.last_year, DECADES[case])
        methods[LEARNT] = predicted_census(sources, priors)
    count = sources.census.count.values
    rows = []
    for method, cells in methods.items():
        rows.append(score(case, "total", method, cells.sum((1, 2))[:, None], np.r_[count.sum()]))
        if sources.census.observed == "total":
            continue
        by_sex = cells.sum(2)
        if method == PUBLISHED and sources.rolled_forward.by_sex is not None:
            by_sex = sources.rolled_forward.by_sex.values[None]
        for s, sex in enumerate(SEXES):
            actual = np.r_[count.sum(1)[s]]
            rows.append(score(case, sex, method, by_sex[:, s : s + 1], actual))
        target = "single years of age by sex"
        flat = cells.reshape(len(cells), -1)
        rows.append(score(case, target, method, flat, count.ravel()))
        if method == MODEL:
            rows.append(chance(case, target, flat, count.ravel()))
        for band, (first, end) in BANDS.items() if method in (MODEL, LEARNT, PUBLISHED) else ():
            part = cells[:, :, first:end].reshape(len(cells), -1)
            actual = count[:, first:end].ravel()
            rows.append(score(case, f"{target}, ages {band}", method, part, actual))
            for s, sex in enumerate(SEXES) if method == MODEL else ():
                one, own = cells[:, s, first:end], count[s, first:end]
                rows.append(score(case, f"single years of age, {sex} {band}", method, one, own))
    return rows + children(case, model) if sources.census.observed != "total" else rows


def year_before(case: str) -> list[dict]:
    """Scores of the census from the mid-year before it, with the priors of that year."""
    sources = imps.load_case(case).sources
    before, count = sources.last_year - 1, sources.census.count.values
    cells = predicted_census(sources, imps.default_priors(as_of=before), before)
    by_sex = cells.sum(2)
    rows = [score(case, "total", EARLIER, by_sex.sum(1)[:, None], np.r_[count.sum()])]
    for s, sex in enumerate(SEXES):
        rows.append(score(case, sex, EARLIER, by_sex[:, s : s + 1], np.r_[count[s].sum()]))
    for band, (first, end) in BANDS.items():
        part = cells[:, :, first:end].reshape(len(cells), -1)
        target = f"single years of age by sex, ages {band}"
        rows.append(score(case, target, EARLIER, part, count[:, first:end].ravel()))
    return rows


def children(case: str, model: LinearModel) -> list[dict]:
    """Net migration of the young over the decade: carried, against what the census implies.

    What base, births and deaths alone would have left of a cohort is taken off.
    """
    sources, rows = model.sources, []
    natural = registered_births(sources) - registered_deaths(sources)
    closed = carry(sources.base.count.values, len(sources.years)) + along_cohorts(natural)
    carried = rolled_forward_cells(model.account) - closed
    implied = sources.census.count.values - closed
    for band in ("0-9", "10-19"):
        ages = slice(*BANDS[band])
        net = np.r_[implied[:, ages].sum()]
        target = f"net migration over the decade of those aged {band} at its end"
        rows.append(
            score(case, target, PUBLISHED, carried[None, :, ages].sum((1, 2))[:, None], net)
        )
    return rows


def balanced(model: LinearModel) -> dict[str, dict[str, tuple[float, float]]]:
    """Rival attributions of the gap less known revisions: group to mean and sd, persons."""
    sources = model.sources
    part = {c.source: c for c in model.contributions}
    date = float(part["date_change"].value.sum().constant)
    gap = sources.gap - float(revised(model).sum()) - date
    flow = {name: float(model.account.flows[name].published.sum()) for name in FLOWS}
    sizes = {"base": sources.base.total, "census": sources.census.total, **flow}
    share = {name: size / sum(sizes.values()) for name, size in sizes.items()}
    error = {
        "base": (sources.base.relative_standard_error or STATED_FOR_STOCKS) * sizes["base"],
        "census": (sources.census.relative_standard_error or STATED_FOR_STOCKS) * sizes["census"],
        **{n: float(model.prior_moments(part[f"{n}_sampling"].prior.sum())[1]) for n in FLOWS},
    }
    names = list(error)
    sign = np.array([1.0, -1.0, *(FLOW_SIGN[name] for name in FLOWS)])
    # unknown: true base and flows; the census is base + immigration - emigration + the rest
    design = np.vstack([np.eye(3), sign[[0, 2, 3]]])
    figures = np.array([0.0, 0.0, 0.0, -gap])
    order = ["base", *FLOWS, "census"]
    stone = sm.GLS(figures, design, sigma=np.diag([error[n] ** 2 for n in order])).fit()
    moved = -stone.params * sign[[0, 2, 3]]
    fitted_census = stone.fittedvalues[-1] + gap
    covariance = stone.normalized_cov_params  # the stated errors, not rescaled by the misfit
    spread = np.sqrt(np.diag(covariance))
    flows = np.sqrt(sign[2:] @ covariance[1:, 1:] @ sign[2:])
    last = np.sqrt(sign[[0, 2, 3]] @ covariance @ sign[[0, 2, 3]])
    assert names and abs(moved.sum() + fitted_census - gap) < 1e-3
    return {
        "pro rata to size": {
            "base": (gap * share["base"], 0.0),
            "migration": (gap * (share[FLOWS[0]] + share[FLOWS[1]]), 0.0),
            "census": (gap * share["census"], 0.0),
        },
        "least squares (Stone)": {
            "base": (moved[0], spread[0]),
            "migration": (moved[1] + moved[2], float(flows)),
            "census": (fitted_census, float(last)),
        },
        "smallest change of gross flows": {
            "base": (0.0, 0.0),
            "migration": (gap, 0.0),
            "census": (0.0, 0.0),
        },
    }


def attributions(name: str, model: LinearModel, afterwards: pd.DataFrame) -> list[dict]:
    """Posterior attribution and its rivals against what was published later."""
    found = imps.attribute(imps.fit(model, seed=SEED, draws=DRAWS, progress=False))
    groups = found.groups().set_index("group")
    draws = found.totals().values.reshape(-1, found.totals().sizes["source"])
    group_of = found.prior["group"].to_numpy()
    rivals = balanced(model)
    rows = []
    for group, items in LATER[name].items():
        known = afterwards.set_index("item").loc[list(items)]
        actual = np.r_[float((known["persons"] * known["sign_in_gap"]).sum())]
        members = group.split(" and ")
        own = draws[:, np.isin(group_of, members)].sum(axis=1)[:, None]
        if len(members) == 1:
            own = own + groups.loc[group, "mean"] - own.mean()
        label = f"{group}, published for {', '.join(dict.fromkeys(known['area']))}"
        row = score(name, label, "model", own, actual)
        if own.std() < 1.0:
            row |= {f"coverage{p}": "" for p in (50, 90, 95)}
        rows.append({**row, "part": "attribution"})
        for method, parts in rivals.items():
            if members[0] not in parts:
                continue
            mean, sd = parts[members[0]]
            normal = np.random.default_rng([SEED, 3]).standard_normal((4 * DRAWS, 1))
            rival = mean + sd * normal if sd > 0 else np.array([[mean]])
            rows.append({**score(name, label, method, rival, actual), "part": "attribution"})
    return rows


def main() -> None:
    """Both parts for the three shipped cases, and from the year before; `before` that alone."""
    rows = [row for case in DECADES for row in year_before(case)]
    for name in CASES if "before" not in sys.argv else ():
        case = imps.load_case(name)
        model = imps.linear_model(case.sources, imps.default_priors())
        rows += predictions(name, model)
        rows += attributions(name, model, case.published_afterwards)
    append("backtests", rows)


if __name__ == "__main__":
    main()
