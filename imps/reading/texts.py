"""Columns of text, read once for each distinct text, with what could not be read as it is."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.draft import Draft
from imps.reading.grid import object_array
from imps.reading.labels import serial_guess
from imps.reading.naming import Cells
from imps.reading.numbers import Reading
from imps.reading.options import nearest

FLOW_WORDS: Final = MappingProxyType(
    {
        "immigration": "immigration",
        "emigration": "emigration",
        "net": "net",
        "net migration": "net",
        "net_migration": "net",
        "inflow": "immigration",
        "outflow": "emigration",
        "in": "immigration",
        "out": "emigration",
        "arrivals": "immigration",
        "departures": "emigration",
    }
)


def set_texts(draft: Draft, name: str, values: np.ndarray) -> None:
    """Keep texts as plain objects, which are quicker to compare than typed strings."""
    draft.frame[name] = pd.Series(values, index=draft.frame.index, dtype=object)


def each(
    draft: Draft, cells: Cells, name: str, read: Callable[[str], Reading]
) -> tuple[list[Any], np.ndarray]:
    """Read each distinct text of a column: its value, None if unreadable, and its place by row."""
    codes, texts = pd.factorize(cells.columns[name])
    readings = [read(str(text)) for text in texts]
    report(draft, cells, name, codes, readings)
    return [r.value for r in readings], codes


def spread_texts(values: list[Any], codes: np.ndarray) -> np.ndarray:
    return object_array(values)[codes]


def report(
    draft: Draft, cells: Cells, name: str, codes: np.ndarray, readings: list[Reading]
) -> None:
    """Collect the texts that were not written as the package writes them, by kind."""
    found = np.array([r.code for r in readings], dtype=object)
    for code in dict.fromkeys(c for c in found if c and c != "CELLS_MISSING"):
        chosen = (found == code)[codes]
        texts = cells.columns[name][chosen]
        cause, fields = _particulars(code, name, texts)
        draft.add(cause, column=name, rows=cells.rows[chosen], texts=texts, **fields)


def _particulars(code: str, name: str, texts: np.ndarray) -> tuple[str, dict[str, Any]]:
    """Cause of a finding about texts, and what its words name."""
    first = str(texts[0])
    if code == "LABEL_UNKNOWN":
        words = ("male", "female", "persons") if name == "sex" else tuple(FLOW_WORDS)[:3]
        return code, {"words": words, "instead": nearest(first, words)}
    if code == "CODE_UNKNOWN":
        counts = pd.Series(texts).value_counts()
        each = [f"'{text}' ({n})" for text, n in counts.items()]
        return code, {"codes": each, "first": counts.index[0]}
    if code == "SEX_CODES":
        found = sorted({str(text).strip() for text in texts})
        meant = dict(zip(found, ("persons", "male", "female") if "0" in found else
                         ("male", "female", "persons"), strict=False))  # fmt: skip
        return code, {"pairs": ", ".join(f'"{c}" = "{sex}"' for c, sex in meant.items())}
    if code == "PERIOD_UNREADABLE" and (guess := serial_guess(first)):
        return f"{code}.serial", {"date": guess}
    return code, {}


def label(text: Any) -> str:
    """A label without spaces around it and without the mark that escapes a formula."""
    plain = str(text).strip()
    return plain[1:] if plain[:1] == "'" and plain[1:2] in ("=", "+", "-", "@") else plain
