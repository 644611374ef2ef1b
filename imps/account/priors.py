"""Priors: one table with a name, a distribution, what it says, and a reason.

Every prior is a relative error or a spread in natural units: per cent of the
figure it belongs to, or years of age. Two forms suffice. A `normal` prior has a
mean and a standard deviation. A `scale` prior is for a standard deviation that
is itself unknown: median times exp(0.5 h) with h standard normal, so that it
lies within a factor of 2.7 of its median with probability 0.95. Some rows are
`fixed`, numbers that are set, such as the correlation of the two censuses.

A row says since when the figures it rests on were known. A score against a figure
published later is a score only of priors that could be written before:
`default_priors(as_of=2010)` has those.

Bias (a persistent error that repeats year after year) and accuracy (sampling
error) are different things: accuracy stands with each source as its standard
error, only bias has a prior here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import pandas as pd

from imps.account.evidence import COMPILED, evidence_table, first_year, known_at, newest, rows_of
from imps.account.prior_rows import (
    BETWEEN_PERIODS,
    BIAS_CORRELATION,
    ERAS,
    FAMILIES,
    FIXED,
    LAYOUTS,
    LOG_SD,
    OPTIONAL_PRIORS,
    PRIORS,
    REGISTER_CELLS,
    Prior,
    prior_of,
    stream_rows,
)
from imps.errors import PriorError, some
from imps.names import AREA, EMIGRATION, IMMIGRATION, KINDS_OF_COUNTRY, SURVEY
from imps.sources import REGISTER, Sources
from imps.sources.kinds import KINDS, PARTS, SourceKind

RESIDENTS_OF_LOCAL: Final = 150_000
FEWEST_RESIDENTS: Final = 10_000
"""Residents under whom spreads grow no further: priors for fewer are guesses."""


@dataclass(frozen=True)
class Made:
    """What the priors of a table were made for: its kind of country, and how many live there.

    `prior_kinds.csv` has a row for each prior that differs: its value, the figures it rests on,
    and the reason, or the word judgement. Of an area the spread grows as it gets smaller:

        sd(N) = sqrt(sd^2 + local_sd^2 150,000 / max(N, 10,000))

    with N its residents at the base. `local_sd` is what an area of 150 thousand, about a local
    authority of England and Wales, has beside the error of the country. The square root is that
    of errors which streets and homes make independently of each other: a judgement.

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


