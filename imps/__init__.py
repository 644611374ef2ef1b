"""imps: the sources of a census gap, with their uncertainty.

The walk from published figures to the paper:

    case = imps.load_case("uk-1991-2001")        # published figures
    model = imps.build_model(case.sources)       # account, priors, likelihood
    imps.prior_predictive(model, seed=1)         # what the priors alone say
    fit = imps.fit(model, seed=1)                # posterior draws
    imps.check(fit)                              # can they be trusted?
    imps.attribute(fit)                          # the gap by source, in every draw
    imps.reconcile(fit)                          # true stocks and flows

A case of your own comes from a folder of files that is checked first:

    project = imps.load_project("my_country")    # `imps init` writes an example
    model = imps.build_model(project.sources, project.priors)

or all of it with tables, figures and a report: ``imps.run("uk-1991-2001", out="results")``.

Names are loaded when they are first used, so that ``import imps`` is quick.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Attribution": "imps.attribution",
    "attribute": "imps.attribution",
    "Case": "imps.cases.loading",
    "cases": "imps.cases",
    "load_case": "imps.cases.loading",
    "cite": "imps.citation",
    "Checks": "imps.checks",
    "check": "imps.checks",
    "Observation": "imps.data_models",
    "ImpsError": "imps.errors",
    "explore": "imps.explore",
    "Fit": "imps.fit",
    "fit": "imps.fit",
    "prior_predictive": "imps.fit",
    "LinearModel": "imps.gaussian",
    "linear_model": "imps.gaussian",
    "sources_from_tables": "imps.from_tables",
    "build_model": "imps.model",
    "plot_back_series": "imps.plots",
    "plot_coverage": "imps.plots",
    "plot_diagnostics": "imps.plots",
    "plot_gap_pyramid": "imps.plots",
    "plot_joint": "imps.plots",
    "plot_lexis": "imps.plots",
    "plot_net_migration": "imps.plots",
    "plot_predictive": "imps.plots",
    "plot_prior_posterior": "imps.plots",
    "plot_tornado": "imps.plots",
    "plot_waterfall": "imps.plots",
    "coverage": "imps.predictive",
    "migration_error": "imps.predictive",
    "posterior_predictive": "imps.predictive",
    "residuals": "imps.predictive",
    "Prior": "imps.priors",
    "Priors": "imps.priors",
    "default_priors": "imps.priors",
    "check_project": "imps.project",
    "load_project": "imps.project",
    "write_project": "imps.project_template",
    "Reconciliation": "imps.reconcile",
    "reconcile": "imps.reconcile",
    "Rerun": "imps.rerun",
    "compare_runs": "imps.rerun",
    "rerun": "imps.rerun",
    "replicate": "imps.replication",
    "reproduce": "imps.replication",
    "write_report": "imps.report",
    "reporting_checklist": "imps.reporting_checklist",
    "Run": "imps.runs",
    "load_run": "imps.runs",
    "run": "imps.runs",
    "load_fit": "imps.saved_fits",
    "correlation_warnings": "imps.sensitivity",
    "left_out": "imps.sensitivity",
    "refit": "imps.sensitivity",
    "identifiability": "imps.identifiability",
    "Identifiability": "imps.identifiability",
    "power_scaling": "imps.identifiability",
    "compare_priors": "imps.sensitivity",
    "PriorComparison": "imps.sensitivity",
    "elicit": "imps.priors",
    "prior_set": "imps.prior_sets",
    "Statement": "imps.prior_sets",
    "stated": "imps.prior_sets",
    "plot_prior_sets": "imps.plots",
    "plot_power_scaling": "imps.plots",
    "response_table": "imps.sensitivity",
    "shapley": "imps.shapley",
    "what_if": "imps.sensitivity",
    "widened": "imps.sensitivity",
    "simulate_account": "imps.simulate",
    "load_published_ips": "imps.sources.published_survey",
    "read_table": "imps.sources.tables",
    "Births": "imps.sources",
    "Deaths": "imps.sources",
    "MirrorSeries": "imps.sources",
    "Register": "imps.sources",
    "RolledForward": "imps.sources",
    "Sources": "imps.sources",
    "Stock": "imps.sources",
    "SurveyFlow": "imps.sources",
    "roll_forward": "imps.accounting",
}

if TYPE_CHECKING:
    from imps.accounting import roll_forward
    from imps.attribution import Attribution, attribute
    from imps.cases import cases
    from imps.cases.loading import Case, load_case
    from imps.checks import Checks, check
    from imps.citation import cite
    from imps.data_models import Observation
    from imps.errors import ImpsError
    from imps.explore import explore
    from imps.fit import Fit, fit, prior_predictive
    from imps.from_tables import sources_from_tables
    from imps.gaussian import LinearModel, linear_model
    from imps.identifiability import Identifiability, identifiability, power_scaling
    from imps.model import build_model
    from imps.plots import (
        plot_back_series,
        plot_coverage,
        plot_diagnostics,
        plot_gap_pyramid,
        plot_joint,
        plot_lexis,
        plot_net_migration,
        plot_power_scaling,
        plot_predictive,
        plot_prior_posterior,
        plot_prior_sets,
        plot_tornado,
        plot_waterfall,
    )
    from imps.predictive import coverage, migration_error, posterior_predictive, residuals
    from imps.prior_sets import Statement, prior_set, stated
    from imps.priors import Prior, Priors, default_priors, elicit
    from imps.project import check_project, load_project
    from imps.project_template import write_project
    from imps.reconcile import Reconciliation, reconcile
    from imps.replication import replicate, reproduce
    from imps.report import write_report
    from imps.reporting_checklist import reporting_checklist
    from imps.rerun import Rerun, compare_runs, rerun
    from imps.runs import Run, load_run, run
    from imps.saved_fits import load_fit
    from imps.sensitivity import (
        PriorComparison,
        compare_priors,
        correlation_warnings,
        left_out,
        refit,
        response_table,
        what_if,
        widened,
    )
    from imps.shapley import shapley
    from imps.simulate import simulate_account
    from imps.sources import (
        Births,
        Deaths,
        MirrorSeries,
        Register,
        RolledForward,
        Sources,
        Stock,
        SurveyFlow,
    )
    from imps.sources.published_survey import load_published_ips
    from imps.sources.tables import read_table

__all__ = [
    "Attribution",
    "Births",
    "Case",
    "Checks",
    "Deaths",
    "Fit",
    "Identifiability",
    "ImpsError",
    "LinearModel",
    "MirrorSeries",
    "Observation",
    "Prior",
    "PriorComparison",
    "Priors",
    "Reconciliation",
    "Register",
    "Rerun",
    "RolledForward",
    "Run",
    "Sources",
    "Statement",
    "Stock",
    "SurveyFlow",
    "__version__",
    "attribute",
    "build_model",
    "cases",
    "check",
    "check_project",
    "cite",
    "compare_priors",
    "compare_runs",
    "correlation_warnings",
    "coverage",
    "default_priors",
    "elicit",
    "explore",
    "fit",
    "identifiability",
    "left_out",
    "linear_model",
    "load_case",
    "load_fit",
    "load_project",
    "load_published_ips",
    "load_run",
    "migration_error",
    "plot_back_series",
    "plot_coverage",
    "plot_diagnostics",
    "plot_gap_pyramid",
    "plot_joint",
    "plot_lexis",
    "plot_net_migration",
    "plot_power_scaling",
    "plot_predictive",
    "plot_prior_posterior",
    "plot_prior_sets",
    "plot_tornado",
    "plot_waterfall",
    "posterior_predictive",
    "power_scaling",
    "prior_predictive",
    "prior_set",
    "read_table",
    "reconcile",
    "refit",
    "replicate",
    "reporting_checklist",
    "reproduce",
    "rerun",
    "residuals",
    "response_table",
    "roll_forward",
    "run",
    "shapley",
    "simulate_account",
    "sources_from_tables",
    "stated",
    "what_if",
    "widened",
    "write_project",
    "write_report",
]


class _Package(ModuleType):
    """The package itself: names load when first used.

    `fit`, `reconcile` and `cases` are functions and also the modules they live in;
    the function is what a user means by `imps.fit`, so importing the module must
    not put the module in its place.
    """

    def __getattr__(self, name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'imps' has no attribute '{name}'")
        value = getattr(importlib.import_module(home), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _Package
