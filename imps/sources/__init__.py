"""The published figures of one account, as small objects that check their labels."""

from imps.sources.administrative import (
    EXPECTED,
    AdministrativeFlow,
    KnownChange,
    KnownSum,
    MirrorSeries,
    Register,
    asylum_seekers,
    expected_parts,
    irish_flows,
    migrant_switchers,
    visitor_switchers,
)
from imps.sources.definitions import Counted
from imps.sources.flows import Era, SurveyFlow
from imps.sources.kinds import SourceKind
from imps.sources.sources import Sources
from imps.sources.stocks import (
    BY_AGE,
    BY_SEX,
    BY_SEX_AND_AGE,
    PLANNED,
    REGISTER,
    TOTAL,
    Births,
    BornBefore,
    Deaths,
    RolledForward,
    Stock,
)
from imps.sources.streams import Evidence, Misclassified, Shared, Stream

__all__ = [
    "BY_AGE",
    "BY_SEX",
    "BY_SEX_AND_AGE",
    "EXPECTED",
    "PLANNED",
    "REGISTER",
    "TOTAL",
    "AdministrativeFlow",
    "Births",
    "BornBefore",
    "Counted",
    "Deaths",
    "Era",
    "Evidence",
    "KnownChange",
    "KnownSum",
    "MirrorSeries",
    "Misclassified",
    "Register",
    "RolledForward",
    "Shared",
    "SourceKind",
    "Sources",
    "Stock",
    "Stream",
    "SurveyFlow",
    "asylum_seekers",
    "expected_parts",
    "irish_flows",
    "migrant_switchers",
    "visitor_switchers",
]
