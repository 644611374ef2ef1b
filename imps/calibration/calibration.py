"""Is the posterior right? Truth drawn from the priors, fitted, and ranked among its draws.

If data come from truths drawn from the priors, the truth is one more draw from the
posterior: its rank among the draws is uniform, for any quantity. The truths come
from :mod:`imps.simulation.from_priors`, which never sees the model, so that both the
computation and the matrices of the account are on trial. A likelihood that was left
out makes all ranks of parameters uniform still; the joint log-likelihood of each
source as a ranked quantity finds it.

All quantities are judged together: each has an exact simultaneous envelope for its
ranks at a level of 5 per cent divided by their number, so that a correct model passes
whole with probability of at least 95 per cent however the quantities depend on
each other.

References
----------
Talts, Betancourt, Simpson, Vehtari and Gelman (2018), arXiv:1804.06788.
Modrak, Moon, Kim, Buerkner, Huurre, Faltejskova, Gelman and Vehtari (2023),
Simulation-based calibration checking for Bayesian computation, Bayesian Analysis.
Sailynoja, Buerkner and Vehtari (2022), Graphical test for discrete uniformity and its
applications in goodness-of-fit evaluation, Statistics and Computing 32, 32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from imps.account.chained import ChainModel
from imps.account.linear import LinearModel
from imps.calibration.ranks import points, pointwise_level, uniform_p_value
from imps.calibration.scores import FAMILY_LEVEL, published_rows, simulator_of, stream
from imps.calibration.work_file import WorkFile, fingerprint
from imps.errors import some
from imps.posterior.exact import GaussianPosterior
from imps.posterior.given_model import gaussian_part
from imps.posterior.storage import KNOWN
from imps.posterior.workers import spread
from imps.simulation.from_priors import (
    RANDOM_ERRORS,
    SYSTEMATIC_GAP,
    PriorSimulation,
)

LEAST_ESS = 400
DRAWS = 1999
GRID_POINTS = 1024
MOST_GRID_POINTS = 65_536
CHUNK = 20
"""Replicates that a worker is given at a time, with one model built for them."""


@dataclass(frozen=True)
class Calibration:
    """Ranks of simulated truths among posterior draws.

    Attributes
    ----------
    ranks : DataFrame
        One row a replicate, one column a quantity: rank of the truth among the draws as
        a share, uniform on (0, 1) if the posterior is right.
    runs : DataFrame
        One row a replicate: `ess`, effective number of draws, and `seconds` of CPU time.
    """

    ranks: pd.DataFrame
    runs: pd.DataFrame

    @property
    def replicates(self) -> int:
        """Number of data sets."""
        return len(self.ranks)

    def table(self) -> pd.DataFrame:
        """One row a quantity: how its ranks lie, and whether inside the envelope.

        Returns
        -------
        DataFrame
            `quantity`; `mean_rank` (0.5 if unbiased); `coverage50`, `coverage90`: share of
            truths inside the central intervals; `p_value` of the exact simultaneous
            envelope of that quantity alone; `p_family`, the same times the number of
            quantities; `inside`, whether it is at least 0.05.
        """
        rows = []
        for quantity in self.ranks:
            u = self.ranks[quantity].to_numpy()
            p = uniform_p_value(u)
            rows.append(
                {
                    "quantity": quantity,
                    "mean_rank": u.mean(),
                    "coverage50": float((np.abs(u - 0.5) < 0.25).mean()),
                    "coverage90": float((np.abs(u - 0.5) < 0.45).mean()),
                    "p_value": p,
                    "p_family": min(1.0, p * self.ranks.shape[1]),
                    "inside": p * self.ranks.shape[1] >= FAMILY_LEVEL,
                }
            )
        return pd.DataFrame(rows)

    @property
    def passed(self) -> bool:
        """Whether the ranks of all quantities lie inside the family-wise envelope."""
        return bool(self.table()["inside"].all())

    def envelope(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares and the family-wise 95 per cent bounds of the distribution of ranks there."""
        n = self.replicates
        gamma = pointwise_level(n, FAMILY_LEVEL / self.ranks.shape[1])
        at = points(n)
        return at, binom.ppf(gamma / 2, n, at) / n, binom.ppf(1 - gamma / 2, n, at) / n

    def __repr__(self) -> str:
        table = self.table()
        outside = table.loc[~table["inside"], "quantity"].tolist()
        worst = table.loc[table["p_value"].idxmin()]
        said = "all inside" if not outside else f"outside: {some(outside)}"
        return (
            f"Calibration: {self.replicates} data sets drawn from the priors, {len(table)} "
            f"quantities, family-wise {1 - FAMILY_LEVEL:.0%} envelope: {said}\n"
            f"nearest to its edge: {worst['quantity']} (p = {worst['p_value']:.2g} alone, "
            f"{worst['p_family']:.2g} among {len(table)}); effective draws at least "
            f"{self.runs['ess'].min():.0f}, {self.runs['seconds'].mean():.2f} CPU s each"
        )


