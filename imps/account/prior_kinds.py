"""Priors of the package for other kinds of country than one with a survey of migration.

`prior_kinds.csv` has a row for each prior that differs: its value, the figures it rests on,
and the reason, or the word judgement. Of an area the spread grows as it gets smaller:

    sd(N) = sqrt(sd^2 + local_sd^2 150,000 / max(N, 10,000))

with N its residents at the base. `local_sd` is what an area of 150 thousand, about a local
authority of England and Wales, has beside the error of the country. The square root is that
of errors which streets and homes make independently of each other: a judgement.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import pandas as pd

from imps.account.evidence import newest, rows_of
from imps.account.prior_rows import Prior
from imps.errors import PriorError
from imps.names import AREA, KINDS_OF_COUNTRY, SURVEY

RESIDENTS_OF_LOCAL: Final = 150_000
FEWEST_RESIDENTS: Final = 10_000
"""Residents under whom spreads grow no further: priors for fewer are guesses."""


@dataclass(frozen=True)
class Made:
    """What the priors of a table were made for.

    Attributes
    ----------
    kind : {"survey", "register", "cards", "area"}
    residents : float or None
        Of an area, at the base; else None.
    """

    kind: str = SURVEY
    residents: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS_OF_COUNTRY:
            near = difflib.get_close_matches(str(self.kind), KINDS_OF_COUNTRY, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise PriorError(
                f"no priors are made for the kind of country '{self.kind}'.{hint} Known: "
                f"{', '.join(KINDS_OF_COUNTRY)}."
            )
        if (self.kind == AREA) != (self.residents is not None):
            raise PriorError(
                f"kind='{self.kind}' and residents={self.residents}: the priors of an area, and of "
                'nothing else, need its residents at the base: kind="area", residents=260_000.'
            )
        if self.residents is not None and not self.residents > 0:
            raise PriorError(f"residents is {self.residents}: give a number above 0.")

    def of(self, rows: Iterable[Prior]) -> tuple[Prior, ...]:
        """Rows as they are for this kind; those it does not speak of stay."""
        own = _kinds().get(self.kind, {})
        return tuple(self._row(row, own[row.name]) if row.name in own else row for row in rows)

    def _row(self, row: Prior, own: dict[str, str]) -> Prior:
        keys = tuple(key for key in own["evidence"].split(";") if key)
        return replace(
            row,
            mean=float(own["mean"]),
            sd=self._spread(float(own["sd"] or 0), float(own["local_sd"] or 0)),
            reference=own["reason"],
            known_since=newest(keys),
            evidence=keys,
        )

    def _spread(self, sd: float, local: float) -> float:
        if not local or self.residents is None:
            return sd
        smaller = RESIDENTS_OF_LOCAL / max(self.residents, FEWEST_RESIDENTS)
        return float((sd**2 + local**2 * smaller) ** 0.5)


def kinds_table() -> pd.DataFrame:
    """Priors that differ by kind of country, one row each."""
    return pd.DataFrame(rows_of("prior_kinds.csv"))


@cache
def _kinds() -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows_of("prior_kinds.csv"):
        found.setdefault(row["kind"], {})[row["prior"]] = row
    return found
