"""A case: the sources of an account, and apart from them what is told with its results."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from imps.project.sections import CaseSettings
from imps.reading.findings import Collector
from imps.reading.table import published_path
from imps.sources import Sources

SHIPPED: Final = "shipped"
FOLDER: Final = "folder"
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "references": ("reference", "publisher", "title", "published", "licence"),
        "published_afterwards": (
            "item", "area", "persons", "group", "sign_in_gap", "published", "reference", "note",
        ),
        "later_series": ("year", "series", "area", "sex", "persons", "reference"),
    }
)  # fmt: skip
"""Tables that no likelihood holds, by the name of their setting, with their columns."""


@dataclass(frozen=True)
class Case:
    """The sources of an account, and apart from them what was published afterwards.

    Attributes
    ----------
    name, title, licence : str
    sources : Sources
        All that the model sees.
    published_afterwards : DataFrame
        Later revisions and attributions, persons; no likelihood holds them.
    later_series : DataFrame
        Later series of population and flows by year, persons; no likelihood holds them.
    references : DataFrame
    notes : tuple of str
    origin : {"", "shipped", "folder"}
        Where it was read: from the package, from a folder of the user's, or neither.
    digest : str
        SHA-256 of settings and figures; empty where it was read from neither. A case is
        known by origin and digest, never by its title.
    inputs : tuple of mapping
        The files behind it, with digest, rows and vintage, for the manifest.
    """

    name: str
    title: str
    licence: str
    sources: Sources
    published_afterwards: pd.DataFrame
    later_series: pd.DataFrame
    references: pd.DataFrame
    notes: tuple[str, ...]
    origin: str = ""
    digest: str = ""
    inputs: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        s = self.sources
        return (
            f"Case '{self.name}': {self.title}\n"
            f"gap {s.gap:+,.0f} persons (rolled-forward minus census)\n"
            f"{len(s.table())} sources, ages 0-{s.ages[-1]}+, two sexes, {len(s.years)} years"
        )


@dataclass(frozen=True)
class Beside:
    """One table that is told with the results and that no likelihood holds.

    Attributes
    ----------
    file : str
    frame : DataFrame
    sha256 : str
    """

    file: str
    frame: pd.DataFrame
    sha256: str


def read_beside(folder: Path, settings: CaseSettings, log: Collector) -> dict[str, Beside]:
    """The tables of the section [case] by setting; faults go to the log."""
    found = {}
    for name, columns in COLUMNS.items():
        file = getattr(settings, name)
        table = _read(folder, file, columns, log) if file else None
        if table is not None:
            found[name] = table
    return found


def _read(folder: Path, file: str, columns: tuple[str, ...], log: Collector) -> Beside | None:
    path = folder / file
    try:
        data = path.read_bytes()
        frame = pd.read_csv(path, encoding="utf-8")
    except (OSError, ValueError) as fault:
        kind = "there is no such file" if isinstance(fault, OSError) else "it is not a CSV file"
        log.add("FILE_NOT_READABLE", file=file, why=kind)
        return None
    lost = [c for c in columns if c not in frame and c != "note"]
    if lost:
        log.add(
            "COLUMN_MISSING.plain",
            file=file,
            missing=lost,
            present=list(frame.columns),
            columns=columns,
        )
        return None
    numbers = [c for c in ("year", "persons", "sign_in_gap") if c in columns]
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            odd = frame[name][pd.to_numeric(frame[name], errors="coerce").isna()]
            log.add(
                "NUMBER_UNREADABLE",
                file=file,
                column=name,
                rows=[int(i) + 2 for i in odd.index],
                texts=list(odd),
            )
            return None
    return Beside(published_path(file), frame, hashlib.sha256(data).hexdigest())
