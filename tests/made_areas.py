"""Invented areas that make up a nation, with deviations drawn from the model's own prior."""

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.gap import rolled_forward_cells
from imps.areas.figures import Areas
from imps.names import SEXES

AGES = [f"age_{a}" for a in range(91)]


def made_areas(nation, n=6, seed=3):
    """Areas of one nation (LinearModel) whose stocks and flows add up to it in every cell."""
    rng = np.random.default_rng(seed)
    sources = nation.sources
    ages, years = sources.ages, sources.years
    size = rng.dirichlet(np.full(n, 6.0))
    tilt = np.exp(
        0.3 * rng.standard_normal((n, 2, 1)) + 0.2 * np.sin(ages / 12 + np.arange(n)[:, None, None])
    )

    def divided(total, spread=0.0):
        share = size[:, None, None] * tilt * np.exp(spread * rng.standard_normal((n, *total.shape)))
        return share / share.sum(axis=0) * total

    base = divided(sources.base.count.values)
    rolled = divided(rolled_forward_cells(nation.account), 0.02)
    gap = rolled_forward_cells(nation.account) - sources.census.count.values
    move = np.exp(-0.5 * ((ages - 24) / 8) ** 2) * rolled.mean(axis=0)
    own = (
        0.05 * rng.standard_normal((n, 1, 1)) * move
        + 0.01 * rng.standard_normal(rolled.shape) * rolled
    )
    share = size[:, None, None] * np.ones_like(rolled)
    census = rolled - share * gap - (own - own.mean(axis=0))

    def yearly(total):
        share = size[:, None] * np.exp(0.4 * rng.standard_normal((n, 1)))
        return share / share.sum(axis=0) * total

    t = np.ones(years.size)
    moves = yearly(0.04 * base.sum() * t)
    figures = {
        "base": base, "rolled_forward": rolled, "census": census, "structure": (base + rolled) / 2,
        "mobility": np.broadcast_to(0.02 + 0.1 * np.exp(-0.5 * ((ages - 22) / 5) ** 2), base.shape),
    }  # fmt: skip
    components = {
        "births": yearly(sources.births.count.sum("sex").values.sum() / years.size * t),
        "deaths": yearly(0.01 * base.sum() * t),
        "internal_in": moves * 1.02, "internal_out": moves * 0.98,
        "international_in": yearly(0.008 * base.sum() * t),
        "international_out": yearly(0.006 * base.sum() * t),
        "other": 0 * moves,
    }  # fmt: skip
    stocks = {k: (("area", "sex", "age"), v) for k, v in figures.items()}
    flows = {k: (("area", "year"), v) for k, v in components.items()}
    codes = [f"X{i:02d}" for i in range(n)]
    labels = {
        "area": codes,
        "sex": list(SEXES),
        "age": ages,
        "year": years,
        "name": ("area", [f"Area {i}" for i in range(n)]),
    }
    return Areas(xr.Dataset({**stocks, **flows}, coords=labels))


def made_tables(model):
    """Population, components and codes of four invented areas, as a user would give them."""
    figures = made_areas(model, n=4).figures
    first, last = model.sources.first_year, model.sources.last_year
    kinds = [("rolled-forward", first, "base"), ("rolled-forward", last, "rolled_forward"),
             ("census-based", last, "census")]  # fmt: skip
    rows = [
        {"kind": kind, "year": year, "code": str(code), "sex": sex,
         **dict(zip(AGES, figures[name].sel(area=code, sex=sex).values, strict=True))}
        for kind, year, name in kinds for code in figures["area"].values for sex in SEXES
    ]  # fmt: skip
    flows = figures.drop_vars(
        ["base", "rolled_forward", "census", "structure", "mobility", "name", "sex", "age"]
    )
    for name, count in (("births", model.sources.births), ("deaths", model.sources.deaths)):
        whole = count.count.sum([d for d in count.count.dims if d != "year"])
        flows[name] = flows[name] / flows[name].sum("area") * whole
    components = flows.to_dataframe().reset_index().rename(columns={"area": "code"})
    start = figures["base"].sum(["sex", "age"]).to_series()
    gains = ["births", "internal_in", "international_in", "other"]
    change = components[gains].sum(axis=1) - components[
        ["deaths", "internal_out", "international_out"]
    ].sum(axis=1)
    end = change.groupby(components["code"]).cumsum() + components["code"].map(start)
    components = components.assign(population_end=end, population_start=end - change)
    codes = pd.DataFrame({"old": start.index, "code": start.index, "name": start.index,
                          "region": "all"})  # fmt: skip
    return pd.DataFrame(rows), components, codes
