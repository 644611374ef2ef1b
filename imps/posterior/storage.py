"""Containers of draws, their diagnostics and their storage: the only place that knows ArviZ.

Everything else takes an :class:`xarray.Dataset` with dims `chain` and `draw`.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.backends.common import ArrayWriter

from imps._version import __version__
from imps.account.linear import LinearModel
from imps.errors import RunVersionError, SavedFileError, SaveFailedError
from imps.names import CHAIN, DRAW

LOG_SCALE = "log_scale"
LATENT = "latent"
ACCOUNT = {LOG_SCALE: "scale", LATENT: "latent_name"}
"""The variables that an account is made of, and the dim of each."""
OWN = "own: "
"""Beginning of a name that a variable of the user's own is kept under beside ours."""
RECORD = "record"
PACKED = {"zlib": True, "complevel": 1, "shuffle": True}
DRAWS_OF_A_CHUNK = 100
FORMAT = 3
"""Form of a saved file and model of its draws."""
EARLIER = 2
"""The form that has the log-likelihood by source only, and each array of the account apart."""
FIRST = 1
"""The form of release 0.1, with draws of another account (:mod:`imps.posterior.saved_fits`)."""
KNOWN = 1e-6
"""Spread, absolute or as a share of the largest value, under which a quantity is arithmetic."""
FINEST = 2.0**-36
"""Step of latent variables, prior standard deviations: files are a fifth smaller."""
LARGEST_FILE = 4_000_000_000
"""Bytes that a saved fit may unpack to."""


def shortened(latent: np.ndarray, step: np.ndarray | float = FINEST) -> np.ndarray:
    """Standardised latent variables to a power of two of their prior sd, for smaller files."""
    return np.rint(latent / step) * step


def dataset(
    log_scale: np.ndarray, latent: np.ndarray, scale_names: list[str], latent_names: list[str]
) -> xr.Dataset:
    """Draws of the free variables, (chain, draw, ...), under their public names."""
    return xr.Dataset(
        {
            LOG_SCALE: ((CHAIN, DRAW, "scale"), log_scale),
            LATENT: ((CHAIN, DRAW, "latent_name"), latent),
        },
        coords={"scale": scale_names, "latent_name": latent_names},
    )


def in_order(draws: xr.Dataset, linear: LinearModel) -> tuple[xr.Dataset, list[str]]:
    """Draws with the labels in the account's order, and why they are not of it where they are not.

    Draws without labels are taken to be in order, if their number is right.
    """
    wrong = []
    for name, dim in ACCOUNT.items():
        labels = linear.coords[dim]
        there = draws.indexes[dim].tolist() if dim in draws.indexes else labels
        if there == labels:
            continue
        if sorted(there) == sorted(labels):
            place = {label: i for i, label in enumerate(there)}
            draws = draws.isel({dim: [place[label] for label in labels]})
            draws[name] = draws[name].copy(data=np.ascontiguousarray(draws[name].values))
        elif len(there) == len(labels):  # of another number: said where it is looked at
            wrong.append(f"its draws of '{name}' have labels that are not the account's")
    return draws, wrong


