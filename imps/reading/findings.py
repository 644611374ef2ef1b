"""What was found while reading official files: stable codes, places, next steps.

Every finding has a code that tests and users can search for, one of five
outcomes, and a place: file, spreadsheet row (or index label of a data frame),
column and the text as it stands in the file. Its words stand in one catalogue,
findings.toml beside this module; where it is made only what is filled in is given.
Findings are collected, never raised one by one, so that a user sees all faults of
all files at once.
"""

from __future__ import annotations

import string
import tomllib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from imps.errors import InputError, InputWarning

REJECT: Final = "REJECT"
ASK: Final = "ASK"
CONVERT: Final = "CONVERT"
WARN: Final = "WARN"
ACCEPT: Final = "ACCEPT"
OUTCOMES: Final = (REJECT, ASK, WARN, CONVERT, ACCEPT)

SHOWN: Final = 20
"""Places shown per kind of fault before only the total is given."""

LONGEST_TEXT: Final = 60
"""Characters of an offending text that are repeated in a message."""


@dataclass(frozen=True)
class CatalogueRow:
    """One cause of a finding: what it means, what a message says, what to do next.

    Attributes
    ----------
    group : str
        Title of the part of the catalogue.
    code, cause : str
        Stable code; the cause is empty where a code has only one.
    outcome, means : str
        REJECT, ASK, WARN, CONVERT or ACCEPT; the meaning of the code in a sentence.
    problem, next_step : str
        Words of the message, with the names of what is filled in.
    """

    group: str
    code: str
    cause: str
    outcome: str
    means: str
    problem: str
    next_step: str = ""

    @property
    def fields(self) -> set[str]:
        """Names that have to be given where the finding is made."""
        words = (*_WORDS.parse(self.problem), *_WORDS.parse(self.next_step))
        return {name for _, name, _, _ in words if name} - _PLACE


class _Words(string.Formatter):
    """Words of a message: a list stands as its items, `:5` as the first, `:quoted` in quotes."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, set | frozenset):
            value = sorted(value)
        if not isinstance(value, list | tuple):
            return format(value, format_spec)
        if format_spec == "quoted":
            return listed([f"'{item}'" for item in value])
        most = int(format_spec or len(value))
        return listed(value[:most], int(format_spec or SHOWN)) or "none"


_WORDS: Final = _Words()
_PLACE: Final = {"total"}
"""Said of every finding, and so at hand in its words."""


def _read_catalogue() -> dict[str, CatalogueRow]:
    text = files("imps.reading").joinpath("findings.toml").read_text(encoding="utf-8")
    rows = {}
    for group in tomllib.loads(text).values():
        title = group.pop("title")
        for code, ((outcome, means), *causes) in ((c, e.items()) for c, e in group.items()):
            for cause, (problem, *rest) in causes:
                next_step, own = (*rest, "", outcome)[0], (*rest[1:], outcome)[0]
                name = "" if cause == "says" else cause
                rows[f"{code}.{name}".rstrip(".")] = CatalogueRow(
                    title, code, name, own, means, problem, next_step
                )
    return rows


CATALOGUE: Final[Mapping[str, CatalogueRow]] = MappingProxyType(_read_catalogue())
"""Every finding by code, or by CODE.cause where a code has several causes."""

CODES: Final = MappingProxyType({r.code: r.outcome for r in reversed([*CATALOGUE.values()])})
"""Every code with its outcome; a code is public and never reused for another fault."""


@dataclass(frozen=True)
class Finding:
    """One kind of fault or change in one column of one file.

    Attributes
    ----------
    code, outcome : str
        Stable code; REJECT, ASK, WARN, CONVERT or ACCEPT.
    file : str
        As the user gave it; for a data frame its name.
    column : str
        Header as it stands in the file, or empty.
    rows : tuple
        Spreadsheet rows, or index labels of a data frame; at most twenty.
    texts : tuple of str
        Offending texts of these rows.
    total : int
        Number of rows (or cells) affected.
    problem, next_step : str
        What was expected and found, and one thing to do.
    place_word : str
        "row", "index label" or "line".
    """

    code: str
    outcome: str
    file: str
    column: str
    rows: tuple[Any, ...]
    texts: tuple[str, ...]
    total: int
    problem: str
    next_step: str
    place_word: str = "row"

    @property
    def fatal(self) -> bool:
        """Whether the input is refused until this is settled."""
        return self.outcome in (REJECT, ASK)

    def __str__(self) -> str:
        place = printable(self.file)
        if self.rows:
            place += f", {self.place_word} {self.rows[0]}"
        if self.column:
            place += f", column '{shown(self.column)}'"
        found = f"'{self.texts[0]}' " if self.texts else ""
        parts = [f"{self.code}  {place}: {found}{self.problem}.", self._others(), self.next_step]
        return " ".join(part for part in parts if part)

    def _others(self) -> str:
        if self.total <= 1 or not self.rows:
            return ""
        listed = ", ".join(
            f"{row}: '{text}'" if len(set(self.texts)) > 1 else str(row)
            for row, text in zip(self.rows, self.texts or [""] * len(self.rows), strict=True)
        )
        more = f", and {self.total - len(self.rows)} more" if self.total > len(self.rows) else ""
        return f"{self.total} {self.place_word}s affected ({listed}{more})."

    def record(self) -> dict[str, Any]:
        """The finding as plain values, for a manifest or for JSON."""
        return {
            "code": self.code,
            "outcome": self.outcome,
            "file": self.file,
            "column": self.column,
            "rows": [row if isinstance(row, int | str) else str(row) for row in self.rows],
            "texts": list(self.texts),
            "total": self.total,
            "problem": self.problem,
            "next_step": self.next_step,
        }


@dataclass(frozen=True)
class ImportLog:
    """All findings of one reading, of one file or of many.

    Attributes
    ----------
    findings : tuple of Finding
        In the order in which they were made.
    """

    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing has to be refused or asked."""
        return not self.faults

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that refuse the input: REJECT and ASK."""
        return tuple(f for f in self.findings if f.fatal)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of all findings, each once, in order."""
        return tuple(dict.fromkeys(f.code for f in self.findings))

    def of(self, code: str) -> tuple[Finding, ...]:
        """Findings with this code."""
        return tuple(f for f in self.findings if f.code == code)

    def count(self, code: str) -> int:
        """Rows or cells that a code concerns, over all files."""
        return sum(f.total for f in self.of(code))

    def raise_faults(self) -> None:
        """Raise one `InputError` that holds all faults, if there are any."""
        if not self.passed:
            raise InputError(ImportLog(self.faults))

    def warn(self) -> None:
        """Issue one warning per WARN finding."""
        for finding in self.findings:
            if finding.outcome == WARN:
                warnings.warn(InputWarning(str(finding)), stacklevel=3)

    def __add__(self, other: ImportLog) -> ImportLog:
        return ImportLog(self.findings + other.findings)

    def __str__(self) -> str:
        """Findings of one kind stand together: faults first, twenty of a kind at most."""
        blocks = []
        for outcome in OUTCOMES:
            for code in dict.fromkeys(f.code for f in self.findings if f.outcome == outcome):
                same = [f for f in self.findings if f.code == code and f.outcome == outcome]
                blocks += [str(f) for f in same[:SHOWN]]
                if len(same) > SHOWN:
                    blocks.append(f"{code}  and {len(same) - SHOWN} more; {len(same)} in all.")
        return "\n".join(blocks)


