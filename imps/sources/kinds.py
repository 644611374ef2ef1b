"""What a source of the gap is: one table of kinds, and kinds of the user's own.

Everything that the package knows of a source by its name stands in one row of `KINDS`:
title, headline group, and for a part of migration its direction, sign, share of men,
age schedule and prior. The makers of parts, the columns a project may give, the table of
priors, the order of reporting, tables and figures read it. A kind of the user's own is one
row more, which the source itself carries:

    seasonal = SourceKind("seasonal_workers", flow="immigration", sd=0.3,
                          meaning="workers who stayed on", reference="Work permits, 1994")
    flow = AdministrativeFlow.of(seasonal, "immigration", count, vintage=..., reference=...)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from imps.errors import SourceError
from imps.names import FLOWS

NET: Final = "net"
"""A change of population that is no part of international migration."""
BOTH: Final = "both"
NO_FLOW: Final = ""

GROUPS: Final = (
    "base",
    "migration",
    "census",
    "revisions",
    "residual",
    "births and deaths",
    "other changes",
    "date",
)
"""Headline groups in the order in which they are shown."""
_TITLES: Final = MappingProxyType(
    {
        "migration": "All migration",
        "census": "Census",
        "revisions": "Flows revised since",
        "births and deaths": "Births and deaths",
        "other changes": "Other changes",
        "date": "Change after census day",
        "born_before": "Births before the base",
    }
)
NAME_FORM: Final = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class SourceKind:
    """One row of the table of kinds.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and underscores; its prior bears the same name.
    title : str
        As tables and figures show it; the name in words unless told.
    group : str
        Headline group, one of `GROUPS`; that of its flow unless told.
    flow : {"both", "immigration", "emigration", "net", ""}
        Directions a part of migration may have; "net" for a change that is no international
        migration; empty for what is neither, such as the base.
    adds : bool
        False for a part that is taken off, such as migrant switchers.
    male_share : float
        For the age-sex schedule, which is not data.
    schedule : {"", "immigration", "emigration"}
        Whose age schedule it has; that of its own direction unless told.
    share : bool
        Whether its figure is a number of people times a share of them.
    mean, sd : float
        Prior of its relative error, a share of the published figure; a net change without
        an sd is carried as published, a part must have one.
    asked : bool
        Whether its prior stands in a table of priors only where it is asked for.
    unit, meaning, reference : str
        What the prior is a share of, what it says in plain words, and why.
    evidence : tuple of str
        Keys of the dated figures it rests on, in the table of evidence of the package.
    """

    name: str
    title: str = ""
    group: str = ""
    flow: str = BOTH
    adds: bool = True
    male_share: float = 0.5
    schedule: str = ""
    share: bool = False
    mean: float = 0.0
    sd: float = 0.0
    asked: bool = False
    unit: str = ""
    meaning: str = ""
    reference: str = ""
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given = {"title": self.title or words_of(self.name), "group": self.group or self._group}
        noun = "mean yearly net change" if self.flow == NET else f"flow added for {given['title']}"
        given["unit"] = self.unit or f"share of the {noun}"
        for field, value in given.items():
            object.__setattr__(self, field, value)
        if not NAME_FORM.fullmatch(self.name):
            self._refuse("name", self.name, "lower-case letters, digits and underscores")
        if self.group not in GROUPS:
            self._refuse("group", self.group, f"one of {', '.join(GROUPS)}")
        if self.flow not in (BOTH, *FLOWS, NET, NO_FLOW):
            self._refuse("flow", self.flow, f"one of {BOTH}, {', '.join(FLOWS)}, {NET}")
        if self.schedule not in (NO_FLOW, *FLOWS):
            self._refuse("schedule", self.schedule, f"one of {', '.join(FLOWS)}, or nothing")
        if not 0 <= self.male_share <= 1:
            self._refuse("male_share", self.male_share, "a share between 0 and 1")
        least = "above 0" if self.is_part else "not negative"
        if not (math.isfinite(self.sd) and self.sd >= 0 and (self.sd > 0 or not self.is_part)):
            self._refuse("sd", self.sd, f"a share {least}, such as 0.3")
        if not math.isfinite(self.mean):
            self._refuse("mean", self.mean, "a share, such as 0")

    @property
    def _group(self) -> str:
        return "other changes" if self.flow == NET else "migration"

    def _refuse(self, field: str, found: object, allowed: str) -> None:
        raise SourceError(
            f"source kind '{self.name}': {field} is '{found}', allowed is {allowed}. Correct "
            f"the field {field} of this kind."
        )

    @property
    def is_part(self) -> bool:
        """Whether it is a part of international migration, with a direction."""
        return self.flow in (BOTH, *FLOWS)

    @property
    def flows(self) -> tuple[str, ...]:
        """Directions that a part of this kind may have."""
        return FLOWS if self.flow == BOTH else (self.flow,) if self.flow in FLOWS else ()


_SWITCHERS: Final = (
    "All adjustments moved by 36-63 thousand a year in 2002-2004; sd at least a third of the mean, "
    "by judgement"
)
_ROWS: Final = (
    SourceKind("base", "Population base", "base", NO_FLOW),
    SourceKind("births", "Births", "births and deaths", NO_FLOW),
    SourceKind("deaths", "Deaths", "births and deaths", NO_FLOW),
    SourceKind("immigration_bias", "Immigration: survey bias", "migration", NO_FLOW),
    SourceKind("immigration_sampling", "Immigration: sampling error", "migration", NO_FLOW),
    SourceKind("emigration_bias", "Emigration: survey bias", "migration", NO_FLOW),
    SourceKind("emigration_sampling", "Emigration: sampling error", "migration", NO_FLOW),
    SourceKind("ages_and_sexes_of_flows", "Ages and sexes of the flows", "migration", NO_FLOW),
    SourceKind("period_conversion", "Conversion to mid-years", "migration", NO_FLOW),
    SourceKind("asylum_seekers", "Asylum seekers and dependants", male_share=0.68, sd=0.20,
               unit="share of the flow added for asylum",
               meaning="asylum seekers and dependants who should have been added or not",
               reference="About 85 % of applicants enter the adjustment (regression on "
               "1991-2007)", evidence=("uk-asylum-inflow",)),
    SourceKind("irish_flows", "Irish flows", sd=0.25, unit="share of the flow added for Ireland",
               meaning="error of the Irish household survey",
               reference="Judgement: sample size of the Irish survey"),
    SourceKind("visitor_switchers", "Visitor switchers", share=True, sd=0.35,
               unit="share of the flow added for visitor switchers",
               meaning="visitors who stayed longer than they said", reference=_SWITCHERS,
               evidence=("uk-net-1997-2001",)),
    SourceKind("migrant_switchers", "Migrant switchers", adds=False, share=True, sd=0.35,
               unit="share of the flow taken off for migrant switchers",
               meaning="migrants who stayed for less than they said", reference=_SWITCHERS,
               evidence=("uk-net-1997-2001",)),
    SourceKind("cross_border", "Moves across the border", flow=NET, sd=0.5, asked=True,
               meaning="moves across the border to the rest of the country, from patient registers",
               reference="The net is a small difference of two large flows; judgement of the "
               "package"),
    SourceKind("armed_forces", "Armed forces", flow=NET, sd=0.3, asked=True,
               meaning="changes of the armed forces and their dependants",
               reference="Judgement of the package; show its sensitivity"),
    SourceKind("census_coverage", "Census coverage", "census", NO_FLOW),
    SourceKind("census_sampling", "Census sampling error", "census", NO_FLOW),
    SourceKind("register_cells", "Late entries of the register", "census", NO_FLOW),
    SourceKind("flows_revised_since", "Flows revised since", "revisions", NO_FLOW),
    SourceKind("date_change", "Change after census day", "date", NO_FLOW),
    SourceKind("residual", "Residual", "residual", NO_FLOW),
)  # fmt: skip

KINDS: Final[Mapping[str, SourceKind]] = MappingProxyType({kind.name: kind for kind in _ROWS})
"""Every source of a gap that the package knows, in the order in which they are reported."""
PARTS: Final = tuple(kind.name for kind in _ROWS if kind.is_part)
"""Parts of migration of the package, by name."""


def words_of(label: str) -> str:
    """A label in words: "irish_flows" is "Irish flows"."""
    stem = label.removesuffix("_sampling")
    words = stem.replace("_", " ").capitalize()
    return words if stem == label else f"{words}: sampling error"


def title(label: str) -> str:
    """Plain-English name of a source or group; a user's own name is shown as it is."""
    if label in _TITLES and label not in KINDS:
        return _TITLES[label]
    return KINDS[label].title if label in KINDS else words_of(label)


def within_sentence(text: str) -> str:
    """A title as it stands inside a sentence; proper names keep their capital."""
    return text if text.startswith("Irish") else text[0].lower() + text[1:]
