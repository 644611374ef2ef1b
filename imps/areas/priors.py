"""How far areas err apart from the nation: scales of their deviations and of the patterns.

Every scale is log-normal, s = median exp(log_sd h) with h ~ Normal(0, 1). A row with log_sd 0
is set and not learnt: areas cannot tell it from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from imps.errors import PriorError
from imps.names import EMIGRATION, IMMIGRATION

BASE: Final = "base"
INTERNAL: Final = "internal"
CENSUS: Final = "census"
SPECIAL: Final = "special populations"
REMAINDER: Final = "remainder"
DEVIATIONS: Final = (BASE, IMMIGRATION, EMIGRATION, INTERNAL, CENSUS)
"""Sources of which every area has a deviation of its own; over areas they sum to zero. Special
populations, where they are given, are one more."""
SOURCES: Final = (*DEVIATIONS, REMAINDER)
"""Sources of an area's gap without special populations, in the order of reporting."""
PATTERNS: Final = (IMMIGRATION, EMIGRATION, "net_moves")
"""Systematic errors that lie over areas as recorded flows and net moves do."""


@dataclass(frozen=True)
class AreaPrior:
    """One scale: its name, median, standard deviation of its logarithm, and why."""

    name: str
    median: float
    log_sd: float
    meaning: str
    reference: str

    @property
    def learnt(self) -> bool:
        """Whether the figures of the areas inform it."""
        return self.log_sd > 0


_REVISED: Final = (
    "Revision of an area's share of the national flow 2004-2008, before and after the 2011 "
    "rebasing: sd of the log ratio 0.28-0.33 for immigration, 0.15-0.18 for emigration (ONS "
    "2008-based projections, Table 5, against the components of change to mid-2015)"
)
_JUDGED: Final = "Judgement of the package; the areas inform it"
_INTERVALS: Final = (
    "Standard error of an area's 2011 Census count, 0.30 to 1.87 per cent, median about 0.54: "
    "computed from the widths of intervals in ONS, Measures of statistical uncertainty in "
    "local authority mid-year population estimates 2011 to 2019, Table 2"
)
FACTOR: Final = "area_factor"
NOISE: Final = "area_cells"
OF_SPECIAL: Final = "area_special"
PRIORS: Final = (
    AreaPrior(FACTOR, 0.30, 0.5, "standard deviation of the logarithm of a factor of all "
              "deviations of an area: some depart farther than others", "That of the factor of a t "
              "with 10, 5 and 3 degrees of freedom is 0.24, 0.35 and 0.48; " + _JUDGED),
    AreaPrior("area_base", 0.010, 0.0, "error of an area's base, a share of it", _INTERVALS),
    *(
        AreaPrior(f"area_{flow}_{part}", median, 0.7, "error of an area's share of "
                  f"{flow} at 1,000 persons a year: {of}", _REVISED)
        for flow, median in ((IMMIGRATION, 0.30), (EMIGRATION, 0.17))
        for part, of in (("level", "all ages alike"), ("young", "young adults beside that"),
                         ("shape", "shape over ages and years"))
    ),
    *(
        AreaPrior(f"area_internal_{part}", median, 0.7, f"error of recorded internal moves: {of}",
                  "Late registration of moves, most at young adult ages; " + _JUDGED)
        for part, median, of in (("level", 0.006, "all ages alike, a share of them"),
                                 ("young", 0.014, "young adults beside that"),
                                 ("shape", 0.02, "shape over ages and years"))
    ),
    AreaPrior("area_census", 0.008, 0.0, "error of an area's census count, a share of it",
              _INTERVALS + "; that of 2011 for want of 2021"),
    AreaPrior(OF_SPECIAL, 0.3, 0.7, "error of armed forces, prisoners and other special "
              "populations of an area, a share of them; they sum to zero, for the nation's flows "
              "hold its own", _JUDGED),
    AreaPrior(NOISE, 1.0, 0.5, "noise of single cells: square root of the count, and 1 per "
              "cent of it by single year", _JUDGED),
    AreaPrior("pattern_immigration", 0.15, 0.4, "national error of immigration that lies as the "
              "published flow does between areas, a share of it", _JUDGED),
    AreaPrior("pattern_emigration", 0.15, 0.4, "the same of emigration", _JUDGED),
    AreaPrior("pattern_net_moves", 0.1, 0.7, "share of recorded net internal moves that goes with "
              "the gap", _JUDGED),
)  # fmt: skip
N_PATTERNS: Final = len(PATTERNS)


def area_priors(changed: Mapping[str, tuple[float, float]] | None = None) -> tuple[AreaPrior, ...]:
    """The scales, with those given by name as (median, log_sd) in place of the defaults.

    Raises
    ------
    PriorError
        If a name is none of them, a median not positive or a log_sd negative.
    """
    changed = dict(changed or {})
    known = {row.name for row in PRIORS}
    for name, (median, log_sd) in changed.items():
        if name not in known:
            raise PriorError(f"no scale is called '{name}'. Known: {', '.join(sorted(known))}.")
        if not (np.isfinite(median) and median > 0 and np.isfinite(log_sd) and log_sd >= 0):
            raise PriorError(
                f"{name} is ({median}, {log_sd}); allowed are a positive median and a standard "
                "deviation of its logarithm of 0 (set) or more."
            )
    found = ((r, *changed.get(r.name, (r.median, r.log_sd))) for r in PRIORS)
    return tuple(replace(r, median=float(m), log_sd=float(sd)) for r, m, sd in found)
