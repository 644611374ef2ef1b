"""Known truth: bias, spread and coverage of sources, net migration and population.

Simulates accounts of the scenarios through `imps.simulation.simulate`, which never imports
the model, fits each the exact way, and appends to results/accuracy.csv one row a
scenario, model and quantity. The model "yearly reference" is the specification
before it was mended: survey bias in proportion to the published flow of each year
beside a true flow centred on a constant. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_accuracy.py [seeds] [scenario ...]
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from results_file import append

from imps.account import account, flows
from imps.account.linear import linear_model
from imps.account.priors import default_priors
from imps.posterior.exact import GaussianPosterior
from imps.simulation.simulate import Simulation, simulate_account


@contextmanager
def yearly_reference() -> Iterator[None]:
    """Put the earlier reference of the survey bias back for as long as the block lasts."""
    flow, bias = account.survey_flow, flows._survey_bias
    profile: dict[str, np.ndarray] = {}

    def with_profile(latents, survey, *rest):  # type: ignore[no-untyped-def]
        total = survey.estimate.sum(("sex", "age_group")).values
        middle = np.arange(total.size + 1) - 0.5
        profile["now"] = np.interp(middle, np.arange(total.size), total / total.mean())
        return flow(latents, survey, *rest)

    account.survey_flow = with_profile
    flows._survey_bias = lambda latents, name, published, eras: bias(
        latents, name, published * profile["now"], eras
    )
    try:
        yield
    finally:
        account.survey_flow, flows._survey_bias = flow, bias


def truths(simulated: Simulation) -> dict[str, float]:
    """True value of each reported quantity that the simulation knows."""
    out = {f"gap[{name}]": value for name, value in simulated.contributions.items()}
    apart = ("base", "census_coverage")
    out["group[migration]"] = sum(v for k, v in simulated.contributions.items() if k not in apart)
    for year in simulated.net_migration["year"].values:
        out[f"net_migration[{year}]"] = float(simulated.net_migration.sel(year=year))
    out["net_migration[all years]"] = float(simulated.net_migration.sum())
    last = int(simulated.net_migration["year"].values[-1])
    out[f"population[{last}]"] = float(simulated.population.sum())
    return out


def measure(scenario: str, model_name: str, seeds: int) -> list[dict[str, object]]:
    """One row a quantity: truth, posterior mean and sd, bias, rmse, coverage."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    points = []
    for seed in range(seeds):
        simulated = simulate_account(scenario, seed=seed)
        posterior = GaussianPosterior(linear_model(simulated.sources, default_priors()))
        grid = posterior.grid(posterior.proposal(seed=seed), seed=seed)
        points.append(grid.effective)
        for name, truth in truths(simulated).items():
            i = posterior.names.index(name)
            found.setdefault(name, []).append((truth, grid.mean[i], grid.sd[i]))
    rows: list[dict[str, object]] = []
    for name, values in found.items():
        truth, mean, sd = np.array(values).T
        z = np.abs(mean - truth) / sd
        rows.append(
            {
                "scenario": scenario,
                "model": model_name,
                "seeds": seeds,
                "quantity": name,
                "truth": round(truth.mean()),
                "mean": round(mean.mean()),
                "sd": round(sd.mean()),
                "bias": round((mean - truth).mean()),
                "rmse": round(float(np.sqrt(((mean - truth) ** 2).mean()))),
                "coverage50": round(float((z < 0.6745).mean()), 3),
                "coverage90": round(float((z < 1.6449).mean()), 3),
                "least_effective_points": round(min(points)),
            }
        )
    return rows


def main() -> None:
    """Measure the scenarios; the first also with the earlier reference of the bias."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    scenarios = sys.argv[2:] or ["2001", "2011", "2021", "Australia 2011", "null"]
    for i, scenario in enumerate(scenarios):
        append("accuracy", measure(scenario, "one reference", seeds))
        if i == 0:
            with yearly_reference():
                append("accuracy", measure(scenario, "yearly reference", seeds))


if __name__ == "__main__":
    main()
