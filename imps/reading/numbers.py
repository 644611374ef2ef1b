"""One cell at a time: what a text in an official table means.

Each function takes the text of one cell and returns a `Reading`: a value, or a
code that says why there is none. Nothing is guessed: a text with two plausible
readings has a code of its own, and only the digits 0 to 9 make a number.

References
----------
UK Government Analysis Function, Releasing statistics in spreadsheets: shorthand
[c] confidential, [x] not available, [z] not applicable, [low] rounds to zero,
[w] none recorded in the survey, [p] provisional, [r] revised, [e] estimated,
[f] forecast, [b] break in series, [u] low reliability, [note 1].
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple


class Reading(NamedTuple):
    """What one text means.

    `code` is empty when the text is written as the package itself writes it.
    """

    value: Any = None
    code: str = ""
    flag: str = ""
    missing: str = ""


MISSING_CODES: Final = MappingProxyType(
    {
        "c": "confidential",
        "[c]": "confidential",
        "..": "not available",
        ":": "not available",
        "[x]": "not available",
        "[z]": "not applicable",
        "[low]": "low",
        "[w]": "not recorded",
    }
)
FLAGS: Final = MappingProxyType(
    {
        "p": "provisional",
        "r": "revised",
        "[p]": "provisional",
        "[r]": "revised",
        "[e]": "estimated",
        "[f]": "forecast",
        "[b]": "break in series",
        "[u]": "low reliability",
    }
)

STATUS: Final = MappingProxyType(
    {
        "a": "",
        "b": "break in series",
        "c": "confidential",
        "d": "definition differs",
        "e": "estimated",
        "f": "forecast",
        "n": "not significant",
        "p": "provisional",
        "r": "revised",
        "s": "estimated",
        "u": "low reliability",
    }
)
"""Letters for the status of an observation, alone or together ("bep"): Eurostat and SDMX."""

_STATUS = re.compile(r"[bcdefnprsu]{1,4}")
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_PLAIN_COMMA = re.compile(r"-?[0-9]+(,[0-9]+)?")
THREE_DECIMALS = re.compile(r"-?[0-9]{1,3}\.[0-9]{3}")
_SIGNED = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+")
_GROUPED = {  # a group of thousands does not begin with 0: "0,518" is 0.518
    ",": re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?"),
    ".": re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]+)?"),
    " ": re.compile(r"[+-]?[1-9][0-9]{0,2}( [0-9]{3})+([.,][0-9]+)?"),
}
_SHEET_ERROR = re.compile(r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!)")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_BANDED = re.compile(
    r"([<>≤≥]=?\s*[0-9]+|(under|over|less than|more than)\s+[0-9]+|[0-9]+\s*(to|[-–])\s*[0-9]+)",
    re.IGNORECASE,
)
NOTE = re.compile(r"\s*\[(note [0-9]+|[a-z])\]$", re.IGNORECASE)
SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})


def read_number(
    text: str,
    *,
    decimal: str | None = None,
    percent: bool = False,
    missing: Mapping[str, str] = MappingProxyType({}),
    flags: Mapping[str, str] = MappingProxyType({}),
    comma_groups: bool = True,
) -> Reading:
    """Read a count, an estimate or a share.

    Parameters
    ----------
    text : str
        One cell.
    decimal : {".", ","}, optional
        Decimal mark, where it was declared.
    percent : bool
        Whether a percentage makes sense here; it becomes a share.
    missing, flags : mapping
        Declared codes and suffixes.
    comma_groups : bool
        Whether an undeclared comma can only group thousands; otherwise neither
        "1,234" nor "1.234" is guessed.
    """
    if decimal != "," and text not in missing and _PLAIN.fullmatch(text):
        if decimal is None and not comma_groups and THREE_DECIMALS.fullmatch(text):
            return Reading(None, "DECIMAL_MARK")
        return _finite(text, "")
    cell = text.translate(SPACES).strip()
    if not cell:
        return Reading(None, "CELLS_MISSING", missing="empty")
    if cell in missing:
        return _declared(missing[cell])
    if cell.casefold() in MISSING_CODES:
        return Reading(None, "MISSING_CODE", missing=MISSING_CODES[cell.casefold()])
    if _SHEET_ERROR.fullmatch(cell):
        return Reading(None, "CELL_HAS_NO_VALUE")
    if cell in ("-", "–", "—", "\u2212"):
        return Reading(None, "CODE_AMBIGUOUS")
    return _number_with_flags(cell, decimal, percent, flags, comma_groups)


def _declared(kind: str) -> Reading:
    if kind == "nil":
        return Reading(0.0, "MISSING_CODE", flag="nil")
    return Reading(None, "MISSING_CODE", missing=kind)


def _number_with_flags(
    cell: str, decimal: str | None, percent: bool, flags: Mapping[str, str], comma_groups: bool
) -> Reading:
    words = []
    while note := NOTE.search(cell):
        key = note.group(0).strip().casefold()
        if key not in FLAGS and not key.startswith("[note"):
            break
        words.append(FLAGS.get(key, key.strip("[]")))
        cell = cell[: note.start()].strip()
    for suffix, meaning in {**FLAGS, **flags}.items():
        if not words and cell.endswith(suffix) and cell[: -len(suffix)].strip()[-1:].isdigit():
            words.append(meaning)
            cell = cell[: -len(suffix)].strip()
            break
    if not words and (status := status_words(cell.rpartition(" ")[2])):
        words, cell = status[::-1], cell.rpartition(" ")[0].strip() or cell
    if words and cell.casefold() in MISSING_CODES:
        kind = MISSING_CODES[cell.casefold()]
        return Reading(None, "MISSING_CODE", flag="; ".join(reversed(words)), missing=kind)
    reading = _bare_number(cell, decimal, percent, comma_groups)
    if words and reading.value is not None and reading.code in ("", "NUMBER_FORMAT"):
        return Reading(reading.value, "NUMBER_FLAG", flag="; ".join(reversed(words)))
    return reading


def status_words(letters: str) -> list[str]:
    """What letters for the status of an observation say; nothing if they are none."""
    plain = letters.casefold()
    return [STATUS[c] for c in plain if STATUS[c]] if _STATUS.fullmatch(plain) else []


def _bare_number(cell: str, decimal: str | None, percent: bool, comma_groups: bool) -> Reading:
    """A number with its formatting; the sign, the groups and the decimal mark are removed."""
    if _BANDED.fullmatch(cell):
        return Reading(None, "CELL_BANDED")
    word = cell.lstrip("+-\u2212").casefold()
    if word in ("inf", "infinity"):
        return Reading(None, "NOT_FINITE")
    if word in ("true", "false"):
        return Reading(None, "NUMBER_UNREADABLE")
    if not any(c.isdigit() for c in cell):
        return Reading(None, "CODE_UNKNOWN" if len(cell) <= 15 else "NUMBER_UNREADABLE")
    plain = cell.removeprefix("'").replace("\u2212", "-")
    if plain.startswith("(") and plain.endswith(")"):
        plain = "-" + plain[1:-1].strip()
    if plain.endswith("%"):
        share = _digits(plain[:-1].strip(), decimal, comma_groups) if percent else Reading()
        if share.value is None:
            return Reading(None, share.code or "NUMBER_UNREADABLE")
        return Reading(_shifted(share.value), "NUMBER_FORMAT")
    reading = _digits(plain, decimal, comma_groups)
    return reading if reading.code else Reading(reading.value, _format_code(cell, decimal))


def _format_code(cell: str, decimal: str | None) -> str:
    """Whether a readable number was written in another way than ours."""
    plain = _PLAIN_COMMA if decimal == "," else _PLAIN
    return "" if plain.fullmatch(cell) else "NUMBER_FORMAT"


def _shifted(per_cent: float) -> float:
    """A percentage as a share, to the digits it was written with."""
    return float(f"{per_cent / 100:.15g}")


def _digits(plain: str, decimal: str | None, comma_groups: bool) -> Reading:
    if _SCIENTIFIC.fullmatch(plain):
        return _finite(plain, "PRECISION_LOST")
    mark = decimal or "."
    group = "," if mark == "." else "."
    if mark == "," and _PLAIN_COMMA.fullmatch(plain.removeprefix("+")):
        return _finite(plain.replace(",", "."), "")
    if decimal is None and not comma_groups and "," in plain:
        return Reading(None, "DECIMAL_MARK")
    if _GROUPED[group].fullmatch(plain) or _GROUPED[" "].fullmatch(plain):
        bare = plain.replace(group, "") if _GROUPED[group].fullmatch(plain) else plain
        if bare.count(group) and _GROUPED[" "].fullmatch(plain):
            return Reading(None, "NUMBER_UNREADABLE")
        return _finite(bare.replace(" ", "").replace(mark, "."), "")
    if decimal is None and _DECIMAL_COMMA.fullmatch(plain):
        return Reading(None, "DECIMAL_MARK")
    if mark == "." and _SIGNED.fullmatch(plain):
        return _finite(plain, "")
    return Reading(None, "NUMBER_UNREADABLE")


def _finite(text: str, code: str) -> Reading:
    value = float(text)
    return Reading(value, code) if math.isfinite(value) else Reading(None, "NOT_FINITE")
