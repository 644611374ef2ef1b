"""What the conflicts of the two cases of England and Wales rest on: one assumption at a time.

Every row is the model with one assumption changed: the strongest conflicts of rows left out,
the headline, and how much more probable the published figures become (log posterior density at
the most probable scales, with the constants of the errors of the rows). No change is made here
to the model that is shipped. "Births of mid-years" takes the published births of the years to
mid-2011 in place of half of each calendar year; "half-years err by" is the error of that rule;
"single ages" adds an error of each single year of age below a limit to base and census, shared
by the sexes or each its own.

Appends to results/conflicts.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_conflicts.py
"""

from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from results_file import append

import imps
from imps.account import account, observations
from imps.account.affine import Affine
from imps.account.latents import Latents, each_sex
from imps.posterior.exact import GaussianPosterior
from imps.results.stability import stability
from imps.sources import BornBefore, Stock

EARLY, LATE = "england-wales-2001-2011", "england-wales-2011-2021"
FOLLOWED = (("born_before", "census"), ("0-9", "base"), ("0-9", "counted"), ("20-39", "base"))


def half_years_err_by(share: float):  # type: ignore[no-untyped-def]
    """Another error of the births of a mid-year as half of each calendar year."""
    return patch.object(observations, "BIRTHS_AT_MID_YEARS", share)


def single_ages(sd: float, below: int, *, shared: bool):  # type: ignore[no-untyped-def]
    """A further error of each single age of base and census, a share of the cell."""
    right = account.stock_sampling

    def wider(latents: Latents, stock: Stock, name: str, source: str) -> Affine:
        count = stock.count.values
        each = sd * count[..., None] * np.eye(count.shape[1])[:, :below]
        each = each if shared else each_sex(each)
        return right(latents, stock, name, source) + latents.field(
            f"{name}_single_ages", each, source=source
        )

    return patch.object(account, "stock_sampling", wider)


def with_births_of_mid_years(sources: imps.Sources) -> imps.Sources:
    """The children of the base against the births of mid-years, as the earlier decade has them."""
    births = imps.load_case(EARLY).sources.births.count.sum("sex")

    def known(own: object) -> object:
        if not isinstance(own, BornBefore):
            return own
        years = sources.first_year - own.born["age"].values
        born = own.born.copy(data=[float(births.sel(year=y)) for y in years])
        return replace(own, born=born)

    return replace(sources, extra=tuple(known(own) for own in sources.extra))


def measure(case: str, changed: str, sources: imps.Sources) -> dict[str, object]:
    """Conflicts, headline and log density of one model."""
    model = imps.linear_model(sources, imps.default_priors())
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
    changes = {
        "as shipped": nullcontext(),
        "half-years err by 0.45 %": half_years_err_by(0.0045),
        **{
            f"single ages below {below}, {100 * sd:.1f} %, {'shared' if shared else 'each sex'}": (
                single_ages(sd, below, shared=shared)
            )
            for sd, below, shared in (
                (0.004, 20, True),
                (0.008, 20, True),
                (0.008, 20, False),
                (0.008, 91, True),
            )
        },
    }
    for case in (EARLY, LATE):
        sources = imps.load_case(case).sources
        for changed, change in changes.items():
            with change:
                append("conflicts", [measure(case, changed, sources)])
    births = with_births_of_mid_years(imps.load_case(LATE).sources)
    shared = next(name for name in changes if name.startswith("single ages below 20, 0.8"))
    known = "births of mid-years, known to 0.05 %"
    with half_years_err_by(0.0005):
        append("conflicts", [measure(LATE, known, births)])
        with changes[shared]:
            append("conflicts", [measure(LATE, f"{known}; {shared}", births)])


if __name__ == "__main__":
    main()
