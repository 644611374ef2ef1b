"""Covariance of the rows of the likelihood, factorised where sources share nothing.

    C(h) = I + K_0 + sum_b s_b(h)^2 K_b,     K_b = A_b A_b'      (rows divided by their se)

Immigration and emigration, as the survey saw them, share no unknown: they meet only in
the census. Ordered by source, the source that shares most last, C is an arrow,

    | C_1       C_1c |                  | L_1               |
    |      C_2  C_2c |  =  L L',   L  = |      L_2          |
    | C_c1 C_c2 C_c  |                  | W_1' W_2'   L_c   |

so that only the diagonal and the border are formed and factorised. A longer period adds
rows to the blocks and none between them.

References
----------
George and Liu (1981), Computer Solution of Large Sparse Positive Definite Systems.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotri, dtrtrs
from scipy.sparse.csgraph import connected_components

FORMED_AT_ONCE = 2_000_000
"""Numbers of C formed in one product: the kernels are then read once for many points."""


@dataclass(frozen=True)
class Factor:
    """Lower Cholesky factor L of C, in blocks; the rows keep their places.

    Attributes
    ----------
    parts : tuple of ndarray
        Rows of each block, the border last.
    lower : tuple of ndarray
        Factors on the diagonal, whose upper triangles are not cleared.
    reach : tuple of ndarray (row of the block, row of the border)
        W_i = L_i^-1 C_ic.
    """

    parts: tuple[np.ndarray, ...]
    lower: tuple[np.ndarray, ...]
    reach: tuple[np.ndarray, ...]

    @property
    def log_determinant(self) -> float:
        """Log determinant of C."""
        return 2 * float(sum(np.log(np.diagonal(lower)).sum() for lower in self.lower))

    @property
    def size(self) -> int:
        """Numbers held."""
        return sum(x.size for x in (*self.lower, *self.reach))

    def half(self, x: np.ndarray) -> np.ndarray:
        """L^-1 x for columns x (row, ...): inner products of two halves are x' C^-1 y."""
        out = np.empty_like(x, dtype=float)
        border = x[self.parts[-1]].astype(float)
        for rows, lower, reach in zip(self.parts, self.lower, self.reach, strict=False):
            out[rows] = _triangular(lower, x[rows])
            border -= reach.T @ out[rows]
        out[self.parts[-1]] = _triangular(self.lower[-1], border)
        return out

    def solve(self, x: np.ndarray) -> np.ndarray:
        """C^-1 x for columns x (row, ...)."""
        half = self.half(x)
        out = np.empty_like(half)
        border = out[self.parts[-1]] = _triangular(self.lower[-1], half[self.parts[-1]], trans=1)
        for rows, lower, reach in zip(self.parts, self.lower, self.reach, strict=False):
            out[rows] = _triangular(lower, half[rows] - reach @ border, trans=1)
        return out

    @cached_property
    def inverse(self) -> dict[tuple[int, int], np.ndarray]:
        """Blocks of C^-1 on the diagonal and, as (border, block), beside it."""
        last = len(self.reach)
        border = _inverse(self.lower[-1])
        out = {(last, last): border}
        for i, (lower, reach) in enumerate(zip(self.lower, self.reach, strict=False)):
            back = _triangular(lower, reach, trans=1)
            out[last, i] = -border @ back.T
            out[i, i] = _inverse(lower) - back @ out[last, i]
        return out


