"""Survey cells in fine detail: more rows than latent variables, but for one a cell.

    C_l = I + s^2 B B' + A S^2 A',     B B' = V diag(lambda) V'

Each published cell may depart by itself (B, of the unknown scale s), which ties it to the same
sex in the years and ages beside it alone, in the same way at every s. All else that such a
survey shows is smooth (A) and has fewer latent variables z than there are rows. So the smaller
side is factorised: with rows turned by V', P = V'A, D = I + s^2 diag(lambda) and
M = I + S P'D^-1 P S,

    log det C_l = sum log D + log det M,
    rows c of other sources given these:  A_c - s^2 Q'D^-1 P  of z,   Q = V'B B_c'.

Most of z is of one sex, and so are most rows c: M is two blocks with a border of what both sexes
share, and is eliminated as such (:mod:`imps.posterior.block_cholesky`).

Sums over the rows depend on s alone, through 1 / (1 + s^2 lambda): smooth in log s^2, to
rounding a sum of some twenty functions of s times functions of lambda (interpolation at
Chebyshev points, then a singular value decomposition). The sums of these are made once; no pass
over the cells is left.

References
----------
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, A.3 (Woodbury).
Berrut and Trefethen (2004), Barycentric Lagrange interpolation, SIAM Review 46, 501-517.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from imps.posterior.block_cholesky import Factor, Rows, and_one, factorised, triangular
from imps.posterior.cell_structure import interpolated, nodes_for, parts_of, runs_of, turns_of

LEAST_ROWS = 400
"""Rows of a survey from which the smaller side is looked for."""
SMALLER = 0.5
"""Latent variables a row under which they are the smaller side."""
LARGEST_BLOCK = 1000
"""Rows that cells may tie together, those of one sex."""
LEAST_SHARE = 1e-16
"""Singular value, as a share of the largest, of the last function that counts."""
NO_EFFECT = 1e-14
"""Share of the largest effect under which a survey shows nothing: what rounding left."""


class CellLeaf:
    """Rows of a survey whose cells depart by themselves, in what the other rows need of them.

    Parameters
    ----------
    white : ndarray (row, latent)
        Effects on all rows in standard errors.
    scale_of : ndarray (latent)
    rows, rest : ndarray
        Rows of the survey, and those of all sources that are no such survey.
    cells, smooth : ndarray
        Latent variables of B, of one scale, and of A.
    asked : ndarray (quantity, latent)
        Effects on quantities whose moments are asked for: they stand as rows of the rest do.
    bounds : (ndarray, ndarray) (scale)
        Squared scales between which the sums are interpolated.
    """

    def __init__(
        self,
        white: np.ndarray,
        scale_of: np.ndarray,
        rows: np.ndarray,
        rest: np.ndarray,
        cells: np.ndarray,
        smooth: np.ndarray,
        asked: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self.rows, self.rest = rows, rest
        own = sp.csr_array(white[np.ix_(rows, cells)])
        self.turns, self.values = turns_of(sp.csr_array(own @ own.T))
        turned = Rows(np.arange(rows.size), turns=self.turns)
        effects = turned.combined(white[np.ix_(rows, smooth)])
        self.pattern = parts_of(effects, [own for own, _ in self.turns])
        self.smooth = smooth[self.pattern.order]
        self.scale, self.scale_of = int(scale_of[cells[0]]), scale_of[self.smooth]
        self.effects = effects[:, self.pattern.order]
        others = np.vstack([white[rest], asked])
        self.across = turned.combined(own @ others[:, cells].T)
        self.others = others[:, self.smooth]
        self.cells_of_rest = sp.csr_array(white[np.ix_(rest, cells)])
        self.columns = [
            np.arange(len(others)) if not below else self._reached(part)
            for part, below in zip(self.pattern.places, self.pattern.below, strict=True)
        ]
        self.runs = [runs_of(columns) for columns in self.columns]
        low, high = (float(np.log(x[self.scale])) for x in bounds)
        self.nodes, self.barycentric = nodes_for(self.values, low, high)
        left, size, right = np.linalg.svd(
            1 / (1 + np.exp(self.nodes)[:, None] * self.values), full_matrices=False
        )
        self.of_scale = (left * size)[:, size > LEAST_SHARE * size[0]]
        sums = [self._sums(weight) for weight in right[: self.of_scale.shape[1]]]
        self.sums = [np.stack([x.ravel() for x in one]) for one in zip(*sums, strict=True)]
        self.shapes = [x.shape for x in self._sums(right[0])]

    def _reached(self, part: slice) -> np.ndarray:
        """Rows of the rest and quantities asked for that latent variables of a part move."""
        mine = self.effects[:, part].any(axis=1)
        return np.flatnonzero(self.others[:, part].any(axis=1) | self.across[mine].any(axis=0))

    def _sums(self, weight: np.ndarray) -> list[np.ndarray]:
        """Q'wQ of weights of the rows, such as those of D^-1, then P'wP in its blocks that are
        not zero and P'wQ by its parts."""
        e, places = self.effects.T * weight, self.pattern.places
        smooth = [e[places[i]] @ self.effects[:, places[j]] for i, j in self.pattern.blocks]
        mixed = [e[at] @ self.across[:, to] for at, to in zip(places, self.columns, strict=True)]
        return [(self.across.T * weight) @ self.across, *smooth, *mixed]

    def at(self, squares: np.ndarray) -> list[tuple[LeafFactor, np.ndarray]]:
        """The leaf at each of many squared scales (point, scale), and what stands beside the own
        covariance of rest and quantities asked for given it: W'W - s^4 Q'D^-1 Q."""
        own = squares[:, self.scale]
        weights = interpolated(np.log(own), self.nodes, self.barycentric) @ self.of_scale
        made = [(weights @ x).reshape(-1, *n) for x, n in zip(self.sums, self.shapes, strict=True)]
        inside = (np.log(own) >= self.nodes[0]) & (np.log(own) <= self.nodes[-1])
        return [
            self._factor(
                squares[k],
                [x[k] for x in made] if inside[k] else self._sums(1 / (1 + own[k] * self.values)),
            )
            for k in range(len(own))
        ]

    def _factor(self, squares: np.ndarray, sums: list[np.ndarray]) -> tuple[LeafFactor, np.ndarray]:
        square, n = float(squares[self.scale]), len(self.pattern.blocks)
        s = np.sqrt(np.append(squares, 1.0)[self.scale_of])
        of_part, formed = [s[at] for at in self.pattern.places], {}
        for (i, j), found in zip(self.pattern.blocks, sums[1 : n + 1], strict=True):
            formed[i, j] = of_part[i][:, None] * found * of_part[j]
            if i == j:
                formed[i, j][np.diag_indices_from(formed[i, j])] += 1
        root = Factor(self.pattern, *factorised(self.pattern, formed), Rows(self.pattern.order))
        moved = [
            own[:, None] * (self.others[to, at].T - square * mixed)
            for own, at, to, mixed in zip(
                of_part, self.pattern.places, self.columns, sums[n + 1 :], strict=True
            )
        ]
        added, reach = -(square**2) * sums[0], []
        for j in range(len(moved)):
            reach.append(triangular(root.lower[j], moved[j]))
            for i in self.pattern.below[j]:
                less = root.reach[i, j].T @ reach[j]
                for here, own in self.runs[j]:
                    moved[i][:, here] -= less[:, own]
            known = reach[j].T @ reach[j]
            for here, own in self.runs[j]:
                for there, other in self.runs[j]:
                    added[here, there] += known[own, other]
        return LeafFactor(self, square, s, root, tuple(reach)), added