def diagnose(quantities: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Rank-normalised R-hat, bulk and tail effective sample size of each quantity.

    Parameters
    ----------
    quantities : mapping from name to ndarray (chain, draw)

    Returns
    -------
    DataFrame
        Columns quantity, r_hat, ess_bulk, ess_tail; quantities that are known
        (no spread at all) are left out, for nothing was sampled.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16(2).
    """
    import arviz_stats as az  # without its figures

    moving = {
        name: values
        for name, values in quantities.items()
        if np.ptp(values) > KNOWN * max(1.0, float(np.abs(values).max()))
    }
    stacked = xr.Dataset(
        {"x": ((CHAIN, DRAW, "quantity"), np.stack(list(moving.values()), axis=-1))},
        coords={"quantity": list(moving)},
    )
    frame = {
        "r_hat": az.rhat(stacked),
        "ess_bulk": az.ess(stacked, method="bulk"),
        "ess_tail": az.ess(stacked, method="tail"),
    }
    columns = {name: np.asarray(_as_dataset(v)["x"].values) for name, v in frame.items()}
    return pd.DataFrame({"quantity": list(moving), **columns})


def save(
    path: Path,
    groups: Mapping[str, xr.Dataset],
    record: Mapping[str, object],
    *,
    attributes: Mapping[str, object] | None = None,
    single: Sequence[str] = (),
    packed: bool = True,
) -> None:
    """Write groups of arrays and a record of plain values to one netCDF file, whole or not at all.

    `attributes` are those of the root; the groups in `single` are kept in single precision;
    what is read once and then deleted need not be packed.

    The file is written beside its place, brought to the disk and only then renamed, so
    that a process that is killed leaves the old file or the new one, never half of one.

    Raises
    ------
    SaveFailedError
        If the disk is full or the folder may not be written to; an earlier file stays.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    text = xr.Dataset({RECORD: ((), json.dumps({"format": FORMAT, **record}))}, attrs=attributes)
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        for group, data in {"/": text, **groups}.items():
            encoding = {
                str(name): _packed(x) | ({"dtype": "float32"} if group in single else {})
                for name, x in data.data_vars.items()
                if packed and x.dtype.kind == "f"
            }
            place = H5NetCDFStore(file, group=group, mode="w", lock=False)
            data.dump_to_store(place, writer=_Deflating(), encoding=encoding)
    # In memory first: HDF5 brings the whole process down when the disk is full.
    write_whole(path, content.getbuffer())


def _packed(x: xr.DataArray) -> dict[str, Any]:
    """How an array is packed: draws in chunks of whole draws."""
    if x.dims[:2] != (CHAIN, DRAW) or not x.size:
        return dict(PACKED)
    return PACKED | {"chunksizes": (1, min(DRAWS_OF_A_CHUNK, x.sizes[DRAW]), *x.shape[2:])}


class _Deflating(ArrayWriter):
    """Deflates arrays for HDF5, which would itself take twice the time for a larger file.

    It searches for strings that repeat, and the digits of draws do not: runs of one byte do.
    """

    def add(self, source: Any, target: Any, region: Any = None) -> None:
        place = target.get_array()._h5ds
        if place.compression != "gzip" or not place.size:
            super().add(source, target, region)
            return
        values = np.asarray(source, dtype=place.dtype)
        for part in place.iter_chunks():
            chunk = np.zeros(place.chunks, place.dtype)  # whole ones, at the end too
            chunk[tuple(slice(n) for n in values[part].shape)] = values[part]
            shuffled = np.ascontiguousarray(chunk.reshape(-1, 1).view(np.uint8).T)
            stream = zlib.compressobj(1, strategy=zlib.Z_RLE)
            packed = stream.compress(shuffled) + stream.flush()
            place.id.write_direct_chunk([p.start for p in part], packed)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all, and wait until it stands on the disk.

    Raises
    ------
    SaveFailedError
        If the disk is full or the folder may not be written to; an earlier file stays.
    """
    name = ""
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(number, "wb") as file:
            file.write(content)
        to_disk(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, path)
        to_disk(path.parent)
    except BaseException as fault:
        if name:
            Path(name).unlink(missing_ok=True)
        if not isinstance(fault, OSError):
            raise
        raise SaveFailedError(
            f"{path.name} could not be written: {fault.strerror or fault}. An earlier file of that "
            "name is untouched. Make room, or choose another folder."
        ) from None


def load(
    path: Path, *, leave: Sequence[str] = (), forms: Sequence[int] = (FORMAT, EARLIER)
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Read what :func:`save` wrote: groups of arrays, but those in `leave`, and the record.

    Raises
    ------
    SavedFileError
        If it is no such file, is larger than 4 GB, or points at other files.
    RunVersionError
        If a release wrote it whose files have another form.
    """
    _check_closed_in_itself(path)
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            record = json.loads(str(tree.to_dataset()[RECORD].item()))
            groups = {
                name: node.to_dataset().load()
                for name, node in tree.children.items()
                if name not in leave
            }
    except (OSError, KeyError, ValueError) as fault:
        raise SavedFileError(f"{path.name} is not a saved fit: {fault}") from None
    if record.get("format") not in forms:
        check_format(path.name, record, FORMAT)
    return groups, record


def check_format(name: str, record: Mapping[str, Any], wanted: int) -> None:
    """Refuse a record of another form, naming the release that wrote it and this one."""
    found = record.get("format")
    if found != wanted:
        raise RunVersionError(
            f"{name} was written by imps {record.get('imps', 'of an unknown release')} in form "
            f"{found}; imps {__version__} reads form {wanted}. Use the release that wrote it."
        )


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, stand on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # a folder cannot be opened there
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_closed_in_itself(path: Path) -> None:
    """Refuse what is no HDF5 file, unpacks to too much, or reads other files or links."""
    import h5py

    size = 0

    def other_place(name: str, link: object) -> str | None:  # anything but None ends the visit
        return (
            None if isinstance(link, h5py.HardLink) else f"'{name}' is a link; a saved fit has none"
        )

    def too_much(name: str, item: object) -> str | None:
        nonlocal size
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external or item.is_virtual:
            return f"'{name}' lies in another file"
        size += item.nbytes
        return f"it unpacks to over {LARGEST_FILE:,} bytes" if size > LARGEST_FILE else None

    try:
        with h5py.File(path, "r") as file:
            fault = file.visititems_links(other_place) or file.visititems(too_much)
    except FileNotFoundError:
        raise SavedFileError(f"there is no file {path.name}; check the path.") from None
    except OSError:
        raise SavedFileError(f"{path.name} is not a netCDF file, or is cut off.") from None
    if fault:
        raise SavedFileError(f"{path.name} is refused: {fault}.")


def _as_dataset(x: object) -> xr.Dataset:
    return x if isinstance(x, xr.Dataset) else x.to_dataset()  # type: ignore[attr-defined]
