"""How the cost of the exact way grows with years, with ages and with sources.

Accounts of two sexes with survey cells by age: simulated ones of 91 ages with 5 to 25 years,
and with 0 to 6 mirror series beside the shipped kinds in 10 years; the reference account with
every kind of source, 10 years, with the open age group at 30 to 105. CPU seconds of writing
the account down and of 4,000 draws (median of three), and rows of the likelihood, are
appended to results/scaling.csv; `docs/scaling.png` shows them. "survey cells by single year":
one survey by sex and 91 single ages in nine calendar years of both directions, 3,276 cells;
"totals alone": stocks and survey as totals over ten years, as in a loop over countries. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_scaling.py \
        [years ages mirrors cells totals]
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from bench_chain import totals_alone
from bench_closes import country, declared
from results_file import append

import imps
from imps.names import AGE_GROUP, SEX, SEXES, YEAR
from imps.simulation.reference import reference_account
from imps.simulation.simulate import DESIGN_EFFECT, GROSSING_WEIGHT, simulate_account
from imps.sources import MirrorSeries, Sources

matplotlib.use("Agg")
YEARS = (5, 10, 15, 20, 25)
AGES = (31, 46, 61, 76, 91, 106)
MIRRORS = (0, 2, 4, 6)
STOCKS = ("base", "census")
REPEATS = 3
FIGURE = Path(__file__).parent.parent / "docs" / "scaling.png"


def with_mirrors(sources: Sources, n: int) -> Sources:
    """Add n mirror series of immigration, each counting about 60 per cent of the flow."""
    years = sources.immigration.years
    total = sources.immigration.estimate.sum(("sex", "age_group")).values
    series = tuple(
        MirrorSeries(
            name=f"mirror {k + 1}",
            flow="immigration",
            count=xr.DataArray(0.6 * total, dims="year", coords={"year": years}),
            standard_error=xr.DataArray(0.06 * total, dims="year", coords={"year": years}),
            coverage_mean=0.6,
            coverage_sd=0.1,
            vintage="simulated",
            reference="imps.simulation.simulate",
        )
        for k in range(n)
    )
    return replace(sources, extra=(*sources.extra, *series))


def by_single_ages(sources: Sources) -> Sources:
    """The same survey as a count of whole interviews at each single age, Poisson around it."""
    rng, out = np.random.default_rng(0), {}
    account = imps.linear_model(sources, imps.default_priors()).account
    ages = np.arange(sources.ages.size)
    for name, flow in sources.survey_flows.items():
        weight = DESIGN_EFFECT[name] * GROSSING_WEIGHT[name]
        expected = np.einsum("csg,sga->csa", flow.estimate.values, account.flows[name].spread)
        contacts = np.maximum(rng.poisson(expected / weight), 1).astype(float)
        years = (flow.estimate.values.sum((1, 2)) / contacts.sum((1, 2)))[:, None, None]
        coords = {YEAR: flow.years, SEX: list(SEXES), AGE_GROUP: ages.astype(str)}
        found = {
            what: xr.DataArray(values, dims=(YEAR, SEX, AGE_GROUP), coords=coords)
            for what, values in (
                ("estimate", contacts * years),
                ("standard_error", np.sqrt(contacts) * weight),
                ("contacts", contacts),
            )
        }
        lower = xr.DataArray(np.tile(ages.astype(float), (2, 1)), dims=(SEX, AGE_GROUP),
                             coords={d: coords[d] for d in (SEX, AGE_GROUP)})  # fmt: skip
        out[name] = replace(flow, lower_ages=lower, eras=(), **found)
    return replace(sources, **out)


def measure(grows: str, size: int, sources: Sources) -> dict[str, object]:
    """CPU seconds of the model and of a fit of 4,000 draws."""
    start = time.process_time()
    model = imps.linear_model(sources, imps.default_priors())
    built = time.process_time() - start
    seconds = []
    for seed in range(REPEATS):
        start = time.process_time()
        imps.fit(model, seed=seed, method="exact")
        seconds.append(time.process_time() - start)
    return {
        "grows": grows,
        "size": size,
        "rows_of_likelihood": model.observed.size,
        "latent_variables": model.n_latent,
        "cpu_seconds_to_build": round(built, 3),
        "cpu_seconds_of_fit": round(float(np.median(seconds)), 3),
    }


def draw(rows: pd.DataFrame) -> None:
    """Cost against size beside the straight line through the smallest account."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    for ax, (grows, part) in zip(axes, rows.groupby("grows", sort=False), strict=True):
        x, y = part["size"].to_numpy(float), part["cpu_seconds_of_fit"].to_numpy(float)
        ax.plot(x, y, "o-", color="#206095", label="measured")
        if x[0] > 0:
            ax.plot(x, y[0] * x / x[0], "--", color="#707070", label="in proportion")
        ax.set(xlabel=grows, ylabel="CPU seconds, 4,000 draws", ylim=(0, None))
        ax.legend(frameon=False)
    figure.savefig(FIGURE, dpi=120)


def closing_totals() -> Sources:
    """A country of 5 million over ten years, of whose stocks and survey totals are known."""
    sources = declared(10, country(5, 10, 0.05, 5, seed=1))
    stocks = {name: replace(getattr(sources, name), observed="total") for name in STOCKS}
    return replace(totals_alone(sources), **stocks)


def main() -> None:
    """Measure all, or those that are named, and append; draw where all were measured."""
    asked = sys.argv[1:] or ["years", "ages", "mirrors", "cells", "totals"]
    ten = simulate_account("null", seed=0).sources
    rows = []
    if "years" in asked:
        rows += [
            measure("years", n, simulate_account("null", seed=0, n_years=n).sources) for n in YEARS
        ]
    if "ages" in asked:
        rows += [measure("ages", n, reference_account(n_ages=n, n_years=10)) for n in AGES]
    if "mirrors" in asked:
        rows += [measure("mirror series", k, with_mirrors(ten, k)) for k in MIRRORS]
    if len(asked) > 2:
        draw(pd.DataFrame(rows))
    if "cells" in asked:
        nine = by_single_ages(simulate_account("null", seed=0, n_years=8).sources)
        cells = sum(flow.estimate.size for flow in nine.survey_flows.values())
        rows.append(measure("survey cells by single year", cells, nine))
    if "totals" in asked:
        of_totals = closing_totals()
        measure("totals alone", 10, of_totals)  # the first of a loop loads what all others use
        rows.append(measure("totals alone", 10, of_totals))
    append("scaling", rows)


if __name__ == "__main__":
    main()