def calibrate(
    model: object,
    *,
    replicates: int,
    seed: int,
    path: str | Path | None = None,
    client: Any = None,
    fitted: LinearModel | None = None,
    say: Callable[[str], None] | None = None,
) -> Calibration:
    """Draw truths from the priors, simulate figures, fit them the exact way, rank the truths.

    Parameters
    ----------
    model : LinearModel or pm.Model
        The account around whose figures the truths are drawn. It is built once; only the
        rows of its likelihood change from one data set to the next.
    replicates, seed : int
        Replicate i has a stream of its own, so a run can be lengthened.
    path : path, optional
        Work file with one row a replicate. What stands in it with at least 400 effective
        draws is not done again: call once more after an interruption.
    client : optional
        A dask client, or any :class:`concurrent.futures.Executor`, to spread the work.
    fitted : LinearModel, optional
        What is fitted, if it is not `model`, whose likelihood gives the ranked
        log-likelihoods: to show what a missing likelihood does.
    say : callable, optional
        Told in a line how far it is.

    Raises
    ------
    NotFittedError
        If `model` is no model.
    PriorError
        If the model has no exact posterior.
    SourceError
        If the work file belongs to another model or seed.
    """
    linear = gaussian_part(model, "calibrate")
    used = linear if fitted is None else fitted
    work = WorkFile(path, f"{fingerprint(linear)}-{fingerprint(used)}-{seed}")
    missing = [i for i in range(replicates) if work.rows.get(i, {}).get("ess", 0.0) < LEAST_ESS]
    start = time.perf_counter()
    tell = say or (lambda _: None)
    for done, row in enumerate(_rows(linear, used, seed, missing, client), 1):
        work.add(row)
        if done % CHUNK == 0 or done == len(missing):
            pace = (time.perf_counter() - start) / done
            left = pace * (len(missing) - done) / 60
            tell(
                f"{replicates - len(missing) + done} of {replicates} data sets, {left:.0f} min left"
            )
    table = work.table(replicates)
    ranks = table.drop(columns=["ess", "seconds"])
    known = ranks.columns[ranks.isna().all()]
    return Calibration(ranks.drop(columns=known), table[["ess", "seconds"]])


def _rows(
    linear: LinearModel, fitted: LinearModel, seed: int, missing: list[int], client: Any
) -> Iterator[dict[str, float]]:
    """Rows of the work file as they are finished."""
    if client is None:
        yield from _replicates(linear, fitted, seed, missing)
        return
    chunks = [missing[i : i + CHUNK] for i in range(0, len(missing), CHUNK)]
    for _, rows in spread(client, _finished, chunks, linear, fitted, seed):
        yield from rows


def _finished(
    linear: LinearModel, fitted: LinearModel, seed: int, chunk: list[int]
) -> list[dict[str, float]]:
    return list(_replicates(linear, fitted, seed, chunk))


