"""One area as an account of its own, as a user of the package would make it.

Base, census and births of the area, deaths and survey flows as its share of the nation's (standard
errors by the root of the share), internal arrivals and departures as two streams by sex and
single year of age that bring the components to the area's roll-forward in every cell, and the
priors of an area of its size.
"""

from dataclasses import replace

import numpy as np
import xarray as xr

import imps
from imps.account.gap import rolled_forward_components
from imps.areas.figures import Areas
from imps.areas.priors import INTERNAL
from imps.areas.sizes import Contrasts
from imps.names import EMIGRATION, FLOWS, IMMIGRATION, SEXES
from imps.sources.streams import Stream

COLUMN = {IMMIGRATION: "international_in", EMIGRATION: "international_out"}
LATE = {"level": (0.0, 0.02), "young": (0.0, 0.1), "layout": (0.0, 0.05)}
"""Errors of recorded internal moves: the level is that of the template of an area, which has 15
per cent at young ages by misclassification."""


def area_sources(
    nation: imps.LinearModel, areas: Areas, compared: Contrasts, r: int, census: np.ndarray
) -> imps.Sources:
    """Sources of one area; `census` (sex, age), persons."""
    whole, own = nation.sources, areas.figures.isel(area=r)
    of = areas.figures
    stocks = {"base": own["base"].values, "census": census}
    labels = whole.base.count.coords
    made = {name: replace(getattr(whole, name), count=xr.DataArray(x, labels))
            for name, x in stocks.items()}  # fmt: skip
    born = (own["births"] / of["births"].sum("area")).values
    died = (own["deaths"] / of["deaths"].sum("area")).values
    local = (own["structure"] / of["structure"].sum("area")).values
    deaths = whole.deaths.count.values * local
    national = whole.deaths.count.values.sum(axis=(1, 2))
    deaths *= (died * national / deaths.sum(axis=(1, 2)))[:, None, None]
    flows = {}
    for flow in FLOWS:
        survey, sizes = getattr(whole, flow), compared.flows[flow]
        first = survey.lower_ages.values
        share = np.empty(survey.estimate.shape)
        for s in range(len(SEXES)):
            in_year = np.moveaxis(np.add.reduceat(sizes[:, s], first[s].astype(int), axis=1), -1, 0)
            share[:, s] = in_year[:, r] / np.maximum(in_year.sum(axis=1), 1e-9)
        estimate = survey.estimate * share
        estimate = estimate * (own[COLUMN[flow]] / estimate.sum(["sex", "age_group"]))
        flows[flow] = replace(
            survey, estimate=survey.estimate.copy(data=estimate.transpose(*survey.estimate.dims)),
            standard_error=survey.standard_error * np.sqrt(np.maximum(share, 1e-4)),
            contacts=survey.contacts * share,
        )  # fmt: skip
    total = own["rolled_forward"].values.sum()
    start = own["base"].values.sum()
    rolled = replace(
        whole.rolled_forward, by_sex=None, by_sex_and_age=None,
        total=whole.rolled_forward.total.copy(data=np.linspace(start, total, len(whole.years) + 1)),
    )  # fmt: skip
    gross = np.moveaxis(compared.flows[INTERNAL][r], -1, 0)
    plain = replace(
        whole, **made, **flows,
        births=replace(whole.births, count=whole.births.count * born[:, None]),
        deaths=replace(whole.deaths, count=whole.deaths.count.copy(data=deaths)),
        rolled_forward=rolled, administrative=(), known_sums=(), known_changes=(), extra=(),
        total_migration=whole.total_migration.copy(
            data=[own[COLUMN[f]].values for f in whole.total_migration["flow"].values]
        ),
        streams=_moves(whole, gross, 0 * gross),
    )  # fmt: skip
    priors = imps.default_priors(kind="area", residents=float(start))
    parts = rolled_forward_components(imps.linear_model(plain, priors).account)
    carried = sum(part for name, part in parts.items() if name != "other_changes")
    left = own["rolled_forward"].values - carried
    return replace(plain, streams=_moves(whole, gross, _over_years(left, len(whole.years))))


def _over_years(left: np.ndarray, years: int) -> np.ndarray:
    """Persons missing at the end, in equal parts over the years of the cohort, (year, sex, age)."""
    out, oldest = np.zeros((years, *left.shape)), left.shape[1] - 1
    for age in range(oldest + 1):
        at = [t for t in range(years) if age - (years - 1 - t) >= 0]
        for t in at:
            reached = oldest if age == oldest else age - (years - 1 - t)
            out[t, :, reached] += left[:, age] / len(at)
    return out


def _moves(whole: imps.Sources, gross: np.ndarray, net: np.ndarray) -> tuple[Stream, ...]:
    out = np.maximum(gross - net / 2, 0.01 * gross + np.maximum(-net, 0))
    groups = [*map(str, range(net.shape[2] - 1)), f"{net.shape[2] - 1}+"]
    labels = {"year": whole.years, "sex": list(SEXES), "age_group": groups}
    return tuple(
        Stream(f"internal_{name}", flow, xr.DataArray(x, labels, dims=tuple(labels)),
               "complete count", "components of change", "as published", LATE, "late registration")
        for name, flow, x in (("arrivals", IMMIGRATION, out + net), ("departures", EMIGRATION, out))
    )  # fmt: skip


def fitted(
    nation: imps.LinearModel, areas: Areas, compared: Contrasts, r: int, census: np.ndarray
) -> dict[str, np.ndarray]:
    """Draws of base, external, internal, census and remainder of one area fitted by itself."""
    sources = area_sources(nation, areas, compared, r, census)
    priors = imps.default_priors(kind="area", residents=sources.base.total)
    fit = imps.fit(imps.linear_model(sources, priors), seed=1, method="exact", progress=False)
    latents, out = fit.latents(), {}
    for part in fit.model.contributions:
        home = part.group if part.group in ("base", "census") else "remainder"
        if part.group == "migration":
            home = "internal" if part.source.startswith("internal") else "external"
        draws = fit.model.evaluate(part.value, latents).sum(axis=(-2, -1))
        out[home] = out.get(home, 0.0) + draws
    return out
