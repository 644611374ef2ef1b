"""What if: change a prior in a notebook and see the gap's sources and net migration move.

Everything is the exact Gaussian posterior at scales held fixed at their posterior means,
a preview of a refit and marked as one. Its error at the priors of the fit is measured
against the full posterior and printed beside it; for a paper, refit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imps.account.linear import linear_model
from imps.account.priors import Prior
from imps.errors import ImpsError, PriorError, some
from imps.intervals import Z95, Unit
from imps.notebook_cards import Bar, bars, card, fan
from imps.posterior.fit import Fit
from imps.results.attribution import KNOWN
from imps.results.checks import Checks, check
from imps.results.sensitivity import WhatIf, what_if
from imps.sources.kinds import title

if TYPE_CHECKING:
    import ipywidgets

Z50 = 0.674
FACTORS = (0.1, 10.0)
"""Range of the slider for a prior's standard deviation, times that of the fit."""
FIRST = "emigration_bias_level"
"""Prior that is shown first: the one that moves most gaps most."""
SHIFTS = 3.0
"""Range of the slider for a prior's mean, in standard deviations to each side."""


@dataclass(frozen=True)
class PreviewError:
    """How far the preview is from the full posterior at the priors of the fit.

    Attributes
    ----------
    mean : float
        Largest difference of a source's or a year's mean, persons.
    sd_ratio : float
        Largest ratio of standard deviations, either way up, minus one.
    quantity, sd_quantity : str
        Where the largest difference of means, and of standard deviations, is.
    """

    mean: float
    sd_ratio: float
    quantity: str
    sd_quantity: str

    def __str__(self) -> str:
        return (
            "Preview at fixed scales, not a refit. At the priors of the fit its means are within "
            f"{self.mean:,.0f} persons of the full posterior (largest: "
            f"{_spelt(self.quantity)}) and its standard deviations within {self.sd_ratio:.0%} "
            f"(largest: {_spelt(self.sd_quantity)})."
        )


