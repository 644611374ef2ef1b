"""Finished chains of a fit, each in a file of its own as soon as it is done."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from imps.account.chained import ChainModel
from imps.account.linear import LinearModel
from imps.errors import ImpsWarning, RunChangedError, SavedFileError
from imps.names import CHAIN, DRAW
from imps.posterior.archive import account_differences, account_record
from imps.posterior.pymc_model import latent_names
from imps.posterior.storage import FINEST, OWN, dataset, load, save, shortened

ACCOUNT_FILE = "account.nc"
PLACES = "places"


class Chains:
    """Where finished chains are kept, so that a run that was cut off can continue.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    linear : LinearModel
        The account that is fitted; it is written first.
    settings : mapping
        Everything else that determines a chain. The number of chains does not.

    Raises
    ------
    RunChangedError
        If the folder holds chains of another account or of other settings.
    """

    def __init__(
        self, folder: Path | None, linear: LinearModel, settings: Mapping[str, Any]
    ) -> None:
        self.folder = folder
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / ACCOUNT_FILE).exists():
            self._check_same(linear, settings)
            return
        record, arrays = account_record(linear)
        save(
            folder / ACCOUNT_FILE,
            {"account": flat(arrays)},
            {"account": record, "settings": dict(settings)},
        )

    def _check_same(self, linear: LinearModel, settings: Mapping[str, Any]) -> None:
        assert self.folder is not None
        groups, then = load(self.folder / ACCOUNT_FILE)
        other = [
            f"{key}: {then['settings'].get(key)} then, {value} now"
            for key, value in settings.items()
            if then["settings"].get(key) != value
        ]
        other += account_differences(then["account"], unflat(groups["account"]), linear)
        if other:
            raise RunChangedError(
                f"'{self.folder.name}' holds the chains of another fit ({'; '.join(other[:5])}). "
                "Remove that folder, or choose another."
            )

    def finished(self, method: str, chain: int) -> xr.Dataset | None:
        """The chain, if it was finished before."""
        path = self._path(method, chain)
        if path is None or not path.exists():
            return None
        whole = whole_chains([path])
        return whole[0] if whole else None

    def done(self, method: str, n: int, tell: Callable[[str], None]) -> dict[int, xr.Dataset]:
        """Chains, numbered from 1, that were finished before a run was cut off."""
        found = {chain: self.finished(method, chain) for chain in range(1, n + 1)}
        done = {chain: data for chain, data in found.items() if data is not None}
        if done:
            tell(f"{len(done)} of {n} chains were finished before; continuing with the others")
        return done

    def keep(self, method: str, chain: int, data: xr.Dataset) -> None:
        """Write a finished chain, whole or not at all."""
        path = self._path(method, chain)
        if path is not None:
            save(path, {"chain": data}, {"method": method, "chain": chain})

    def _path(self, method: str, chain: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{method}-{chain}.nc"


def one_chain(linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray) -> xr.Dataset:
    """Draws (1, draw, ...) of the free variables of an account under their public names."""
    short = shortened(latent, _steps(linear))
    return dataset(log_scale, short, list(linear.scale_names), latent_names(linear))


def _steps(linear: LinearModel) -> np.ndarray | float:
    """Steps to which latent variables are rounded: files of chains would be twice as large.

    Those of a chain are at most 2^-12 of a prior sd, and move no row by more than 2^-10 of its
    standard error; summed over all latent variables that is far below the Monte Carlo error.
    """
    if not isinstance(linear, ChainModel):
        return FINEST
    moved = np.abs(linear.design / linear.standard_error[:, None]).max(axis=0)
    moved = moved * linear.scale_factors(np.zeros(len(linear.scale_names)))
    coarse = np.exp2(-12 - np.ceil(np.log2(np.maximum(moved / 4, 1.0))))
    return np.maximum(coarse, FINEST)


def kept_apart(own: xr.Dataset) -> xr.Dataset:
    """Variables of the user's own, and dims of theirs, under names that are nothing of ours."""
    names = [*own.data_vars, *(dim for dim in own.dims if dim not in (CHAIN, DRAW))]
    return own.rename({name: f"{OWN}{name}" for name in names})


def as_named(kept: xr.Dataset) -> xr.Dataset:
    """Variables of :func:`kept_apart` as the user named them."""
    names = [str(name) for name in (*kept.data_vars, *kept.dims)]
    return kept.rename({name: name.removeprefix(OWN) for name in names if name.startswith(OWN)})


def whole_chains(paths: Sequence[Path]) -> list[xr.Dataset]:
    """Chains of the files that are whole; files that were cut short are named and left out.

    Warns
    -----
    ImpsWarning
        CHECKPOINT_TRIMMED, with the number of files that cannot be read.
    """
    chains, cut = [], []
    for path in paths:
        try:
            chains.append(load(path)[0]["chain"])
        except (SavedFileError, KeyError):
            cut.append(path.name)
    if cut:
        warnings.warn(
            ImpsWarning(
                f"CHECKPOINT_TRIMMED  {len(cut)} of {len(paths)} finished chains cannot be read "
                f"({', '.join(cut)}): cut short, and to be drawn again. The others are kept."
            ),
            stacklevel=3,
        )
    return chains


def flat(arrays: Mapping[str, Any]) -> xr.Dataset:
    """Arrays end to end in one, with their names, shapes and types: a file of many is slow."""
    places = [[name, x.shape, str(x.dtype)] for name, x in arrays.items()]
    parts = [np.zeros(0), *(np.asarray(x, dtype=float).ravel() for x in arrays.values())]
    return xr.Dataset({"values": ("value", np.concatenate(parts)), PLACES: json.dumps(places)})


def unflat(data: xr.Dataset) -> dict[str, Any]:
    """The arrays of :func:`flat`; of a file of form 2, one a variable."""
    if PLACES not in data:
        return {str(name): x.values for name, x in data.data_vars.items()}
    out, start = {}, 0
    for name, shape, dtype in json.loads(str(data[PLACES].item())):
        end = start + int(np.prod(shape))
        out[name] = data["values"].values[start:end].reshape(shape).astype(dtype)
        start = end
    return out


def finished_chains(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[Path]]]:
    """Record and arrays of the account, and the files of finished chains by method."""
    groups, record = load(folder / ACCOUNT_FILE)
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*-*.nc"), key=lambda p: int(p.stem.rsplit("-", 1)[1])):
        files.setdefault(path.stem.rsplit("-", 1)[0], []).append(path)
    return record, unflat(groups["account"]), files
