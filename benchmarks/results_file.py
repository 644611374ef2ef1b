"""Rows of results: date, commit, versions, machine, then what was measured."""

import csv
import datetime as dt
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
COMMIT = subprocess.run(  # at the start: the code that runs, whatever is committed meanwhile
    ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
).stdout.strip()
PACKAGES = ("numpy", "scipy", "pymc", "nutpie")
STAMP = ("date", "commit", "versions", "machine")


def append(name: str, rows: Iterable[dict[str, object]]) -> None:
    """Append rows to `results/NAME.csv`, each stamped, and print them."""
    path = RESULTS / f"{name}.csv"
    versions = " ".join(f"{package} {version(package)}" for package in PACKAGES)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    stamp = dict(zip(STAMP, (dt.date.today(), COMMIT, versions, machine), strict=True))
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(stream, [*STAMP, *row])
                if new:
                    writer.writeheader()
            writer.writerow({**stamp, **row})
            stream.flush()  # a run that is cut short keeps what it has measured
            print(*row.values())
