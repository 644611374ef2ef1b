"""Is the installation sound? Versions, libraries, files, and one answer that is known."""

from __future__ import annotations

import importlib.metadata
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imps._version import __version__
from imps.shipped import cases

DISTRIBUTION = "imps-reconcile"


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes
    ----------
    what, found : str
    passed : bool
    """

    what: str
    found: str
    passed: bool


def examine() -> list[Diagnosis]:
    """Look at the installation; nothing is changed, and a failure never raises."""
    looks: dict[str, Callable[[], str]] = {
        "Python": _python,
        "required packages": _packages,
        "BLAS": _blas,
        "shipped cases": _cases,
        "exact posterior": _posterior,
        "NUTS (nutpie, numba)": _sampler,
        "figures": _figures,
        "saved files": _files,
    }
    return [_looked(what, look) for what, look in looks.items()]


def _looked(what: str, look: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(what, look(), True)
    except Exception as fault:
        return Diagnosis(what, f"{type(fault).__name__}: {fault}", False)


def _python() -> str:
    return f"imps {__version__}, Python {platform.python_version()}, {platform.system()}"


def _packages() -> str:
    """Installed versions against those that the package requires."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or []]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate()]
    found = {r.name: importlib.metadata.version(r.name) for r in wanted}
    bad = [f"{r.name} {found[r.name]}, not {r.specifier}" for r in wanted
           if not r.specifier.contains(found[r.name], prereleases=True)]  # fmt: skip
    if bad:
        raise ValueError(f"{'; '.join(bad)}. Install the package again.")
    return f"{len(found)} as required"


def _blas() -> str:
    from threadpoolctl import threadpool_info

    libraries = [x for x in threadpool_info() if x["user_api"] == "blas"]
    return ", ".join(f"{x['internal_api']} {x['version']}" for x in libraries) or "none"


def _cases() -> str:
    from imps.shipped import find_case

    return ", ".join(f"{name} ({find_case(name).sources.gap:+,.0f})" for name in cases())


def _posterior() -> str:
    """The mean of draws of a shipped case against its exact mean."""
    from imps.account.linear import linear_model
    from imps.account.priors import default_priors
    from imps.posterior.fit import fit
    from imps.shipped import find_case

    model = linear_model(find_case(cases()[-1]).sources, default_priors())
    found = fit(model, seed=1, method="exact", chains=2, draws=500)
    exact = found.extras["exact_moments"].set_index("quantity").loc["gap[base]"]
    draws = found.quantities()["gap[base]"]
    apart = abs(draws.mean() - exact["mean"]) / (exact["sd"] / np.sqrt(draws.size))
    if not apart < 5:
        raise ValueError(f"draws are {apart:.1f} standard errors from the exact mean")
    return f"draws agree with the exact mean ({apart:.1f} standard errors)"


def _sampler() -> str:
    import nutpie
    import pymc as pm

    with pm.Model() as model:
        pm.Normal("x", 2.0, 1.0)
    compiled = nutpie.compile_pymc_model(model)
    trace = nutpie.sample(compiled, draws=500, tune=200, chains=2, seed=1, progress_bar=False)
    mean = float(np.mean(trace["posterior"]["x"].values))
    if not abs(mean - 2.0) < 0.3:
        raise ValueError(f"a normal with mean 2 came out with mean {mean:.2f}")
    return f"nutpie {importlib.metadata.version('nutpie')} samples"


def _figures() -> str:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([0, 1])
    with tempfile.TemporaryDirectory() as folder:
        figure.savefig(Path(folder) / "figure.png")
    return f"matplotlib {importlib.metadata.version('matplotlib')} draws"


def _files() -> str:
    import xarray as xr

    from imps.posterior.storage import load, save

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.nc"
        values = np.random.default_rng(1).standard_normal(100)
        save(path, {"posterior": xr.Dataset({"x": ("draw", values)})}, {"seed": 1})
        groups, record = load(path)
    if not (np.array_equal(groups["posterior"]["x"].values, values) and record["seed"] == 1):
        raise ValueError("what was written did not come back")
    return f"netCDF comes back bit by bit, h5py {importlib.metadata.version('h5py')}"
