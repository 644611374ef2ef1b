"""Finished replicates of a calibration, kept as they come."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from imps.account.linear import LinearModel
from imps.errors import NotFittedError, SourceError


def fingerprint(linear: LinearModel) -> str:
    """Twelve characters that change with anything in the matrices."""
    digest = hashlib.sha256()
    for array in (linear.design, linear.offset, linear.standard_error, linear.scale_medians):
        digest.update(np.ascontiguousarray(np.round(array, 6)).tobytes())
    return digest.hexdigest()[:12]


class WorkFile:
    """Finished replicates, on disk as they come where a path is given."""

    def __init__(self, path: str | Path | None, run: str) -> None:
        self.path = None if path is None else Path(path)
        self.run = run
        self.rows: dict[int, dict[str, float]] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        table = pd.read_csv(path, on_bad_lines="skip").dropna(subset=["seconds"])
        other = table.loc[table["run"] != self.run, "run"]
        if len(other):
            raise SourceError(
                f"{path} holds replicates of run {other.iloc[0]}, this is {self.run} (model, "
                "fitted model, seed): give another path, or delete the file."
            )
        for row in table.drop(columns="run").to_dict("records"):
            number = int(row.pop("replicate"))
            self.rows[number] = {str(k): float(v) for k, v in row.items()}
        table.to_csv(path, index=False)  # a line that was cut off in writing is gone

    def add(self, row: dict[str, float]) -> None:
        """Keep a replicate, on disk too."""
        if self.path is not None:
            line = pd.DataFrame([{"run": self.run, **row}])
            line.to_csv(self.path, mode="a", header=not self.path.exists(), index=False)
        self.rows[int(row["replicate"])] = {k: v for k, v in row.items() if k != "replicate"}

    def table(self, replicates: int) -> pd.DataFrame:
        """The first replicates in order."""
        wanted = [self.rows[i] for i in range(replicates)]
        if not wanted:
            raise NotFittedError("no replicates: give replicates=1 or more.")
        return pd.DataFrame(wanted)
