"""R-hat and effective sizes against ArviZ, on draws of every temper."""

import arviz_stats
import numpy as np
import pytest
import xarray as xr

from imps.posterior.convergence import diagnose

EQUAL = 1e-12  # sums in another order


def autocorrelated(rng, chains, draws, by):
    x = np.zeros((chains, draws))
    for t in range(1, draws):
        x[:, t] = by * x[:, t - 1] + rng.standard_normal(chains)
    return x


DRAWS = {
    "independent": lambda rng, c, n: rng.standard_normal((c, n)),
    "slow": lambda rng, c, n: autocorrelated(rng, c, n, 0.95),
    "alternating": lambda rng, c, n: autocorrelated(rng, c, n, -0.7),
    "ties": lambda rng, c, n: np.round(autocorrelated(rng, c, n, 0.5), 1),
    "chains apart": lambda rng, c, n: rng.standard_normal((c, n)) + np.arange(c)[:, None],
    "runs away": lambda rng, c, n: np.cumsum(rng.standard_normal((c, n)), axis=1),
}


@pytest.mark.parametrize("shape", [(4, 1000), (4, 999), (2, 50), (1, 200), (3, 10), (4, 7), (4, 4)])
@pytest.mark.parametrize("kind", DRAWS)
def test_as_arviz_has_them(kind, shape):
    rng = np.random.default_rng(1)
    drawn = {f"x{i}": DRAWS[kind](rng, *shape) for i in range(5)}
    tree = xr.Dataset({name: (("chain", "draw"), x) for name, x in drawn.items()})
    found = diagnose(drawn).set_index("quantity")
    for column, theirs in {
        "ess_bulk": arviz_stats.ess(tree, method="bulk"),
        "ess_tail": arviz_stats.ess(tree, method="tail"),
        **({"r_hat": arviz_stats.rhat(tree)} if shape[0] > 1 else {}),
    }.items():
        for name in drawn:
            assert found.loc[name, column] == pytest.approx(float(theirs[name]), rel=EQUAL)


def test_what_is_known_is_left_out_and_one_chain_has_no_r_hat():
    rng = np.random.default_rng(1)
    found = diagnose({"known": np.full((1, 50), 3.0), "drawn": rng.standard_normal((1, 50))})
    assert list(found["quantity"]) == ["drawn"]
    assert np.isnan(found.loc[0, "r_hat"]) and found.loc[0, "ess_bulk"] > 10
    assert diagnose({"drawn": rng.standard_normal((4, 3))})["ess_bulk"].isna().all()
