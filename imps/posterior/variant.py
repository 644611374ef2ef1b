"""Which variant of the model was fitted, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from imps.account.nonlinear import LINEAR, NORMAL, Form
from imps.errors import PriorError

LIKELIHOODS = ("normal", "student_t", "contacts")


@dataclass(frozen=True)
class Variant:
    """Options of :func:`imps.build_model`, which says what they mean, and additions.

    Attributes
    ----------
    likelihood, flows, switchers : str
    student_t : tuple of str
        A single name may be given as text.
    switcher_shares : mapping
    added : tuple of str
        Names of what the user put into the model after it was built.

    Raises
    ------
    PriorError
        If an option is not one of those allowed.
    """

    likelihood: str = LIKELIHOODS[0]
    student_t: Sequence[str] = ()
    flows: str = LINEAR
    switchers: str = NORMAL
    switcher_shares: Mapping[str, float] = field(default_factory=dict)
    added: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            raise PriorError(f"likelihood is '{self.likelihood}', expected one of {LIKELIHOODS}.")
        alone = isinstance(self.student_t, str)
        object.__setattr__(self, "student_t", (self.student_t,) if alone else (*self.student_t,))
        object.__setattr__(self, "switcher_shares", dict(self.switcher_shares or {}))
        object.__setattr__(self, "added", tuple(self.added))

    @property
    def form(self) -> Form:
        """The part of it that is no likelihood: what in the account is not linear."""
        return Form(self.flows, self.switchers, self.switcher_shares)

    @property
    def normal_rows(self) -> bool:
        """Whether every published row is normal, so that no likelihood of PyMC is needed."""
        return self.likelihood == LIKELIHOODS[0] and not self.student_t

    def options(self) -> dict[str, Any]:
        """Arguments of :func:`imps.build_model` and :func:`imps.run`."""
        return {name: value for name, value in vars(self).items() if name != "added"}

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}

    def __str__(self) -> str:
        """In words, for a report."""
        words = [f"likelihood {self.likelihood}"]
        if self.student_t:
            words.append(f"Student-t rows of {', '.join(self.student_t)}")
        words.append(f"flows {self.flows}")
        if self.switchers != NORMAL:
            words.append(f"switchers {self.switchers}")
        if self.switcher_shares:
            shares = ", ".join(f"{k} {v:g}" for k, v in self.switcher_shares.items())
            words.append(f"published shares {shares}")
        if self.added:
            words.append(f"terms of the user's own: {', '.join(self.added)}")
        return "; ".join(words)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """The value behind :meth:`record`."""
        return cls(**record)
