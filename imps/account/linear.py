"""A written-down account turned into matrices: rows of data, contributions, quantities.

    w = s(h) z,  z ~ Normal(0, I),  s_b(h) = median_b exp(0.5 h_b),  h ~ Normal(0, I)
    y = y0 + A w + e,  e ~ Normal(0, diag(se^2)),      every quantity  q = q0 + Q w

Nothing is sampled here; :mod:`imps.posterior.exact` and :mod:`imps.posterior.pymc_model`
take it from these matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from imps.account.account import Account, Resolution, build_account, check_priors_used
from imps.account.gap import Contribution, contributions, rolled_forward_cells
from imps.account.latents import Affine
from imps.account.observations import Observation, observations
from imps.account.priors import LOG_SD, Priors
from imps.account.variant import Curve, Form
from imps.errors import SourceError
from imps.sources import Sources
from imps.sources.kinds import KINDS

PRIOR_DRAWS = 4000
TOGETHER = 64
"""Values that are evaluated at a time, at least: those of one age group hang on many others."""
CLOSURE_TOLERANCE = 1e-6
"""Persons by which the contributions may differ from the gap, for any latent variables."""


@dataclass(frozen=True, repr=False)
class LinearModel:
    """A written-down account turned into matrices.

    Attributes
    ----------
    account : Account
    observations : tuple of Observation
    contributions : tuple of Contribution
    sizes : mapping from block of latent variables to its size, in order
    scale_names : tuple of str
        Unknown scales, named as in the table of priors.
    scale_medians : ndarray (scale)
    scale_of : ndarray (latent)
        Index of the scale of each latent variable, -1 where it is one.
    design : ndarray (row, latent)
    offset, observed, standard_error : ndarray (row), persons
    row_labels, row_sources : tuple of str
    row_ages : ndarray (row, 2)
        First and last age of the rows of stocks; NaN elsewhere.
    row_years : ndarray (row)
        Year of the rows of flows; NaN elsewhere.
    curves : tuple of Curve
        Parts of the account that are not linear; none in the Gaussian model.
    curved_design : ndarray (row, value)
        Effects of the values of the curves.
    combine : ndarray (row, row), optional
        Sums of rows that share fewer latent variables than the rows do; triangular, with ones
        on its diagonal. The posterior is computed from them, and is the same.
    shared : ndarray (latent) of bool, optional
        Latent variables that keep the rest of the rows from standing apart.
    """

    account: Account
    observations: tuple[Observation, ...]
    contributions: tuple[Contribution, ...]
    sizes: Mapping[str, int]
    scale_names: tuple[str, ...]
    scale_medians: np.ndarray
    scale_of: np.ndarray
    design: np.ndarray
    offset: np.ndarray
    observed: np.ndarray
    standard_error: np.ndarray
    row_labels: tuple[str, ...]
    row_sources: tuple[str, ...]
    row_ages: np.ndarray
    row_years: np.ndarray
    curves: tuple[Curve, ...] = ()
    curved_design: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    combine: np.ndarray | None = field(default=None, repr=False)
    shared: np.ndarray | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return (
            f"LinearModel of {self.sources.area}: {self.observed.size} rows from "
            f"{len(set(self.row_sources))} sources, {self.n_latent:,} latent variables, "
            f"{len(self.scale_names)} scales\nnext: imps.fit(model)"
        )

    @property
    def sources(self) -> Sources:
        """The published figures behind the model."""
        return self.account.sources

    @property
    def priors(self) -> Priors:
        """The table of priors."""
        return self.account.priors

    @property
    def log_sd(self) -> float:
        """Standard deviation of the logarithm of an unknown scale, 0.5 unless set otherwise."""
        return self.priors[LOG_SD].mean

    @property
    def period_in_words(self) -> str:
        """From the base to the census."""
        return self.sources.period

    @property
    def n_latent(self) -> int:
        """Number of latent variables."""
        return self.scale_of.size

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where the latent variables of each block stand, by its name."""
        ends = np.cumsum([0, *self.sizes.values()])
        return {name: slice(*ends[i : i + 2]) for i, name in enumerate(self.sizes)}

    def of_source(self, source: str) -> np.ndarray:
        """Which latent variables (latent) belong to a source of the gap or to a true flow."""
        own = np.zeros(self.n_latent, dtype=bool)
        for block in self.account.latents.of_source(source):
            own[self.places[block]] = True
        return own

    def with_rows(self, keep: np.ndarray) -> LinearModel:
        """The same model with the rows (row) of the likelihood for which `keep` is true."""
        return replace(
            self,
            design=self.design[keep],
            curved_design=self.curved_design[keep],
            offset=self.offset[keep],
            observed=self.observed[keep],
            standard_error=self.standard_error[keep],
            row_labels=tuple(x for x, k in zip(self.row_labels, keep, strict=True) if k),
            row_sources=tuple(x for x, k in zip(self.row_sources, keep, strict=True) if k),
            row_ages=self.row_ages[keep],
            row_years=self.row_years[keep],
            combine=None if self.combine is None else self.combine[np.ix_(keep, keep)],
        )

    @property
    def rows_left_out(self) -> bool:
        """Whether the likelihood has not all the rows of its sources."""
        return len(self.row_labels) < sum(len(rows.labels) for rows in self.observations)

    def scale_factors(self, log_scale: np.ndarray) -> np.ndarray:
        """Factor of each latent variable, (..., latent), at standardised log scales h."""
        s = self.scale_medians * np.exp(self.log_sd * np.asarray(log_scale))
        one = np.ones((*s.shape[:-1], 1))
        return np.concatenate([s, one], axis=-1)[..., self.scale_of]

    def complete(self, latents: np.ndarray) -> np.ndarray:
        """Draws w (draw, latent) with the values that follow from them beside them."""
        if latents.shape[1] != self.n_latent or not self.curves:
            return latents
        blocks = self._blocks(self.sizes, latents)
        values = [curve(_evaluate(curve.argument, blocks)) for curve in self.curves]
        return np.concatenate([latents, *values], axis=1)

    def expected(self, latents: np.ndarray) -> np.ndarray:
        """Expected value of each row of the likelihood, (draw, row), persons."""
        w = self.complete(latents)
        linear = self.offset + w[:, : self.n_latent] @ self.design.T
        return linear + w[:, self.n_latent :] @ self.curved_design.T if self.curves else linear

    def matrix(self, quantity: Affine) -> np.ndarray:
        """Effects of all latent variables on a quantity, (..., latent)."""
        return quantity.matrix(self.sizes)

    def evaluate(self, quantity: Affine, latents: np.ndarray) -> np.ndarray:
        """Value (draw, ...) of a quantity for draws w (draw, latent) of the latent variables.

        Draws that come from :meth:`complete` are taken as they are; others are completed.
        """
        w = self.complete(latents)
        sizes = {**self.sizes, **curve_sizes(self.curves)}
        return _evaluate(quantity, self._blocks(sizes, w))

    @staticmethod
    def _blocks(sizes: Mapping[str, int], latents: np.ndarray) -> dict[str, np.ndarray]:
        """Draws of each block by its name."""
        ends = np.cumsum(list(sizes.values()))
        parts = np.split(latents, ends[:-1], axis=1)
        return dict(zip(sizes, parts, strict=True))

    def prior_moments(self, quantity: Affine) -> tuple[np.ndarray, np.ndarray]:
        """Prior mean and standard deviation of a quantity, exactly, over the scales too.

        For a scale with log standard deviation d, E s^2 = median^2 exp(2 d^2).
        Blocks that stand for random error alone count with their own size. A quantity
        that is not linear takes its moments from prior draws, to about 1 per cent.
        """
        square = dict.fromkeys(self.account.latents.scales, 1.0)
        for block, scale in self.account.latents.scales.items():
            if scale is not None:
                square[block] = self.priors[scale].sd ** 2 * np.exp(2 * self.log_sd**2)
        mean, variance = quantity.constant, np.zeros(quantity.shape)
        curved = any(curve.block in quantity.effects for curve in self.curves)
        if curved:
            draws = self.evaluate(quantity, self.prior_draws(PRIOR_DRAWS, seed=0))
            mean, variance = draws.mean(axis=0), draws.var(axis=0)
        for block, effect in quantity.effects.items():
            if not (curved and (block in square or block in curve_sizes(self.curves))):
                variance = variance + square.get(block, 1.0) * (effect**2).sum(axis=-1)
        return mean, np.sqrt(variance)

    def prior_draws(self, n: int, *, seed: int) -> np.ndarray:
        """Draws w (draw, latent) of the latent variables from their priors."""
        rng = np.random.default_rng(seed)
        h = rng.standard_normal((n, len(self.scale_names)))
        return self.scale_factors(h) * rng.standard_normal((n, self.n_latent))

    @property
    def latent_names(self) -> list[str]:
        """Name of each latent variable: its block and its place in it."""
        return [f"{block} {i + 1}" for block, size in self.sizes.items() for i in range(size)]

    @property
    def coords(self) -> dict[str, list[str]]:
        """Labels of the dims of a PyMC model and of its draws: scale, latent_name, row."""
        return {
            "scale": list(self.scale_names),
            "latent_name": self.latent_names,
            "row": list(self.row_labels),
        }

    @cached_property
    def reported(self) -> dict[str, Affine]:
        """Scalar quantities that tables print: sources, groups, net migration, population."""
        out = {f"gap[{c.source}]": c.value.sum() for c in self.contributions}
        for group in dict.fromkeys(kind.group for kind in KINDS.values()):
            members = [c.value.sum() for c in self.contributions if c.group == group]
            if len(members) > 1:
                out[f"group[{group}]"] = sum(members[1:], members[0])
        net = self.account.net_migration.sum((0, 1))
        for i, year in enumerate(self.sources.years):
            out[f"net_migration[{year}]"] = net[i]
        out["net_migration[all years]"] = net.sum()
        last = self.sources.last_year
        out[f"population[{last}]"] = self.account.population(last).sum()
        return out


