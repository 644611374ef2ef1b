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
from typing import Any

import lazy_loader

from imps import _renamed
from imps._version import __version__

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
_renamed.install()


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _load(name)
    if f"{__name__}.{name}" in _renamed.RENAMED:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
