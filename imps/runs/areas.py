"""A run of many areas: nation, areas, table, figures and pages in one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from imps._version import __version__
from imps.account.linear import linear_model
from imps.account.priors import default_priors
from imps.areas.fit import DRAWS, AreaFit, fit_areas
from imps.areas.shipped import load_areas
from imps.areas.sizes import LOWER_AGES
from imps.errors import OutputExistsError
from imps.posterior.fit import fit
from imps.report.areas import write_area_reports
from imps.shipped import find_case
from imps.tables.areas import areas_table

MANIFEST = "areas.json"
WRITTEN = ("areas.csv", "areas.parquet", "areas.html", MANIFEST)


def run_areas(
    case: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    seed: int,
    areas: Sequence[str] = (),
    draws: int = DRAWS,
    lower_ages: tuple[int, ...] = LOWER_AGES,
    move_nation: bool = False,
    workers: int = 1,
    keep: str | os.PathLike[str] | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> AreaFit:
    """Fit nation and areas of a case; write table, pages and a record into a folder.

    Parameters
    ----------
    case : str or path
        Shipped case with areas, or a project folder with a folder `areas`.
    out : path
        Folder; `areas.csv`, one row an area, `areas.parquet`, one row an area and source with
        contraction and flags, `areas.html`, `area-CODE.html` and `areas.json` are written.
    seed, draws : int
    lower_ages : tuple of int
        First ages of the groups by which areas are told apart.
    areas : sequence of str
        Codes or names of areas that get a page of their own.
    move_nation : bool
        Whether areas may move the errors of the nation; its conflict is said.
    workers : int
        Processes that share the work; the draws do not depend on it.
    keep : path, optional
        Folder of finished slabs of draws, from which a run that was cut off goes on.
    force : bool
        Replace what is there.

    Raises
    ------
    OutputExistsError
        If there are results in the folder and `force` is not said.
    """
    target = Path(out)
    there = [name for name in WRITTEN if (target / name).exists()]
    if there and not force:
        raise OutputExistsError(
            f"'{target}' holds {', '.join(there)}. Choose another folder, or say --force "
            "(force=True) to replace them."
        )
    sources = find_case(case).sources
    nation = fit(linear_model(sources, default_priors()), seed=seed, progress=False, say=say)
    found = load_areas(case, nation=nation)
    for area in areas:
        found.place(area)
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as client:
        made = fit_areas(nation, found, seed=seed, draws=draws, lower_ages=lower_ages,
                         move_nation=move_nation, client=client, keep=keep, say=say)  # fmt: skip
    target.mkdir(parents=True, exist_ok=True)
    areas_table(made).to_csv(target / "areas.csv")
    made.table().to_parquet(target / "areas.parquet", index=False)
    write_area_reports(made, target, areas)
    record = {"imps": __version__, "case": str(case), "seed": seed, "draws": draws,
              "areas": len(made), "effective": made.points.effective, "nation moved": move_nation,
              "scales": made.scales.mean().to_dict(), "notes": list(found.notes)}  # fmt: skip
    (target / MANIFEST).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    say(f"written: {', '.join(WRITTEN)} in {target}")
    return made
