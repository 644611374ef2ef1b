"""Names that modules had before version 0.2: they still lead there, with a warning.

To be dropped with version 0.3. Public names (`imps.fit`, `imps.plots`, ...) never moved. Modules
that had the name of a function (`imps.fit`, `imps.cases`, ...) have no alias: importing one
would hide the function.
"""

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_TABLE = """
account_tables tables.account
accounting demography.accounting
affine account.latents
archive posterior.archive
attribution results.attribution
cards notebook_cards
chains posterior.chains
checks results.checks
citation report.citation
cli runs.cli
covariance posterior.covariance
curves account.variant
data_models account.observations
decomposition account.gap
densities posterior.likelihoods
dims names
doctor runs.doctor
draws posterior.storage
equations report.equations
from_tables project.assemble
gaussian posterior.exact
importance posterior.importance
interactive report.svg
likelihoods posterior.likelihoods
manifest runs.manifest
model posterior.pymc_model
periods demography.periods
predictive results.predictive
printed_tables tables.printed
prior_sets account.prior_sets
priors account.priors
project_template project.template
replication runs.replication
saved_fits posterior.saved_fits
schedules demography.schedules
sensitivity results.sensitivity
settings project.settings
simulate simulation.simulate
simulate_priors simulation.from_priors
simulate_reference simulation.reference
simulate_survey survey.simulate
sources.account_checks project.arithmetic
sources.admin sources.administrative
sources.ages reading.ages
sources.areas reading.totals
sources.arrays project.arrays
sources.cell_labels reading.labels
sources.cell_likelihood posterior.likelihoods
sources.cells reading.numbers
sources.census sources.stocks
sources.columns reading.columns
sources.components survey.components
sources.composition survey.composition
sources.containers reading.files
sources.cross_checks project.between
sources.estimation survey.estimation
sources.flow_tables project.flows
sources.grids reading.grid
sources.imbalance survey.imbalance
sources.import_log reading.findings
sources.labels sources.definitions
sources.layout reading.header
sources.options reading.options
sources.published_survey survey.published
sources.schemas reading.kinds
sources.series_checks reading.totals
sources.stage_weights survey.stage_weights
sources.stock_tables project.stocks
sources.survey sources.flows
sources.survey_checks reading.survey_checks
sources.survey_design survey.design
sources.switchers survey.switchers
sources.table_checks reading.checks
sources.tables reading.table
sources.time_conversion demography.time_conversion
sources.totals reading.totals
sources.variance_function survey.variance_function
sources.vital_tables project.vital
sources.weighting survey.weighting
sources.work reading.grid
sources.workbooks reading.workbook
streams posterior.chains
system_model account.account
"""
RENAMED = {f"imps.{old}": f"imps.{new}" for old, new in map(str.split, _TABLE.split("\n")[1:-1])}


def found(module: str, name: str) -> Any:
    """A name that a module had: from the module itself, else from its package where it is now."""
    if not name.startswith("_"):
        package = module.rpartition(".")[0]
        room = importlib.import_module(module if package == "imps" else package)
        beside = pkgutil.iter_modules(getattr(room, "__path__", []), f"{room.__name__}.")
        for place in (module, *(m.name for m in beside)):
            values = vars(importlib.import_module(place))
            if name in values:
                return values[name]
    raise AttributeError(f"module '{module}' has no attribute '{name}'")


class _Finder:
    """Imports a module of an earlier name: what is in it is looked up where it is now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in RENAMED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        new = RENAMED[module.__name__]
        warnings.warn(
            f"{module.__name__} is {new} now; the earlier name goes with version 0.3.",
            FutureWarning,
            stacklevel=2,
        )
        module.__doc__ = f"Earlier name of {new}."
        module.__getattr__ = partial(found, new)  # type: ignore[method-assign]


def install() -> None:
    """Let the earlier names be found, after every other way to find a module."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
