"""Variants of the model: which was fitted, and what in their account is not linear.

Flows may be on the log scale, and shares of switchers Beta. A quantity that is not linear in
the latent variables is written as its linear form plus what it lies beyond it,

    m exp(d)  =  m (1 + d)  +  m (exp(d) - 1 - d),       d linear in w,

and the second part becomes a block of values v = g(w) of its own. The account stays
linear in (w, v): contributions, populations and published rows are the same matrices
as before, so that everything still closes in every draw. v is no unknown: it has no
prior and no draws, and is computed wherever w is known, by the sampler and by
:meth:`imps.account.linear.LinearModel.complete` with the same function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import betaincinv, ndtr
from scipy.stats import beta, norm

from imps.errors import PriorError
from imps.sources.kinds import KINDS

if TYPE_CHECKING:
    from imps.account.latents import Affine

LINEAR, LOG = "linear", "log"
NORMAL, BETA = "normal", "beta"
SWITCHERS = tuple(kind.name for kind in KINDS.values() if kind.share)
"""Sources whose figure is a number of people times a share of them."""


@dataclass(frozen=True)
class Form:
    """Which parts of the account are not linear.

    Attributes
    ----------
    flows : {"linear", "log"}
    switchers : {"normal", "beta"}
    switcher_shares : mapping from source to its published share of switchers, in (0, 1)
    """

    flows: str = LINEAR
    switchers: str = NORMAL
    switcher_shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.flows not in (LINEAR, LOG):
            raise PriorError(f"flows is '{self.flows}', expected '{LINEAR}' or '{LOG}'.")
        if self.switchers not in (NORMAL, BETA):
            raise PriorError(f"switchers is '{self.switchers}', expected '{NORMAL}' or '{BETA}'.")
        if self.switcher_shares and self.switchers != BETA:
            raise PriorError("switcher_shares belong to switchers='beta': say so, or drop them.")
        unknown = [name for name in self.switcher_shares if name not in SWITCHERS]
        if unknown:
            raise PriorError(f"switcher_shares name {unknown}; allowed are {SWITCHERS}.")

    def share(self, source: str) -> float | None:
        """Published share of a source that is to be Beta; None for any other source."""
        if self.switchers != BETA or source not in SWITCHERS:
            return None
        if source not in self.switcher_shares:
            raise PriorError(
                f"switchers='beta': no published share for '{source}'. Give the share of the "
                f"people asked who switched, for example switcher_shares={{'{source}': 0.05}}."
            )
        return self.switcher_shares[source]


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


@dataclass(frozen=True)
class LogFlow:
    """A flow m exp(d) beyond its linear form m (1 + d), persons per year.

    Attributes
    ----------
    block : str
    argument : Affine (cell)
        d, the relative deviation on the log scale.
    reference : ndarray (cell), persons per year
        m, above zero.
    """

    block: str
    argument: Affine
    reference: np.ndarray

    def __call__(self, d: Any, xp: Any = np) -> Any:
        """m (exp(d) - 1 - d); `xp` is numpy or pytensor.tensor."""
        return self.reference * (xp.exp(d) - 1.0 - d)


STEP = 0.02
FARTHEST = 8.0
"""The Beta quantile is tabulated at every 0.02 standard deviations out to 8."""


@dataclass(frozen=True)
class BetaShare:
    """Relative error of switchers under a Beta share, beyond its linear form.

    True switchers are published x r with r = q / p: p the published share of those
    asked who switched, q the true one, Beta with mean p (1 - mean) and standard
    deviation p sd, so that r has the moments of the table of priors. q is tied to
    a standard normal y by q = F^-1(Phi(y)): every year's share is exactly Beta and
    the years hang together as in the linear model. The quantile function is a cubic
    through log r and its slope at steps of 0.02, so that its gradient is continuous.

    Attributes
    ----------
    block : str
    argument : Affine (interval)
        y, standard normal in each interval.
    mean, sd : float
        Of the relative error 1 - r.
    share : float
        p.
    """

    block: str
    argument: Affine
    mean: float
    sd: float
    share: float

    def __post_init__(self) -> None:
        centre, spread = self.share * (1 - self.mean), self.share * self.sd
        if not (0 < centre < 1 and 0 < spread**2 < centre * (1 - centre)):
            raise PriorError(
                f"'{self.block}': no Beta distribution has mean {centre:.3g} and standard "
                f"deviation {spread:.3g} (share {self.share:g}, prior mean {self.mean:g}, sd "
                f"{self.sd:g}). The share must lie in (0, 1) and the sd be that of a share."
            )

    @property
    def shapes(self) -> tuple[float, float]:
        """Parameters a and b of the Beta distribution of q."""
        centre, spread = self.share * (1 - self.mean), self.share * self.sd
        size = centre * (1 - centre) / spread**2 - 1
        return centre * size, (1 - centre) * size

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """log r and its slope in y at the nodes."""
        a, b = self.shapes
        y = np.arange(-FARTHEST, FARTHEST + STEP / 2, STEP)
        q = np.where(y < 0, betaincinv(a, b, ndtr(y)), 1 - betaincinv(b, a, ndtr(-y)))
        slope = np.exp(norm.logpdf(y) - beta.logpdf(q, a, b)) / q
        return np.log(q / self.share), slope

    def ratio(self, y: Any, xp: Any = np) -> Any:
        """r at standard normal y: the cubic of the interval, straight in log r outside."""
        value, slope = (xp.asarray(x) if xp is np else xp.constant(x) for x in self.table)
        inside = xp.clip(y, -FARTHEST, FARTHEST - 1e-9)
        place = (inside + FARTHEST) / STEP
        i = xp.floor(place).astype("int64")
        t = place - i
        out = (
            (1 + 2 * t) * (1 - t) ** 2 * value[i]
            + t * (1 - t) ** 2 * STEP * slope[i]
            + t**2 * (3 - 2 * t) * value[i + 1]
            + t**2 * (t - 1) * STEP * slope[i + 1]
        )
        return xp.exp(out + slope[i] * (y - inside))

    def __call__(self, y: Any, xp: Any = np) -> Any:
        """(1 - r) - (mean + sd y); `xp` is numpy or pytensor.tensor."""
        return 1.0 - self.ratio(y, xp) - self.mean - self.sd * y


Curve = LogFlow | BetaShare