class Preview:
    """Exact answers to changed priors at fixed scales, ready to be asked many times.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.
    checks : Checks, optional
        Of the fit; made where they are not given.
    """

    def __init__(self, fit: Fit, checks: Checks | None = None) -> None:
        self.what_if: WhatIf = what_if(fit)
        self.fit = fit
        self.unit = Unit.of(fit.model.sources.census.total)
        self.verdict = (checks or check(fit)).verdict
        self.names = self.what_if.posterior.names
        self.blocks = {name: b for name in fit.model.priors if (b := self._blocks_of(name))}
        self._slopes: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}
        self.error = self._error()

    def priors(self) -> list[Prior]:
        """Priors that can be changed: those of blocks of latent variables of this account."""
        return [self.fit.model.priors[name] for name in self.blocks]

    def __call__(self, **changes: tuple[float, float]) -> pd.DataFrame:
        """Means and standard deviations after changes of priors.

        Parameters
        ----------
        **changes : (mean, sd)
            By name of the prior, in its own unit, as in :meth:`imps.Priors.replace`.

        Returns
        -------
        DataFrame, persons
            quantity, mean, sd, lower95, upper95.

        Raises
        ------
        PriorError
            If a name is unknown, an sd is not positive, or a mean is changed that this
            account does not use.
        """
        mean, sd = self._moments(changes)
        return pd.DataFrame(
            {
                "quantity": self.names,
                "mean": mean,
                "sd": sd,
                "lower95": mean - Z95 * sd,
                "upper95": mean + Z95 * sd,
            }
        )

    def picture(self, **changes: tuple[float, float]) -> str:
        """Card of HTML: waterfall and net migration after the changes, marked as a preview."""
        table = self(**changes).set_index("quantity")
        years = [str(y) for y in self.fit.model.sources.years]
        yearly = table.loc[[f"net_migration[{y}]" for y in years]]
        total = table.loc["net_migration[all years]"]
        mean, sd = yearly["mean"].to_numpy(), yearly["sd"].to_numpy()
        bands = [((mean - z * sd).tolist(), (mean + z * sd).tolist()) for z in (Z95, Z50)]
        rows = self._waterfall(table)
        changed = "; ".join(
            f"{name}: mean {m:g}, sd {s:g} (fit: {old.mean:g}, {old.sd:g})"
            for name, (m, s) in changes.items()
            if (old := self.fit.model.priors[name])
        )
        net = self.unit.between_ends(total)
        return card(
            f"What if: {self.fit.model.sources.area}",
            f"Net migration {net} {self.unit.name}, 95 % interval",
            (
                f"Changed priors: {changed or 'none'}.",
                str(self.error),
                f"Sources of the gap, {self.unit.persons}, mean and 95 % interval:",
            ),
            picture=bars(rows, "; ".join(f"{r.name} {r.text}" for r in rows))
            + f"<div>Net migration by year, {self.unit.persons}, with 50 and 95 % bands:</div>"
            + fan(
                years,
                mean.tolist(),
                bands,
                f"Net migration {net} {self.unit.name}, by year",
                unit=self.unit,
            ),
            verdict=self.verdict,
        )

    def _waterfall(self, table: pd.DataFrame) -> list[Bar]:
        """Bars of the sources that are not known to be nothing; they add up to the gap."""
        rows, start = [], 0.0
        for part in self.fit.model.contributions:
            row = table.loc[f"gap[{part.source}]"]
            mean, low, high = float(row["mean"]), float(row["lower95"]), float(row["upper95"])
            known = float(row["sd"]) < KNOWN
            if known and abs(mean) < KNOWN:
                continue
            text = f"{self.unit.said(mean)} known" if known else self.unit.between(mean, low, high)
            rows.append(Bar(title(part.source), start, mean, low, high, text))
            start += mean
        return rows

    def _moments(self, changes: Mapping[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        """Solve again with other prior sds, and with the data moved by other prior means."""
        unknown = [name for name in changes if name not in self.blocks]
        if unknown:
            raise PriorError(
                f"{some(unknown)} cannot be changed here. Known: {', '.join(self.blocks)}."
            )
        factors: dict[slice, float] = {}
        rows = np.zeros_like(self.what_if.posterior.residual)
        constants = np.zeros_like(self.what_if.posterior.constants)
        for name, (mean, sd) in changes.items():
            old = self.fit.model.priors[name]
            if not sd > 0:
                raise PriorError(f"prior '{name}': sd is {sd:g}, it must be above zero.")
            for place in self.blocks[name]:
                factors[place] = sd / old.sd
            if mean != old.mean:
                slope = self.slope(name)
                if slope is None:
                    raise PriorError(f"prior '{name}' has no mean in this account: leave it.")
                by_row, by_quantity = slope
                rows += by_row * (mean - old.mean)
                constants += by_quantity * (mean - old.mean)
        return self.what_if.moments(factors, rows, constants)

    def _blocks_of(self, name: str) -> list[slice]:
        """Places of the latent variables whose spread is the sd of one prior."""
        model = self.fit.model
        found = {n for n, block in model.account.latents.blocks.items() if block.prior == name}
        if found & self.what_if.tied or not model.priors[name].sd > 0:
            return []  # blocks that move two errors: widening them is no change of one prior
        return [place for block, place in model.places.items() if block in found]

    def slope(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Change of rows (in standard errors) and of quantities for one unit of a prior's mean.

        Exact, for the account is linear in the means of its priors. None where this
        account has no use for the mean. The first call for a prior builds the account
        again; later ones are remembered.
        """
        if name not in self._slopes:
            self._slopes[name] = self._slope(name)
        return self._slopes[name]

    def _slope(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        prior = self.fit.model.priors[name]
        if prior.kind != "normal":
            return None
        model = self.fit.model
        raised = model.priors.replace(**{name: (prior.mean + prior.sd, prior.sd)})
        try:
            moved = linear_model(model.sources, raised)
        except PriorError:  # a prior that takes no mean
            return None
        rows = (moved.offset - model.offset) / model.standard_error / prior.sd
        after = np.array([float(moved.reported[k].constant) for k in self.names])
        quantities = (after - self.what_if.posterior.constants) / prior.sd
        still = np.allclose(rows, 0) and np.allclose(quantities, 0)
        return None if still else (rows, quantities)

    def _error(self) -> PreviewError:
        """Compare with the full posterior, exact where the fit holds exact moments."""
        full = self.fit.extras.get("exact_moments")
        if full is None:
            draws = self.fit.quantities()
            full = pd.DataFrame(
                {
                    "quantity": self.names,
                    "mean": [draws[k].mean() for k in self.names],
                    "sd": [draws[k].std() for k in self.names],
                }
            )
        full = full.set_index("quantity").loc[self.names]
        mean, sd = self._moments({})
        apart = np.abs(mean - full["mean"].to_numpy())
        moving = full["sd"].to_numpy() > 1.0
        ratio = np.zeros_like(sd)
        ratio[moving] = np.abs(np.log(sd[moving] / full["sd"].to_numpy()[moving]))
        worst, widest = int(apart.argmax()), int(ratio.argmax())
        return PreviewError(
            float(apart[worst]),
            float(np.expm1(ratio[widest])),
            self.names[worst],
            self.names[widest],
        )


def explore(fit: Fit, *, checks: Checks | None = None) -> ipywidgets.VBox:
    """Sliders for the priors of a fit; waterfall and net migration move at once.

    A preview: exact at the posterior mean scales, with its error against the full
    posterior printed beside it. Choose a prior, move its standard deviation or its mean;
    changes stay until they are taken back.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    ipywidgets.VBox
        Shows itself in a notebook; its attribute `preview` is the :class:`Preview`.

    Raises
    ------
    ImpsError
        If ipywidgets is not installed.
    PriorError
        If the fit is not of the Gaussian model.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        raise ImpsError(
            "imps.explore needs ipywidgets, which is not installed: "
            "pip install 'imps-reconcile[notebook]'."
        ) from None
    controls = Controls(Preview(fit, checks), widgets)
    box = widgets.VBox(list(controls.parts.values()))
    box.preview, box.controls = controls.preview, controls.parts
    return box


class Controls:
    """Widgets of :func:`explore`, and what happens when they are moved.

    Attributes
    ----------
    preview : Preview
    changes : mapping from name of prior to (mean, sd)
        What has been changed so far.
    parts : mapping of widgets
        prior, meaning, sd, mean, back, page, in the order in which they are shown.
    """

    def __init__(self, preview: Preview, widgets: Any) -> None:
        self.preview = preview
        self.changes: dict[str, tuple[float, float]] = {}
        self.rows = {prior.name: prior for prior in preview.priors()}
        self.setting = False
        first = FIRST if FIRST in self.rows else next(iter(self.rows))
        look = {
            "layout": widgets.Layout(width="34em"),
            "style": {"description_width": "9em"},
        }
        number = {**look, "readout_format": ".4f", "continuous_update": True}
        self.parts: dict[str, Any] = {
            "prior": widgets.Dropdown(
                options=list(self.rows), value=first, description="Prior", **look
            ),
            "meaning": widgets.HTML(),
            "sd": widgets.FloatLogSlider(
                description="Standard deviation", min=-1, max=1, step=0.02, **number
            ),
            "mean": widgets.FloatSlider(description="Mean", **number),
            "back": widgets.Button(description="Back to the fit"),
            "page": widgets.HTML(),
        }
        self.parts["prior"].observe(self.choose, "value")
        self.parts["sd"].observe(self.move, "value")
        self.parts["mean"].observe(self.move, "value")
        self.parts["back"].on_click(self.take_back)
        self.take_back()

    def choose(self, _: object = None) -> None:
        """Set the sliders to the prior that was chosen, as it is now."""
        prior, sd, mean = self.rows[self.parts["prior"].value], self.parts["sd"], self.parts["mean"]
        now = self.changes.get(prior.name, (prior.mean, prior.sd))
        self.setting = True
        low, high = (float(np.log10(prior.sd * factor)) for factor in FACTORS)
        _range(sd, low, high, now[1])
        mean.step, half = prior.sd / 20, SHIFTS * prior.sd
        _range(mean, prior.mean - half, prior.mean + half, now[0])
        mean.disabled = self.preview.slope(prior.name) is None
        self.setting = False
        said = prior.meaning[:1].upper() + prior.meaning[1:]
        self.parts["meaning"].value = card(said, "", (f"Unit: {prior.unit}.",))

    def move(self, _: object = None) -> None:
        """Solve again and draw."""
        if self.setting:
            return
        prior, mean = self.rows[self.parts["prior"].value], self.parts["mean"]
        value = (prior.mean if mean.disabled else mean.value, self.parts["sd"].value)
        if np.allclose(value, (prior.mean, prior.sd), rtol=1e-9, atol=0):
            self.changes.pop(prior.name, None)
        else:
            self.changes[prior.name] = value
        self.parts["page"].value = self.preview.picture(**self.changes)

    def take_back(self, _: object = None) -> None:
        """Forget all changes."""
        self.changes.clear()
        self.choose()
        self.parts["page"].value = self.preview.picture()


def _range(slider: Any, low: float, high: float, value: float) -> None:
    """Set limits and value in an order in which the value is never outside."""
    slider.min, slider.max = min(low, slider.min), max(high, slider.max)
    slider.value = value
    slider.min, slider.max = low, high


def _spelt(quantity: str) -> str:
    kind, _, rest = quantity.partition("[")
    label = rest.rstrip("]")
    if kind in ("gap", "group"):
        return title(label)
    return f"{kind.replace('_', ' ')}, {label}"
