"""What was found while reading official files: stable codes, places, next steps.

Every finding has a code that tests and users can search for, one of five
outcomes, and a place: file, spreadsheet row (or index label of a data frame),
column and the text as it stands in the file. Findings are collected, never
raised one by one, so that a user sees all faults of all files at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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

CODES: Final = MappingProxyType(
    {
        # Files and containers
        "FILE_NOT_READABLE": REJECT,
        "FILE_EMPTY": REJECT,
        "FILE_KIND_UNKNOWN": REJECT,
        "NO_DATA_ROWS": REJECT,
        "NOT_TEXT": REJECT,
        "TOO_LARGE": REJECT,
        "QUOTES_UNBALANCED": REJECT,
        "ROW_WIDTH": REJECT,
        "CELL_HAS_NO_VALUE": REJECT,
        "CELL_NOT_PLAIN": REJECT,
        "ENCODING_UNKNOWN": ASK,
        "DELIMITER": ASK,
        "DECIMAL_MARK": ASK,
        "SHEET_NEEDED": ASK,
        "SHEET_UNKNOWN": REJECT,
        "BYTE_ORDER_MARK": CONVERT,
        # Headers and layout
        "HEADER_ROW": ASK,
        "FOOTER_ROWS": ASK,
        "LAYOUT_WIDE": ASK,
        "DUPLICATE_COLUMN": REJECT,
        "COLUMN_MISSING": REJECT,
        "COLUMN_IGNORED": WARN,
        "COLUMN_RENAMED": CONVERT,
        "INDEX_COLUMN": CONVERT,
        "ROWS_SKIPPED": CONVERT,
        "BLANK_ROWS": ACCEPT,
        # Numbers
        "NUMBER_UNREADABLE": REJECT,
        "NUMBER_FORMAT": CONVERT,
        "NUMBER_FLAG": CONVERT,
        "NOT_FINITE": REJECT,
        "PRECISION_LOST": WARN,
        "FRACTIONAL_COUNT": WARN,
        "CELL_BANDED": REJECT,
        "UNIT_NEEDED": ASK,
        "UNIT_MIXED": REJECT,
        "METADATA_MIXED": REJECT,
        "UNIT_CONVERTED": CONVERT,
        "UNIT_JUMP": REJECT,
        # Missing, suppressed, zero
        "CODE_UNKNOWN": ASK,
        "CODE_AMBIGUOUS": ASK,
        "MISSING_CODE": CONVERT,
        "CELLS_MISSING": WARN,
        "ZERO_SUSPECT": WARN,
        "NEGATIVE_COUNT": REJECT,
        "OUTLIER_SUSPECT": WARN,
        "SOURCE_EMPTY": REJECT,
        # Labels
        "LABEL_EMPTY": REJECT,
        "LABEL_UNKNOWN": REJECT,
        "LABEL_FORMAT": CONVERT,
        "AGE_LOOKS_LIKE_DATE": REJECT,
        "AGE_UNREADABLE": REJECT,
        "AGE_RANGE": REJECT,
        "AGE_OVERLAP": REJECT,
        "AGE_GAP": REJECT,
        "OPEN_AGE_CHANGES": ASK,
        "OPEN_AGE_NEEDED": ASK,
        "OPEN_AGE_SUMMED": CONVERT,
        "AGES_MAPPED": CONVERT,
        "SEX_CODES": ASK,
        "SEX_NEEDED": REJECT,
        "SEXES_IDENTICAL": WARN,
        "CELLS_ABSENT": REJECT,
        "DUPLICATE_KEY": REJECT,
        "TOTAL_MISMATCH": REJECT,
        "TOTAL_AS_CHECK": CONVERT,
        # Time
        "PERIOD_AMBIGUOUS": ASK,
        "PERIOD_UNREADABLE": REJECT,
        "PERIOD_MIXED": REJECT,
        "PERIOD_MISMATCH": ASK,
        "PERIOD_CONVERTED": CONVERT,
        "PERIOD_GAP": REJECT,
        "PERIOD_UNUSED": WARN,
        "YEAR_TWO_DIGITS": ASK,
        "STOCK_DATE": ASK,
        "VINTAGE_NEEDED": ASK,
        "VINTAGE_CHOSEN": CONVERT,
        # Geography and coverage
        "COVERAGE_MISMATCH": REJECT,
        "AREA_UNKNOWN": REJECT,
        "AREA_OVERLAP": REJECT,
        "AREAS_NEEDED": ASK,
        "AREAS_SUMMED": CONVERT,
        "POPULATION_BASE": ASK,
        # Survey estimates and adjustments
        "NEGATIVE_FLOW": REJECT,
        "SIGN_CONVENTION": ASK,
        "SIGN_TURNED": CONVERT,
        "SE_ZERO": REJECT,
        "SE_NEGATIVE": REJECT,
        "SE_MISSING": ASK,
        "SE_DERIVED": CONVERT,
        "SE_CI_DISAGREE": REJECT,
        "SE_IMPLAUSIBLE": WARN,
        "ZERO_NO_CONTACTS": ASK,
        "CELLS_UNOBSERVED": CONVERT,
        "INTERVAL_BAD": REJECT,
        "CV_UNIT": ASK,
        "BALANCE": REJECT,
        "COMPONENT_COUNTED_TWICE": ASK,
        "SHARE_RANGE": REJECT,
        # Births, deaths, stocks, the account
        "BIRTHS_NEED_SEX": ASK,
        "BIRTHS_SPLIT": CONVERT,
        "DEATHS_EXCEED_POPULATION": REJECT,
        "BASIS_MIXED": WARN,
        "BASE_YEAR_MISMATCH": REJECT,
        "ROUNDING_DETECTED": WARN,
        "ACCOUNT_RESIDUAL": WARN,
        "TABLE_MISSING": REJECT,
        # From tables to the sources of an account
        "SINGLE_AGES_NEEDED": REJECT,
        "AGE_DEFINITION": ASK,
        "CELLS_NEEDED": REJECT,
        "FLOW_NEEDED": REJECT,
        "SOURCE_UNKNOWN": REJECT,
        "DEFINITION_MISMATCH": REJECT,
        "COVERAGE_NEEDED": ASK,
        "PRIOR_AS_NORMAL": CONVERT,
        "CITIZENSHIPS_SUMMED": CONVERT,
        "CONTACTS_DERIVED": CONVERT,
        "INCLUDED_TAKEN_OFF": CONVERT,
        "KNOWN_CHANGE": CONVERT,
        "DEATHS_BY_COHORT": CONVERT,
        "ROLLED_BY_RULE": CONVERT,
        "LABEL_UNSAFE": REJECT,
        "SOURCES_REFUSED": REJECT,
        # Settings and priors
        "SETTINGS_SYNTAX": REJECT,
        "SETTINGS_VERSION": REJECT,
        "SETTING_UNKNOWN": REJECT,
        "SETTING_MISSING": REJECT,
        "SETTING_RANGE": REJECT,
        "SEED_BAD": REJECT,
        "OUTPUT_OUTSIDE": REJECT,
        "PRIOR_BAD": REJECT,
        "PRIOR_UNUSED": REJECT,
        "PRIOR_EXCLUDES_DATA": REJECT,
        "PRIOR_DATA_CONFLICT": WARN,
    }
)
"""Every code with its usual outcome; a code is public and never reused for another fault."""


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

    def records(self) -> list[dict[str, Any]]:
        """Plain values for the manifest of a run."""
        return [f.record() for f in self.findings]

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
    """Collects the findings of one file while it is read.

    Attributes
    ----------
    file : str
        Name shown in messages.
    place_word : str
        "row" for files, "index label" for data frames.
    """

    file: str
    place_word: str = "row"
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        code: str,
        problem: str,
        next_step: str = "",
        *,
        column: str = "",
        rows: Iterable[Any] = (),
        texts: Iterable[Any] = (),
        total: int | None = None,
        outcome: str | None = None,
    ) -> None:
        """Record one finding; only the first twenty places are kept, with the total."""
        places = list(rows)
        words = [shown(text) for text in list(texts)[:SHOWN]]
        kept = tuple(_plain(row) for row in places[:SHOWN])
        self.findings.append(
            Finding(
                code=code,
                outcome=outcome or CODES[code],
                file=self.file,
                column=column,
                rows=kept,
                texts=tuple(words[: len(kept)]) if kept else tuple(words),
                total=total if total is not None else max(len(places), 1),
                problem=problem,
                next_step=next_step,
                place_word=self.place_word,
            )
        )

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


@dataclass
class Findings:
    """Collects findings of several files.

    Attributes
    ----------
    findings : list of Finding
    """

    findings: list[Finding] = field(default_factory=list)

    def add(self, file: str, code: str, problem: str, next_step: str = "", **more: Any) -> None:
        """Record one finding about a file; see `Collector.add`."""
        found = Collector(file)
        found.add(code, problem, next_step, **more)
        self.findings += found.findings

    @property
    def failed(self) -> bool:
        """Whether a fault has been recorded."""
        return any(f.fatal for f in self.findings)

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
