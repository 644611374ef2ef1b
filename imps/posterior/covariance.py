"""Covariance of the rows of the likelihood at any scales, with its factor in blocks.

    C(h) = I + K_0 + sum_b s_b(h)^2 K_b,     K_b = A_b A_b'      (rows divided by their se)

Sources that share no unknown have no block between them; :mod:`imps.posterior.block_cholesky`
eliminates them in turn. Two things keep sources apart that would share otherwise, and change
neither C nor its determinant: rows are combined first (T C T' is factorised; a later census
less what the one before it carries forward), and few latent variables of many sources stand
beside the blocks, as an update of low rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from imps.posterior.block_cholesky import Factor, Pattern, Rows, Update, factorised, pattern
from imps.posterior.cells import LeafyFactor, cell_leaves, solved_by_draw

FORMED_AT_ONCE = 2_000_000
"""Numbers of C formed in one product: the kernels are then read once for many points."""
NO_EFFECT = 1e-14
"""Share of its largest effect under which a combined row has none: what rounding left."""

FEW = 0.1
"""Share of the rows of a source under which a column is kept without its zeros."""
AT_ONCE = 1_000_000
"""Effects up to which one product with all of them is quicker than one a source."""
STEP = 1e-4
"""Share of a squared scale in which the log determinant is differenced."""

type AnyFactor = Factor | LeafyFactor


@dataclass(frozen=True)
class _Block:
    """Rows of one part against rows of another: a kernel for each scale, and what is fixed last."""

    scales: np.ndarray
    kernels: np.ndarray

    def formed(self, squares: np.ndarray) -> np.ndarray:
        """The block at each of many squared scales (point, scale), flat."""
        one = np.ones((len(squares), 1))
        return np.hstack([squares[:, self.scales], one]) @ self.kernels


class RowCovariance:
    """C(h) for any scales.

    Parameters
    ----------
    white : ndarray (row, latent)
        Effects of the latent variables in standard errors of the rows.
    scale_of : ndarray (latent)
        Index of the scale of each latent variable, -1 where it is one.
    n_scales : int
    sources : sequence of str
        Source of each row.
    combine : sparse array (row, row), optional
        T, with ones on its diagonal and zeros above it.
    common : ndarray (latent) of bool, optional
        Latent variables that stand beside the blocks.
    bounds : (ndarray, ndarray) (scale), optional
        Least and largest squared scales that will be asked for: where surveys of many cells
        stand by their smaller side, see :mod:`imps.posterior.cells`.
    asked : ndarray (quantity, latent), optional
        Effects on the quantities whose moments will be asked for there.
    """

    def __init__(
        self,
        white: np.ndarray,
        scale_of: np.ndarray,
        n_scales: int,
        sources: Sequence[str],
        combine: sp.csr_array | None = None,
        common: np.ndarray | None = None,
        bounds: tuple[np.ndarray, np.ndarray] | None = None,
        asked: np.ndarray | None = None,
    ) -> None:
        if len(sources) != len(white):
            raise ValueError(f"{len(white)} rows of the likelihood, sources of {len(sources)}.")
        self.n_scales = n_scales
        self.white, self.scale_of = white, scale_of
        names = np.asarray(sources)
        asked = np.zeros((0, scale_of.size)) if asked is None else asked
        self.leaves = [] if bounds is None else cell_leaves(white, scale_of, names, bounds, asked)
        self.rest = np.arange(len(white))
        if self.leaves:
            combine = common = None
            self.rest = self.leaves[0].rest
            white, names = white[self.rest], names[self.rest]
            for leaf in self.leaves:
                white[:, leaf.smooth] = 0.0
        self.combine = combine
        noise = np.eye(len(white))
        if combine is not None:
            noise = (combine @ combine.T).toarray()
            white = combine @ white
            white[np.abs(white) < NO_EFFECT * np.abs(white).max(initial=0)] = 0.0
        beside = np.zeros(scale_of.size, dtype=bool) if common is None else common
        common_effects, self.common_scale = white[:, beside], scale_of[beside]
        white, scale_of = white[:, ~beside], scale_of[~beside]
        self.pattern = _pattern(white, noise, names, whole=bool(self.leaves))
        self._within = Rows(self.pattern.order, combine)
        turns = ((leaf.rows[own], turn) for leaf in self.leaves for own, turn in leaf.turns)
        self.rows = (
            Rows(np.arange(len(self.white)), turns=tuple(turns)) if self.leaves else self._within
        )
        parts = self.pattern.parts
        self.common = common_effects[self.pattern.order]
        of_scale = [np.flatnonzero(scale_of == b) for b in range(-1, n_scales)]
        self.blocks = {
            (i, j): _block(white, noise, of_scale, parts[i], parts[j])
            for i, j in self.pattern.blocks
        }
        size = sum(block.kernels.shape[1] for block in self.blocks.values())
        self.at_once = 16 if self.leaves else min(max(FORMED_AT_ONCE // size, 1), 16)

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """Rows of each block, in order of elimination."""
        return self.pattern.parts

    def factor(self, squares: np.ndarray) -> AnyFactor:
        """Factor of C at squared scales (scale)."""
        return next(self.factors(squares[None]))

    def factors(self, squares: np.ndarray) -> Iterator[AnyFactor]:
        """Factor of C at each of many squared scales (point, scale).

        Raises
        ------
        LinAlgError
            If C overflows: the scales have run away.
        """
        edges = [*range(0, len(squares), self.at_once), len(squares)]
        for start, end in pairwise(edges):
            formed = {ij: b.formed(squares[start:end]) for ij, b in self.blocks.items()}
            at = zip(*(leaf.at(squares[start:end]) for leaf in self.leaves), strict=True)
            for k in range(end - start):
                flat = {ij: numbers[k] for ij, numbers in formed.items()}
                if not self.leaves:
                    yield self._factor(flat, squares[start + k])
                    continue
                leaves, beside = zip(*next(at), strict=True)
                added, m, own = sum(beside), self.rest.size, squares[start + k]
                flat[0, 0] += added[:m, :m].ravel()
                others = self._factor(flat, own)
                yield LeafyFactor(leaves, others, self.rest, own, self.rows, added)

    def _factor(self, flat: dict[tuple[int, int], np.ndarray], squares: np.ndarray) -> Factor:
        parts = self.pattern.parts
        blocks = {(i, j): flat[i, j].reshape(parts[i].size, parts[j].size) for i, j in flat}
        factor = Factor(self.pattern, *factorised(self.pattern, blocks), self._within)
        if not self.common.size:
            return factor
        effects = self.common * np.sqrt(np.append(squares, 1.0)[self.common_scale])
        return replace(factor, update=Update.of(factor.forward(effects)))

    def solved_by_draw(
        self, factors: Iterable[AnyFactor], counts: np.ndarray, x: np.ndarray
    ) -> np.ndarray:
        """C^-1 x (row, draw), of which `counts` draws belong to each factor in turn."""
        out = self.rows.combined(x)
        if self.leaves:
            leafy = [factor for factor in factors if isinstance(factor, LeafyFactor)]
            return self.rows.back(solved_by_draw(leafy, counts, out))
        start = 0
        for count, factor in zip(counts, factors, strict=True):
            mine = slice(start, start + int(count))
            out[:, mine] = factor.solved_of_combined(out[:, mine])
            start += int(count)
        return self.rows.back(out)

    def crossed(self, x: np.ndarray) -> np.ndarray:
        """Covariance x (row, quantity) with the rows, as `learnt` of a factor takes it."""
        return x[self.rest] if self.leaves else self.rows.combined(x)

    def slope(self, factor: AnyFactor, residual: np.ndarray) -> np.ndarray:
        """a' K_b a - tr(C^-1 K_b) for each scale b, with a = C^-1 r.

        Twice the derivative of the log density of the rows in s_b^2.
        """
        solved = factor.solved_of_combined(self.rows.combined(residual))
        if isinstance(factor, LeafyFactor):
            return self._slope_with_leaves(factor, solved)
        return self._slope(factor, solved)

    def _slope(self, factor: Factor, solved: np.ndarray) -> np.ndarray:
        out, places = np.zeros(self.n_scales), self.pattern.places
        for (i, j), block in self.blocks.items():
            explained = np.outer(solved[places[i]], solved[places[j]])
            excess = (explained - factor.inverse[i, j]).ravel()
            out[block.scales] += (1 if i == j else 2) * (block.kernels[:-1] @ excess)
        halves = factor.half_of_combined(self.common)
        each = (self.common.T @ solved) ** 2 - (halves**2).sum(axis=0)
        np.add.at(out, self.common_scale[self.common_scale >= 0], each[self.common_scale >= 0])
        return out

    def _slope_with_leaves(self, factor: LeafyFactor, solved: np.ndarray) -> np.ndarray:
        """The same of turned rows, where latent variables of the leaves count by their posterior
        variance.

        tr(C^-1 K_b) of the cells is the derivative of the log determinant, by a difference.
        """
        rest, m = solved[self.rest], self.rest.size
        out = self._slope(factor.others, rest[self.pattern.order])
        for at in factor.leaves:
            leaf, own = at.leaf, solved[at.leaf.rows]
            each = (leaf.effects.T @ own + leaf.others[:m].T @ rest) ** 2
            each -= (1 - at.variance(factor.others)) / at.sizes**2
            np.add.at(out, leaf.scale_of[leaf.scale_of >= 0], each[leaf.scale_of >= 0])
            explained = leaf.values @ own**2 + 2 * own @ (leaf.across[:, :m] @ rest)
            explained += ((leaf.cells_of_rest.T @ rest) ** 2).sum()
            up, down = (self.factor(factor.squares * (1 + step * one)).log_determinant
                        for step in (STEP, -STEP)
                        for one in [np.arange(self.n_scales) == leaf.scale])  # fmt: skip
            trace = (up - down) / (2 * STEP * at.square)
            out[leaf.scale] = explained - trace
        return out


def _pattern(white: np.ndarray, noise: np.ndarray, sources: np.ndarray, whole: bool) -> Pattern:
    """Sources that share an unknown or an error, in an order of elimination."""
    if whole:
        return Pattern((np.arange(len(white)),), ((),))
    names = list(dict.fromkeys(sources.tolist()))
    rows = [np.flatnonzero(sources == name) for name in names]
    sees = np.stack([(white[r] != 0).any(axis=0) for r in rows]).astype(int)
    errs = np.array([[noise[np.ix_(r, s)].any() for s in rows] for r in rows])
    return pattern(rows, (sees @ sees.T > 0) | errs)


def _block(
    white: np.ndarray,
    noise: np.ndarray,
    of_scale: list[np.ndarray],
    rows: np.ndarray,
    others: np.ndarray,
) -> _Block:
    fixed, *kernels = (
        (white[np.ix_(rows, place)] @ white[np.ix_(others, place)].T).ravel() for place in of_scale
    )
    scales = np.flatnonzero([kernel.any() for kernel in kernels])
    fixed += noise[np.ix_(rows, others)].ravel()
    return _Block(scales, np.array([*(kernels[b] for b in scales), fixed]))


class Effects:
    """Products with the effects of the latent variables: at once, or many source by source.

    Columns that few rows of a source see, as those of its cells, are kept without their zeros.
    """

    def __init__(self, white: np.ndarray, sources: Sequence[str]) -> None:
        self.shape, self.whole = white.shape, white if white.size <= AT_ONCE else None
        if self.whole is not None:
            return
        names = np.asarray(sources)
        self.parts = []
        for rows in (np.flatnonzero(names == name) for name in dict.fromkeys(sources)):
            seen = np.count_nonzero(white[rows], axis=0)
            dense = np.flatnonzero(seen > FEW * rows.size)
            few = np.flatnonzero((seen > 0) & (seen <= FEW * rows.size))
            thin = sp.csr_array(white[np.ix_(rows, few)])
            self.parts.append((rows, dense, white[np.ix_(rows, dense)], few, thin))

    def of(self, latents: np.ndarray) -> np.ndarray:
        """Rows (draw, row) of draws (draw, latent)."""
        if self.whole is not None:
            return latents @ self.whole.T
        out = np.empty((len(latents), self.shape[0]))
        for rows, dense, effects, few, thin in self.parts:
            out[:, rows] = latents[:, dense] @ effects.T
            if few.size:
                out[:, rows] += latents[:, few] @ thin.T
        return out

    def back(self, rows_of: np.ndarray) -> np.ndarray:
        """The transpose: (draw, latent) of (draw, row)."""
        if self.whole is not None:
            return rows_of @ self.whole
        out = np.zeros((len(rows_of), self.shape[1]))
        for rows, dense, effects, few, thin in self.parts:
            own = rows_of[:, rows]
            out[:, dense] += own @ effects
            if few.size:
                out[:, few] += own @ thin
        return out
