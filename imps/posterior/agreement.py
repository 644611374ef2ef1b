"""How far two ways to one posterior agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from imps.posterior.storage import diagnose

if TYPE_CHECKING:
    from imps.posterior.fit import Fit

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
