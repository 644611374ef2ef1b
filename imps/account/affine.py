"""Quantities that are linear in the latent variables, kept block by block.

The whole account is linear: every quantity of interest is a constant plus a
sum over blocks of latent variables, q = q0 + sum_b Q_b w_b. :class:`Affine`
holds q0 and the Q_b, so that the model can be written as the equations of the
paper and turned into one matrix only at the end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Affine:
    """A constant array plus linear effects of blocks of latent variables.

    Attributes
    ----------
    constant : ndarray (...)
        Value where all latent variables are zero.
    effects : mapping from block name to ndarray (..., size of the block)
    """

    constant: np.ndarray
    effects: Mapping[str, np.ndarray]

    __array_ufunc__ = None  # so that `array - quantity` is left to this class

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the quantity, without the latent axis."""
        return self.constant.shape

    def map(self, operator: Callable[[np.ndarray], np.ndarray]) -> "Affine":
        """Apply a linear function of arrays (..., n) that leaves the last axis alone."""
        return Affine(
            operator(self.constant[..., None])[..., 0],
            {name: operator(effect) for name, effect in self.effects.items()},
        )

    def einsum(self, subscripts: str, array: np.ndarray) -> "Affine":
        """Contract with a constant array; `...` stands for the latent axis."""
        return self.map(lambda x: np.einsum(subscripts, array, x, optimize=True))

    def __add__(self, other: "Affine | np.ndarray | float") -> "Affine":
        if not isinstance(other, Affine):
            return Affine(self.constant + other, self.effects)
        effects = dict(self.effects)
        for name, effect in other.effects.items():
            effects[name] = effects[name] + effect if name in effects else effect
        return Affine(self.constant + other.constant, effects)

    __radd__ = __add__

    def __neg__(self) -> "Affine":
        return Affine(-self.constant, {n: -e for n, e in self.effects.items()})

    def __sub__(self, other: "Affine | np.ndarray | float") -> "Affine":
        return self + (-other)

    def __rsub__(self, other: np.ndarray | float) -> "Affine":
        return -self + other

    def __mul__(self, factor: float) -> "Affine":
        return Affine(self.constant * factor, {n: e * factor for n, e in self.effects.items()})

    __rmul__ = __mul__

    def __getitem__(self, key: object) -> "Affine":
        """Select along the leading axes."""
        index = key if isinstance(key, tuple) else (key,)
        return self.map(lambda x: x[(*index, ...)])

    def sum(self, axes: tuple[int, ...] | None = None) -> "Affine":
        """Sum over leading axes; over all of them unless told."""
        over = tuple(range(self.constant.ndim)) if axes is None else axes
        return self.map(lambda x: x.sum(axis=over))

    def matrix(self, sizes: Mapping[str, int]) -> np.ndarray:
        """Dense effects (..., all latent variables) in the order of `sizes`."""
        parts = [
            self.effects[name] if name in self.effects else np.zeros((*self.shape, size))
            for name, size in sizes.items()
        ]
        return np.concatenate(parts, axis=-1)


def zero(shape: tuple[int, ...]) -> Affine:
    """The quantity that is zero whatever the latent variables are."""
    return Affine(np.zeros(shape), {})


def concatenate(parts: Sequence[Affine]) -> Affine:
    """Join quantities along their first axis; the other axes agree."""
    rows = [part.constant.shape[0] for part in parts]
    sizes = {name: x.shape[-1] for part in parts for name, x in part.effects.items()}
    shape = parts[0].constant.shape[1:]
    effects = {
        name: np.concatenate(
            [
                part.effects.get(name, np.zeros((n, *shape, width)))
                for part, n in zip(parts, rows, strict=True)
            ]
        )
        for name, width in sizes.items()
    }
    return Affine(np.concatenate([part.constant for part in parts]), effects)
