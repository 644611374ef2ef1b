"""Fit of many areas: the nation first and untouched, then the areas given it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg as sl

from imps.areas.deviations import AreaModel, area_model
from imps.areas.draws import Slab, shared_out
from imps.areas.figures import Areas
from imps.areas.grid import Points, points
from imps.areas.message import Nation
from imps.areas.nation import national_draws, prior_covariances
from imps.areas.priors import FACTOR, N_PATTERNS, area_priors
from imps.areas.sizes import LOWER_AGES, Contrasts, contrasts
from imps.areas.store import NATIONAL, PATTERN, Slabs, fill, fingerprint
from imps.errors import SettingError
from imps.posterior.chains import stream, stream_seed
from imps.posterior.fit import LOG, Fit, needs_fit
from imps.posterior.workers import one_thread
from imps.results.attribution import Attribution
from imps.results.checks import check
from imps.results.verdict import DO_NOT_USE, WITH_CARE, Cause, Verdict, Words

DRAWS = 1000
ENOUGH = 0.25
"""Share of effective points of the scales under which the verdict says so."""


@dataclass(frozen=True, eq=False)
class AreaFit:
    """Joint posterior draws of the gaps of all areas by source, coherent with the nation.

    ``fit["CODE"]`` is the :class:`imps.Attribution` of one area, made when it is asked for.

    Attributes
    ----------
    areas : Areas
    contrasts : Contrasts
    model : AreaModel
    points : Points
    national : ndarray (draw, home, cell), persons
        Draws of the nation: base, immigration, emigration, census, remainder.
    pattern : ndarray (draw, 3, cell)
        Patterns of immigration and emigration in persons, and share theta of the net moves.
    scales : DataFrame
        One row a draw, one column a scale.
    prior : ndarray (home, cell, cell)
        Prior covariance of the national errors.
    before : Nation
        National errors as they were before any area was seen.
    area_of_nation, period : str
    verdict : Verdict
        Of the national fit, and whether enough points of the scales of areas are effective.
    words : Words
    slabs, slab_points : Slabs, tuple of int
        Draws of the areas, made or read when an area is asked for, and their points.
    """

    areas: Areas
    contrasts: Contrasts
    model: AreaModel
    points: Points
    national: np.ndarray
    pattern: np.ndarray
    scales: pd.DataFrame
    prior: np.ndarray
    before: Nation
    area_of_nation: str
    period: str
    verdict: Verdict
    words: Words
    slabs: Slabs = field(repr=False)
    slab_points: tuple[int, ...] = field(repr=False)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the areas."""
        return self.areas.codes

    @property
    def n_draws(self) -> int:
        """Number of joint draws."""
        return self.national.shape[0]

    def __len__(self) -> int:
        return len(self.codes)

    def place(self, code: str) -> int:
        """Place of an area, by its code or name; LabelError if there is none."""
        return self.areas.place(code)

    def deviation(self, code: str) -> np.ndarray:
        """What an area has of its own, (source, cell, draw), persons."""
        return self.slabs.deviation(self.slab_points, self.place(code))

    def contributions(self, code: str, own: np.ndarray | None = None) -> np.ndarray:
        """Sources of the gap of one area, (source, cell, draw), persons; they sum to it.

        base W V + d; flows W V + (W - w) U + d; internal net theta + d; census w V + d;
        special populations d; the remainder is the difference to the gap.
        """
        r, own = self.place(code), self.deviation(code) if own is None else own
        v, u = self.national.transpose(1, 2, 0), self.pattern.transpose(1, 2, 0)
        c = self.contrasts
        w, shares = c.reference[r][:, None], c.shares[r][:, :, None]
        design = self.model.design[r][:, :, None]
        out = np.concatenate([own, np.zeros((1, *own.shape[1:]))])
        out[0] += shares[0] * v[0]
        out[1] += shares[1] * v[1] + design[0] * u[0]
        out[2] += shares[2] * v[2] + design[1] * u[1]
        out[3] += design[2] * u[2]
        out[4] += w * v[3]
        out[-1] = c.gap[r][:, None] - out.sum(axis=0)
        return out

    @cached_property
    def totals(self) -> np.ndarray:
        """Contribution of each source to the whole gap of each area, (area, source, draw)."""
        c, v, u = self.contrasts, self.national.transpose(1, 2, 0), self.pattern.transpose(1, 2, 0)
        lies = (*c.shares.transpose(1, 0, 2), 0 * c.net, c.reference)
        nation = (v[0], v[1], v[2], 0 * v[0], v[3])
        out = np.stack([w @ x for w, x in zip(lies, nation, strict=True)], axis=1)
        for j in range(N_PATTERNS):
            out[:, 1 + j] += self.model.design[:, j] @ u[j]
        special = self.own_totals[:, out.shape[1] :]
        out = np.concatenate([out + self.own_totals[:, : out.shape[1]], special], axis=1)
        rest = c.gap.sum(axis=1)[:, None] - out.sum(axis=1)
        return np.concatenate([out, rest[:, None]], axis=1)

    @cached_property
    def own_totals(self) -> np.ndarray:
        """Deviations of all ages and both sexes, (area, source, draw), persons."""
        return self.slabs.own_totals(self.slab_points)

    def __getitem__(self, code: str) -> Attribution:
        from imps.areas.attribution import attribution_of

        return attribution_of(self, code)

    def table(self, *, prob: float = 0.90) -> pd.DataFrame:
        """One row an area and source; see :func:`imps.areas.attribution.area_table`."""
        from imps.areas.attribution import area_table

        return area_table(self, prob)

    def conflict(self) -> pd.DataFrame:
        """What areas would say of the nation; see :func:`imps.areas.attribution.conflict`."""
        from imps.areas.attribution import conflict

        return conflict(self)

    def by_age(self, code: str, *, prob: float = 0.90) -> pd.DataFrame:
        """Sources of the gap of one area by sex and age group, with intervals."""
        return self[code].summary(by=("source", "sex", "age"), prob=prob)

    def __repr__(self) -> str:
        gap = self.contrasts.gap.sum(axis=1)
        return (
            f"{len(self)} areas of {self.area_of_nation}, {self.period}, {self.n_draws:,} joint "
            f"draws\ngap {gap.sum():+,.0f} persons in all, {np.abs(gap).sum():,.0f} without sign; "
            f"{(gap > 0).sum()} areas rolled forward too high\n{self.points.effective:.0%} of "
            f"{self.points.weight.size} points of the scales effective\nnation: {self.verdict}"
        )