@dataclass(frozen=True)
class _Block:
    """Rows of one part against rows of another: what is fixed, and a kernel for each scale."""

    fixed: np.ndarray
    scales: np.ndarray
    kernels: np.ndarray

    def formed(self, squares: np.ndarray) -> np.ndarray:
        """The block at each of many squared scales (point, scale), flat."""
        return squares[:, self.scales] @ self.kernels + self.fixed


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
    """

    def __init__(
        self, white: np.ndarray, scale_of: np.ndarray, n_scales: int, sources: Sequence[str]
    ) -> None:
        if len(sources) != len(white):
            raise ValueError(f"{len(white)} rows of the likelihood, sources of {len(sources)}.")
        self.n_scales = n_scales
        self.parts = _parts(white, np.asarray(sources))
        last = len(self.parts) - 1
        of_scale = [np.flatnonzero(scale_of == b) for b in range(-1, n_scales)]
        self.blocks = {
            (i, j): _block(white, of_scale, self.parts[i], self.parts[j], same=i == j)
            for i in range(last + 1)
            for j in range(i + 1)
            if i in (j, last)
        }
        size = sum(block.fixed.size for block in self.blocks.values())
        self.at_once = min(max(FORMED_AT_ONCE // size, 1), 16)

    def factor(self, squares: np.ndarray) -> Factor:
        """Factor of C at squared scales (scale)."""
        return next(self.factors(squares[None]))

    def factors(self, squares: np.ndarray) -> Iterator[Factor]:
        """Factor of C at each of many squared scales (point, scale).

        Raises
        ------
        LinAlgError
            If C overflows: the scales have run away.
        """
        edges = [*range(0, len(squares), self.at_once), len(squares)]
        for start, end in pairwise(edges):
            formed = {ij: b.formed(squares[start:end]) for ij, b in self.blocks.items()}
            for k in range(end - start):
                yield self._factor({ij: flat[k] for ij, flat in formed.items()})

    def slope(self, factor: Factor, solved: np.ndarray) -> np.ndarray:
        """a' K_b a - tr(C^-1 K_b) for each scale b, with a = C^-1 r.

        Twice the derivative of the log density of the rows in s_b^2.
        """
        out = np.zeros(self.n_scales)
        for (i, j), block in self.blocks.items():
            explained = np.outer(solved[self.parts[i]], solved[self.parts[j]])
            excess = (explained - factor.inverse[i, j]).ravel()
            out[block.scales] += (1 if i == j else 2) * (block.kernels @ excess)
        return out

    def _factor(self, flat: dict[tuple[int, int], np.ndarray]) -> Factor:
        last = len(self.parts) - 1
        n = self.parts[last].size
        border = flat[last, last].reshape(n, n).T  # symmetric: as LAPACK wants it without a copy
        lower, reach = [], []
        for i, part in enumerate(self.parts[:-1]):
            lower.append(_cholesky(flat[i, i].reshape(part.size, part.size).T))
            across = flat[last, i].reshape(n, part.size).T
            reach.append(dtrtrs(lower[i], across, lower=1, overwrite_b=1)[0])
            border = dsyrk(-1.0, reach[i], beta=1.0, c=border, trans=1, lower=1, overwrite_c=1)
        return Factor(self.parts, (*lower, _cholesky(border)), tuple(reach))


def _parts(white: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows of sources that share no unknown with each other, then those of the border.

    The border is the source that shares unknowns with most others.
    """
    names = list(dict.fromkeys(sources.tolist()))
    rows = [np.flatnonzero(sources == name) for name in names]
    sees = np.stack([(white[r] != 0).any(axis=0) for r in rows])
    shared = (sees.astype(int) @ sees.T.astype(int)) > 0
    border = int(np.argmax(shared.sum(axis=1)))
    rest = [i for i in range(len(names)) if i != border]
    if not rest:
        return (rows[border],)
    n, group = connected_components(shared[np.ix_(rest, rest)], directed=False)
    leaves = [np.sort(np.concatenate([rows[rest[i]] for i in np.flatnonzero(group == g)]))
              for g in range(n)]  # fmt: skip
    return (*leaves, rows[border])


def _block(
    white: np.ndarray, of_scale: list[np.ndarray], rows: np.ndarray, others: np.ndarray, same: bool
) -> _Block:
    fixed, *kernels = (
        (white[np.ix_(rows, place)] @ white[np.ix_(others, place)].T).ravel() for place in of_scale
    )
    if same:
        fixed = fixed + np.eye(rows.size).ravel()
    scales = np.flatnonzero([kernel.any() for kernel in kernels])
    return _Block(fixed, scales, np.array([kernels[b] for b in scales]).reshape(-1, fixed.size))


def _cholesky(c: np.ndarray) -> np.ndarray:
    lower, failed = dpotrf(c, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("covariance of the rows is not positive definite")
    return lower


def _triangular(lower: np.ndarray, x: np.ndarray, trans: int = 0) -> np.ndarray:
    return dtrtrs(lower, x, lower=1, trans=trans)[0]


def _inverse(lower: np.ndarray) -> np.ndarray:
    """(L L')^-1 from its lower triangle."""
    half = np.tril(dpotri(lower, lower=1)[0])
    return half + np.tril(half, -1).T
