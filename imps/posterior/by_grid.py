"""Chains by the exact way: independent randomisations of the grid over the scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from imps.account.linear import LinearModel
from imps.names import CHAIN
from imps.posterior.chains import Chains, one_chain
from imps.posterior.exact import GaussianPosterior
from imps.posterior.importance import Proposal
from imps.posterior.random_streams import stream_seed
from imps.sampling import DRAWS, Sampling

GRID_POINTS = 256
MORE_GRID_POINTS = 1024
EVEN_SHARE = 0.5
"""A chain whose grid has a smaller share of effective points takes more: a far point is diluted."""
LEAST_EFFECTIVE_SHARE = 0.25
"""Share of effective grid points under which the exact way is given up for NUTS."""


def chains_by_grid(
    linear: LinearModel,
    sampling: Sampling,
    kept: Chains,
    tell: Callable[[str], None],
    near: np.ndarray | None,
) -> list[xr.Dataset]:
    """Chains in order, each from a grid and with draws of its own.

    `near` are draws (draw, scale) of a like posterior, to begin the search from.
    """
    done = kept.done("exact", sampling.chains, tell)
    missing = [chain for chain in range(1, sampling.chains + 1) if chain not in done]
    if not linear.observed.size:  # an open end without a survey
        for chain in missing:
            done[chain] = _prior_chain(linear, chain, sampling)
            kept.keep("exact", chain, done[chain])
    elif missing:
        with threadpool_limits(1, user_api="blas"):  # matrices too small to share, and same bits
            posterior = GaussianPosterior(linear)
            seed = stream_seed(sampling.seed, "proposal")
            proposal = posterior.proposal(seed=seed, near=near)
            for chain in missing:
                done[chain] = _grid_chain(posterior, proposal, chain, sampling)
                kept.keep("exact", chain, done[chain])
    return [done[chain] for chain in sorted(done)]


def _prior_chain(linear: LinearModel, chain: int, sampling: Sampling) -> xr.Dataset:
    """A chain where nothing is observed: the posterior is the prior, and its moments are exact."""
    rng = np.random.default_rng(stream_seed(sampling.seed, f"chain {chain}: draws"))
    n = sampling.draws or DRAWS["exact"]
    drawn = one_chain(linear, rng.standard_normal((1, n, len(linear.scale_names))),
                      rng.standard_normal((1, n, linear.n_latent)))  # fmt: skip
    moments = np.array([linear.prior_moments(q) for q in linear.reported.values()], dtype=float)
    stats: dict[str, Any] = {name: ((CHAIN,), np.array([float(GRID_POINTS)])) for name in
             ("effective_points", "grid_points")}  # fmt: skip
    for name, values in (("grid_mean", moments[:, 0]), ("grid_sd", moments[:, 1]),
                         ("grid_between", 0.0 * moments[:, 0])):  # fmt: skip
        stats[name] = ((CHAIN, "quantity"), values[None])
    return drawn.assign(stats).assign_coords(quantity=list(linear.reported))


def _grid_chain(
    posterior: GaussianPosterior, proposal: Proposal, chain: int, sampling: Sampling
) -> xr.Dataset:
    seeds = [stream_seed(sampling.seed, f"chain {chain}: {part}") for part in ("grid", "draws")]
    grid = posterior.grid(proposal, GRID_POINTS, seed=seeds[0])
    if grid.effective < EVEN_SHARE * GRID_POINTS:
        grid = posterior.grid(proposal, MORE_GRID_POINTS, seed=seeds[0])
    h, z = posterior.draw(grid, sampling.draws or DRAWS["exact"], seed=seeds[1])
    stats = {
        "effective_points": ((CHAIN,), np.array([grid.effective])),
        "grid_points": ((CHAIN,), np.array([len(grid.points)])),
        "grid_mean": ((CHAIN, "quantity"), grid.mean[None]),
        "grid_sd": ((CHAIN, "quantity"), grid.sd[None]),
        "grid_between": ((CHAIN, "quantity"), grid.between[None]),
    }
    drawn = one_chain(posterior.model, h[None], z[None])
    return drawn.assign(stats).assign_coords(quantity=posterior.names)


def exact_moments(stats: xr.Dataset) -> pd.DataFrame:
    """Mean and sd of each reported quantity over the grids of all chains."""
    return pd.DataFrame(
        {
            "quantity": [str(q) for q in stats["quantity"].values],
            "mean": stats["grid_mean"].values.mean(axis=0),
            "sd": np.sqrt((stats["grid_sd"].values ** 2).mean(axis=0)),
            "between": stats["grid_between"].values.mean(axis=0),
        }
    )
