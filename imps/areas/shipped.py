"""Areas of a shipped case."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from imps.account.linear import LinearModel, linear_model
from imps.account.priors import default_priors
from imps.areas.area_tables import areas_from_tables
from imps.areas.figures import Areas
from imps.errors import UnknownCaseError
from imps.posterior.fit import Fit
from imps.shipped import cases, load_case

FOLDER = "areas"


def load_areas(case: str, *, nation: Fit | LinearModel | None = None) -> Areas:
    """Areas of a shipped case: compact tables of published figures, and rules for the rest.

    Parameters
    ----------
    case : str
        "england-wales-2011-2021": 331 local authorities of April 2021.
    nation : Fit or LinearModel, optional
        Of that case, if there is one already; else its model is built.

    Raises
    ------
    UnknownCaseError
        If the case has no areas, with those that have.
    """
    places = {name: _place(name) for name in cases()}
    known = [name for name, place in places.items() if place.is_dir()]
    if case not in known:
        raise UnknownCaseError(
            f"no areas are shipped for '{case}'. Cases with areas: {', '.join(known)}."
        )
    if nation is None:
        found = load_case(case)
        assert not isinstance(found, dict)
        nation = linear_model(found.sources, default_priors())
    model = nation.model if isinstance(nation, Fit) else nation
    place = places[case]
    return areas_from_tables(
        place / "population.csv.gz",
        place / "components.csv.gz",
        place / "codes.csv",
        nation=model,
        mobility=place / "mobility.csv",
        last_by_region=place / "last_by_region.csv",
    )


def _place(case: str) -> Path:
    folder = Path(str(importlib.resources.files("imps.shipped")))
    return folder / case.replace("-", "_") / FOLDER
