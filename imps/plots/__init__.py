"""Figures: every function takes a result, returns a matplotlib figure, and shows intervals.

Each accepts `ax=` (an axis of the user's own) and `theme=` ("official" or "paper"), and
gives the figure a text alternative (`alt_text`), a caption for the paper (`caption`), its
data as a tidy table (`figure_data`) and the verdict of the fit. Save with
`figure.savefig("name.pdf")`: fonts are embedded.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from imps.plots.areas import funnel_data, plot_area_funnel, plot_area_ranking, ranking_data
from imps.plots.chain import chain_data, plot_chain
from imps.plots.checking import coverage_data, plot_coverage, plot_diagnostics, plot_predictive
from imps.plots.flows import (
    back_series_data,
    net_migration_data,
    plot_back_series,
    plot_net_migration,
)
from imps.plots.gap import gap_pyramid_data, plot_gap_pyramid, plot_waterfall, waterfall_data
from imps.plots.lexis import plot_lexis
from imps.plots.sensitivity import plot_power_scaling, plot_prior_sets
from imps.plots.sources import (
    joint_data,
    main_causes,
    plot_joint,
    plot_prior_posterior,
    plot_tornado,
    tornado_data,
)
from imps.plots.style import OFFICIAL, PAPER, alt_text, caption, figure_data
from imps.results.attribution import Attribution
from imps.results.reconciliation import Reconciliation

FIGURE_TEXTS = {
    "waterfall": "Waterfall of the gap by source with 95 per cent intervals; the numbers stand "
    "in the attribution table.",
    "net_migration": "Net migration by year: posterior fan, survey with sampling bars, official "
    "series then and later; the numbers stand in the net migration table.",
    "prior_posterior": "Prior and posterior 95 per cent interval of each source; the numbers "
    "stand in the attribution table.",
}
"""Short texts of the standard figures; :func:`alt_text` gives the full one with numbers."""


def standard_figures(attribution: Attribution, reconciliation: Reconciliation) -> dict[str, Figure]:
    """The figures of every run, by file name."""
    return {
        "waterfall": plot_waterfall(attribution),
        "net_migration": plot_net_migration(reconciliation),
        "prior_posterior": plot_prior_posterior(attribution),
    }