@dataclass(frozen=True, repr=False)
class Priors(Mapping[str, Prior]):
    """The table of priors of a model; every row can be replaced.

    Attributes
    ----------
    rows : tuple of Prior
    as_of : int or None
        Year at whose end all figures behind the rows were known, where one was asked for.
    made : Made
        The kind of country that the package's own rows were made for.

    Examples
    --------
    >>> wide = default_priors().widen("emigration_bias_level", 2)
    >>> wide["emigration_bias_level"].sd
    0.24
    """

    rows: tuple[Prior, ...]
    as_of: int | None = None
    made: Made = field(default_factory=Made)

    @property
    def defaults(self) -> Priors:
        """The package's own table for the same kind of country and the same year."""
        return default_priors(as_of=self.as_of, kind=self.made.kind, residents=self.made.residents)

    def __repr__(self) -> str:
        as_of = f" as known in {self.as_of}" if self.as_of else ""
        return f"Priors: {len(self)} rows{as_of}\nnext: priors.table(), priors.replace(...)"

    def _repr_html_(self) -> str:
        columns = ["name", "distribution", "unit", "meaning", "reference", "known_since"]
        return str(self.table()[columns].to_html(index=False, escape=True))

    def __getitem__(self, name: str) -> Prior:
        for row in self.rows:
            if row.name == name:
                return row
        raise PriorError(self._unknown([name]))

    def __iter__(self) -> Iterator[str]:
        return (row.name for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: object) -> bool:
        return any(row.name == name for row in self.rows)

    def replace(self, **changes: tuple[float, float] | Mapping[str, float]) -> Priors:
        """Change priors by name: `name=(mean, sd)` or `name={"sd": 0.1}`.

        Another value is the user's own: it has no evidence unless some is given.

        Raises
        ------
        PriorError
            If a name is not in the table; the nearest name is proposed. If a value is neither
            (mean, sd) nor a mapping, or is none that the row takes.
        """
        unknown = [name for name in changes if name not in self]
        if unknown:
            raise PriorError(self._unknown(unknown))
        return self._with(tuple(_changed(r, changes.get(r.name)) for r in self.rows))

    def widen(self, name: str, factor: float) -> Priors:
        """Multiply the standard deviation of one prior, or of all of a family.

        Families are base, census, immigration_bias, emigration_bias, and immigration and
        emigration, which are the bias with the true flow.
        """
        family = FAMILIES.get(name, (name,))
        names = [n for n in self if n in family or n.partition(" ")[0] in family]  # own eras
        if not names:
            raise PriorError(self._unknown([name]))
        if self[names[0]].kind == "fixed":
            raise PriorError(f"prior '{name}' is fixed and has no sd: replace() its mean.")
        return self.replace(**{n: {"sd": self[n].sd * factor} for n in names})

    def add(self, *rows: Prior) -> Priors:
        """Add priors for sources of the user's own."""
        double = [row.name for row in rows if row.name in self]
        if double:
            raise PriorError(f"prior {some(double)} is already there: use replace().")
        family = [row.name for row in rows if row.name in FAMILIES]
        if family:
            raise PriorError(f"{some(family)} is the name of a family of priors: take another.")
        return self._with(self.rows + rows)

    def table(self) -> pd.DataFrame:
        """One row a prior: name, distribution, unit, meaning, reference, known since, evidence.

        Known since: the year of the newest figure that the row rests on, or "judgement".
        """
        log_sd = with_fixed(self)[LOG_SD].mean
        return pd.DataFrame(
            {
                "name": [r.name for r in self.rows],
                "distribution": [r.spelt(log_sd) for r in self.rows],
                "mean": [r.mean for r in self.rows],
                "sd": [r.sd for r in self.rows],
                "unit": [r.unit for r in self.rows],
                "meaning": [r.meaning for r in self.rows],
                "reference": [r.reference for r in self.rows],
                "known_since": [str(r.known_since or "judgement") for r in self.rows],
                "evidence": ["; ".join(r.evidence) for r in self.rows],
            }
        )

    def evidence(self) -> pd.DataFrame:
        """The figures that the rows rest on, one row each, with the priors that use it.

        Raises
        ------
        PriorError
            If a row names a figure that the table of evidence does not have.
        """
        frame = evidence_table({key for row in self.rows for key in row.evidence})
        users = [[r.name for r in self.rows if key in r.evidence] for key in frame["key"]]
        return frame.assign(priors=["; ".join(names) for names in users])

    @property
    def known_since(self) -> int | None:
        """Year from which all figures behind the rows were known; None if there are none."""
        return newest(key for row in self.rows for key in row.evidence)

    def _with(self, rows: tuple[Prior, ...]) -> Priors:
        return replace(self, rows=rows)

    def _unknown(self, names: list[str]) -> str:
        near = [m for name in names for m in difflib.get_close_matches(name, list(self), n=1)]
        hint = f" Did you mean {some(near)}?" if near else ""
        return (
            f"no prior is called {some(names)}.{hint} "
            f"Known: {', '.join(self)}. A misspelt prior is never ignored."
        )


def _changed(row: Prior, change: tuple[float, float] | Mapping[str, Any] | None) -> Prior:
    """A row with another mean or sd; the evidence for the old value goes with it."""
    if change is None:
        return row
    if isinstance(change, Mapping):
        new = dict(change)
    elif isinstance(change, Sequence) and not isinstance(change, str) and len(change) == 2:
        new = {"mean": change[0], "sd": change[1]}
    else:
        raise PriorError(
            f"prior '{row.name}' is given as {change!r}: allowed are (mean, sd), or a dict such as "
            f"{{'mean': {row.mean:g}}}, which leaves the rest."
        )
    if (new.get("mean", row.mean), new.get("sd", row.sd)) != (row.mean, row.sd):
        new = {"known_since": None, "evidence": (), **new}
    return replace(row, **new)


