"""What the conflicts of the two cases of England and Wales rest on: one assumption at a time.

Every row is the model with one assumption changed: the strongest conflicts of rows left out,
the headline, and how much more probable the published figures become (log posterior density at
the most probable scales, with the constants of the errors of the rows). "Single ages" is the
error of each single age of base and census, below 20 as shipped or at all ages; "births
halved" takes half of each calendar year for the births of years to mid-year before the base
of 2011, which were published as such.

Appends to results/conflicts.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_conflicts.py
"""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
from results_file import append

import imps
from imps.account import stocks
from imps.posterior.exact import GaussianPosterior
from imps.results.stability import stability
from imps.sources import BornBefore

EARLY, LATE = "england-wales-2001-2011", "england-wales-2011-2021"
FOLLOWED = (("born_before", "census"), ("0-9", "base"), ("0-9", "counted"), ("20-39", "base"))
SINGLE_AGES = "stock_single_age_error"
ALL_AGES = 91


def with_births_halved(sources: imps.Sources) -> imps.Sources:
    """The births of mid-years before the base as half of each calendar year."""
    calendar = pd.read_csv(f"data_raw/{LATE.replace('-', '_')}/births_before.csv", index_col="year")
    halved = calendar["births"].rolling(2).mean()

    def known(own: object) -> object:
        if not isinstance(own, BornBefore):
            return own
        years = sources.first_year - own.born["age"].values
        return replace(own, born=own.born.copy(data=halved[years]), standard_error=None)

    return replace(sources, extra=tuple(known(own) for own in sources.extra))


def measure(
    case: str, changed: str, sources: imps.Sources, single_ages: float | None = None
) -> dict[str, object]:
    """Conflicts, headline and log density of one model."""
    priors = imps.default_priors()
    if single_ages is not None:
        priors = priors.replace(**{SINGLE_AGES: {"mean": single_ages}})
    model = imps.linear_model(sources, priors)
    posterior = GaussianPosterior(model)
    scales = posterior.mode()
    found = stability(model, scales)
    z = found.table.set_index(["left_out", "group"])["z"]
    bands = found.table[found.table["left_out"] == "85+"].set_index("group")
    density = posterior.log_density(scales) - np.log(model.standard_error).sum()
    return {
        "case": case,
        "changed": changed,
        "critical": round(found.critical, 2),
        "strongest": round(float(z.abs().max()), 2),
        **{f"z {out}: {group}": round(float(z[out, group]), 2) for out, group in FOLLOWED},
        **{
            f"{group}, {what}": round(float(bands.loc[group, what]))
            for group in ("base", "migration", "census")
            for what in ("mean", "sd")
        },
        "log_density": round(float(density), 1),
    }


def main() -> None:
    """Each change on each case."""
    sizes = {"as shipped": None, "no error of single ages": 0.0}
    sizes |= {f"single ages {100 * sd:.1f} %": sd for sd in (0.004, 0.012)}
    for case in (EARLY, LATE):
        sources = imps.load_case(case).sources
        for changed, sd in sizes.items():
            append("conflicts", [measure(case, changed, sources, sd)])
        with patch.object(stocks, "SINGLE_AGES_BELOW", ALL_AGES):
            append("conflicts", [measure(case, "single ages, all of them", sources)])
    halved = with_births_halved(imps.load_case(LATE).sources)
    for changed, sd in (("births halved", None), ("births halved, no error of single ages", 0.0)):
        append("conflicts", [measure(LATE, changed, halved, sd)])


if __name__ == "__main__":
    main()