@dataclass
class Collector:
    """Collects findings while files are read and compared.

    Attributes
    ----------
    file : str
        Name shown in messages, where a finding does not name another.
    place_word : str
        "row" for files, "index label" for data frames.
    used : set of str
        Declared options that turned out to matter for this table.
    """

    file: str = ""
    place_word: str = "row"
    findings: list[Finding] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def add(
        self,
        code: str,
        *,
        file: str = "",
        column: str = "",
        rows: Iterable[Any] = (),
        texts: Iterable[Any] = (),
        total: int | None = None,
        instead: str = "",
        **fields: Any,
    ) -> None:
        """Record one finding; only the first twenty places are kept, with the total.

        Parameters
        ----------
        code : str
            Of the catalogue: "AGE_GAP", or "AGE_GAP.groups" where a code has several causes.
        file, column : str
            That of the collector unless told; header as it stands in the file.
        rows, texts : iterable
            Places, and the offending text of each.
        total : int, optional
            Rows or cells affected, where `rows` does not say it.
        instead : str
            A surer next step than that of the catalogue, such as "Did you mean 'sex'?".
        **fields
            What the words of the catalogue name.
        """
        row = CATALOGUE[code]
        places = list(rows)
        words = [shown(text) for text in list(texts)[:SHOWN]]
        kept = tuple(_plain(place) for place in places[:SHOWN])
        affected = total if total is not None else max(len(places), 1)
        given = {**fields, "total": affected}
        self.findings.append(
            Finding(
                code=row.code,
                outcome=row.outcome,
                file=file or self.file,
                column=column,
                rows=kept,
                texts=tuple(words[: len(kept)]) if kept else tuple(words),
                total=affected,
                problem=_WORDS.vformat(row.problem, (), given),
                next_step=instead or _WORDS.vformat(row.next_step, (), given),
                place_word=self.place_word,
            )
        )

    def use(self, option: str) -> None:
        """Note that a declared option mattered."""
        self.used.add(option)

    @property
    def failed(self) -> bool:
        """Whether a fault has been recorded."""
        return any(f.fatal for f in self.findings)

    def of_codes(self, *codes: str) -> bool:
        """Whether a finding with one of these codes has been recorded."""
        return any(f.code in codes for f in self.findings)

    def log(self) -> ImportLog:
        """What has been collected, frozen."""
        return ImportLog(tuple(self.findings))


def shown(text: object) -> str:
    """A text from a file made safe to print: one line, no control characters, not too long."""
    if text == "":
        return "(empty)"
    plain = printable(str(text)[: LONGEST_TEXT + 1])
    return plain if len(plain) <= LONGEST_TEXT else plain[:LONGEST_TEXT] + "…"


def printable(text: str) -> str:
    """A text without control characters: they would reach the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def listed(items: Sequence[object], limit: int = SHOWN) -> str:
    """Items separated by commas, at most twenty, with the number left out."""
    texts = ", ".join(shown(item) for item in items[:limit])
    return texts if len(items) <= limit else f"{texts} and {len(items) - limit} more"


def _plain(row: Any) -> Any:
    """A row number or index label as a plain value."""
    item = getattr(row, "item", None)
    value = item() if callable(item) else row
    return value if isinstance(value, int) and not isinstance(value, bool) else shown(value)
