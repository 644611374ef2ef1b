"""A new project folder: settings with every default, example tables, logs to fill in.

The files lie beside this module. Their figures are invented, for a country that does not
exist, so that a new project can be checked at once and each file shows the form that the
package reads.
"""

from __future__ import annotations

import importlib.resources
import os
import shutil
from importlib.resources.abc import Traversable
from pathlib import Path

from imps.errors import OutputExistsError
from imps.project.settings import SETTINGS_FILE


def write_project(directory: str | os.PathLike[str]) -> Path:
    """Write a project folder with settings, example tables, README and logs.

    Parameters
    ----------
    directory : path
        A folder that does not exist yet, or is empty.

    Returns
    -------
    Path
        The settings file.

    Raises
    ------
    OutputExistsError
        If the folder holds anything; nothing in it is touched.
    """
    target = Path(directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(
            f"'{directory}' exists already and is not an empty folder: nothing was written. "
            "Choose another name."
        )
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, text in project_files(target.name).items():
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


def project_files(name: str) -> dict[str, str]:
    """Every file of a new project and its text; `{name}` in it is the name of the folder."""
    found = _texts(importlib.resources.files(__name__), "")
    return {file: text.replace("{name}", name) for file, text in found.items()}


def _texts(folder: Traversable, below: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith("_"):
            found |= _texts(entry, f"{below}{entry.name}/")
        elif entry.name.endswith((".csv", ".md", ".toml")):
            found[below + entry.name] = entry.read_text(encoding="utf-8")
    return found
