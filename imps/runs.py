"""Runs: one command from published figures to a folder of results.

The folder is written beside its final place and moved there when it is whole,
so that a run that was cut off or refused leaves nothing half-finished.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imps import __version__
from imps.attribution import Attribution, attribute
from imps.cases.loading import Case, load_case
from imps.checks import Checks, check
from imps.draws import save
from imps.errors import OutputExistsError
from imps.fit import Fit, fit
from imps.gaussian import linear_model
from imps.plots import standard_figures
from imps.priors import Priors, default_priors
from imps.reconcile import Reconciliation, reconcile
from imps.report import html_report
from imps.tables import (
    attribution_table,
    gap_table,
    groups_table,
    net_migration_table,
    priors_table,
    response_table_of,
    roll_forward_table,
    sources_table,
)

PACKAGES = ("numpy", "scipy", "pandas", "xarray", "pymc", "arviz", "nutpie", "matplotlib")


@dataclass(frozen=True)
class Run:
    """Everything that one run found.

    Attributes
    ----------
    case : Case
    fit : Fit
    checks : Checks
    attribution : Attribution
    reconciliation : Reconciliation
    folder : Path or None
        Where the results were written.
    """

    case: Case
    fit: Fit
    checks: Checks
    attribution: Attribution
    reconciliation: Reconciliation
    folder: Path | None

    def __repr__(self) -> str:
        where = "" if self.folder is None else f"\nresults in {self.folder}"
        return repr(self.attribution) + where


def run(
    case: str | Case,
    *,
    out: str | Path | None = None,
    seed: int = 1,
    draws: int | None = None,
    chains: int = 4,
    method: str = "auto",
    priors: Priors | None = None,
    force: bool = False,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Fit a case and write its run folder.

    Parameters
    ----------
    case : str or Case
        Name of a shipped case, or a case.
    out : path, optional
        Folder for the results; nothing is written unless told.
    seed, draws, chains, method
        As in :func:`imps.fit`.
    priors : Priors, optional
    force : bool
        Replace a folder that is already there.
    progress : bool
    say : callable, optional
        Told in a line what is going on.

    Raises
    ------
    OutputExistsError
        If the folder exists and `force` is not set; nothing is touched.
    UnknownCaseError, PriorError, ImpsError
        Before anything is fitted or written.
    """
    target = None if out is None else Path(out)
    if target is not None and target.exists() and not force:
        raise OutputExistsError(
            f"the folder '{out}' is already there. Choose another, or say --force (force=True) "
            "to replace it."
        )
    tell = say or (lambda _: None)
    started = dt.datetime.now(dt.UTC)
    loaded = load_case(case) if isinstance(case, str) else case
    tell(f"{loaded.title}: gap {loaded.sources.gap:+,.0f} persons (rolled-forward minus census)")
    model = linear_model(loaded.sources, priors or default_priors())
    found = fit(
        model, seed=seed, draws=draws, chains=chains, method=method, progress=progress, say=tell
    )
    checks = check(found)
    done = Run(
        case=loaded,
        fit=found,
        checks=checks,
        attribution=attribute(found, checks=checks),
        reconciliation=reconcile(found, checks=checks),
        folder=target,
    )
    if target is not None:
        tell("writing tables, figures and report")
        _write(done, target, started)
    return done


def _write(done: Run, target: Path, started: dt.datetime) -> None:
    """Write beside the target and move into place when whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        manifest = _manifest(done, started)
        _dump(partial / "manifest.json", {**manifest, "status": "running"})
        _results(done, partial, manifest)
        manifest["finished"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        manifest["outputs"] = {
            str(f.relative_to(partial)): _digest(f.read_bytes())
            for f in sorted(partial.rglob("*"))
            if f.is_file() and f.name != "manifest.json"
        }
        _dump(partial / "manifest.json", {**manifest, "status": "finished"})
        partial.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _results(done: Run, folder: Path, manifest: dict[str, Any]) -> None:
    save(folder / "fit.nc", done.fit.draws, done.fit.stats, {"manifest": manifest})
    tables = {
        "attribution": attribution_table(done.attribution),
        "attribution_groups": groups_table(done.attribution),
        "net_migration": net_migration_table(done.reconciliation),
        "gap": gap_table(done.fit),
        "response": response_table_of(done.fit),
        "roll_forward": roll_forward_table(done.fit),
        "priors": priors_table(done.fit),
        "sources": sources_table(done.fit),
    }
    (folder / "tables").mkdir()
    for name, table in tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv")
        text = table.to_latex()
        (folder / "tables" / f"{name}.tex").write_text(text, encoding="utf-8")
    checks = done.checks.table
    checks.to_csv(folder / "tables" / "checks.csv", index=False)
    (folder / "figures").mkdir()
    figures = standard_figures(done.attribution, done.reconciliation)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png")
    page = html_report(
        done.fit,
        done.attribution,
        done.reconciliation,
        figures,
        case=done.case,
        computation=_computation(manifest),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _manifest(done: Run, started: dt.datetime) -> dict[str, Any]:
    """Everything needed to repeat the run; no user name and no path in it."""
    fitted, checks = done.fit, done.checks
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "case": done.case.name,
        "imps": __version__,
        "python": platform.python_version(),
        "packages": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "inputs": _inputs(done.case),
        "priors": done.fit.model.priors.table().to_dict("records"),
        "settings": fitted.settings,
        "method": fitted.method,
        "seed": fitted.seed,
        "started": started.isoformat(timespec="seconds"),
        "seconds": {k: round(v, 2) for k, v in fitted.seconds.items()},
        "notes": list(fitted.notes),
        "diagnostics": {
            "largest_r_hat": float(checks.table["r_hat"].max()),
            "least_ess_bulk": float(checks.table["ess_bulk"].min()),
            "least_ess_tail": float(checks.table["ess_tail"].min()),
            "divergences": checks.divergences,
            "effective_grid_points": checks.effective_points,
            "largest_log_scale": checks.largest_log_scale,
            "largest_closure_error_persons": done.reconciliation.closure(),
            "negative_flow_cells": done.reconciliation.negative_flows,
        },
        "misfit": checks.misfit.to_dict("records"),
        "verdict": checks.line,
        "gap_persons": done.attribution.total,
    }


def _inputs(case: Case) -> list[dict[str, Any]]:
    """Digest and number of rows of each table of a shipped case."""
    folder = importlib.resources.files("imps.cases") / case.name.replace("-", "_")
    rows = []
    for file in sorted(folder.iterdir(), key=lambda f: f.name) if folder.is_dir() else []:
        data = file.read_bytes()
        lines = data.count(b"\n") - 1 if file.name.endswith(".csv") else None
        rows.append({"file": file.name, "sha256": _digest(data), "rows": lines})
    return rows


def _computation(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    packages = ", ".join(f"{k} {v}" for k, v in manifest["packages"].items())
    found = manifest["diagnostics"]
    return [
        ("Software", f"imps {manifest['imps']}, Python {manifest['python']}, {packages}"),
        ("Method and seed", f"{manifest['method']}, seed {manifest['seed']}"),
        ("Draws", f"{manifest['settings']['chains']} chains of {manifest['settings']['draws']}"),
        (
            "Diagnostics",
            f"R-hat at most {found['largest_r_hat']:.4f}; effective size at least "
            f"{found['least_ess_bulk']:.0f} (bulk), {found['least_ess_tail']:.0f} (tail); "
            f"{found['divergences']} divergences",
        ),
        ("Negative flow cells", f"{found['negative_flow_cells']:.2%} of all draws"),
    ]


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
