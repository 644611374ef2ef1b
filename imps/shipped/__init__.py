"""Shipped cases: project folders of published figures with source, vintage and licence.

Each case is a folder like anybody's, `settings.toml` and tables, and is read by the same code
(:mod:`imps.project`). What was computed from published figures is written there by the rules
of `data_raw/` in the repository. A new case is a folder and nothing else.

Beside them are fictitious accounts, whose figures are invented and whose truth is known: a
country with a register, one with cards at its border, and an area. They are the projects that
`imps init --kind` writes.

Crown copyright figures are reused under the Open Government Licence v3.0.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.resources
import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

from imps.errors import InputError, UnknownCaseError
from imps.names import KINDS_OF_COUNTRY, SURVEY

if TYPE_CHECKING:
    from imps.project.case import Case
    from imps.project.check import ImportReport

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submodules=["chains"])

SETTINGS_FILE = "settings.toml"
FICTITIOUS = "fictitious-"


def cases() -> list[str]:
    """Names of the shipped cases.

    Returns
    -------
    list of str
    """
    return sorted(p.name.replace("_", "-") for p in _projects(_folder()))


def fictitious() -> list[str]:
    """Names of the fictitious accounts: every figure in them is invented."""
    return [f"{FICTITIOUS}{kind}" for kind in KINDS_OF_COUNTRY if kind != SURVEY]


def known_cases() -> list[str]:
    """Names that are read from the package: shipped cases and fictitious accounts."""
    return [*cases(), *fictitious()]


def case_title(name: str) -> str:
    """Title of a shipped case, read without loading its tables."""
    text = (_place(name) / SETTINGS_FILE).read_text(encoding="utf-8")
    return str(tomllib.loads(text)["account"]["name"])


def digest(name: str) -> str:
    """SHA-256 of all files of a shipped case, read without loading its tables."""
    files = sorted(path for path in _place(name).rglob("*.*") if path.is_file())
    parts = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()


def load_case(case: str | os.PathLike[str]) -> Case | dict[str, Case]:
    """Load a case: a shipped one by name, or any project folder.

    Parameters
    ----------
    case : str or path
        Name of a shipped case or a fictitious account; a project folder or its settings file;
        or a folder of project folders, such as one for each area. The name of a shipped case
        is not taken for a folder; write "./NAME".

    Returns
    -------
    Case, or dict of name to Case
        The latter of a folder of folders, by their names.

    Raises
    ------
    UnknownCaseError
        With the known names, and the nearest of them.
    InputError
        With all faults of all files.
    """
    folders = _projects(Path(case)) if _many(case) else []
    if not folders:
        return find_case(case)
    from imps.project.check import check_project
    from imps.reading.findings import ImportLog

    reports = {folder.name: check_project(folder) for folder in folders}
    faults = ImportLog(tuple(f for report in reports.values() for f in report.log.faults))
    if not faults.passed:
        raise InputError(faults)
    for report in reports.values():
        report.log.warn()
    return {name: report.case for name, report in reports.items()}


def find_case(case: str | os.PathLike[str]) -> Case:
    """One case: a shipped one by name, or a project folder."""
    project = project_of(case)
    assert project is not None  # a name or a path is a project, or refused
    return project.case


def project_of(case: object) -> ImportReport | None:
    """The project behind a name, a folder, a settings file or a report; else None.

    Raises
    ------
    InputError
        If the project is refused.
    UnknownCaseError
        If there is neither a shipped case nor a folder of that name.
    """
    from imps.project.check import ImportReport, load_project

    if isinstance(case, ImportReport):
        return case
    if not isinstance(case, str | os.PathLike):
        return None
    if str(case) in known_cases() or not Path(case).exists():
        return replace(load_project(_place(str(case)), beside_priors=False), shipped=str(case))
    return load_project(case)


def _folder() -> Path:
    return Path(str(importlib.resources.files(__name__)))


def _place(name: str) -> Path:
    """Folder of a shipped case."""
    known = known_cases()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UnknownCaseError(
            f"no shipped case is called '{name}', and there is no folder of that name.{hint} "
            f"Known: {', '.join(known)}."
        )
    if name in fictitious():
        return _folder().parent / "project" / "template" / name.removeprefix(FICTITIOUS)
    return _folder() / name.replace("-", "_")


def _many(case: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder without settings of its own."""
    place = Path(case)
    return (
        str(case) not in known_cases() and place.is_dir() and not (place / SETTINGS_FILE).exists()
    )


def _projects(folder: Path) -> list[Path]:
    """Folders below a folder that hold settings."""
    return sorted(p.parent for p in folder.glob(f"*/{SETTINGS_FILE}"))
