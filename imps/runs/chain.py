"""Runs of a chain: from cases or project folders to a folder of results for all periods."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imps.posterior.fit import Fit, fit
from imps.posterior.saved_fits import CHAINS_FOLDER, FIT_FILE
from imps.results.chain import ChainResults, chain_results
from imps.results.checks import check
from imps.runs.manifest import (
    FINISHED,
    FORMAT,
    MANIFEST_FILE,
    RUNNING,
    account_digest,
    digest,
    draws_digest,
    environment,
    quantities,
    write_manifest,
)
from imps.runs.run import REPORT_FILE, one_thread
from imps.runs.working_folder import alone, check_replaceable, working_folder
from imps.sampling import Sampling
from imps.shipped.chains import Period, chain
from imps.tables.chain import chain_tables
from imps.tables.printed import PrintedTable


@one_thread
def run_chain(
    periods: Sequence[Period],
    *,
    out: str | Path,
    seed: int = 1,
    draws: int | None = None,
    chains: int = Sampling.chains,
    linked: bool = True,
    revised: Sequence[str] = (),
    force: bool = False,
    tables_only: bool = False,
    say: Callable[[str], None] | None = None,
) -> ChainResults:
    """Fit a chain of censuses and write its folder.

    The folder holds the fit, the manifest, tables and the figure of all periods, and the report
    of each period in a folder of its name. A run that was cut off lies in `OUT.unfinished`; the
    same call continues it.

    Parameters
    ----------
    periods, linked, revised
        As in :func:`imps.chain`.
    out : path
    seed, draws, chains
        As in :func:`imps.fit`.
    force : bool
        Replace the results of an earlier run.
    tables_only : bool
        No figure and no reports.
    say : callable, optional
        Told in a line what is going on.

    Raises
    ------
    OutputExistsError
        If the folder exists and `force` is not set, or an unfinished run of another kind is there.
    """
    target, tell = Path(out), say or (lambda _: None)
    check_replaceable(target, force)
    model = chain(periods, linked=linked, revised=revised)
    request = {"seed": seed, "draws": draws, "chains": chains, "linked": linked}
    manifest: dict[str, Any] = {
        "format": FORMAT, "status": RUNNING, "case": " and ".join(model.names),
        "title": f"{model.sources.area}, {model.period_in_words}", "periods": list(model.names),
        "area": model.sources.area, **environment(), "account_sha256": account_digest(model),
        "sources": [a.sources.table().to_dict("records") for a in model.accounts],
        "request": request, "seed": seed,
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    tell(f"{manifest['title']}: one account of {len(model.names)} periods")
    working = working_folder(target, manifest, force, tell)
    with alone(working):
        found = fit(
            model, seed=seed, draws=draws, chains=chains, progress=False, say=tell,
            keep=working / CHAINS_FOLDER,
        )  # fmt: skip
        tell("writing tables" if tables_only else "writing tables, figure and reports")
        results = chain_results(found)
        folder = working / "results"
        shutil.rmtree(folder, ignore_errors=True)
        _write(found, results, folder, tables_only)
        manifest |= {
            "method": found.method, "settings": found.settings, "notes": list(found.notes),
            "verdict": str(results.verdict), "quantities": quantities(found, check(found)),
            "draws_sha256": draws_digest(found), "status": FINISHED,
            "finished": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "outputs": {
                f.relative_to(folder).as_posix(): digest(f.read_bytes())
                for f in sorted(folder.rglob("*"))
                if f.is_file()
            },
        }  # fmt: skip
        write_manifest(folder / MANIFEST_FILE, manifest)
        check_replaceable(target, force)
        if target.exists():
            os.replace(target, Path(tempfile.mkdtemp(dir=working)) / target.name)
        os.replace(folder, target)
    shutil.rmtree(working, ignore_errors=True)
    return results


def _write(found: Fit, results: ChainResults, folder: Path, tables_only: bool) -> None:
    folder.mkdir(parents=True)
    found.save(folder / FIT_FILE)
    _write_tables(chain_tables(found, results), folder / "tables")
    if tables_only:
        return
    from imps.plots import plot_chain
    from imps.report.report import write_report
    from imps.report.sections import figure_png

    (folder / "figures").mkdir()
    (folder / "figures" / "chain.png").write_bytes(figure_png(plot_chain(results)))
    for name, part in found.periods.items():
        (folder / name).mkdir()
        write_report(part, folder / name / REPORT_FILE)


def _write_tables(tables: dict[str, PrintedTable], folder: Path) -> None:
    folder.mkdir()
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv")
        (folder / f"{name}.tex").write_text(table.to_latex(), encoding="utf-8")
