"""Names of dimensions and labels: the one home of each.

Unit inside the package: persons and persons per year. Sign: `gap` is the
rolled-forward estimate minus the census, so a positive gap means that the
roll-forward was too high, and a positive contribution made it too high.
"""

from types import MappingProxyType
from typing import Final

SEX: Final = "sex"
AGE: Final = "age"
AGE_GROUP: Final = "age_group"
YEAR: Final = "year"
FLOW: Final = "flow"
SOURCE: Final = "source"
CHAIN: Final = "chain"
DRAW: Final = "draw"

SEXES: Final = ("male", "female")
IMMIGRATION: Final = "immigration"
EMIGRATION: Final = "emigration"
FLOWS: Final = (IMMIGRATION, EMIGRATION)
FLOW_SIGN: Final = MappingProxyType({IMMIGRATION: 1.0, EMIGRATION: -1.0})

GAP_CONVENTION: Final = "gap = rolled-forward minus census; positive: the roll-forward was too high"
ERROR_CONVENTION: Final = (
    "error = rolled-forward minus true population; positive: the roll-forward was too high"
)


SURVEY: Final = "survey"
AREA: Final = "area"
KINDS_OF_COUNTRY: Final = (SURVEY, "register", "cards", AREA)
"""What migration of a country is counted by; an area is a part of one with a survey."""
