"""Figures that priors rest on, with the year from which each was known.

Two tables are shipped. `evidence.csv` has a row for each published figure: what was
measured, where, its value, and since when anybody could know it. `prior_versions.csv` has
the versions of each prior: its value as it could be written with the figures known in a
year, the figures it rests on, and the reason. A version is known since its newest figure; a
version without a figure is a judgement, has no date, and can be used at any time.
"""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from imps.errors import PriorError, some

COMPILED = 2026
"""Year in which the table of figures was made; nothing later is in it."""
READ = {
    "table": "seen as a table",
    "page": "stated on the publisher's page",
    "second hand": "cited by others",
    "computed": "computed from published tables",
}
"""How a figure was read."""


@dataclass(frozen=True)
class Version:
    """A prior as it could be written with the figures known in a year.

    Attributes
    ----------
    prior : str
    known_since : int or None
        Year of its newest figure; None for a judgement.
    mean, sd : float
    evidence : tuple of str
        Keys of the figures it rests on.
    reason : str
    """

    prior: str
    known_since: int | None
    mean: float
    sd: float
    evidence: tuple[str, ...]
    reason: str


def evidence_table(keys: Iterable[str] | None = None) -> pd.DataFrame:
    """The figures: key, priors, measured, where, value, unit, known_since, source, read.

    Parameters
    ----------
    keys : iterable of str, optional
        Only these, in the order of the table.

    Raises
    ------
    PriorError
        If a key is in no row of the table.
    """
    frame = pd.DataFrame(rows_of("evidence.csv")).astype({"value": float, "known_since": int})
    if keys is None:
        return frame
    wanted = list(keys)
    newest(wanted)
    return frame[frame["key"].isin(wanted)].reset_index(drop=True)


def versions_table() -> pd.DataFrame:
    """All versions of all priors, in the order of their dates: one row each."""
    rows = rows_of("prior_versions.csv")
    frame = pd.DataFrame(rows).astype({"mean": float, "sd": float})
    return frame.assign(evidence=[r["evidence"].replace(";", "; ") for r in rows])


def newest(keys: Iterable[str]) -> int | None:
    """Year from which all the figures were known; None where there are none.

    Raises
    ------
    PriorError
        If a key is in no row of the table.
    """
    known = _known_since()
    wanted = list(keys)
    unknown = [key for key in wanted if key not in known]
    if unknown:
        raise PriorError(
            f"no figure of the evidence is called {some(unknown)}. Known are the keys of "
            "imps.account.evidence.evidence_table()."
        )
    return max((known[key] for key in wanted), default=None)


def versions(prior: str) -> tuple[Version, ...]:
    """Versions of a prior, judgement first and then by date; none if it has no dated value."""
    return _versions().get(prior, ())


def known_at(prior: str, as_of: int, others: Iterable[str] = ()) -> Version:
    """The newest version of a prior whose figures were all known at the end of a year.

    Parameters
    ----------
    prior : str
    as_of : int
    others : iterable of str
        Priors that are asked for together; the error names the year from which all have one.

    Raises
    ------
    PriorError
        If no version is that old, or the year is none of the table.
    """
    first = first_year((prior, *others))
    allowed = f"None, or a whole year from {first} to {COMPILED}"
    if isinstance(as_of, bool) or not isinstance(as_of, int) or as_of > COMPILED:
        raise PriorError(f"as_of is {as_of!r}; allowed: {allowed}.")
    found = [v for v in versions(prior) if v.known_since is None or v.known_since <= as_of]
    if found:
        return found[-1]
    if not versions(prior):
        raise PriorError(
            f"prior '{prior}' has no value with a date, so as_of={as_of} cannot be met. Ask for "
            "default_priors() without a date, or leave it out and add your own."
        )
    raise PriorError(
        f"prior '{prior}': as_of is {as_of}, and its oldest evidence is of "
        f"{versions(prior)[0].known_since}; allowed: {allowed}."
    )


def first_year(priors: Iterable[str]) -> int:
    """First year at whose end every one of the priors had a value."""
    return max((versions(p)[0].known_since or 0 for p in priors if versions(p)), default=0)


@cache
def _known_since() -> dict[str, int]:
    return {row["key"]: int(row["known_since"]) for row in rows_of("evidence.csv")}


@cache
def _versions() -> dict[str, tuple[Version, ...]]:
    """Versions by prior, judgement first and then by date."""
    found: dict[str, list[Version]] = {}
    for row in rows_of("prior_versions.csv"):
        version = Version(
            prior=row["prior"],
            known_since=int(row["known_since"]) if row["known_since"] else None,
            mean=float(row["mean"]),
            sd=float(row["sd"]),
            evidence=tuple(key for key in row["evidence"].split(";") if key),
            reason=row["reason"],
        )
        found.setdefault(version.prior, []).append(version)
    return {p: tuple(sorted(v, key=lambda x: x.known_since or 0)) for p, v in found.items()}


@cache
def rows_of(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a table beside this module."""
    text = (importlib.resources.files(__package__) / name).read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))
