"""Weights of the importance grid on unseen data sets drawn from the prior.

Appends to results/grid.csv one row a case: share of data sets whose effective
number of points is at least half and at least a quarter of 256. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_grid.py [data sets] [case ...]
"""

import sys
import time

import numpy as np
from results_file import append

import imps
from imps.posterior.exact import GaussianPosterior

POINTS = 256


def measure(case: str, n: int) -> dict[str, object]:
    """Draw n data sets from the prior of a case and look at the weights of each grid."""
    model = imps.linear_model(imps.load_case(case).sources, imps.default_priors())
    rng = np.random.default_rng(2001)
    shares, seconds = [], []
    for seed in range(n):
        h = rng.standard_normal(len(model.scale_names))
        w = model.scale_factors(h) * rng.standard_normal(model.n_latent)
        y = model.offset + model.design @ w
        y = y + model.standard_error * rng.standard_normal(y.size)
        start = time.perf_counter()
        posterior = GaussianPosterior(model, y)
        grid = posterior.grid(posterior.proposal(seed=seed), POINTS, seed=seed)
        seconds.append(time.perf_counter() - start)
        shares.append(grid.effective / POINTS)
    found = np.array(shares)
    return {
        "case": case,
        "data_sets": n,
        "share_at_least_half": round(float((found >= 0.5).mean()), 3),
        "share_at_least_quarter": round(float((found >= 0.25).mean()), 3),
        "least": round(float(found.min()), 3),
        "median": round(float(np.median(found)), 3),
        "mean_seconds": round(float(np.mean(seconds)), 2),
    }


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    append("grid", (measure(case, many) for case in sys.argv[2:] or imps.cases()))
