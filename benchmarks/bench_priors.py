"""What the answers of the cases rest on: the default priors beside those of a year.

Every row is a quantity of a case with the default priors, with those whose figures were known
in the year before the second census, and with those of today: posterior mean and standard
deviation, exact, in thousand persons; how far it lies from that of the default priors in sds
of the latter; and, of the whole fit, the strongest conflict of rows left out, the level that is
allowed, and how far a headline group moves at most when a band of age is left out.

Appends to results/priors.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_priors.py [case ...]
"""

import sys

from results_file import append

import imps

DEFAULT, TODAY = "default", 2026
QUANTITIES = (
    "gap[base]",
    "group[migration]",
    "group[census]",
    "gap[immigration_bias]",
    "gap[emigration_bias]",
)
GROUPS = ("base", "migration", "census")


def measure(case: str) -> list[dict[str, object]]:
    """All quantities of a case under each table of priors."""
    sources = imps.load_case(case).sources
    before = int(sources.census.date.year) - 1
    tables = {DEFAULT: imps.default_priors()} | {
        year: imps.default_priors(as_of=year) for year in (before, TODAY)
    }
    found, rows = {}, []
    for name, priors in tables.items():
        fit = imps.fit(imps.linear_model(sources, priors), seed=1)
        found[name] = fit.extras["exact_moments"].set_index("quantity")
        stands = imps.check(fit).stability
        groups = stands.table[stands.table["group"].isin(GROUPS) & (stands.table["by"] == "age")]
        for quantity in QUANTITIES:
            mean, sd = found[name].loc[quantity, ["mean", "sd"]]
            first = found[DEFAULT].loc[quantity]
            rows.append({
                "case": case,
                "priors": name,
                "quantity": quantity,
                "mean_thousand": round(mean / 1000, 1),
                "sd_thousand": round(sd / 1000, 1),
                "moved_in_sd": round((mean - first["mean"]) / first["sd"], 2),
                "strongest_conflict": round(float(stands.table["z"].abs().max()), 2),
                "critical": round(stands.critical, 2),
                "farthest_shift_in_sd": round(float(groups["shift_in_sd"].abs().max()), 2),
            })  # fmt: skip
    return rows


if __name__ == "__main__":
    append("priors", (row for case in sys.argv[1:] or imps.cases() for row in measure(case)))