def default_priors(
    *optional: str | SourceKind,
    as_of: int | None = None,
    kind: str = SURVEY,
    residents: float | None = None,
) -> Priors:
    """The weakly informative priors of the package, each with its reason.

    Parameters
    ----------
    *optional : {"cross_border", "immigration_bias_era 2004 to 2008", ...} or SourceKind
        Known changes that get an error, and thereby become sources of the gap; without a
        prior they are carried as published. An era of the survey that gets a row of its own;
        "bias_between_periods" of a chain, or a layout within age groups, to be replaced.
        Kinds of the user's own, whose priors are to be replaced or widened; untouched they
        come with their sources.
    as_of : int, optional
        Only values whose figures were all known at the end of this year. A score against a
        figure published later needs it: without a year the rows rest on all that is known
        now, published explanations of the gaps of 2001 and 2011 among it. Kinds of the
        user's own, and numbers that are set without evidence, have no date and stay.
    kind : {"survey", "register", "cards", "area"}
        What migration of the country is counted by: a survey, a population register, or
        cards at the border; or an area of a country with a survey, whose stocks and flows err
        by more the smaller it is. Not with `as_of`: their rows have one version.
    residents : float, optional
        Of an area, at the base.

    Returns
    -------
    Priors

    Raises
    ------
    PriorError
        If there is no optional prior, or no kind, of that name. If a row has no evidence that
        old.

    Examples
    --------
    >>> default_priors(as_of=2000)["base_level"].sd  # .0035 in 2004, when two bases had moved
    0.006
    >>> default_priors(kind="register")["base_level"].sd
    0.001
    >>> round(default_priors(kind="area", residents=20_000)["base_level"].sd, 4)
    0.0141
    """
    named = {name: prior_of(KINDS[name]) for name in OPTIONAL_PRIORS}
    named |= {row.name: row for row in (*ERAS, BETWEEN_PERIODS, *LAYOUTS.values())}
    unknown = [k for k in optional if isinstance(k, str) and k not in named]
    if unknown:
        raise PriorError(
            f"no optional prior is called {some(unknown)}. Known: {', '.join(named)}. For a known "
            "change of another name give its SourceKind, or write "
            "default_priors().add(Prior(name=..., ...))."
        )
    asked = [named[k] for k in optional if isinstance(k, str)]
    rows = (*PRIORS, *(row for row in asked if row.kind != "fixed"))
    fixed = (*FIXED, *(row for row in asked if row.kind == "fixed"))
    own = [prior_of(kind) for kind in optional if not isinstance(kind, str)]
    if as_of is not None:
        names = [row.name for row in rows]
        rows = tuple(_as_known(row, as_of, names) for row in rows)
    made = Made(kind, residents)
    if as_of is not None and kind != SURVEY:
        raise PriorError(
            f"as_of={as_of} and kind='{kind}': priors of a kind of country have one version, of "
            "today. Ask for one of the two."
        )
    return Priors(made.of((*rows, *fixed)), as_of, made).add(*own)


def completed(priors: Priors, sources: Sources) -> Priors:
    """The table with the rows that streams and the user's own kinds bring, and what is set.

    A table that was saved before a number was set in it takes that of the package.
    """
    kinds = [k for k in sources.own_kinds if k.sd > 0 and not k.asked and k.name not in priors]
    top = int(sources.ages[-1])
    rows = [row for stream in sources.streams for row in stream_rows(stream, top)]
    if REGISTER in (sources.base.quality, sources.census.quality):
        rows.append(REGISTER_CELLS)
    if sources.base_is_laid_out:
        rows.append(LAYOUTS["base"])
    if sources.deaths.cells is not None and sources.census.with_ages:
        rows.append(LAYOUTS["deaths"])
    rows = [row for row in rows if row.name not in priors]
    table = with_fixed(priors).add(*(prior_of(kind) for kind in kinds), *rows)
    return table if sources.survey_flows else _without_survey(table, sources)


def _without_survey(priors: Priors, sources: Sources) -> Priors:
    """The table without the package's rows on a survey, which the account does not have.

    A row that the user changed stays, and is refused where it is of no source.
    """
    own = {source.name for source in sources.beside_survey}
    survey = {*FAMILIES[IMMIGRATION], *FAMILIES[EMIGRATION], *PARTS, BIAS_CORRELATION} - own
    defaults = priors.defaults
    rows = tuple(r for r in priors.rows if r.name not in survey or r != defaults[r.name])
    return replace(priors, rows=rows)


def with_fixed(priors: Priors) -> Priors:
    """The table with the numbers of the package that are set and that it lacks."""
    lacking = tuple(row for row in FIXED if row.name not in priors)
    return replace(priors, rows=(*priors.rows, *lacking))


def as_of_allowed() -> tuple[int, int]:
    """First and last year that `default_priors(as_of=...)` takes."""
    return first_year(row.name for row in PRIORS), COMPILED


def as_of_expected(year: object) -> str:
    """What `as_of` should be, in words; nothing where it is that."""
    first, last = as_of_allowed()
    good = isinstance(year, int) and not isinstance(year, bool) and first <= year <= last
    return "" if good else f"a year from {first} to {last}: before it some prior has no evidence"


def _as_known(row: Prior, as_of: int, others: list[str]) -> Prior:
    """A row with the value, the reason and the date of its newest version of a year."""
    version = known_at(row.name, as_of, others)
    return replace(
        row,
        mean=version.mean,
        sd=version.sd,
        reference=version.reason,
        known_since=version.known_since,
        evidence=version.evidence,
    )
