"""The detail in which a figure was published: sexes apart or together, ages in groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imps.demography.layout import cells_of
from imps.names import SEXES


@dataclass(frozen=True)
class Detail:
    """Cells in which a figure was published.

    Attributes
    ----------
    by_sex : bool
        Whether the sexes were published apart.
    lower_ages : tuple of int
        First ages of the published groups; the last group is open. One group is all ages.
    """

    by_sex: bool
    lower_ages: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether ages are single years up to the open one."""
        n = len(self.lower_ages)
        return n > 1 and self.lower_ages == tuple(range(n))

    def fixes_cells(self, n_ages: int) -> bool:
        """Whether it leaves nothing open within sexes and single ages."""
        return self.by_sex and self.single and len(self.lower_ages) == n_ages

    def counting(self, n_ages: int) -> np.ndarray:
        """Which (sex, age) each cell holds, (cell, sex, age), 0 or 1."""
        return cells_of(self.lower_ages, n_ages, by_sex=self.by_sex)

    @property
    def groups(self) -> tuple[str, ...]:
        """Labels of the age groups: single years as numbers, "0-4", "85+"; none of all ages."""
        if len(self.lower_ages) == 1:
            return ("",)
        if self.single:
            return tuple(map(str, self.lower_ages))
        last = (*(low - 1 for low in self.lower_ages[1:]), None)
        return tuple(
            f"{a}+" if b is None else str(a) if a == b else f"{a}-{b}"
            for a, b in zip(self.lower_ages, last, strict=True)
        )

    @property
    def said(self) -> str:
        """In words, such as "by sex and age in 19 groups (0-4, 5-9, ... 90+)"."""
        with_ages = len(self.lower_ages) > 1
        by = [what for what, there in (("sex", self.by_sex), ("age", with_ages)) if there]
        words = f"by {' and '.join(by)}" if by else "total only"
        if not with_ages or self.single:
            return words
        groups = self.groups
        return f"{words} in {len(groups)} groups ({groups[0]}, {groups[1]}, ... {groups[-1]})"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the cells: sex, then age group, as far as they were published."""
        sexes = SEXES if self.by_sex else ("",)
        return tuple(f"{sex} {group}".strip() for sex in sexes for group in self.groups)

    @property
    def ages(self) -> np.ndarray:
        """First and last age of each cell, the last of the open group infinite, (cell, 2)."""
        last = np.r_[np.array(self.lower_ages[1:], float) - 1, np.inf]
        pairs = np.stack([np.array(self.lower_ages, float), last], axis=1)
        return np.tile(pairs, (2 if self.by_sex else 1, 1))
