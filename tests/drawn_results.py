"""Small results made by hand, the same on every machine: for tests of figures and tables only.

Draws are normal quantiles in a fixed order, no random numbers and no fit, so that a
figure changes only when the code that draws it does.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import norm

from imps.demography.periods import YearEnd
from imps.results.attribution import Attribution
from imps.results.chain import ChainResults
from imps.results.predictive import Coverage, LexisSurface, Predictive
from imps.results.reconciliation import Reconciliation
from imps.results.verdict import Verdict
from imps.sources.definitions import Detail
from imps.sources.kinds import KINDS

CHAINS, DRAWS, AGES, YEARS = 2, 101, np.arange(21), np.arange(2002, 2007)
VERDICT = Verdict(
    "usable",
    next_step="read imps.attribute beside imps.identifiability",
    figures="R-hat at most 1.001, effective size at least 900 (bulk) and 800 (tail)",
)
MEANS = {"base": 60e3, "immigration_bias": -20e3, "emigration_bias": 45e3, "census_coverage": 10e3,
         "flows_revised_since": 25e3}  # fmt: skip
SDS = {"base": 40e3, "immigration_bias": 30e3, "emigration_bias": 50e3, "census_coverage": 20e3,
       "flows_revised_since": 0.0}  # fmt: skip
NORMAL = norm.ppf((np.arange(DRAWS) + 0.5) / DRAWS)


def spread(i):
    """Standard normal draws (chain, draw), another order for each i."""
    step = (2 * i + 3) % DRAWS or 1  # DRAWS is prime: every step visits all quantiles
    order = (np.arange(DRAWS) * step + 7 * i) % DRAWS
    return np.stack([NORMAL[order], NORMAL[order[::-1]]])


def shape():
    """Shares of a total by sex and age, larger at young adult ages."""
    bell = 1 + 4 * np.exp(-0.5 * ((AGES - 12) / 3) ** 2)
    return np.stack([1.2 * bell, 0.8 * bell]) / (2 * bell.sum())


def attribution(verdict=VERDICT):
    draws = np.stack([MEANS[s] + SDS[s] * spread(i) for i, s in enumerate(MEANS)], axis=-1)
    labels = {"source": list(MEANS), "sex": ["male", "female"], "age": AGES}
    cells = draws[..., None, None] * shape()
    gap = shape() * sum(MEANS.values())
    groups = [KINDS[s].group for s in MEANS]
    prior = pd.DataFrame(
        {
            "source": list(MEANS),
            "group": groups,
            "prior_mean": [0.0, 0.0, 15e3, 0.0, 25e3],
            "prior_sd": [55e3, 32e3, 80e3, 24e3, 0.0],
        }
    )
    by_group = prior.groupby("group", as_index=False).agg(
        {"prior_mean": "sum", "prior_sd": lambda s: float(np.sqrt((s**2).sum()))}
    )
    return Attribution(
        contributions=xr.DataArray(
            cells, dims=("chain", "draw", "source", "sex", "age"), coords=labels
        ),
        gap=xr.DataArray(gap, dims=("sex", "age"), coords={k: labels[k] for k in ("sex", "age")}),
        observed="sex",
        prior=prior,
        prior_groups=by_group,
        exact=None,
        area="Testland",
        period="mid-2001 to the census of 30 June 2006",
        verdict=verdict,
        passed=verdict.usable,
        detail=Detail(True, tuple(int(a) for a in AGES)),
    )


def reconciliation(verdict=VERDICT):
    cells, years = shape(), YEARS.size
    net = np.stack([30e3 + 8e3 * t + 9e3 * spread(t) for t in range(years)], axis=-1)
    stock = np.stack([900e3 + 20e3 * t + 15e3 * spread(t + 5) for t in range(years + 1)], axis=-1)
    dims = ("chain", "draw", "year", "sex", "age")
    coords = {"sex": ["male", "female"], "age": AGES}

    def over(values, labels):
        return xr.DataArray(values[..., None, None] * cells, dims=dims,
                            coords={"year": labels, **coords})  # fmt: skip

    rolled = 900e3 + 24e3 * np.arange(years + 1)
    missing = [np.nan]
    published = pd.DataFrame(
        {
            "year": np.r_[2001, YEARS],
            "survey": missing + [24e3 + 7e3 * t for t in range(years)],
            "survey_se": missing + [5e3] * years,
            "published_flows": missing + [33e3 + 7e3 * t for t in range(years)],
            "carried": missing + [41e3 + 6e3 * t for t in range(years)],
            "rolled_forward": rolled,
        }
    )
    nothing = xr.DataArray(
        np.zeros((CHAINS, DRAWS, 2, AGES.size)), dims=("chain", "draw", "sex", "age"), coords=coords
    )
    flows = over(net, YEARS)
    return Reconciliation(
        population=over(stock, np.r_[2001, YEARS]),
        net_migration=flows,
        births=flows.isel(age=0, drop=True) * 0,
        deaths=flows * 0,
        other_changes=flows * 0,
        residual=nothing,
        survey_flows=xr.DataArray(
            np.stack([net + 60e3, 0 * net + 60e3], axis=2),
            dims=("chain", "draw", "flow", "year"),
            coords={"flow": ["immigration", "emigration"], "year": YEARS},
        ),
        published=published,
        gap=xr.DataArray(cells * 20e3, dims=("sex", "age"), coords=coords),
        negative_flows=0.0,
        area="Testland",
        verdict=verdict,
        passed=verdict.usable,
    )


def later_series():
    return pd.DataFrame(
        {"year": YEARS, "series": "population", "persons": 905e3 + 20e3 * np.arange(1, 6)}
    )


def predictive():
    rows = []
    for source, n in (("immigration", 60), ("census", 8)):
        z = norm.ppf((np.arange(n) * 37 % n + 0.5) / n)
        for i in range(n):
            rows.append((source, f"{source} {i}", 1000 + 100 * z[i], 1000.0, 100.0, z[i]))
    table = pd.DataFrame(rows, columns=["source", "row", "observed", "mean", "sd", "z"])
    table.insert(5, "lower95", table["mean"] - 1.96 * table["sd"])
    table.insert(6, "upper95", table["mean"] + 1.96 * table["sd"])
    table["pit"] = norm.cdf(table["z"])
    table["inside95"] = table["z"].abs() <= 1.96
    return Predictive(table, True, "Testland", VERDICT, True)


def surface(panels=("both sexes",)):
    age, year = (x.ravel() for x in np.meshgrid(AGES, YEARS, indexing="ij"))
    parts = []
    for k, panel in enumerate(panels):
        value = 100.0 * (age - 10 + 2 * (year - 2004)) * (1 - 1.5 * k)
        parts.append(
            pd.DataFrame(
                {"panel": panel, "first_age": age, "last_age": age, "start": year - 0.5,
                 "end": year + 0.5, "value": value, "lower95": value - 900,
                 "upper95": value + 900, "z": value / 459.0}
            )
        )  # fmt: skip
    return LexisSurface(
        pd.concat(parts, ignore_index=True), "Official minus posterior", "persons a year",
        "positive: the official figure was too high", int(AGES[-1]), "Testland", VERDICT, True,
        YearEnd(),
    )  # fmt: skip


def coverage():
    ratio = 1.0 + 0.02 * np.sin(AGES / 3) + 0.004 * spread(3)[..., None, None] * np.ones((2, 1))
    labels = {"sex": ["male", "female"], "age": AGES}
    ratios = xr.DataArray(ratio, dims=("chain", "draw", "sex", "age"), coords=labels)
    total = ratios.mean(("sex", "age"))
    return Coverage(ratios, total, True, "patient register", "mid-2004", "Testland", VERDICT, True)


def swings():
    rows = [
        ("as it is", "as it is", 80e3, 50e3),
        ("Prior of population base", "halved", 60e3, 45e3),
        ("Prior of population base", "doubled", 110e3, 60e3),
        ("Prior of census coverage", "halved", 84e3, 49e3),
        ("Prior of census coverage", "doubled", 72e3, 52e3),
        ("Without census figures", "removed", 20e3, 90e3),
    ]
    frame = pd.DataFrame(rows, columns=["change", "variant", "mean", "sd"])
    frame["lower95"] = frame["mean"] - 1.96 * frame["sd"]
    frame["upper95"] = frame["mean"] + 1.96 * frame["sd"]
    frame["swing"] = frame["mean"] - 80e3
    return frame


def chain():
    """Two periods of a chain, alike but for the sign of the second."""
    first = attribution()
    turned = {"contributions": -first.contributions, "gap": -first.gap, "exact": None}
    return ChainResults(
        attributions={"1991-2001": first, "2001-2011": replace(first, **turned)},
        reconciliations={},
        area=first.area,
        span="mid-1991 to mid-2011",
        verdict=first.verdict,
        passed=first.passed,
        correlation=None,
    )
