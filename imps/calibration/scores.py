"""Do the scores of the likelihood have mean zero when data come from the priors?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import pearson3
from threadpoolctl import threadpool_limits

from imps.account.account import Account
from imps.account.chained import ChainModel
from imps.account.linear import LinearModel
from imps.posterior.exact import GaussianPosterior
from imps.posterior.given_model import gaussian_part
from imps.simulation.chains import ChainPriorSimulator
from imps.simulation.from_priors import PriorSimulator

FAMILY_LEVEL = 0.05
"""Probability that a correct model fails, all quantities together, at most."""


def score_test(model: object, *, replicates: int, seed: int) -> pd.DataFrame:
    """Whether scores have mean zero when data come from the priors; no posterior is needed.

    At the drawn scales the figures are jointly normal, so the scores of the likelihood are
    known in closed form with their variances. Two for each source that publishes rows
    (shift of its rows by one standard error; its standard errors times a factor) and two
    for each block of latent variables (shift of all of the block; its standard deviation
    times a factor). A score whose mean is not zero says in which direction the model
    tells another story than the simulator.

    Parameters
    ----------
    model : LinearModel or pm.Model
    replicates, seed : int

    Returns
    -------
    DataFrame
        Columns `of`, `score` ("location" or "scale"), `z` (sum of scores over the root of the
        sum of their variances), `p_value` (by the first three cumulants, for the scores of a
        scale are skew), `p_family` (Holm), `mean_is_zero`.

    References
    ----------
    Cox and Hinkley (1974), Theoretical Statistics, 4.8.
    Buckley and Eagleson (1988), An approximation to the distribution of quadratic forms in
    normal random variables, Australian Journal of Statistics 30A, 150-159.
    """
    linear = gaussian_part(model, "score_test")
    posterior, simulator = GaussianPosterior(linear), simulator_of(linear)
    members = _score_members(linear)
    sums = np.zeros((len(members), 2, 3))  # what, location or scale, score and two cumulants
    with threadpool_limits(1, user_api="blas"):
        for i in range(replicates):
            simulated = simulator(linear.priors, seed=stream(seed, i, 0))
            h = np.array([simulated.truth[f"log_scale[{n}]"] for n in linear.scale_names])
            given = posterior.given(published_rows(linear, simulated.figures))
            sums += _scores(given, h, members)
    score, variance, third = sums.reshape(-1, 3).T
    z, skew = score / np.sqrt(variance), third / variance**1.5
    tail = np.minimum(pearson3.cdf(z, skew), pearson3.sf(z, skew))
    table = pd.DataFrame(
        {
            "of": np.repeat(list(members), 2),
            "score": ["location", "scale"] * len(members),
            "z": z,
            "p_value": np.minimum(1.0, 2 * tail),
        }
    )
    table["p_family"] = _holm(table["p_value"].to_numpy())
    table["mean_is_zero"] = table["p_family"] >= FAMILY_LEVEL
    return table


def _holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values: the family-wise level holds under any dependence."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(stepped, 1.0)
    return out


def _score_members(linear: LinearModel) -> dict[str, tuple[str, np.ndarray]]:
    """Rows of each source and latent variables of each block that moves any row."""
    sources = np.array(linear.row_sources)
    members = {s: ("rows", np.flatnonzero(sources == s)) for s in dict.fromkeys(sources.tolist())}
    start = 0
    for block, size in linear.sizes.items():
        columns = np.arange(start, start + size)
        start += size
        if np.abs(linear.design[:, columns]).max() > 0:
            members[f"block {block}"] = ("latents", columns)
    return members


def _scores(
    posterior: GaussianPosterior, h: np.ndarray, members: dict[str, tuple[str, np.ndarray]]
) -> np.ndarray:
    """Location and scale score of each member with second and third cumulants, (member, 2, 3).

    With whitened rows r ~ Normal(0, C), C = I + G G' and u = G' C^-1 r ~ Normal(0, V): the
    score of a shift is sum(u), of variance sum(V); that of log scale is u'u - tr(V), of
    cumulants 2 tr(V^2) and 8 tr(V^3). Rows have G = I.
    """
    factor = posterior.factor(h)
    g = posterior.white * posterior.model.scale_factors(h)
    solved, inverse = factor.solve(posterior.residual), factor.solve(np.eye(g.shape[0]))
    carried = inverse @ g
    out = np.empty((len(members), 2, 3))
    for i, (kind, index) in enumerate(members.values()):
        if kind == "rows":
            u, v = solved[index], inverse[np.ix_(index, index)]
        else:
            u, v = g[:, index].T @ solved, g[:, index].T @ carried[:, index]
        square = v @ v
        out[i, 0] = u.sum(), v.sum(), 0.0
        out[i, 1] = u @ u - np.trace(v), 2 * np.trace(square), 8 * (square * v).sum()
    return out


def stream(seed: int, replicate: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, replicate, purpose])


def simulator_of(linear: LinearModel) -> PriorSimulator | ChainPriorSimulator:
    """Draws truths of an account, or of a chain of them, around its figures."""
    if not isinstance(linear, ChainModel):
        return _of_account(linear.account)
    periods = zip(linear.names, linear.accounts, strict=True)
    return ChainPriorSimulator({name: _of_account(account) for name, account in periods})


def _of_account(account: Account) -> PriorSimulator:
    fine = account.resolution
    return PriorSimulator(
        account.sources, flow_shapes=fine.flow_shapes, stock_shapes=fine.stock_shapes
    )


def published_rows(linear: LinearModel, figures: dict[str, np.ndarray]) -> np.ndarray:
    """Rows of the likelihood in the model's order."""
    found = (figures[source] for source in dict.fromkeys(linear.row_sources))
    return np.concatenate([np.zeros(0), *found])
