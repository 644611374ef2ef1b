"""A new project folder: settings, example tables, logs to fill in, for each kind of country.

The files lie beside this module, those of a kind in a folder of its name: a country with a
survey of migration, with a population register, with cards at its border, or an area. Their
figures are invented, for places that do not exist, so that a new project can be checked and
reconciled at once and each file shows the form that the package reads. Registers, cards and
area are the fictitious accounts of the package: `data_raw/fictitious.py` makes their figures
and plants what is wrong in them.
"""

from __future__ import annotations

import importlib.resources
import os
import shutil
from pathlib import Path

from imps.errors import OutputExistsError, SettingError
from imps.names import KINDS_OF_COUNTRY, SURVEY
from imps.project.settings import SETTINGS_FILE


def write_project(directory: str | os.PathLike[str], *, kind: str = SURVEY) -> Path:
    """Write a project folder with settings, example tables, README and logs.

    Parameters
    ----------
    directory : path
        A folder that does not exist yet, or is empty.
    kind : {"survey", "register", "cards", "area"}
        What migration of the country is counted by; or an area of a country with a survey.

    Returns
    -------
    Path
        The settings file.

    Raises
    ------
    OutputExistsError
        If the folder holds anything; nothing in it is touched.
    SettingError
        If there is no such kind.
    """
    files = project_files(Path(directory).name, kind)
    target = Path(directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(
            f"'{directory}' exists already and is not an empty folder: nothing was written. "
            "Choose another name."
        )
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, text in files.items():
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()
        os.replace(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target / SETTINGS_FILE


def project_files(name: str, kind: str = SURVEY) -> dict[str, str]:
    """Every file of a new project and its text; `{name}` in it is the name of the folder."""
    if kind not in KINDS_OF_COUNTRY:
        raise SettingError(
            f"kind is '{kind}'; known kinds of project are {', '.join(KINDS_OF_COUNTRY)}."
        )
    found = _texts(template_of(kind).parent, "", deep=False) | _texts(template_of(kind), "")
    return {file: text.replace("{name}", name) for file, text in found.items()}


def template_of(kind: str) -> Path:
    """The folder of a kind of country, itself a project folder."""
    return Path(str(importlib.resources.files(__name__))) / kind


def _texts(folder: Path, below: str, *, deep: bool = True) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and deep and not entry.name.startswith("_"):
            found |= _texts(entry, f"{below}{entry.name}/")
        elif entry.name.endswith((".csv", ".md", ".toml")):
            found[below + entry.name] = entry.read_text(encoding="utf-8")
    return found