@dataclass(frozen=True)
class LeafFactor:
    """A leaf at given scales.

    Attributes
    ----------
    leaf : CellLeaf
    square : float
        s^2 of the cells.
    sizes : ndarray (latent)
        S.
    root : Factor
        R, with R R' = M.
    reach : tuple of ndarray (latent of a part, row of the rest and quantity that it moves)
        W = R^-1 S (A_c - s^2 Q'D^-1 P)'.
    """

    leaf: CellLeaf
    square: float
    sizes: np.ndarray
    root: Factor
    reach: tuple[np.ndarray, ...]

    @cached_property
    def noise(self) -> np.ndarray:
        """Diagonal of D."""
        return 1 + self.square * self.leaf.values

    @property
    def log_determinant(self) -> float:
        """Log determinant of C_l."""
        return float(np.log(self.noise).sum()) + self.root.log_determinant

    @property
    def size(self) -> int:
        """Numbers held."""
        return self.root.size + sum(x.size for x in self.reach)

    def _seen(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """D^-1 x and R^-1 S P'D^-1 x of turned columns."""
        known = x / _column(self.noise, x)
        shown = _column(self.sizes, x) * (self.leaf.effects.T @ known)
        return known, self.root.forward(shown)

    def half(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A root of C_l^-1 times turned columns x (row, ...), and C_cl C_l^-1 x: what they say
        of the others. See :class:`imps.posterior.block_cholesky.Update`."""
        known, shown = self._seen(x)
        one_more = replace(self.root, lower=tuple(and_one(x) for x in self.root.lower))
        moved = _column(self.sizes, x) * one_more.backward(shown)
        half = known - self.leaf.effects @ moved / _column(self.noise, x)
        return half * np.sqrt(_column(self.noise, x)), self._taken(known, shown)

    def square_of(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """x' C_l^-1 x of a turned x (row), and C_cl C_l^-1 x: what it says of the others."""
        known, shown = self._seen(x)
        return float(x @ known - shown @ shown), self._taken(known, shown)

    def _taken(self, known: np.ndarray, shown: np.ndarray) -> np.ndarray:
        return self.square * (self.leaf.across.T @ known) + self.told(shown)

    def told(self, shown: np.ndarray) -> np.ndarray:
        """W' of z (latent, ...): what they say of the others."""
        out = np.zeros((self.leaf.others.shape[0], *shown.shape[1:]))
        places, columns = self.leaf.pattern.places, self.leaf.columns
        for at, to, reach in zip(places, columns, self.reach, strict=True):
            out[to] += reach.T @ shown[at]
        return out

    def variance(self, others: Factor) -> np.ndarray:
        """Posterior variance of the standardised z given all rows, (latent)."""
        inverse, places = self.root.inverse, self.leaf.pattern.places
        alone = np.concatenate([np.diagonal(inverse[j, j]) for j in range(len(places))])
        learnt = others.half(
            self.told(self.root.forward(np.eye(alone.size)))[: self.leaf.rest.size]
        )
        return alone - (learnt**2).sum(axis=0)


def cell_leaves(
    white: np.ndarray,
    scale_of: np.ndarray,
    sources: np.ndarray,
    squares: tuple[np.ndarray, np.ndarray],
    asked: np.ndarray,
) -> list[CellLeaf]:
    """Surveys of which the latent variables are the smaller side, where they share none."""
    found, taken = [], np.zeros(scale_of.size, dtype=bool)
    for name in dict.fromkeys(sources.tolist()):
        rows = np.flatnonzero(sources == name)
        if rows.size < LEAST_ROWS:
            continue
        size = np.abs(white[rows]).max(axis=0)
        sees = size > NO_EFFECT * size.max()
        cells = _own_cells(white[rows], scale_of, sees)
        smooth = np.flatnonzero(sees & ~np.isin(np.arange(sees.size), cells))
        if cells.size and smooth.size < SMALLER * rows.size and not (taken & sees).any():
            taken |= sees
            found.append((rows, cells, smooth))
    rest = np.flatnonzero(~np.isin(np.arange(len(white)), [i for r, _, _ in found for i in r]))
    return [
        CellLeaf(white, scale_of, rows, rest, cells, smooth, asked, squares)
        for rows, cells, smooth in found
    ]


def _own_cells(effects: np.ndarray, scale_of: np.ndarray, sees: np.ndarray) -> np.ndarray:
    """Latent variables of one scale that tie few rows each; none where there is no such scale."""
    counts = [int((sees & (scale_of == b)).sum()) for b in range(scale_of.max() + 1)]
    if not counts:
        return np.zeros(0, dtype=int)
    own = np.flatnonzero(scale_of == int(np.argmax(counts)))
    ties = sp.csr_array(effects[:, own])
    _, block = connected_components(ties @ ties.T, directed=False)
    return own if np.bincount(block).max() <= LARGEST_BLOCK else own[:0]


def _column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values if like.ndim == 1 else values[:, None]


@dataclass(frozen=True)
class LeafyFactor:
    """Factor of C where surveys stand by their smaller side; as a :class:`Factor` is used.

    Attributes
    ----------
    leaves : tuple of LeafFactor
    others : Factor
        Of the rest of the rows, given the leaves.
    rest : ndarray
        Those rows.
    squares : ndarray (scale)
    rows : Rows
        Turned, each leaf by its V'.
    added : ndarray (row of the rest and quantity asked for, the same)
        What stands beside their own covariance given the leaves.
    """

    leaves: Sequence[LeafFactor]
    others: Factor
    rest: np.ndarray
    squares: np.ndarray
    rows: Rows
    added: np.ndarray

    @property
    def log_determinant(self) -> float:
        """Log determinant of C."""
        return self.others.log_determinant + sum(leaf.log_determinant for leaf in self.leaves)

    @property
    def size(self) -> int:
        """Numbers held, once it is :attr:`held`."""
        return self.others.size + sum(leaf.size for leaf in self.leaves)

    @property
    def held(self) -> LeafyFactor:
        """The factor without what moments alone need."""
        return replace(self, added=np.zeros((0, 0)))

    def half(self, x: np.ndarray) -> np.ndarray:
        """A root of C^-1 times columns x (row, ...): inner products of halves are x' C^-1 y."""
        return self.half_of_combined(self.rows.combined(x))

    def solve(self, x: np.ndarray) -> np.ndarray:
        """C^-1 x for columns x (row, ...)."""
        return self.rows.back(self.solved_of_combined(self.rows.combined(x)))

    def half_of_combined(self, x: np.ndarray) -> np.ndarray:
        """A root of C^-1 times turned columns x (row, ...)."""
        out, rest = np.empty(x.shape), x[self.rest]
        for leaf in self.leaves:
            out[leaf.leaf.rows], taken = leaf.half(x[leaf.leaf.rows])
            rest -= taken[: self.rest.size]
        out[self.rest] = self.others.half(rest)
        return out

    def square_of_combined(self, x: np.ndarray) -> float:
        """x' C^-1 x of a turned x (row)."""
        square, told = self._told(x)
        half = self.others.half(x[self.rest] - told[: self.rest.size])
        return float(half @ half) + square

    def learnt(self, y: np.ndarray, cross: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """y' C^-1 y of turned rows y, and what they say of the quantities asked for: shift, and
        change of variance.

        `cross` (quantity, row of the rest) and their variance before are of the latent
        variables that are no smooth part of a leaf.
        """
        (square, told), m = self._told(y), self.rest.size
        combined = self.others.rows.combined(
            np.column_stack([y[self.rest] - told[:m], cross.T + self.added[:m, m:]])
        )
        more, shift, change = self.others.learnt(combined[:, 0], combined[:, 1:].T)
        return square + more, told[m:] + shift, np.diagonal(self.added)[m:] + change

    def _told(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """What the leaves add to x' C^-1 x of a turned x (row), and say of the others."""
        found = [leaf.square_of(x[leaf.leaf.rows]) for leaf in self.leaves]
        return sum(square for square, _ in found), np.sum([told for _, told in found], axis=0)

    def solved_of_combined(self, x: np.ndarray) -> np.ndarray:
        """C^-1 x for turned columns x (row, ...)."""
        columns = x.reshape(len(x), -1)
        return solved_by_draw([self], np.array([columns.shape[1]]), columns).reshape(x.shape)


def solved_by_draw(factors: Sequence[LeafyFactor], counts: np.ndarray, x: np.ndarray) -> np.ndarray:
    """C^-1 x for turned columns x (row, draw), of which `counts` belong to each factor in turn.

    Products over the cells are made of all draws at once.
    """
    owner, ends = np.repeat(np.arange(len(counts)), counts), np.cumsum([0, *counts])
    mine = [slice(*pair) for pair in pairwise(ends.tolist())]
    out, rest = np.empty(x.shape), factors[0].rest
    left, m = x[rest], rest.size
    of_leaf = [[factor.leaves[k] for factor in factors] for k in range(len(factors[0].leaves))]
    for leaves in of_leaf:
        leaf = leaves[0].leaf
        noise, sizes, squares = _of_draws(leaves, owner)
        known = x[leaf.rows] / noise
        shown = sizes * (leaf.effects.T @ known)
        left -= squares * (leaf.across[:, :m].T @ known)
        for own, at in zip(leaves, mine, strict=True):
            left[:, at] -= own.told(own.root.forward(shown[:, at]))[:m]
    for factor, at in zip(factors, mine, strict=True):
        left[:, at] = factor.others.solve(left[:, at])
    out[rest] = left
    for leaves in of_leaf:
        leaf = leaves[0].leaf
        noise, sizes, squares = _of_draws(leaves, owner)
        explained = leaf.effects @ (sizes**2 * (leaf.others[:m].T @ left))
        known = (x[leaf.rows] - explained - squares * (leaf.across[:, :m] @ left)) / noise
        z = sizes * (leaf.effects.T @ known)
        for own, at in zip(leaves, mine, strict=True):
            z[:, at] = own.root.backward(own.root.forward(z[:, at]))
        out[leaf.rows] = known - leaf.effects @ (sizes * z) / noise
    return out


def _of_draws(
    leaves: Sequence[LeafFactor], owner: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diagonal of D (row, draw), S (latent, draw) and s^2 (draw) of the factor of each draw."""
    noise = np.stack([leaf.noise for leaf in leaves], axis=1)[:, owner]
    sizes = np.stack([leaf.sizes for leaf in leaves], axis=1)[:, owner]
    return noise, sizes, np.array([leaf.square for leaf in leaves])[owner]
