"""Latent variables of an account, and quantities that are linear in them.

The whole account is linear: every quantity of interest is a constant plus a
sum over blocks of latent variables, q = q0 + sum_b Q_b w_b. :class:`Affine`
holds q0 and the Q_b, so that the model can be written as the equations of the
paper and turned into one matrix only at the end. :class:`Latents` keeps what is
unknown while the account is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from imps.account.priors import LOG_SD, Priors
from imps.account.variant import Curve
from imps.errors import PriorError
from imps.sources import Sources


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

    def map(self, operator: Callable[[np.ndarray], np.ndarray]) -> Affine:
        """Apply a linear function of arrays (..., n) that leaves the last axis alone."""
        return Affine(
            operator(self.constant[..., None])[..., 0],
            {name: operator(effect) for name, effect in self.effects.items()},
        )

    def einsum(self, subscripts: str, array: np.ndarray) -> Affine:
        """Contract with a constant array; `...` stands for the latent axis."""
        return self.map(lambda x: np.einsum(subscripts, array, x, optimize=True))

    def __add__(self, other: Affine | np.ndarray | float) -> Affine:
        if not isinstance(other, Affine):
            return Affine(self.constant + other, self.effects)
        effects = dict(self.effects)
        for name, effect in other.effects.items():
            effects[name] = effects[name] + effect if name in effects else effect
        return Affine(self.constant + other.constant, effects)

    __radd__ = __add__

    def __neg__(self) -> Affine:
        return Affine(-self.constant, {n: -e for n, e in self.effects.items()})

    def __sub__(self, other: Affine | np.ndarray | float) -> Affine:
        return self + (-other)

    def __rsub__(self, other: np.ndarray | float) -> Affine:
        return -self + other

    def __mul__(self, factor: float) -> Affine:
        return Affine(self.constant * factor, {n: e * factor for n, e in self.effects.items()})

    __rmul__ = __mul__

    def __getitem__(self, key: object) -> Affine:
        """Select along the leading axes."""
        index = key if isinstance(key, tuple) else (key,)
        return self.map(lambda x: x[(*index, ...)])

    def sum(self, axes: tuple[int, ...] | None = None) -> Affine:
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


@dataclass(frozen=True)
class Resolution:
    """How many smooth shapes over age the flows and the stocks have.

    Attributes
    ----------
    flow_shapes, stock_shapes : int
        More shapes than the data can see cost time and change nothing.
    """

    flow_shapes: int
    stock_shapes: int

    @classmethod
    def for_sources(cls, sources: Sources) -> Resolution:
        """Fine where both stocks were published with ages, modest where only totals were."""
        detailed = sources.base.with_ages and sources.census.with_ages
        return cls(12, 20) if detailed else cls(5, 4)


@dataclass(frozen=True)
class Block:
    """Latent variables that were written down together, and whose they are.

    Attributes
    ----------
    size : int
    scale : str or None
        Prior of the scale they are multiplied by.
    source : str
        The source of the gap they belong to, "true immigration" or "true emigration"; or the
        user's own source that brought them.
    prior : str
        Row of the table of priors that is their spread; empty where they have none, which
        is so of a user's own source: its errors stand with the source.
    """

    size: int
    scale: str | None
    source: str
    prior: str


def true_flow(flow: str) -> str:
    """Whose the latent variables of a true flow are."""
    return f"true {flow}"


@dataclass
class Latents:
    """Register of latent variables while an account is being written down.

    Each block is standard normal; a block with a scale is multiplied by that scale,
    whose own prior stands in the table of priors. Whose a block is, is recorded here and
    never read from a name. Curves are blocks that follow from the others (see
    :mod:`imps.account.variant`).
    """

    priors: Priors
    blocks: dict[str, Block] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    curves: list[Curve] = field(default_factory=list)

    def prior(self, name: str, source: str) -> tuple[float, float]:
        """Mean and sd of a prior, which is thereby used."""
        if name not in self.priors:
            raise PriorError(
                f"source '{source}' has no prior called '{name}'. Add one with "
                f"priors.add(Prior(name='{name}', ...))."
            )
        self.used.add(name)
        return self.priors[name].mean, self.priors[name].sd

    def spread(self, name: str, source: str) -> float:
        """Standard deviation of a prior that takes no mean; a mean would change nothing."""
        mean, sd = self.prior(name, source)
        if mean != 0:
            raise PriorError(
                f"prior '{name}' has mean {mean:g}, and it takes none: only a level and the "
                "step of an era have a mean. Put the mean there, or set it to zero."
            )
        return sd

    @property
    def sizes(self) -> dict[str, int]:
        """Number of latent variables of each block, in order."""
        return {name: block.size for name, block in self.blocks.items()}

    @property
    def scales(self) -> dict[str, str | None]:
        """Prior of the scale of each block."""
        return {name: block.scale for name, block in self.blocks.items()}

    @property
    def scale_names(self) -> tuple[str, ...]:
        """Unknown scales, each once, in the order of the blocks."""
        return tuple(dict.fromkeys(b.scale for b in self.blocks.values() if b.scale is not None))

    @property
    def scale_of(self) -> np.ndarray:
        """Place of the scale that multiplies each latent variable; -1 where there is none."""
        place: dict[str | None, int] = {name: i for i, name in enumerate(self.scale_names)}
        place[None] = -1
        blocks = self.blocks.values()
        return np.repeat([place[b.scale] for b in blocks], [b.size for b in blocks])

    def of_source(self, source: str) -> dict[str, Block]:
        """Blocks of a source of the gap or of a true flow, by name."""
        return {n: b for n, b in self.blocks.items() if b.source == source and b.prior}

    def fixed(self, name: str, source: str, low: float, high: float) -> float:
        """A number that is set in the table of priors: from `low` on, and below `high`."""
        value, _ = self.prior(name, source)
        if not low <= value < high:
            raise PriorError(
                f"prior '{name}' is {value:g}: it must be at least {low:g} and below {high:g}. "
                f"Set it with priors.replace({name}={{'mean': ...}})."
            )
        return value

    def field(
        self,
        block: str,
        effect: np.ndarray,
        scale: str | None = None,
        *,
        source: str = "",
        prior: str = "",
    ) -> Affine:
        """A new block of latent variables and the quantity it moves, zero at its mean.

        Parameters
        ----------
        block : str
        effect : ndarray (..., size)
        scale : str, optional
            Prior of an unknown scale that multiplies it.
        source, prior : str
            Whose it is and which row of the table of priors is its spread, see :class:`Block`;
            the row of its scale unless told.
        """
        if block in self.blocks:
            raise PriorError(f"latent block '{block}' is defined twice.")
        for name in filter(None, (scale, prior, scale and LOG_SD)):
            self.prior(name, source or block)
        self.blocks[block] = Block(effect.shape[-1], scale, source, prior or scale or "")
        return Affine(np.zeros(effect.shape[:-1]), {block: effect})

    def curve(self, curve: Curve, effect: np.ndarray) -> Affine:
        """A block that follows from others, and the quantity it moves."""
        if curve.block in self.blocks or curve.block in (c.block for c in self.curves):
            raise PriorError(f"latent block '{curve.block}' is defined twice.")
        self.curves.append(curve)
        return Affine(np.zeros(effect.shape[:-1]), {curve.block: effect})

    def unused(self) -> list[str]:
        """Priors that no source of this account has asked for."""
        return [name for name in self.priors if name not in self.used]


def correlated(error: Affine, correlation: float, shared: Mapping[str, str]) -> Affine:
    """An error some of whose blocks are correlated with blocks of another error.

    `shared` leads from each own block to the other: z becomes sqrt(1 - c^2) z + c z_other.
    """
    effects = dict(error.effects)
    for block, other in shared.items():
        own = effects[block]
        effects[block] = np.sqrt(1 - correlation**2) * own
        effects[other] = correlation * own
    return Affine(error.constant, effects)


def each_sex(effect: np.ndarray) -> np.ndarray:
    """Give each sex latent variables of its own: (sex, ..., n) to (sex, ..., 2 n)."""
    n_sex = effect.shape[0]
    out = np.zeros((*effect.shape[:-1], n_sex, effect.shape[-1]))
    for s in range(n_sex):
        out[s, ..., s, :] = effect[s]
    return out.reshape(*effect.shape[:-1], -1)
