"""Areas of a shipped case, or of a project folder that has a folder `areas`."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

from imps.account.linear import LinearModel, linear_model
from imps.account.priors import default_priors
from imps.areas.area_tables import areas_from_tables
from imps.areas.figures import Areas
from imps.errors import UnknownCaseError
from imps.posterior.fit import Fit
from imps.shipped import cases, find_case

FOLDER = "areas"
ENDINGS = (".csv", ".csv.gz")


def load_areas(case: str | os.PathLike[str], *, nation: Fit | LinearModel | None = None) -> Areas:
    """Areas of a case: compact tables of published figures, and rules for the rest.

    Parameters
    ----------
    case : str or path
        "england-wales-2011-2021": 331 local authorities of April 2021. Or a project folder
        with the tables of :func:`imps.areas_from_tables` in its folder `areas`:
        `population.csv`, `components.csv`, `codes.csv`, and perhaps `mobility.csv`,
        `moves_by_age.csv`, `last_by_region.csv` and `special.csv` (or `.csv.gz`).
    nation : Fit or LinearModel, optional
        Of that case, if there is one already; else its model is built.

    Returns
    -------
    Areas

    Raises
    ------
    UnknownCaseError
        If the case has no areas, with those that have.
    InputError
        If the tables are refused.
    """
    place = _place(case)
    if nation is None:
        nation = linear_model(find_case(case).sources, default_priors())
    model = nation.model if isinstance(nation, Fit) else nation
    population, components, codes = (
        _table(place, name) or place / f"{name}.csv"
        for name in ("population", "components", "codes")
    )
    return areas_from_tables(
        population,
        components,
        codes,
        nation=model,
        mobility=_table(place, "mobility"),
        moves_by_age=_table(place, "moves_by_age"),
        last_by_region=_table(place, "last_by_region"),
        special=_table(place, "special"),
    )


def _place(case: str | os.PathLike[str]) -> Path:
    """Folder with the tables of the areas of a case."""
    shipped = Path(str(importlib.resources.files("imps.shipped")))
    with_areas = {n: p for n in cases() if (p := shipped / n.replace("-", "_") / FOLDER).is_dir()}
    place = with_areas.get(str(case), Path(case) / FOLDER)
    if not place.is_dir():
        raise UnknownCaseError(
            f"there are no areas for '{case}'. Shipped cases with areas: {', '.join(with_areas)}; "
            f"a project folder has its tables of areas in a folder '{FOLDER}'."
        )
    return place


def _table(place: Path, name: str) -> Path | None:
    paths = (place / f"{name}{ending}" for ending in ENDINGS)
    return next((path for path in paths if path.exists()), None)
