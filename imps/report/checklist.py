"""The reporting checklist for Bayesian analyses, filled in as far as a fit can fill it.

Six steps and a preamble; what only the authors can say stays visibly open.

References
----------
Kruschke (2021), Bayesian Analysis Reporting Guidelines, Nature Human Behaviour 5,
1282-1291, table 1 (points in own words).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from imps.posterior.fit import Fit
from imps.posterior.prior_predictive import prior_predictive
from imps.results.attribution import PRIOR_DRIVEN, Attribution
from imps.results.checks import Checks
from imps.sources.kinds import title

FILLED, OPEN, NOT_USED = "filled", "open", "not used"
PRIOR_PREDICTIVE_DRAWS = 2000

Row = tuple[str, str, str]


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
    steps = {
        "Preamble": _preamble(attribution),
        "1. The model": _model(fit, attribution),
        "2. The computation": _computation(fit, checks),
        "3. The posterior": _posterior(attribution, checks),
        "4. Decisions": _decisions(),
        "5. Sensitivity": _sensitivity(attribution),
        "6. Reproducibility": _reproducibility(fit),
    }
    rows = [(step, *row) for step, points in steps.items() for row in points]
    return pd.DataFrame(rows, columns=["step", "point", "status", "says"])


def _preamble(attribution: Attribution) -> Iterator[Row]:
    yield (
        "Why Bayesian",
        FILLED,
        "One gap has many sources. The published figures leave their split undecided, so what is "
        "known beforehand about each source must be stated, and its part in the answer shown.",
    )
    yield (
        "Goals of the analysis",
        OPEN,
        f"The question of your paper. This report answers: which sources made the gap of "
        f"{attribution.total:+,.0f} persons, and how sure can one be?",
    )


def _model(fit: Fit, attribution: Attribution) -> Iterator[Row]:
    model = fit.model
    counts = pd.Series(model.row_sources).value_counts(sort=False)
    rows = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    yield (
        "Data variables",
        FILLED,
        f"{model.observed.size:,} published figures: {rows}. Section “Data and vintages”.",
    )
    yield (
        "Likelihood and parameters",
        FILLED,
        f"Normal errors with known standard errors; {model.n_latent:,} latent variables in "
        f"{len(model.sizes)} blocks and {len(model.scale_names)} unknown scales. Of interest are "
        "the contributions of the sources and the flows. Section “Methods”.",
    )
    judged = sum("Judgement" in r.reference for r in model.priors.rows)
    yield (
        "Prior distribution",
        FILLED,
        f"{len(model.priors)} priors, each with its meaning and reason; {judged} of them rest on "
        "judgement alone and say so. Section “Priors”.",
    )
    yield ("Formal specification", FILLED, "The equations in section “Methods”.")
    drawn = prior_predictive(model, seed=fit.seed, draws=PRIOR_PREDICTIVE_DRAWS)
    row = drawn.summary().iloc[0]
    inside = row["lower95"] <= drawn.gap <= row["upper95"]
    yield (
        "Prior predictive check",
        FILLED,
        f"Before any figure of survey or census is seen the gap is {row['mean']:+,.0f} (95 % "
        f"interval {row['lower95']:+,.0f} to {row['upper95']:+,.0f}); the published gap of "
        f"{drawn.gap:+,.0f} lies {'inside' if inside else 'OUTSIDE'} it "
        f"({PRIOR_PREDICTIVE_DRAWS:,} draws).",
    )


def _computation(fit: Fit, checks: Checks) -> Iterator[Row]:
    yield ("Software", FILLED, "Names and versions in section “Computation”.")
    worst = checks.table
    replicas = "randomisations of the grid" if fit.method == "exact" else "chains"
    yield (
        "Convergence",
        FILLED,
        f"{fit.n_chains} independent {replicas}; R-hat at most {worst['r_hat'].max():.4f} over "
        f"all {len(worst)} reported quantities and scales; {checks.divergences} divergences.",
    )
    yield (
        "Resolution",
        FILLED,
        f"Effective size at least {worst['ess_bulk'].min():,.0f} (bulk) and "
        f"{worst['ess_tail'].min():,.0f} (tail) of {fit.n_chains * fit.n_draws:,} draws.",
    )
    if fit.method == "exact":
        yield (
            "If not MCMC",
            FILLED,
            "Importance grid over the scales, exact given them: "
            f"{checks.effective_points:.0f} of {checks.grid_points} points effective in the least "
            "chain. The approximation "
            "is the grid; means and standard deviations in the tables carry no error of draws.",
        )
    else:
        yield ("If not MCMC", NOT_USED, "All unknowns were sampled by NUTS.")


def _posterior(attribution: Attribution, checks: Checks) -> Iterator[Row]:
    worst = checks.misfit.loc[checks.misfit["mean_square"].idxmax()]
    yield (
        "Posterior predictive check",
        FILLED,
        "Mean square of standardised residuals by source (one or less is good): worst "
        f"{worst['source']} with {worst['mean_square']:.2f}, at {worst['worst_row']}. Section "
        "“Did the model fit?”.",
    )
    yield (
        "Summary of the posterior",
        FILLED,
        "Mean, standard deviation and equal-tailed 95 % interval of every reported quantity.",
    )
    yield ("Bayes factors and model probabilities", NOT_USED, "No model is compared by them.")


def _decisions() -> Iterator[Row]:
    yield (
        "Decisions and their criteria",
        OPEN,
        "This report decides nothing. If yours does (for example to revise a series), give the "
        "reason, the loss and the threshold, and the estimates beside it.",
    )


def _sensitivity(attribution: Attribution) -> Iterator[Row]:
    table = attribution.summary()
    driven = table.loc[table["contraction"] < PRIOR_DRIVEN, "source"]
    names = ", ".join(title(s).lower() for s in driven) or "none"
    yield (
        "How much of the answer is prior",
        FILLED,
        f"Contraction beside every source; prior-driven (under {PRIOR_DRIVEN:g}): {names}. The "
        "response table shows where a true error of each source would be seen.",
    )
    yield (
        "Other priors and left-out sources",
        OPEN,
        "The tornado is a preview at fixed scales. Refit with wider priors, imps.widened(fit), and "
        "without each source, imps.left_out(fit), and report how the headline moves.",
    )


def _reproducibility(fit: Fit) -> Iterator[Row]:
    yield (
        "Software and installation",
        FILLED,
        "Versions in section “Computation”; the lock file in the replication folder.",
    )
    yield (
        "Script and data",
        OPEN,
        "The command imps replicate RUN writes the folder. Deposit it and give its persistent "
        "identifier.",
    )
    yield (
        "Repeatable draws",
        FILLED,
        f"One integer seed, {fit.seed}, decides every draw; the manifest holds the digests of "
        "inputs and outputs.",
    )
    yield (
        "Figures in high resolution",
        OPEN,
        'Draw those of the paper with theme="paper" and save them as PDF: vector, fonts embedded. '
        "The pictures of this page are for the screen.",
    )
