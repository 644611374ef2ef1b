"""Where the displaced split of the survey's bias comes from, one planted error at a time.

Given the scales the posterior mean is linear in the figures, so the errors planted in
a scenario displace the two biases of the survey one by one, and the displacements add
up. Each part of scenario "2001" is planted alone on the same random numbers; "nothing
planted" is what is left when every published figure is right. Appends to
results/displaced.csv the mean error (posterior mean minus truth) of both biases with
its standard error over seeds; all other rows are differences from "nothing planted".
Two of them put right what the model must assume because it was never published: the
single-year ages of the parts, and of the flows. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_displaced.py [seeds]
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
from results_file import append

import imps.simulation.simulate as simulate
from imps.account.linear import linear_model
from imps.account.priors import default_priors
from imps.demography.schedules import migration_schedule
from imps.names import FLOWS
from imps.posterior.exact import GaussianPosterior
from imps.simulation.simulate import SCENARIOS, Scenario, simulate_account

BIASES = tuple(f"gap[{flow}_bias]" for flow in FLOWS)
NOTHING = "nothing planted"


def planted() -> dict[str, Scenario]:
    """Each part of the scenario of 2001 alone, flows apart, and all of them together."""
    whole, empty = SCENARIOS["2001"], SCENARIOS["null"]
    out = {NOTHING: empty}
    for part in fields(Scenario):
        value = getattr(whole, part.name)
        if value == getattr(empty, part.name):
            continue
        if isinstance(value, dict):
            for key, one in value.items():
                out[f"{part.name} {key}"] = replace(empty, **{part.name: {key: one}})
        else:
            out[part.name] = replace(empty, **{part.name: value})
    return {**out, "all of 2001": whole}


@contextmanager
def model_ages(*, flows: bool) -> Iterator[None]:
    """Parts, and flows if asked, with exactly the age schedules that the model starts from."""
    flow, parts = simulate._true_flow, simulate._ages_of_parts

    def same_ages(name: str, n_years: int, rng: np.random.Generator) -> np.ndarray:
        drawn = flow(name, n_years, rng)
        return migration_schedule(91, name)[:, :, None] * drawn.sum(axis=(0, 1))

    simulate._ages_of_parts = lambda name: migration_schedule(91, name)
    if flows:
        simulate._true_flow = same_ages
    try:
        yield
    finally:
        simulate._true_flow, simulate._ages_of_parts = flow, parts


def errors(scenario: Scenario, seeds: int) -> np.ndarray:
    """Posterior mean minus truth of both biases, (seed, flow), persons."""
    out = np.empty((seeds, len(BIASES)))
    for seed in range(seeds):
        simulated = simulate_account(scenario, seed=seed)
        posterior = GaussianPosterior(linear_model(simulated.sources, default_priors()))
        grid = posterior.grid(posterior.proposal(seed=seed), seed=seed)
        for j, name in enumerate(BIASES):
            truth = simulated.contributions[name.removeprefix("gap[").removesuffix("]")]
            out[seed, j] = grid.mean[posterior.names.index(name)] - truth
    return out


def row(label: str, found: np.ndarray) -> dict[str, object]:
    """Mean and its standard error over seeds, persons."""
    mean, se = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(len(found))
    return {
        "planted": label,
        "seeds": len(found),
        "error_of_immigration_bias": round(mean[0]),
        "se_immigration": round(se[0]),
        "error_of_emigration_bias": round(mean[1]),
        "se_emigration": round(se[1]),
    }


def main(seeds: int, measure: Callable[[Scenario, int], np.ndarray] = errors) -> None:
    """All rows, each written as soon as it is there."""
    scenarios = planted()
    nothing = measure(scenarios.pop(NOTHING), seeds)
    append("displaced", [row(NOTHING, nothing)])
    for label, flows in (("parts", False), ("parts and flows", True)):
        with model_ages(flows=flows):
            same = measure(Scenario(), seeds)
        append("displaced", [row(f"ages of {label} as in the model", same - nothing)])
    for label, scenario in scenarios.items():
        append("displaced", [row(label, measure(scenario, seeds) - nothing)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
