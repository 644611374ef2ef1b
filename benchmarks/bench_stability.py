"""Conflict of rows left out: its family-wise level under the model, and what a wrong census shows.

Data sets are drawn from the model itself, latent variables and random errors at the most
probable scales of each account. "right": the share of them in which any band of age or source
is in conflict (5 per cent if the critical value is right); "right, scales found again": the same
where the scales of each data set are sought as in a fit. "children 3 % short": the census
counts 3 per cent fewer at ages 0-9; the share in which those ages are in conflict.

"children missed" rows are no data sets but exact: what each headline group answers, in
thousand, to 100 thousand migrant children whom the survey missed and the census counted (at
fixed scales). Migrants gather over the years that a cohort has lived: the children stand at the
ages to which the flow of immigrants of the period carries them. "children counted more" is the
same number in proportion to the children counted, newborn and older alike, which is the pattern
of coverage and not of migration.

"without AGES" rows are those of `imps.left_out` of a fit of 4,000 draws at seed 1, as a report
prints them: by how many of its posterior sds each headline group moves, and the people of those
ages as all other figures predict them, less those published, in thousand and as z.

Appends to results/stability.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_stability.py [data sets]

for all of it, or with 0 data sets for the rows "without AGES" alone.
"""

import sys
from dataclasses import replace

import numpy as np
from results_file import append

import imps
from imps.demography.accounting import along_cohorts
from imps.names import IMMIGRATION
from imps.posterior.exact import GaussianPosterior
from imps.results.stability import (
    AGE_BANDS,
    COUNTED,
    NO_INFORMATION,
    LeaveOut,
    band_label,
    headline_totals,
    rows_by,
    stability,
)

SHORT = 0.97
MISSED = 100_000.0
CHILDREN = ("0-9", "10-19")


def accounts() -> dict[str, imps.Sources]:
    """The two cases with stocks by age, and a simulated account without births before the base."""
    cases = ("england-wales-2001-2011", "england-wales-2011-2021")
    return {
        **{name: imps.load_case(name).sources for name in cases},
        "simulated, null": imps.simulate_account("null", seed=3).sources,
    }


def measure(name: str, sources: imps.Sources, sets: int) -> list[dict[str, object]]:
    """Rows of one account."""
    model = imps.linear_model(sources, imps.default_priors())
    posterior = GaussianPosterior(model)
    scales = posterior.mode()
    factors, rng = model.scale_factors(scales), np.random.default_rng(1)
    totals = headline_totals(model)
    exact = LeaveOut(model, scales, list(totals.values()))
    parts = {**rows_by(model, "age"), **rows_by(model, "source")}
    bands = {band_label(*band) for band in AGE_BANDS}
    gains = {label: exact.without(rows, counted=label in bands) for label, rows in parts.items()}
    critical = {by: stability(model, scales, by).critical for by in (("age", "source"), ("age",))}
    children = parts["0-9"]

    def strongest(observed: np.ndarray, label: str) -> float:
        _, added, gain = gains[label]
        more = np.diag(added)
        before = np.append(np.diag(exact.covariance), 0.0)[: more.size]
        informed = more > NO_INFORMATION * before
        z = gain.T @ exact.solve((observed - model.offset) / model.standard_error)
        return float(np.abs(z[informed] / np.sqrt(more[informed])).max(initial=0.0))

    right, again, found = [], [], []
    for _ in range(sets):
        noise = model.standard_error * rng.standard_normal(model.observed.size)
        drawn = model.expected((factors * rng.standard_normal(model.n_latent))[None])[0] + noise
        right.append(max(strongest(drawn, label) for label in parts) > critical["age", "source"])
        own = posterior.given(drawn).mode(scales)
        again.append(not stability(replace(model, observed=drawn), own).conflicts.empty)
        drawn[children] *= SHORT
        found.append(strongest(drawn, "0-9") > critical[("age",)])
    rows = [
        {"account": name, "what": "right", "sets": sets, "value": round(np.mean(right), 3)},
        {"account": name, "what": "right, scales found again", "sets": sets,
         "value": round(np.mean(again), 3)},
        {"account": name, "what": "children 3 % short", "sets": sets,
         "value": round(np.mean(found), 3)},
    ]  # fmt: skip
    for band in CHILDREN:
        at = parts[band]
        for what, shape in (("missed", gathered(model)), ("counted more", model.observed)):
            more = np.zeros(model.observed.size)
            more[at] = MISSED * shape[at] / shape[at].sum()
            answer = exact.solved.T @ (more / model.standard_error)
            answer[list(totals).index("census")] -= MISSED  # true people minus those counted
            rows += [
                {"account": name, "what": f"children {what} at {band}: {group}", "sets": "",
                 "value": round(float(x) / 1000, 1)}
                for group, x in zip(totals, answer, strict=True)
            ]  # fmt: skip
    return rows


def gathered(model: imps.LinearModel) -> np.ndarray:
    """Immigrants of the period at the ages of its end, by row of the census, persons."""
    flow = model.account.flows[IMMIGRATION]
    census = np.flatnonzero(np.array(model.row_sources) == "census")
    out = np.zeros(model.observed.size)
    out[census] = along_cohorts(flow.true.constant[:, :, flow.inner]).ravel()
    return out


def moved(name: str, sources: imps.Sources) -> list[dict[str, object]]:
    """How far each headline group moves without each band of age, and how those ages stand."""
    fit = imps.fit(imps.linear_model(sources, imps.default_priors()), seed=1, progress=False)
    values = {}
    for row in imps.left_out(fit, by="age").itertuples():
        what = f"without {row.left_out}: {row.group}"
        if row.group == COUNTED:
            values |= {f"{what}, thousand": row.shift / 1000, f"{what}, z": row.z}
        else:
            values[f"{what}, sds"] = row.shift_in_sd
    return [
        {"account": name, "what": what, "sets": "", "value": round(float(value), 2)}
        for what, value in values.items()
    ]


if __name__ == "__main__":
    many, all_of = int(sys.argv[1]) if len(sys.argv) > 1 else 200, accounts().items()
    if many:
        append("stability", (row for name, s in all_of for row in measure(name, s, many)))
    append("stability", (row for name, s in all_of for row in moved(name, s)))
