"""The fictitious accounts over many seeds: is what was planted found, and nothing else?

Each seed is another history of the same country, published and counted with other errors of
chance and the same planted one (`data_raw/fictitious.py`). One row a kind: the fits whose 90
per cent interval holds the planted error, whose mean has its sign, and whose interval leaves
zero out; how far the mean lies off in posterior sds; the widest 95 per cent limit of all
migration as a share of the population; fits that end "nothing to explain"; sources called
sampling; and the CPU seconds of the slowest account from its files to its verdict.

What is planted is an error of all migration with cards, of internal moves in the area, and
none with the register. Appends to results/countries.csv. Run as

    OPENBLAS_NUM_THREADS=1 chrt --idle 0 uv run python benchmarks/bench_countries.py [seeds] [kinds]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results_file import append

import imps

sys.path.insert(0, str(Path(__file__).parents[1] / "data_raw"))
import fictitious

DRAWS = 250
OF = {
    "register": ("register_arrivals", "register_departures"),
    "cards": ("cards_arrivals", "cards_departures", "long_absences"),
    "area": ("internal_moves_arrivals", "internal_moves_departures", "unregistered_departures"),
}
"""Sources whose sum the planted error is a part of, by kind."""


def account(kind: str, seed: int, folder: Path) -> tuple[object, float]:
    """The project of a kind with the figures of a seed, read; and what was planted."""
    imps.write_project(folder, kind=kind)
    tables, planted = fictitious.ACCOUNTS[kind](seed)
    for name, table in tables.items():
        table.to_csv(folder / "data" / f"{name}.csv", index=False)
    return imps.load_project(folder), planted


def measure(kind: str, seeds: int) -> dict[str, object]:
    """One kind over its seeds."""
    rows, sampling, nothing, slowest = [], 0, 0, 0.0
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as place:
            begun = time.process_time()
            project, planted = account(kind, seed, Path(place) / "p")
            model = imps.linear_model(project.sources, project.priors)
            fit = imps.fit(model, seed=seed, draws=DRAWS, method="exact")
            shares = imps.attribute(fit)
            nothing += imps.check(fit).nothing_to_explain
        totals = shares.totals()
        found = totals.sel(source=list(OF[kind])).sum("source").values.ravel()
        sampling += sum("sampling" in str(s) for s in totals["source"].values)
        low, high = np.quantile(found, [0.05, 0.95])
        group = shares.groups().set_index("group").loc["migration"]
        widest = max(-group["lower95"], group["upper95"]) / project.sources.census.total
        rows.append((planted, found.mean(), found.std(), low, high, widest))
        slowest = max(slowest, time.process_time() - begun)
    planted, mean, sd, low, high, widest = np.array(rows).T
    return {
        "kind": kind, "seeds": seeds, "draws": 4 * DRAWS,
        "planted": round(planted.mean()), "posterior_mean": round(mean.mean()),
        "posterior_sd": round(sd.mean()),
        "held_90": int(((low <= planted) & (planted <= high)).sum()),
        "right_sign": int((np.sign(mean) == np.sign(planted)).sum()) if planted.any() else "",
        "clear_of_zero": int(((low > 0) | (high < 0)).sum()),
        "mean_off_in_sd": round(float((np.abs(mean - planted) / sd).mean()), 3),
        "widest_migration_share": round(float(widest.max()), 5),
        "nothing_to_explain": nothing, "sampling_sources": sampling,
        "slowest_cpu_seconds": round(slowest, 1),
    }  # fmt: skip


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    append("countries", (measure(kind, many) for kind in sys.argv[2:] or OF))
