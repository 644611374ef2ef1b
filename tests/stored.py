"""The answers of the shipped cases at seed 1, as they are stored in tests/data.

Tables in full; of the data of a figure at most ROWS rows, evenly spaced; two small saved fits.
They are written again by one command, when answers have changed on purpose (the change then
says which, by how much and why):

    uv run python tests/stored.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

import imps

DATA = Path(__file__).parent / "data"
CASES = ("uk-1991-2001", "england-wales-2001-2011", "england-wales-2011-2021")
FITS = ("uk-1991-2001", "england-wales-2011-2021")
ROWS = 150


def tables_of(run):
    """Every table of a run, with the one of the checks, as data frames."""
    tables = {name: table.to_frame() for name, table in run.tables().items()}
    return {**tables, "checks": run.checks.table}


def figures_of(run):
    """Every figure of a run folder, as the numbers drawn in it."""
    fit, attribution, reconciliation = run.fit, run.attribution, run.reconciliation
    later = run.case.later_series
    figures = {
        "waterfall": imps.plot_waterfall(attribution),
        "gap_pyramid": imps.plot_gap_pyramid(attribution),
        "prior_posterior": imps.plot_prior_posterior(attribution),
        "joint": imps.plot_joint(attribution),
        "net_migration": imps.plot_net_migration(reconciliation),
        "back_series": imps.plot_back_series(reconciliation, later=None if later.empty else later),
        "predictive": imps.plot_predictive(imps.posterior_predictive(fit)),
        "diagnostics": imps.plot_diagnostics(fit),
        "tornado": imps.plot_tornado(fit),
    }
    return {name: thinned(imps.plots.figure_data(figure)) for name, figure in figures.items()}


def thinned(frame):
    """At most ROWS rows, evenly spaced, each with its place in the whole."""
    places = np.unique(np.linspace(0, len(frame) - 1, ROWS).round().astype(int))
    return frame.reset_index(drop=True).iloc[places].rename_axis("place of row").reset_index()


def stored(case, kind):
    """The stored frames of a case by name; kind is "tables" or "figures"."""
    return {
        path.name.partition(".")[0]: pd.read_csv(path)
        for path in sorted((DATA / "cases" / case / kind).glob("*.csv*"))
    }


def small_fit(case):
    """A fit of few draws, small enough to be kept."""
    model = imps.linear_model(imps.load_case(case).sources, imps.default_priors())
    return imps.fit(model, seed=1, draws=20, chains=2)


def write():
    """Write tables, figures and saved fits anew."""
    for case in CASES:
        run = imps.run(case, seed=1, progress=False)
        for kind, frames, end in (
            ("tables", tables_of(run), "csv"),
            ("figures", figures_of(run), "csv.gz"),
        ):
            folder = DATA / "cases" / case / kind
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
            for name, frame in frames.items():
                how = {"method": "gzip", "mtime": 0} if end.endswith("gz") else None
                frame.to_csv(folder / f"{name}.{end}", index=False, compression=how)
    (DATA / "fits").mkdir(exist_ok=True)
    for case in FITS:
        fit = small_fit(case)
        fit.save(DATA / "fits" / f"{case}.nc", case=imps.load_case(case))
        imps.attribute(fit).summary().to_csv(DATA / "fits" / f"{case}.csv", index=False)


if __name__ == "__main__":
    write()
