"""Cholesky factor of a covariance whose blocks are mostly zero.

Groups of rows that share nothing have a block of zeros between them. They are eliminated in
an order that keeps most of those blocks empty, and groups that cost less together are one:

    L_jj L_jj' = C_jj,    W_ij = L_jj^-1 C_ji,    C_ik <- C_ik - W_ij' W_kj    for i, k below j

The survey's directions meet in the census alone: two leaves and a border. Periods of a chain
reach their neighbours alone: a band, of which a longer chain has more and no wider one.

References
----------
George and Liu (1981), Computer Solution of Large Sparse Positive Definite Systems.
Takahashi, Fagan and Chin (1973), Formation of a sparse bus impedance matrix: the blocks of
the inverse where the factor has some.
Andrews (1968), AIAA Journal 6, 1165-1166: the square root of a low-rank update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
import scipy.sparse as sp
from scipy.linalg.blas import dgemm, dsyrk
from scipy.linalg.lapack import dpotrf, dpotri, dtrtrs

CALL = 300_000
"""Operations whose time one more call of a routine takes."""
FORMING = 40
"""Operations that forming one number of C takes."""


@dataclass(frozen=True)
class Pattern:
    """Which blocks of rows are eliminated when, and which of the later ones each reaches.

    Attributes
    ----------
    parts : tuple of ndarray
        Rows of each block, in order of elimination.
    below : tuple of tuple of int
        Blocks that each one reaches, those included that fill on the way.
    """

    parts: tuple[np.ndarray, ...]
    below: tuple[tuple[int, ...], ...]

    @cached_property
    def order(self) -> np.ndarray:
        """Rows in order of elimination."""
        return np.concatenate(self.parts)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where the rows of each block stand in that order."""
        ends = np.cumsum([0, *(part.size for part in self.parts)])
        return tuple(slice(*pair) for pair in pairwise(ends.tolist()))

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Blocks (later, earlier) that are not zero, those on the diagonal among them."""
        return [(i, j) for j, below in enumerate(self.below) for i in (j, *below)]


def pattern(rows: Sequence[np.ndarray], shared: np.ndarray) -> Pattern:
    """An order of elimination for groups of rows, of which (group, group) share something.

    The group that fills the fewest blocks is next, the cheapest of those; then a group joins
    the first that it reaches where one larger block costs less than two.
    """
    order, reached = _eliminated([r.size for r in rows], shared)
    place = {group: i for i, group in enumerate(order)}
    parts = [rows[group] for group in order]
    below = [{place[i] for i in reached[group]} for group in order]
    for child in range(len(parts)):
        if below[child]:
            joined = _joined(parts, below, child, min(below[child]))
            if _cost(*joined) < _cost(parts, below):
                parts, below = joined
    kept = [i for i, part in enumerate(parts) if part.size]
    new = {i: k for k, i in enumerate(kept)}
    return Pattern(
        tuple(parts[i] for i in kept),
        tuple(tuple(sorted(new[k] for k in below[i])) for i in kept),
    )


def _eliminated(sizes: Sequence[int], shared: np.ndarray) -> tuple[list[int], dict[int, set[int]]]:
    """Groups in order of elimination, and the groups that each one reaches then."""
    left = {i: set(np.flatnonzero(row).tolist()) - {i} for i, row in enumerate(shared)}
    reached: dict[int, set[int]] = {}
    order: list[int] = []

    def price(i: int) -> tuple[int, int]:
        filled = sum(sizes[j] * sizes[k] for j, k in combinations(left[i], 2) if k not in left[j])
        return filled, _operations(sizes[i], sum(sizes[k] for k in left[i]))

    while left:
        new = min(left, key=price)
        order.append(new)
        reached[new] = left.pop(new)
        for i in reached[new]:
            left[i] = (left[i] | reached[new]) - {i, new}
    return order, reached


def _joined(
    parts: Sequence[np.ndarray], below: Sequence[set[int]], child: int, parent: int
) -> tuple[list[np.ndarray], list[set[int]]]:
    """The same with the rows of one block in another, and no rows left in its own place."""
    parts, below = list(parts), [set(reached) for reached in below]
    parts[parent] = np.concatenate([parts[child], parts[parent]])
    parts[child], below[child] = parts[child][:0], set()
    for reached in below:
        if child in reached:
            reached.remove(child)
            reached.add(parent)
    return parts, below


def _operations(n: int, reached: int) -> int:
    """Of the elimination of n rows that reach others, the forming of their blocks included."""
    return n**3 // 3 + n * n * reached + n * reached**2 + FORMING * n * (n + reached)


def _cost(parts: Sequence[np.ndarray], below: Sequence[set[int]]) -> int:
    calls = sum(1 + len(b) + len(b) * (len(b) + 1) // 2 for b in below)
    return CALL * calls + sum(
        _operations(part.size, sum(parts[i].size for i in reached))
        for part, reached in zip(parts, below, strict=True)
    )


@dataclass(frozen=True)
class Update:
    """Square root of the inverse of I + U U', of low rank.

    I - U (I + U'U)^-1 U' = (I - U Y U')(I - U Y U')',  R R' = I + U'U,  Y = R'^-1 (I + R)^-1.

    Attributes
    ----------
    effects : ndarray (row, latent)
        U = L^-1 A.
    root : ndarray (latent, latent)
        R.
    """

    effects: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, effects: np.ndarray) -> Update:
        """Of the effects U."""
        return cls(effects, cholesky(np.eye(effects.shape[1]) + effects.T @ effects))

    def half(self, x: np.ndarray) -> np.ndarray:
        """(I - U Y U')' x."""
        known = triangular(self.root, self.effects.T @ x)
        return x - self.effects @ triangular(and_one(self.root), known, trans=1)

    def solve(self, x: np.ndarray) -> np.ndarray:
        """(I + U U')^-1 x."""
        known = triangular(self.root, self.effects.T @ x)
        return x - self.effects @ triangular(self.root, known, trans=1)


@dataclass(frozen=True)
class Rows:
    """Sums of the rows in which C is factorised, with a determinant of one.

    Attributes
    ----------
    order : ndarray
        Rows in order of elimination.
    combine : sparse array (row, row), optional
        T, of which T C T' is factorised in place of C.
    turns : tuple of (ndarray, ndarray)
        Rows and the orthonormal matrix whose transpose they are multiplied by.
    """

    order: np.ndarray
    combine: sp.csr_array | None = None
    turns: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def combined(self, x: np.ndarray) -> np.ndarray:
        """T x for columns x (row, ...), in order of elimination."""
        out = (x if self.combine is None else self.combine @ x)[self.order]
        for rows, turn in self.turns:
            out[rows] = turn.T @ out[rows]
        return out

    def back(self, x: np.ndarray) -> np.ndarray:
        """T' x for columns x (row, ...) in order of elimination."""
        out = np.empty(x.shape)
        out[self.order] = x
        for rows, turn in self.turns:
            out[rows] = turn @ out[rows]
        return out if self.combine is None else self.combine.T @ out


@dataclass(frozen=True)
class Factor:
    """Lower Cholesky factor L of C, in blocks, its rows in order of elimination.

    Attributes
    ----------
    pattern : Pattern
    lower : tuple of ndarray
        Factors on the diagonal, whose upper triangles are not cleared.
    reach : mapping of (i, j) to ndarray (row of block j, row of block i)
        W_ij, transposed as it is used.
    rows : Rows
    update : Update, optional
        What few latent variables add that all rows share.
    """

    pattern: Pattern
    lower: tuple[np.ndarray, ...]
    reach: Mapping[tuple[int, int], np.ndarray]
    rows: Rows
    update: Update | None = None

    @property
    def log_determinant(self) -> float:
        """Log determinant of C."""
        roots = self.lower if self.update is None else (*self.lower, self.update.root)
        return 2 * float(sum(np.log(np.diagonal(lower)).sum() for lower in roots))

    @property
    def size(self) -> int:
        """Numbers held."""
        own = 0 if self.update is None else self.update.effects.size
        return own + sum(x.size for x in (*self.lower, *self.reach.values()))

    def half(self, x: np.ndarray) -> np.ndarray:
        """A root of C^-1 times columns x (row, ...): inner products of halves are x' C^-1 y."""
        return self.half_of_combined(self.rows.combined(x))

    def solve(self, x: np.ndarray) -> np.ndarray:
        """C^-1 x for columns x (row, ...)."""
        return self.rows.back(self.solved_of_combined(self.rows.combined(x)))

    def half_of_combined(self, x: np.ndarray) -> np.ndarray:
        """A root of (T C T')^-1 times columns x (row, ...)."""
        out = self.forward(x)
        return out if self.update is None else self.update.half(out)

    def square_of_combined(self, x: np.ndarray) -> float:
        """x' (T C T')^-1 x of x (row)."""
        half = self.half_of_combined(x)
        return float(half @ half)

    def learnt(self, y: np.ndarray, cross: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """y' C^-1 y of combined rows y, and what they say of quantities with covariance `cross`
        (quantity, row) with them: shift, and change of variance."""
        half = self.half_of_combined(np.vstack([y, cross]).T)
        own, others = half[:, 0], half[:, 1:]
        return float(own @ own), own @ others, -(others**2).sum(axis=0)

    def solved_of_combined(self, x: np.ndarray) -> np.ndarray:
        """(T C T')^-1 x for columns x (row, ...)."""
        out = self.forward(x)
        return self.backward(out if self.update is None else self.update.solve(out))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """L^-1 x of the blocks alone."""
        out, places = np.array(x, dtype=float), self.pattern.places
        for j, rows in enumerate(places):
            found = out[rows] = triangular(self.lower[j], out[rows])
            for i in self.pattern.below[j]:
                out[places[i]] -= self.reach[i, j].T @ found
        return out

    def backward(self, x: np.ndarray) -> np.ndarray:
        """L'^-1 x of the blocks alone."""
        out, places = np.array(x, dtype=float), self.pattern.places
        for j in reversed(range(len(places))):
            found = out[places[j]]
            for i in self.pattern.below[j]:
                found -= self.reach[i, j] @ out[places[i]]
            found[:] = triangular(self.lower[j], found, trans=1)
        return out

    @cached_property
    def inverse(self) -> dict[tuple[int, int], np.ndarray]:
        """Blocks (later, earlier) of (T C T')^-1 where the factor has some."""
        out: dict[tuple[int, int], np.ndarray] = {}
        for j in reversed(range(len(self.lower))):
            below = self.pattern.below[j]
            back = {i: triangular(self.lower[j], self.reach[i, j], trans=1) for i in below}
            out[j, j] = _inverse(self.lower[j])
            for i in below:
                out[i, j] = -sum((out[i, k] if i >= k else out[k, i].T) @ back[k].T for k in below)
                out[j, j] = out[j, j] - back[i] @ out[i, j]
        if self.update is not None:
            root = triangular(self.update.root, self.update.effects.T).T
            shared = [self.backward(root)[rows] for rows in self.pattern.places]
            out = {(i, j): block - shared[i] @ shared[j].T for (i, j), block in out.items()}
        return out


def factorised(
    of: Pattern, formed: Mapping[tuple[int, int], np.ndarray]
) -> tuple[tuple[np.ndarray, ...], dict[tuple[int, int], np.ndarray]]:
    """Factors on the diagonal and below of the blocks (later, earlier), which are overwritten."""
    c = {ij: block.T for ij, block in formed.items()}  # as LAPACK wants them without a copy
    lower, reach = [], {}
    for j, below in enumerate(of.below):
        lower.append(cholesky(c[j, j]))
        for i in below:
            reach[i, j] = dtrtrs(lower[j], c[i, j], lower=1, overwrite_b=1)[0]
        for n, i in enumerate(below):
            w = reach[i, j]
            c[i, i] = dsyrk(-1.0, w, beta=1.0, c=c[i, i], trans=1, lower=1, overwrite_c=1)
            for k in below[:n]:
                c[i, k] = dgemm(-1.0, reach[k, j], w, 1.0, c[i, k], trans_a=1, overwrite_c=1)
    return tuple(lower), reach


def cholesky(c: np.ndarray) -> np.ndarray:
    """Lower factor in the lower triangle; what stands above it stays.

    Raises
    ------
    LinAlgError
        If it is not positive definite.
    """
    lower, failed = dpotrf(c, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("covariance of the rows is not positive definite")
    return lower


def and_one(lower: np.ndarray) -> np.ndarray:
    """I + L."""
    out = lower.copy(order="F")
    out[np.diag_indices_from(out)] += 1
    return out


def triangular(lower: np.ndarray, x: np.ndarray, trans: int = 0) -> np.ndarray:
    """L^-1 x, or L'^-1 x with `trans`."""
    return dtrtrs(lower, x, lower=1, trans=trans)[0]


def _inverse(lower: np.ndarray) -> np.ndarray:
    """(L L')^-1 from its lower triangle."""
    half = np.tril(dpotri(lower, lower=1)[0])
    return half + np.tril(half, -1).T
