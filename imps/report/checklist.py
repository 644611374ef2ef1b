"""The reporting checklist for Bayesian analyses, filled in as far as a fit can fill it.

Six steps and a preamble; what only the authors can say stays visibly open. The points
stand in `words/checklist.toml`.

References
----------
Kruschke (2021), Bayesian Analysis Reporting Guidelines, Nature Human Behaviour 5,
1282-1291, table 1 (points in own words).
"""

from __future__ import annotations

import importlib.resources
import tomllib

import pandas as pd

from imps.posterior.fit import Fit
from imps.posterior.prior_predictive import prior_predictive
from imps.results.attribution import AGAINST_WORD, DRIVEN_WORD, PRIOR_DRIVEN, Attribution
from imps.results.checks import Checks
from imps.tables.fit import resting_on

OPEN = "open"
PRIOR_PREDICTIVE_DRAWS = 2000


def reporting_checklist(fit: Fit, attribution: Attribution, checks: Checks) -> pd.DataFrame:
    """Every point of the checklist with what the fit says about it.

    Parameters
    ----------
    fit : Fit
    attribution : Attribution
    checks : Checks

    Returns
    -------
    DataFrame
        step, point, status ("filled", "open", "not used"), says. An open point says
        what the authors have to add.
    """
    words = importlib.resources.files("imps.report") / "words" / "checklist.toml"
    points = tomllib.loads(words.read_text("utf-8"))["point"]
    found = _of_model(fit) | _of_draws(fit, checks) | _of_answer(attribution)
    rows = [
        {**point, "says": point["says"].format_map(found)}
        for point in points
        if point.get("method", fit.method) == fit.method
    ]
    return pd.DataFrame(rows, columns=["step", "point", "status", "says"])


def _of_model(fit: Fit) -> dict[str, object]:
    """Figures, unknowns and priors of the model, and what the priors alone say of the gap."""
    model = fit.model
    counts = pd.Series(model.row_sources).value_counts(sort=False)
    drawn = prior_predictive(model, seed=fit.seed, draws=PRIOR_PREDICTIVE_DRAWS)
    prior = drawn.summary().iloc[0]
    return {
        "figures": model.observed.size,
        "figures_by_source": ", ".join(f"{name} {n:,}" for name, n in counts.items()),
        "latents": model.n_latent,
        "blocks": len(model.sizes),
        "scales": len(model.scale_names),
        "priors": len(model.priors),
        "judged": sum("Judgement" in row.reference for row in model.priors.rows),
        "prior": prior,
        "published_gap": drawn.gap,
        "inside": "inside" if prior["lower95"] <= drawn.gap <= prior["upper95"] else "OUTSIDE",
        "prior_draws": PRIOR_PREDICTIVE_DRAWS,
        "seed": fit.seed,
    }


def _of_draws(fit: Fit, checks: Checks) -> dict[str, object]:
    """What the checks found in the draws and in the residuals."""
    return {
        "chains": fit.n_chains,
        "draws": fit.n_chains * fit.n_draws,
        "replicas": "randomisations of the grid" if fit.method == "exact" else "chains",
        "quantities": len(checks.table),
        "r_hat": checks.table["r_hat"].max(),
        "ess_bulk": checks.table["ess_bulk"].min(),
        "ess_tail": checks.table["ess_tail"].min(),
        "divergences": checks.divergences,
        "effective_points": checks.effective_points,
        "grid_points": checks.grid_points,
        "worst": checks.misfit.loc[checks.misfit["mean_square"].idxmax()],
    }


def _of_answer(attribution: Attribution) -> dict[str, object]:
    """The gap, and which of its sources rest on their priors."""
    return {
        "gap": attribution.total,
        "prior_driven": PRIOR_DRIVEN,
        "driven": resting_on(attribution, DRIVEN_WORD) or "none",
        "against": resting_on(attribution, AGAINST_WORD) or "none",
    }
