"""How draws are made: one value that every road to a fit takes its defaults from."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from imps.errors import PriorError, SettingError

METHODS = ("auto", "exact", "nuts")
DRAWS = {"exact": 1000, "nuts": 2000}
"""Draws of each chain unless told: those of the exact way are independent."""
_LEAST = {"seed": 0, "draws": 1, "chains": 1, "tune": 0, "cores": 1}


@dataclass(frozen=True)
class Sampling:
    """How a posterior is drawn from; checked when it is made.

    Attributes
    ----------
    seed : int, 0 or more
        One integer; the stream of each chain is derived from it by name.
    method : {"auto", "exact", "nuts"}
    draws : int or None
        Draws of each chain; None takes 1,000 the exact way and 2,000 by NUTS.
    chains : int
    tune : int
        Warm-up draws, for NUTS only.
    target_accept : float
        Share of steps that NUTS aims to accept, from 0.5 to below 1. Short steps: the scales
        of the smooth parts bend the posterior near zero.
    cores : int
        Chains that NUTS samples at a time; the draws do not depend on it.

    Raises
    ------
    PriorError, SettingError
        If a value is not allowed.
    """

    seed: int = 1
    method: str = "auto"
    draws: int | None = None
    chains: int = 4
    tune: int = 600
    target_accept: float = 0.97
    cores: int = 2

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise PriorError(f"method is '{self.method}', expected one of {METHODS}.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is None and name == "draws":
                continue
            if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
                raise SettingError(f"{name} is {value!r}, expected a whole number from {least}.")
            object.__setattr__(self, name, int(value))
        if not 0.5 <= self.target_accept < 1:
            raise SettingError(f"target_accept is {self.target_accept!r}, expected 0.5 to below 1.")
        object.__setattr__(self, "target_accept", float(self.target_accept))

    def by(self, method: str) -> Self:
        """The same with the draws that a method takes; the method asked for stays."""
        return dataclasses.replace(self, draws=self.draws or DRAWS[method])

    def record(self) -> dict[str, Any]:
        """What determines the draws, as plain values: all but the cores."""
        return {name: value for name, value in vars(self).items() if name != "cores"}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """The value behind a record, of which other keys are left aside."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in names})
