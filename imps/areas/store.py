"""Deviations of areas slab by slab: in memory, or in a folder that outlasts a kill.

A slab holds the draws of one grid point, written whole or not at all; a folder belongs to one
model, one nation and one seed, by their fingerprint. What is there is not drawn again, and a
reader takes one area of every slab without loading the others.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr

from imps.areas.deviations import AreaModel
from imps.areas.draws import Drawn, Slab, drawn
from imps.areas.grid import Points
from imps.errors import RunChangedError
from imps.posterior.storage import write_whole
from imps.posterior.workers import spread

FINGERPRINT = "fingerprint.txt"
DEVIATION, PATTERN, NATIONAL = "deviation", "pattern", "national"
DIMS = {
    DEVIATION: ("area", "source", "cell", "draw"),
    PATTERN: ("draw", "pattern", "cell"),
    NATIONAL: ("draw", "home", "cell"),
}


def fingerprint(model: AreaModel, *others: Any) -> str:
    """Sixteen characters that change with anything that determines the draws."""
    digest = hashlib.sha256(repr((model.codes, model.priors, model.n_cells)).encode())
    arrays = (model.contrast, model.design, model.noise, model.independent, *model.factors)
    for part in (*arrays, *others):
        content = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(content)
    return digest.hexdigest()[:16]


class Slabs:
    """Deviations (area, source, cell, draw) and patterns of all slabs.

    Parameters
    ----------
    folder : Path or None
        None keeps them in memory.
    of : str
        Fingerprint of what they belong to.

    Raises
    ------
    RunChangedError
        If the folder holds slabs of something else.
    """

    def __init__(self, folder: Path | None, of: str) -> None:
        self.folder = folder
        self._held: dict[int, dict[str, np.ndarray]] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / FINGERPRINT
        if mark.exists() and mark.read_text("utf-8") != of:
            raise RunChangedError(
                f"'{folder.name}' holds areas of another fit (model, nation, priors, seed or "
                "number of draws). Remove that folder, or choose another."
            )
        write_whole(mark, of.encode())

    def path(self, point: int) -> Path:
        """File of the slab of one grid point."""
        assert self.folder is not None
        return self.folder / f"slab-{point:04d}.nc"

    def finished(self, point: int) -> bool:
        """Whether a slab is there."""
        return point in self._held if self.folder is None else self.path(point).exists()

    def add(self, point: int, made: Drawn) -> None:
        """Keep a slab."""
        if self.folder is None:
            self._held[point] = vars(made)
        else:
            _write(self.path(point), made)

    def open(self, point: int) -> xr.Dataset:
        """A slab as a Dataset, on disk until a value is asked for."""
        if self.folder is None:
            held = self._held[point]
            return xr.Dataset({name: (DIMS[name], x) for name, x in held.items()})
        return xr.open_dataset(self.path(point), engine="h5netcdf", cache=False)

    def _values(self, point: int, name: str, area: int | slice) -> np.ndarray:
        if self.folder is None:
            return self._held[point][name][area]
        with self.open(point) as slab:
            return slab[name][area].values

    def deviation(self, points: Sequence[int], area: int) -> np.ndarray:
        """Deviations of one area in all draws, (source, cell, draw)."""
        return np.concatenate([self._values(p, DEVIATION, area) for p in points], axis=-1)

    def own_totals(self, points: Sequence[int]) -> np.ndarray:
        """Deviations of all areas over all cells, (area, source, draw); one slab at a time."""
        every = slice(None)
        sums = [self._values(p, DEVIATION, every).sum(axis=2) for p in points]
        return np.concatenate(sums, axis=-1)

    def by_draw(self, points: Sequence[int], name: str) -> np.ndarray:
        """Patterns, or errors of the nation, in all draws, (draw, ..., cell)."""
        return np.concatenate([self._values(p, name, slice(None)) for p in points])


def _write(path: Path, made: Drawn) -> None:
    """By h5netcdf itself: xarray would ask the scheduler of a dask worker for a lock, and hang."""
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        for name, x in vars(made).items():
            for dim, size in zip(DIMS[name], x.shape, strict=True):
                if dim not in file.dimensions:
                    file.dimensions[dim] = size
            file.create_variable(name, DIMS[name], data=x)
    write_whole(path, content.getbuffer())


def fill(
    slabs: Slabs,
    model: AreaModel,
    points: Points,
    seed: int,
    moved: np.ndarray | None,
    wanted: list[Slab],
    client: Any,
    tell: Callable[[str], None],
) -> None:
    """Draw the slabs that are not there, and keep each as it is finished."""
    missing = [slab for slab in wanted if not slabs.finished(slab.point)]
    if len(missing) < len(wanted):
        tell(f"{len(wanted) - len(missing)} of {len(wanted)} slabs were finished before")
    folder = None if client is None or slabs.folder is None else slabs.folder
    for done, (i, found) in enumerate(
        spread(client, _made, missing, model, points, seed, moved, folder), start=1
    ):
        if found is not None:
            slabs.add(missing[i].point, found)
        if done % 10 == 0 or done == len(missing):
            tell(f"{done} of {len(missing)} slabs of draws")


def _made(
    model: AreaModel,
    points: Points,
    seed: int,
    moved: np.ndarray | None,
    folder: Path | None,
    slab: Slab,
) -> Drawn | None:
    """A slab, or None where a worker wrote it to the folder itself."""
    made = drawn(model, points, seed, moved, slab)
    if folder is None:
        return made
    _write(folder / f"slab-{slab.point:04d}.nc", made)
    return None
