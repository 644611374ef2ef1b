"""Names of dimensions, labels and sources: the one home of each.

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

# Sources of a gap in the order in which they are reported, each with its headline group.
SOURCE_GROUPS: Final = MappingProxyType(
    {
        "base": "base",
        "births": "births and deaths",
        "deaths": "births and deaths",
        "immigration_bias": "migration",
        "immigration_sampling": "migration",
        "emigration_bias": "migration",
        "emigration_sampling": "migration",
        "period_and_age_conversion": "migration",
        "asylum_seekers": "migration",
        "irish_flows": "migration",
        "visitor_switchers": "migration",
        "migrant_switchers": "migration",
        "cross_border": "other changes",
        "armed_forces": "other changes",
        "census_coverage": "census",
        "census_sampling": "census",
        "flows_revised_since": "revisions",
        "date_change": "date",
        "residual": "residual",
    }
)
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

SOURCE_TITLES: Final = MappingProxyType(
    {
        "base": "Population base",
        "births": "Births",
        "deaths": "Deaths",
        "immigration_bias": "Immigration: survey bias",
        "immigration_sampling": "Immigration: sampling error",
        "emigration_bias": "Emigration: survey bias",
        "emigration_sampling": "Emigration: sampling error",
        "period_and_age_conversion": "Conversion to mid-years and ages",
        "asylum_seekers": "Asylum seekers and dependants",
        "irish_flows": "Irish flows",
        "visitor_switchers": "Visitor switchers",
        "migrant_switchers": "Migrant switchers",
        "cross_border": "Moves across the border",
        "armed_forces": "Armed forces",
        "census_coverage": "Census coverage",
        "census_sampling": "Census sampling error",
        "flows_revised_since": "Flows revised since",
        "date_change": "Census day to mid-year",
        "residual": "Residual",
        "migration": "All migration",
        "census": "Census",
        "revisions": "Flows revised since",
        "births and deaths": "Births and deaths",
        "other changes": "Other changes",
        "date": "Census day to mid-year",
    }
)


def title(label: str) -> str:
    """Plain-English name of a source or group; a user's own name is shown as it is."""
    return SOURCE_TITLES.get(label, label.replace("_", " ").capitalize())
