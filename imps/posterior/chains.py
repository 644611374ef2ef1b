"""Chains of a fit: their streams of random numbers, their files, and those of the exact way.

A stream of random numbers depends on the one seed of a run and its own name and on nothing
else, so a chain is the same whether it was drawn alone, beside others, or after a run was cut
off. A finished chain is in a file of its own as soon as it is done. Chains of the exact way are
independent randomisations of the grid over the scales.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from imps.account.chained import ChainModel
from imps.account.linear import LinearModel
from imps.errors import ImpsWarning, RunChangedError, SavedFileError, TimeLimitError
from imps.names import CHAIN, DRAW
from imps.posterior.archive import account_differences, account_record
from imps.posterior.exact import GaussianPosterior
from imps.posterior.importance import Proposal
from imps.posterior.storage import FINEST, OWN, dataset, load, save, shortened
from imps.sampling import DRAWS, Sampling


def stream(seed: int, name: str) -> np.random.SeedSequence:
    """The stream called `name` under one seed, for `np.random.default_rng`.

    Parameters
    ----------
    seed : int, 0 or more
    name : str
        Fixed text such as "chain 2": another name is another stream.

    Raises
    ------
    ValueError
        If the seed is negative.

    References
    ----------
    `numpy.random.SeedSequence`, whose hash mixes all words of its entropy.
    """
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8")).digest()[:16], dtype="<u4")
    return np.random.SeedSequence([seed, *(int(word) for word in words)])


def stream_seed(seed: int, name: str) -> int:
    """One integer below 2**32 for samplers that take no stream."""
    return int(stream(seed, name).generate_state(1)[0])


def within[T](seconds: float | None, work: Callable[[], T]) -> T:
    """Do some work, but for no more than some seconds of wall time.

    The work runs in a thread of its own, so that the caller has its answer in time whatever
    library the work is in; the thread stops at its next line of Python.

    Parameters
    ----------
    seconds : float, above 0, or None
        None sets no limit.
    work : callable

    Raises
    ------
    TimeLimitError
        If the time is over first, or is no time.
    """
    if seconds is None:
        return work()
    if not seconds > 0:
        raise TimeLimitError(f"time_limit is {seconds!r}, expected seconds above 0, or None.")
    found: list[T] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as fault:  # told to the caller
            faults.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        if thread.is_alive():
            stop = ctypes.py_object(TimeLimitError)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), stop)
    if faults:
        raise faults[0]
    if not found:
        raise TimeLimitError(
            f"the fit took longer than its time limit of {seconds:g} seconds and was given up; "
            "chains that were finished are kept where a folder was given. Raise time_limit, or "
            "take method='exact', which needs seconds where NUTS needs minutes."
        )
    return found[0]


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
            save(path, {"chain": data}, {"method": method, "chain": chain}, packed=False)

    def _path(self, method: str, chain: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{method}-{chain}.nc"


def one_chain(linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray) -> xr.Dataset:
    """Draws (1, draw, ...) of the free variables of an account under their public names."""
    short = shortened(latent, _steps(linear))
    return dataset(log_scale, short, list(linear.scale_names), linear.latent_names)


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


GRID_POINTS = 256
MORE_GRID_POINTS = 1024
EVEN_SHARE = 0.5
"""A chain whose grid has a smaller share of effective points takes more: a far point is diluted."""
LEAST_EFFECTIVE_SHARE = 0.25
"""Share of effective grid points under which the exact way is given up for NUTS."""


def chains_by_grid(
    linear: LinearModel,
    sampling: Sampling,
    kept: Chains,
    tell: Callable[[str], None],
    near: np.ndarray | None,
) -> list[xr.Dataset]:
    """Chains in order, each from a grid and with draws of its own.

    `near` are draws (draw, scale) of a like posterior, to begin the search from.
    """
    done = kept.done("exact", sampling.chains, tell)
    missing = [chain for chain in range(1, sampling.chains + 1) if chain not in done]
    if not linear.observed.size:  # an open end without a survey
        for chain in missing:
            done[chain] = _prior_chain(linear, chain, sampling)
            kept.keep("exact", chain, done[chain])
    elif missing:
        with threadpool_limits(1, user_api="blas"):  # matrices too small to share, and same bits
            posterior = GaussianPosterior(linear)
            seed = stream_seed(sampling.seed, "proposal")
            proposal = posterior.proposal(seed=seed, near=near)
            for chain in missing:
                done[chain] = _grid_chain(posterior, proposal, chain, sampling)
                kept.keep("exact", chain, done[chain])
    return [done[chain] for chain in sorted(done)]


def _prior_chain(linear: LinearModel, chain: int, sampling: Sampling) -> xr.Dataset:
    """A chain where nothing is observed: the posterior is the prior, and its moments are exact."""
    rng = np.random.default_rng(stream_seed(sampling.seed, f"chain {chain}: draws"))
    n = sampling.draws or DRAWS["exact"]
    drawn = one_chain(linear, rng.standard_normal((1, n, len(linear.scale_names))),
                      rng.standard_normal((1, n, linear.n_latent)))  # fmt: skip
    moments = np.array([linear.prior_moments(q) for q in linear.reported.values()], dtype=float)
    stats: dict[str, Any] = {name: ((CHAIN,), np.array([float(GRID_POINTS)])) for name in
             ("effective_points", "grid_points")}  # fmt: skip
    for name, values in (("grid_mean", moments[:, 0]), ("grid_sd", moments[:, 1]),
                         ("grid_between", 0.0 * moments[:, 0])):  # fmt: skip
        stats[name] = ((CHAIN, "quantity"), values[None])
    return drawn.assign(stats).assign_coords(quantity=list(linear.reported))


def _grid_chain(
    posterior: GaussianPosterior, proposal: Proposal, chain: int, sampling: Sampling
) -> xr.Dataset:
    seeds = [stream_seed(sampling.seed, f"chain {chain}: {part}") for part in ("grid", "draws")]
    grid = posterior.grid(proposal, GRID_POINTS, seed=seeds[0])
    if grid.effective < EVEN_SHARE * GRID_POINTS and not grid.runs_away:
        grid = posterior.grid(proposal, MORE_GRID_POINTS, seed=seeds[0])
    h, z = posterior.draw(grid, sampling.draws or DRAWS["exact"], seed=seeds[1])
    stats = {
        "effective_points": ((CHAIN,), np.array([grid.effective])),
        "grid_points": ((CHAIN,), np.array([len(grid.points)])),
        "grid_mean": ((CHAIN, "quantity"), grid.mean[None]),
        "grid_sd": ((CHAIN, "quantity"), grid.sd[None]),
        "grid_between": ((CHAIN, "quantity"), grid.between[None]),
    }
    drawn = one_chain(posterior.model, h[None], z[None])
    return drawn.assign(stats).assign_coords(quantity=posterior.names)


def exact_moments(stats: xr.Dataset) -> pd.DataFrame:
    """Mean and sd of each reported quantity over the grids of all chains."""
    return pd.DataFrame(
        {
            "quantity": [str(q) for q in stats["quantity"].values],
            "mean": stats["grid_mean"].values.mean(axis=0),
            "sd": np.sqrt((stats["grid_sd"].values ** 2).mean(axis=0)),
            "between": stats["grid_between"].values.mean(axis=0),
        }
    )
