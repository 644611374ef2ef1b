"""Published figures of many areas of one nation, by sex and single year of age."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from imps.errors import LabelError
from imps.names import EMIGRATION, IMMIGRATION

AREA = "area"
STOCKS = ("base", "rolled_forward", "census")
COMPONENTS = (
    "births",
    "deaths",
    "internal_in",
    "internal_out",
    "international_in",
    "international_out",
    "other",
)

INTERNATIONAL = {IMMIGRATION: "international_in", EMIGRATION: "international_out"}


@dataclass(frozen=True)
class Areas:
    """Published figures of the areas that make up a nation.

    Attributes
    ----------
    figures : Dataset
        `base`, `rolled_forward`, `census`, `structure` (area, sex, age), persons: stocks at
        both ends, and local ages in between; `births`, `deaths`, `internal_in`,
        `internal_out`, `international_in`, `international_out`, `other` (area, year), persons
        a year; `mobility` (area, sex, age), internal moves a person a year; `name` (area);
        perhaps `special` (area, sex, age), persons: armed forces, prisoners and others that are
        not rolled forward.
        Areas stand in the order of their codes.
    notes : tuple of str
        Rules by which what was not published was reached.
    """

    figures: xr.Dataset
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", self.figures.sortby(AREA))

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the areas, in order."""
        return tuple(str(code) for code in self.figures[AREA].values)

    @property
    def names(self) -> dict[str, str]:
        """Name of each area by its code."""
        return dict(zip(self.codes, map(str, self.figures["name"].values), strict=True))

    def place(self, area: str) -> int:
        """Place of an area, by its code or name.

        Raises
        ------
        LabelError
            If there is none, or several, of that name.
        """
        if area in self.codes:
            return self.codes.index(area)
        named = [i for i, name in enumerate(self.names.values()) if name == area]
        if len(named) != 1:
            raise LabelError(
                f"no area is called '{area}'. Known are {len(self)} codes, the first "
                f"{self.codes[0]}; their names are in .names."
            )
        return named[0]

    def __len__(self) -> int:
        return self.figures.sizes[AREA]
