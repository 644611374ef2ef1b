"""Whether the files of a finished run are still those that it wrote, by its manifest's digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

MANIFEST_FILE: Final = "manifest.json"
COMPARED: Final = ("fit.nc", "tables/")
"""Outputs whose numbers are read or cited; a report and figures are made again from them."""


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def edited_outputs(folder: Path) -> list[str]:
    """In words, which fit and tables in the folder of a run are not as the run wrote them.

    A file that is not there is not an edit. Without a manifest that can be read nothing is said.
    """
    try:
        outputs = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["outputs"].items()
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{name} is not the file that the run wrote"
        for name, then in sorted(outputs)
        if name.startswith(COMPARED)
        and ".." not in Path(name).parts
        and (file := folder / name).is_file()
        and digest(file.read_bytes()) != then
    ]
