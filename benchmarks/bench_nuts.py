"""NUTS on unseen simulated data sets: cost, gate, and agreement with the exact way.

Accounts of scenario "2001" at full size (91 ages, two sexes, ten years, all sources), each
with its own figures and so with its own compilation. A row a data set is appended to
results/nuts.csv as soon as it is done: the gate is R-hat at most 1.01, bulk and tail
effective size at least 400 for every reported quantity and every scale, and no divergence.
`agree` takes three times the draws, for a difference of means that can be seen. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_nuts.py [gate|agree] [first seed] [n]
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_nuts.py agree CASE ...
"""

import resource
import sys

from results_file import append

import imps
from imps.posterior.fit import agreement
from imps.results.checks import check

DRAWS = {"gate": 2000, "agree": 6000}


def cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(what: str, data_set: str, sources: imps.Sources) -> dict[str, object]:
    """Fit both ways and compare."""
    model = imps.build_model(sources)
    exact = imps.fit(model, seed=1, method="exact")
    start = cpu()
    nuts = imps.fit(model, seed=1, method="nuts", draws=DRAWS[what], progress=False, cores=1)
    used = cpu() - start
    table = check(nuts).table
    compared = agreement(exact, nuts)
    divergences = int(nuts.stats["diverging"].sum())
    r_hat, bulk, tail = (
        float(getattr(table[column], end)())
        for column, end in (("r_hat", "max"), ("ess_bulk", "min"), ("ess_tail", "min"))
    )
    return {
        "what": what,
        "data_set": data_set,
        "draws": 4 * DRAWS[what],
        "seconds_to_compile": round(nuts.seconds["compile"], 1),
        "cpu_seconds": round(used, 1),
        "gradients_a_draw": round(float(nuts.stats["n_steps"].mean()), 1),
        "largest_r_hat": round(r_hat, 4),
        "least_ess_bulk": round(bulk),
        "least_ess_tail": round(tail),
        "divergences": divergences,
        "gate_passed": r_hat <= 1.01 and bulk >= 400 and tail >= 400 and divergences == 0,
        "exact_least_effective_points": round(float(exact.stats["effective_points"].min())),
        "largest_difference_of_means_in_sds": round(float(compared["apart"].abs().max()), 4),
        "monte_carlo_error_of_that": round(float(compared["monte_carlo_error"].iloc[0]), 4),
        "largest_relative_difference_of_sds": round(
            float((compared["sd_ratio"] - 1).abs().max()), 4
        ),
    }


def main() -> None:
    """One data set after another, each a row of its own."""
    what, *asked = sys.argv[1:] or ["gate"]
    if asked and asked[0] in imps.cases():
        for case in asked:
            append("nuts", [measure(what, case, imps.load_case(case).sources)])
        return
    first, n = (int(x) for x in (asked + ["100", "20"][len(asked) :]))
    for seed in range(first, first + n):
        sources = imps.simulate_account("2001", seed=seed).sources
        append("nuts", [measure(what, f"simulated 2001, seed {seed}", sources)])


if __name__ == "__main__":
    main()
