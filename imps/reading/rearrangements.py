"""Other places that figures may belong in: sexes, ages and years in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

ARRANGEMENTS: Final = {
    "the sexes are exchanged": lambda v: v[::-1],
    "ages are a year too high": lambda v: np.roll(v, -1, axis=1),
    "ages are a year too low": lambda v: np.roll(v, 1, axis=1),
}
"""Other arrangements of the figures (sex, age) of one year."""


ORDERS: Final = MappingProxyType(
    {
        "its years fit one year later": lambda x: np.concatenate([x[:1], x[:-1]]),
        "its years fit one year earlier": lambda x: np.concatenate([x[1:], x[-1:]]),
        "its years fit in reverse order": lambda x: x[::-1],
    }
)
"""Other orders of the years of a series (year, ...); at an end the nearest stands in."""


def orders(
    years: Sequence[int] | np.ndarray,
) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Other orders of years in words, and as a function of an array (year, ...)."""
    yield from ORDERS.items()
    for t in range(len(years) - 1):
        yield f"{years[t]} and {years[t + 1]} fit exchanged", partial(_exchanged, t)


def _exchanged(t: int, values: np.ndarray) -> np.ndarray:
    """A year and the next one exchanged."""
    return np.concatenate([values[:t], values[t : t + 2][::-1], values[t + 2 :]])