def _replicates(
    linear: LinearModel, fitted: LinearModel, seed: int, numbers: list[int]
) -> Iterator[dict[str, float]]:
    """One row a replicate: its number, rank of every quantity, effective size, CPU seconds."""
    if not numbers:
        return
    simulator = simulator_of(linear)
    posterior = GaussianPosterior(fitted) if fitted.observed.size else None
    ranked = _Ranked(linear)
    with threadpool_limits(1, user_api="blas"):
        for number in numbers:
            start = time.process_time()
            simulated = simulator(linear.priors, seed=stream(seed, number, 0))
            rng = np.random.default_rng(stream(seed, number, 1))
            if posterior is None:  # an open end without a survey: the posterior is the prior
                h, z = (rng.standard_normal((DRAWS, n)) for n in
                        (len(fitted.scale_names), fitted.n_latent))  # fmt: skip
                ess = float(DRAWS)
            else:
                given = posterior.given(published_rows(fitted, simulated.figures))
                h, z, ess = _draws(given, rng)
            row = ranked.shares(simulated, h, z, rng)
            yield {"replicate": number, **row, "ess": ess, "seconds": time.process_time() - start}


def _draws(
    posterior: GaussianPosterior, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws of scales and latent variables, with points added until they are worth 400.

    The effective size is that of the scales, which come from weighted points; everything
    else is drawn exactly given them and has more.
    """
    seeds = [int(s) for s in rng.integers(2**31, size=3)]
    proposal = posterior.proposal(seed=seeds[0])
    n = GRID_POINTS
    while True:
        points, weights, factors = posterior.weighted_points(proposal, n, seeds[1])
        ess = 1 / ((weights**2).sum() + 1 / DRAWS)
        if ess >= LEAST_ESS or n >= MOST_GRID_POINTS:
            break
        n *= 2
    drawn = posterior.draw_at_points(points, weights, DRAWS, seed=seeds[2], factors=factors)
    return *drawn, float(ess)


class _Ranked:
    """The quantities that are ranked, as matrices that are made once."""

    def __init__(self, linear: LinearModel) -> None:
        self.linear = linear
        of = dict(linear.reported)
        shares = {"": linear.contributions}
        if isinstance(linear, ChainModel):
            own = zip(linear.names, linear.shares, strict=True)
            shares = {f"{name}: ": parts for name, parts in own}
        for period, parts in shares.items():
            systematic = [c.value.sum() for c in parts if c.source not in RANDOM_ERRORS]
            of[f"{period}{SYSTEMATIC_GAP}"] = sum(systematic[1:], systematic[0])
        self.names = list(of)
        self.constant = np.array([float(q.constant) for q in of.values()])
        self.matrix = np.stack([linear.matrix(q) for q in of.values()])
        self.rows = {
            source: np.array([s == source for s in linear.row_sources])
            for source in dict.fromkeys(linear.row_sources)
        }

    def shares(
        self, simulated: PriorSimulation, h: np.ndarray, z: np.ndarray, rng: np.random.Generator
    ) -> dict[str, float]:
        """Rank of the truth among the draws as a share; NaN where there is nothing to rank."""
        linear, truth = self.linear, simulated.truth
        w = linear.scale_factors(h) * z
        drawn = dict(zip(self.names, (self.constant + w @ self.matrix.T).T, strict=True))
        drawn |= {f"log_scale[{n}]": h[:, i] for i, n in enumerate(linear.scale_names)}
        true = {name: truth[name] for name in drawn}
        expected = linear.offset + w @ linear.design.T
        for source, rows in self.rows.items():
            se, figures = linear.standard_error[rows], simulated.figures[source]
            name = f"log_likelihood[{source}]"
            drawn[name] = _log_likelihood(figures, expected[:, rows], se)
            true[name] = float(_log_likelihood(figures, simulated.expected[source], se))
        return {name: _share(drawn[name], true[name], rng) for name in drawn}


def _log_likelihood(figures: np.ndarray, expected: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Joint log-likelihood of the rows of a source, up to a constant."""
    return -0.5 * (((figures - expected) / se) ** 2).sum(axis=-1)


def _share(draws: np.ndarray, truth: float, rng: np.random.Generator) -> float:
    """Rank of a truth among draws as a share, made continuous by a uniform number."""
    near = KNOWN * max(1.0, abs(truth))
    if np.ptp(draws) <= near and abs(draws[0] - truth) <= 1e3 * near:
        return float("nan")  # known, not inferred
    return float(((draws < truth).sum() + rng.random()) / (draws.size + 1))