def fit_areas(
    nation: Fit,
    areas: Areas,
    *,
    seed: int,
    draws: int = DRAWS,
    priors: Mapping[str, tuple[float, float]] | None = None,
    lower_ages: tuple[int, ...] = LOWER_AGES,
    scales_of: AreaFit | None = None,
    move_nation: bool = False,
    client: Any = None,
    keep: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> AreaFit:
    """Share the gaps of all areas among their sources at once, given a fit of the nation.

    Parameters
    ----------
    nation : Fit
        An ordinary fit; its draws are taken as they are, and areas do not change it.
    areas : Areas
        From :func:`imps.load_areas` or :func:`imps.areas_from_tables`.
    seed : int
        Draws depend on it and on nothing else: not on workers, nor on the order of areas.
    draws : int
        Joint draws; at most those of the national fit.
    priors : mapping, optional
        Scales by name as (median, log_sd) in place of the defaults, see
        :data:`imps.areas.priors.PRIORS`.
    lower_ages : tuple of int
        First ages of the groups by which areas are told apart.
    scales_of : AreaFit, optional
        Fit of the same areas in other, coarser age groups: its scales are taken as they are,
        which the prior allows, because it does not depend on how ages are cut. For single years.
    move_nation : bool
        Whether areas may move the errors of the nation. By default they may not: that national
        errors lie over areas as published flows do is assumed, and may be wrong. How far they
        are moved, and whether that contradicts the nation, is said.
    client : optional
        A dask client, or any :class:`concurrent.futures.Executor`: points and slabs are spread.
    keep : path, optional
        Folder where each slab of draws is kept as soon as it is finished; called again, only
        what is missing is drawn. Dask workers must see the same folder.
    say : callable, optional
        Told in a line how far it is.

    Returns
    -------
    AreaFit

    Raises
    ------
    NotFittedError
        If `nation` is no fit.
    SettingError
        If more draws are asked for than the nation has.
    RunChangedError
        If the folder holds areas of another fit.
    ScalesNotFoundError
        If the search for the scales of areas does not end at a mode.
    """
    nation = needs_fit(nation, "fit_areas")
    with one_thread():  # a run that is continued elsewhere is the same fit
        compared = contrasts(areas, nation.model, lower_ages)
        model = area_model(compared, area_priors(priors))
    if scales_of is not None and (scales_of.codes, scales_of.model.priors) != (
        areas.codes,
        model.priors,
    ):
        raise SettingError(
            "scales_of is a fit of other areas, or of other priors of areas. Take one of the same "
            "areas and priors, or leave it out."
        )
    taken = None if scales_of is None else replace(scales_of.points, messages=())
    return joint(nation, areas, compared, model, seed=seed, draws=draws, taken=taken,
                 move_nation=move_nation, client=client, keep=keep, say=say)  # fmt: skip


def joint(
    nation: Fit,
    areas: Areas,
    compared: Contrasts,
    model: AreaModel,
    *,
    seed: int,
    draws: int,
    taken: Points | None = None,
    move_nation: bool = False,
    client: Any = None,
    keep: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> AreaFit:
    """Joint draws of areas whose contrasts and model are made already; see :func:`fit_areas`.

    `taken` are weighted scales to be used as they are.
    """
    latents, tell = nation.latents(), say or LOG.info
    if not 1 <= draws <= len(latents):
        raise SettingError(
            f"draws is {draws}; the national fit has {len(latents):,}. Ask for at most so many, "
            "or fit the nation with more."
        )
    with one_thread():
        every = national_draws(nation.model, latents, compared.cells)
        before = errors_of(every)
        moved = np.cov(every.reshape(len(every), -1).T) if move_nation else None
    tell(f"{len(areas)} areas, {model.n_cells} cells each")
    held = () if taken is None else (taken.local, taken.pattern, taken.weight, taken.factor)
    own = fingerprint(model, every, seed, draws, move_nation, *held)
    slabs = Slabs(None if keep is None else Path(keep), own)
    found = taken
    if found is None:
        found = points(model, before, seed=stream_seed(seed, "areas"), client=client, tell=tell)
    model = replace(model, factor=found.mean_factor)
    rng = np.random.default_rng(stream(seed, "draws of areas"))
    picked = rng.permutation(len(latents))[:draws]
    wanted = shared_out(found.weight, every[picked], rng)
    fill(slabs, model, found, seed, moved, wanted, client, tell)
    order = [slab.point for slab in wanted]
    sources = nation.model.sources
    made = AreaFit(
        areas=areas,
        contrasts=compared,
        model=model,
        points=found,
        national=slabs.by_draw(order, NATIONAL),
        pattern=slabs.by_draw(order, PATTERN),
        scales=_scales(model, found, wanted),
        prior=prior_covariances(nation.model, compared.cells),
        before=before,
        area_of_nation=sources.area,
        period=sources.period,
        verdict=with_points(check(nation).verdict, found),
        words=Words.of(sources),
        slabs=slabs,
        slab_points=tuple(order),
    )
    if move_nation:
        for line in _conflict_lines(made):
            tell(line)
    return made


def with_points(verdict: Verdict, found: Points) -> Verdict:
    """The verdict of the nation with the fault of the areas' scales, where few points count."""
    if found.effective >= ENOUGH or found.weight.size == 1:
        return verdict
    what = (
        f"{found.effective:.0%} of {found.weight.size} points of the scales are effective, at "
        f"least {ENOUGH:.0%} is asked"
    )
    step = "fit the areas with two other seeds, and quote no figure finer than they differ"
    causes = (*verdict.causes, Cause("scales of areas", what, step))
    level = DO_NOT_USE if verdict.level == DO_NOT_USE else WITH_CARE
    return replace(
        verdict, level=level, causes=causes, next_step=step if verdict.usable else verdict.next_step
    )


def _conflict_lines(fit: AreaFit) -> list[str]:
    return [
        f"the nation's {row.source}: {row.mean:+,.0f} persons before, "
        f"{row.mean_with_areas:+,.0f} with the areas, conflict z {row.z:+.1f}"
        for row in fit.conflict().itertuples()
    ]


def errors_of(national: np.ndarray) -> Nation:
    """Mean and covariance of the national errors of the two flows, from all draws."""
    n = national.shape[2]
    flows = national[:, 1:3].reshape(len(national), -1)
    mean = np.concatenate([flows.mean(axis=0), np.zeros(n)])
    return Nation(mean, sl.block_diag(np.cov(flows.T), np.zeros((n, n))))


def _scales(model: AreaModel, found: Points, wanted: list[Slab]) -> pd.DataFrame:
    rows = [
        np.r_[model.scales(found.local[slab.point]),
              model.pattern_scales(found.pattern[slab.point, j])]
        for slab in wanted for j in slab.pattern_point
    ]  # fmt: skip
    out = pd.DataFrame(rows, columns=[row.name for row in model.priors])
    tau = np.repeat(found.tau[[s.point for s in wanted]], [s.pattern_point.size for s in wanted])
    return out.assign(**{FACTOR: tau})