def _evaluate(quantity: Affine, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Value (draw, ...) of a quantity from draws (draw, size) of each block.

    Values of a year and sex at a time, with the latent variables that have an effect on them
    (and a one for the constant). Of what no latent variable moves, one row for all draws.
    """
    n, size, step = next(iter(blocks.values())).shape[0], quantity.constant.size, 1
    effects = {k: e.reshape(size, -1) for k, e in quantity.effects.items() if k in blocks}
    if not effects:
        return np.broadcast_to(quantity.constant, (n, *quantity.shape))
    for length in quantity.shape[::-1]:
        step *= length if step < TOGETHER else 1
    flat, constant, one = np.empty((n, size)), quantity.constant.reshape(-1, 1), np.ones((1, n))
    for some in (slice(start, start + step) for start in range(0, size, max(step, 1))):
        used = {name: np.flatnonzero(e[some].any(axis=0)) for name, e in effects.items()}
        draws = np.concatenate([one, *(blocks[name].T[at] for name, at in used.items())])
        parts = (effects[name][some][:, at] for name, at in used.items())
        matrix = np.concatenate([constant[some], *parts], axis=1)
        np.matmul(draws.T, matrix.T, out=flat[:, some])
    return flat.reshape(n, *quantity.shape)


def curve_sizes(curves: tuple[Curve, ...]) -> dict[str, int]:
    """Number of values of each curve, by its block."""
    return {curve.block: curve.argument.constant.size for curve in curves}


def linear_model(
    sources: Sources,
    priors: Priors,
    resolution: Resolution | None = None,
    *,
    form: Form | None = None,
    stored: bool = False,
) -> LinearModel:
    """Write down the account and turn it into matrices; nothing is sampled.

    `form` says which parts are not linear (see :mod:`imps.account.variant`); such a model has
    no exact posterior.

    Parameters
    ----------
    sources : Sources
    priors : Priors
    resolution : Resolution, optional
        Number of smooth shapes over age; from the ages of the sources unless told.
    form : Form, optional
        Parts that are not linear (see :mod:`imps.account.variant`); such a model has no exact
        posterior.
    stored : bool
        Whether the priors are those of a saved fit, which were looked at when it was made: one
        that nothing uses may have had another default then.

    Returns
    -------
    LinearModel
        Rows, design and quantities in persons; latent variables are standardised.

    Raises
    ------
    PriorError
        If a source has no prior, or a prior no source.
    SourceError
        If the contributions do not sum to the gap: a fault of the package or of a
        source of the user's own, never of the data.
    """
    account = build_account(sources, priors, resolution, form)
    rows = observations(account)
    shares = contributions(account)
    if not stored:
        check_priors_used(account)
    model = assembled(account, rows, shares)
    check_closure(model)
    return model


def assembled(
    account: Account, rows: tuple[Observation, ...], shares: tuple[Contribution, ...]
) -> LinearModel:
    """The matrices of an account that is written down, over its latent variables."""
    latents = account.latents
    return LinearModel(
        account=account,
        observations=rows,
        contributions=shares,
        sizes=latents.sizes,
        scale_names=latents.scale_names,
        scale_medians=np.array([account.priors[name].sd for name in latents.scale_names]),
        scale_of=latents.scale_of,
        design=_stacked((r.mean.matrix(latents.sizes) for r in rows), latents.scale_of.size),
        offset=_stacked(r.mean.constant for r in rows),
        observed=_stacked(r.observed for r in rows),
        standard_error=_stacked(r.standard_error for r in rows),
        row_labels=tuple(label for r in rows for label in r.labels),
        row_sources=tuple(r.source for r in rows for _ in r.labels),
        row_ages=_stacked((_detail(r.ages, (len(r.labels), 2)) for r in rows), 2),
        row_years=_stacked(_detail(r.years, (len(r.labels),)) for r in rows),
        curves=tuple(latents.curves),
        curved_design=_curved_design(rows, curve_sizes(tuple(latents.curves))),
    )


def _stacked(parts: Iterable[np.ndarray], *width: int) -> np.ndarray:
    """Arrays along their first axis; empty where nothing is observed, as at an open end."""
    return np.concatenate([np.zeros((0, *width)), *parts])


def _detail(labels: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan) if labels is None else np.asarray(labels, dtype=float)


def _curved_design(rows: tuple[Observation, ...], sizes: Mapping[str, int]) -> np.ndarray:
    if not sizes:
        return np.zeros((sum(r.observed.size for r in rows), 0))
    return np.concatenate([r.mean.matrix(sizes) for r in rows])


def largest_misclosure(model: LinearModel) -> float:
    """Persons by which the contributions differ from the gap: in any cell, for any effect of a
    latent variable, and in total."""
    total = model.contributions[0].value
    for part in model.contributions[1:]:
        total = total + part.value
    rolled = rolled_forward_cells(model.account)
    rest = total - rolled
    if model.sources.open_end:
        rest = rest + model.account.population(model.sources.last_year)
    else:
        rest = rest + model.sources.census.count.values
    return max(
        float(np.abs(rest.constant).max()),
        *(float(np.abs(effect).max()) for effect in rest.effects.values()),
        abs(float(rest.constant.sum())),
        abs(float(rolled.sum() - model.sources.rolled_forward.total[-1])),
    )


def check_closure(model: LinearModel) -> None:
    """The contributions sum to the gap, whatever the latent variables are."""
    worst = largest_misclosure(model)
    if not worst < CLOSURE_TOLERANCE:
        raise SourceError(
            f"the contributions do not sum to the gap: off by {worst:.3g} persons. Does a source "
            "of your own change the account without a contribution of its own?"
        )
