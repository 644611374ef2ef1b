"""The manifest of a run: everything needed to repeat it, and nothing that cannot be published.

No user name, no computer name and no absolute path stands in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

import imps
from imps.account.chained import ChainModel
from imps.account.linear import LinearModel
from imps.account.variant import Variant
from imps.errors import SavedFileError
from imps.posterior.archive import MANIFEST_FILE, account_record, digest
from imps.posterior.fit import Fit
from imps.posterior.storage import LATENT, LOG_SCALE, check_format, write_whole
from imps.project.case import Case
from imps.results.checks import Checks
from imps.results.reconciliation import Reconciliation

FORMAT = 1
LARGEST_MANIFEST = 20_000_000
RUNNING, FINISHED = "running", "finished"
PACKAGES = ("numpy", "scipy", "pandas", "xarray", "pymc", "pytensor", "arviz", "nutpie",
            "matplotlib")  # fmt: skip


def environment() -> dict[str, Any]:
    """Versions of package, Python, libraries, sampler and BLAS; platform, cores, lock."""
    return {
        "imps": imps.__version__,
        "revision": revision(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "blas": sorted(
            f"{library['internal_api']} {library['version']} ({library.get('architecture')})"
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "lock_sha256": lock_digest(),
    }


@cache
def lock_digest() -> str:
    """Digest of names and versions of all installed distributions."""
    names = {
        f"{d.metadata['Name']}=={d.version}".lower().replace("_", "-")
        for d in importlib.metadata.distributions()
    }
    return digest("\n".join(sorted(names)).encode("utf-8"))


def revision() -> dict[str, Any] | None:
    """Commit of the package and whether its files were modified; None if it is installed."""
    folder = Path(imps.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("ls-files", "--error-unmatch", "__init__.py") != "__init__.py":
            return None
        return {
            "commit": git("rev-parse", "HEAD"),
            "modified": bool(git("status", "--porcelain", "--", str(folder))),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def first_part(
    case: Case, linear: LinearModel, request: Mapping[str, Any], imported: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is known before anything is fitted: case, inputs, priors, settings, software.

    Parameters
    ----------
    case : Case
        Of a chain all of its cases as one.
    linear : LinearModel
    request : mapping
        Arguments of the run as resolved.
    imported : mapping, optional
        `ImportReport.record()` where the case was read from files.
    """
    imported = imported or {}
    accounts = linear.accounts if isinstance(linear, ChainModel) else (linear.account,)
    return {
        "format": FORMAT,
        "status": RUNNING,
        "case": case.name,
        "title": case.title,
        "origin": case.origin,
        "case_sha256": case.digest,
        "area": linear.sources.area,
        **environment(),
        "inputs": imported.get("inputs") or list(case.inputs),
        "input_settings": imported.get("settings"),
        "import_log": imported.get("findings", []),
        "sources": [row for a in accounts for row in a.sources.table().to_dict("records")],
        "account_sha256": account_digest(linear),
        "priors_as_of": linear.priors.as_of,
        "priors_made_for": dataclasses.asdict(linear.priors.made),
        "priors": [dataclasses.asdict(row) for row in linear.priors.rows],
        "resolution": dataclasses.asdict(linear.account.resolution),
        "request": dict(request),
        "seed": request["seed"],
    }


def last_part(fit: Fit, checks: Checks, *reconciled: Reconciliation) -> dict[str, Any]:
    """What the fit has shown: settings, diagnostics, verdict, moments and digest of the draws."""
    gaps = {
        name: None if part.model.sources.open_end else part.model.sources.gap
        for name, part in (fit.periods or {"": fit}).items()
    }
    return {
        "method": fit.method,
        "settings": fit.settings,
        "seconds": {k: round(v, 2) for k, v in fit.seconds.items()},
        "notes": list(fit.notes),
        "diagnostics": {
            "largest_r_hat": float(checks.table["r_hat"].max()),
            "least_ess_bulk": float(checks.table["ess_bulk"].min()),
            "least_ess_tail": float(checks.table["ess_tail"].min()),
            "divergences": checks.divergences,
            "effective_grid_points": checks.effective_points,
            "grid_points": checks.grid_points,
            "largest_log_scale": checks.largest_log_scale,
            "largest_closure_error_persons": max(found.closure() for found in reconciled),
            "negative_flow_cells": max(found.negative_flows for found in reconciled),
        },
        "misfit": checks.misfit.to_dict("records"),
        "verdict": str(checks.verdict),
        "gap_persons": gaps if fit.periods else gaps[""],
        "quantities": quantities(fit, checks),
        "draws_sha256": draws_digest(fit),
    }


def quantities(fit: Fit, checks: Checks) -> list[dict[str, Any]]:
    """Mean, sd and effective size of each reported quantity and scale, for a comparison."""
    sizes = checks.table.set_index("quantity")["ess_bulk"]
    return [
        {
            "quantity": name,
            "mean": float(values.mean()),
            "sd": float(values.std()),
            "ess": float(sizes[name]) if name in sizes.index else None,  # None: known
        }
        for name, values in fit.quantities().items()
    ]


def account_digest(linear: LinearModel) -> str:
    """Digest of all figures, labels and priors that the account was written down from."""
    record, arrays = account_record(linear)
    found = hashlib.sha256(json.dumps(record, sort_keys=True).encode("utf-8"))
    for array in arrays.values():
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def draws_digest(fit: Fit) -> str:
    """Digest of the draws, bit by bit."""
    found = hashlib.sha256()
    for name in (LOG_SCALE, LATENT):
        found.update(np.ascontiguousarray(fit.draws[name].values).tobytes())
    return found.hexdigest()


def computation(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the numbers were made, in the lines of the report."""
    packages = ", ".join(f"{k} {v}" for k, v in manifest["packages"].items())
    found, settings = manifest["diagnostics"], manifest["settings"]
    return [
        ("Software", f"imps {manifest['imps']}, Python {manifest['python']}, {packages}"),
        ("Model", str(Variant.of_record(settings["variant"]))),
        ("Method and seed", f"{manifest['method']}, seed {manifest['seed']}"),
        ("Draws", f"{settings['chains']} chains of {settings['draws']}"),
        (
            "Diagnostics",
            f"R-hat at most {found['largest_r_hat']:.4f}; effective size at least "
            f"{found['least_ess_bulk']:.0f} (bulk), {found['least_ess_tail']:.0f} (tail); "
            f"{found['divergences']} divergences",
        ),
        ("Negative flow cells", f"{found['negative_flow_cells']:.2%} of all draws"),
    ]


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write a manifest, whole or not at all."""
    text = json.dumps(content, indent=1, ensure_ascii=False, default=_plain)
    write_whole(path, f"{text}\n".encode())


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read the manifest of a run, from its file or the folder it lies in.

    Raises
    ------
    SavedFileError
        If it is not there or is not a manifest of this package.
    """
    place = Path(path)
    place = place / MANIFEST_FILE if place.is_dir() else place
    try:
        if place.stat().st_size > LARGEST_MANIFEST:
            raise SavedFileError(f"{place.name} is too large for a manifest.")
        content = json.loads(place.read_text("utf-8"))
    except OSError:
        raise SavedFileError(f"there is no manifest at '{path}'; check the path.") from None
    except (ValueError, RecursionError):
        raise SavedFileError(f"{place.name} is not JSON, or is cut off.") from None
    if not isinstance(content, dict) or "format" not in content:
        raise SavedFileError(f"{place.name} is not a manifest of imps.")
    check_format(place.name, content, FORMAT)
    return content


def _plain(value: Any) -> Any:
    """Numbers of NumPy as plain ones."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong into a manifest")
