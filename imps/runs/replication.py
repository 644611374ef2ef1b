"""A folder that reproduces the numbers of a run with one command.

It holds the run to repeat (manifest and saved case), the figures as plain tables, the
package itself, the pinned versions, the numbers expected with their tolerances, and a README
to the template of the social-science data editors. Where the data cannot be shared, a
simulated account of the same years stands in for them.

References
----------
Vilhuber and others, Template README for social science replication packages (the headings).
Data and Code Availability Standard 1.0.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

import imps
from imps.account.latents import Resolution
from imps.account.variant import Variant
from imps.errors import OutputExistsError, SavedFileError
from imps.posterior.archive import edited_outputs
from imps.posterior.saved_fits import FIT_FILE
from imps.project.case import SHIPPED, Case
from imps.report.citation import cite
from imps.runs.chain import ChainRun, chain_run
from imps.runs.manifest import MANIFEST_FILE, quantities, read_manifest, write_manifest
from imps.runs.rerun import FALSE_ALARM, KNOWN_SD, rerun
from imps.runs.run import Run, load_run, run
from imps.simulation.chains import scenarios_of_chain, simulate_chain
from imps.simulation.simulate import simulate_account
from imps.sources import Sources

RUN_FOLDER, EXPECTED_FILE, PROGRAM = "run", "expected/quantities.csv", "replicate.py"
DISTRIBUTION = "imps-reconcile"
STAND_IN = "stand-in"


@dataclass(frozen=True)
class Reproduction:
    """Whether the numbers of a replication folder came out again.

    Attributes
    ----------
    table : DataFrame
        quantity, mean, sd as expected; mean_now, sd_now; tolerance_mean, tolerance_sd;
        reproduced.
    verdict : str
        Of :func:`imps.rerun`: identical, equal within Monte Carlo error, or different.
    changed : tuple of str
        What is not as it was, such as versions.
    seconds : float
    """

    table: pd.DataFrame
    verdict: str
    changed: tuple[str, ...]
    seconds: float

    @property
    def reproduced(self) -> bool:
        """Whether every number lies within its tolerance."""
        return bool(self.table["reproduced"].all())

    def __repr__(self) -> str:
        n, good = len(self.table), int(self.table["reproduced"].sum())
        word = "REPRODUCED" if self.reproduced else "NOT REPRODUCED"
        lines = [f"{word}: {good} of {n} numbers within their tolerance; draws {self.verdict}"]
        for row in self.table[~self.table["reproduced"]].head(5).itertuples():
            lines.append(
                f"  {row.quantity}: mean {row.mean:,.6g} expected, {row.mean_now:,.6g} now "
                f"(tolerance {row.tolerance_mean:,.3g}); sd {row.sd:,.6g} and {row.sd_now:,.6g}"
            )
        lines += [f"  not as it was: {line}" for line in self.changed[:8]]
        return "\n".join([*lines, f"  {self.seconds:.0f} seconds"])


def replicate(
    folder: str | Path,
    out: str | Path,
    *,
    stand_in: bool = False,
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Write the replication folder of a finished run.

    Parameters
    ----------
    folder : path
        Of the run.
    out : path
        Replication folder; it must not exist unless `force`.
    stand_in : bool
        Leave the figures out and put a simulated account of the same years in their place,
        with the numbers expected of it. The numbers of the paper stand beside, unreproducible
        without the data.
    say : callable, optional
        Told in a line what is going on.
    force : bool
        Replace a replication folder that is there.

    Returns
    -------
    Path

    Raises
    ------
    OutputExistsError
        If the folder is already there.
    SavedFileError
        If there is no finished run, or its fit or a table was edited since.
    """
    source, target = Path(folder), Path(out)
    ours = target.is_dir() and (target / PROGRAM).is_file()
    if target.exists() and not (force and ours):
        raise OutputExistsError(
            f"'{target}' is already there. Choose another, or say --force (force=True) to replace "
            "an earlier replication folder."
        )
    edited = edited_outputs(source)
    if edited:
        raise SavedFileError(
            f"'{source.name}' cannot be replicated: {'; '.join(edited[:5])}. Give the command of "
            "the run again with --force, or bring back the files that it wrote."
        )
    done, manifest = load_run(source), read_manifest(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        if stand_in:
            _write_stand_in(partial, manifest, done, say)
        else:
            (partial / RUN_FOLDER).mkdir()
            for name in (MANIFEST_FILE, FIT_FILE):
                shutil.copyfile(source / name, partial / RUN_FOLDER / name)
            shutil.copytree(source / "tables", partial / "expected" / "tables")
            _write_data(partial / "data", done)
        _write_expected(partial)
        _write_rest(partial, manifest, done, stand_in)
        partial.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def reproduce(folder: str | Path, *, say: Callable[[str], None] | None = None) -> Reproduction:
    """Repeat the run of a replication folder and compare every number with the expected one.

    Parameters
    ----------
    folder : path
        As written by :func:`replicate`.
    say : callable, optional
        Told in a line what is going on.

    Returns
    -------
    Reproduction
        Each number as expected and now, with its tolerance, and `reproduced`.

    Raises
    ------
    SavedFileError
        If there is no replication folder.
    """
    place, start = Path(folder), time.perf_counter()
    again = rerun(place / RUN_FOLDER, progress=False, say=say)
    now = quantities(again.run.fit, again.run.checks)
    table = compared(pd.read_csv(place / EXPECTED_FILE), now)
    return Reproduction(table, again.verdict, again.changed, time.perf_counter() - start)


def expected_numbers(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The numbers of a manifest with the tolerances that a repetition must keep.

    Returns
    -------
    DataFrame
        quantity, mean, sd, ess, tolerance_mean, tolerance_sd, in persons (scales: no unit).

    Notes
    -----
    A repetition with other draws differs by Monte Carlo error: its mean by
    sd sqrt(2 / ess), its sd by sd / sqrt(ess). The tolerances are these times the normal
    quantile at a family-wise level of 0.001 over all numbers (Bonferroni). A known quantity
    must come out equal.
    """
    frame = pd.DataFrame(rows)[["quantity", "mean", "sd", "ess"]]
    limit = -float(ndtri(FALSE_ALARM / 2 / (2 * len(frame))))
    ess = frame["ess"].astype(float)
    frame["tolerance_mean"] = (limit * frame["sd"] * np.sqrt(2 / ess)).fillna(KNOWN_SD)
    frame["tolerance_sd"] = (limit * frame["sd"] / np.sqrt(ess)).fillna(KNOWN_SD)
    return frame


def compared(expected: pd.DataFrame, now: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Expected numbers beside those of now, and whether each is within its tolerance."""
    found = pd.DataFrame(now).set_index("quantity")[["mean", "sd"]]
    table = expected.join(found.add_suffix("_now"), on="quantity")
    close = (table["mean"] - table["mean_now"]).abs() <= table["tolerance_mean"]
    table["reproduced"] = close & ((table["sd"] - table["sd_now"]).abs() <= table["tolerance_sd"])
    return table


def _write_stand_in(
    folder: Path,
    manifest: Mapping[str, Any],
    done: Run | ChainRun,
    say: Callable[[str], None] | None,
) -> None:
    """A run like the one of the paper, of a simulated account of the same years."""
    periods = done.fit.periods or {"": done.fit}
    sources = [part.model.sources for part in periods.values()]
    seed, n_years = manifest["seed"], len(sources[0].years)
    first_year = int(sources[0].mid_years[0])
    written = folder / "written"
    again: Run | ChainRun
    if isinstance(done, ChainRun):
        scenarios = scenarios_of_chain(
            len(sources), persistence=0.5, rng=np.random.default_rng(seed)
        )
        chain = simulate_chain(scenarios, seed=seed, first_year=first_year, n_years=n_years)
        cases = [_stand_in(part.sources) for part in chain]
        request = {**manifest["request"], "revised": []}
        again = chain_run(cases, None, written, request, tables_only=True, say=say)
    else:
        alone = simulate_account("2001", seed=seed, first_year=first_year, n_years=n_years)
        request = dict(manifest["request"])
        variant = Variant.of_record(request.pop("variant"))
        again = run(
            _stand_in(alone.sources),
            out=written,
            resolution=Resolution(**manifest["resolution"]),
            progress=False,
            say=say,
            **request,
            **variant.options(),
        )
    (folder / RUN_FOLDER).mkdir()
    for name in (MANIFEST_FILE, FIT_FILE):
        shutil.copyfile(written / name, folder / RUN_FOLDER / name)
    shutil.copytree(written / "tables", folder / "expected" / "tables")
    shutil.rmtree(written)
    write_manifest(folder / "paper_manifest.json", manifest)
    paper = expected_numbers(manifest["quantities"])
    paper.to_csv(folder / "expected" / "paper_quantities.csv", index=False)
    _write_data(folder / "data", again)


def _stand_in(sources: Sources) -> Case:
    nothing = pd.DataFrame()
    return Case(
        name=STAND_IN,
        title="Simulated account in place of figures that cannot be shared",
        licence="Simulated; no rights reserved",
        sources=sources,
        published_afterwards=nothing,
        later_series=nothing,
        references=nothing,
        notes=("Simulated, in place of the account of the paper; it holds no published figure.",),
    )


def _write_expected(folder: Path) -> None:
    rows = read_manifest(folder / RUN_FOLDER)["quantities"]
    expected_numbers(rows).to_csv(folder / EXPECTED_FILE, index=False)


def _write_data(folder: Path, done: Run | ChainRun) -> None:
    """Every figure that enters the model, one plain table each, persons or persons per year.

    Those of a chain stand in a folder of each period.
    """
    folder.mkdir()
    for name, part in (done.fit.periods or {"": done.fit}).items():
        place, sources = folder / name, part.model.sources
        place.mkdir(exist_ok=True)
        for figure, values in _figures(sources):
            frame = values.rename("persons").to_dataframe().reset_index()
            frame = frame[[*values.dims, "persons"]]
            frame.to_csv(place / f"{figure}.csv", index=False)
        sources.table().to_csv(place / "sources.csv", index=False)
    if len(done.case.references):
        done.case.references.to_csv(folder / "references.csv", index=False)


def _figures(sources: Sources) -> Iterator[tuple[str, xr.DataArray]]:
    yield "base", sources.base.count
    yield "census", sources.census.count
    yield "births", sources.births.count
    yield "deaths", sources.deaths.count
    yield "rolled_forward", sources.rolled_forward.total
    if sources.total_migration is not None:
        yield "total_migration", sources.total_migration
    for stream in sources.streams:
        yield stream.name, stream.count
    for name, survey in sources.survey_flows.items():
        yield f"{name}_survey", survey.estimate
        yield f"{name}_survey_standard_error", survey.standard_error
    for part in sources.administrative:
        yield f"{part.name}_{part.flow}", part.count


def _write_rest(
    folder: Path, manifest: Mapping[str, Any], done: Run | ChainRun, stand_in: bool
) -> None:
    """Program, settings, versions, package, citation and README."""
    from jinja2 import Environment

    pins, case = pinned_versions(), done.case
    templates = importlib.resources.files("imps.runs") / "replication_folder"
    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    run_manifest = read_manifest(folder / RUN_FOLDER)
    settings = {k: run_manifest[k] for k in ("case", "request", "resolution", "priors")}
    shared = {
        "title": case.title,
        "manifest": manifest,
        "packages": manifest["packages"],
        "pins": pins,
        "python": ".".join(manifest["python"].split(".")[:2]),
        "stand_in": stand_in,
        "shipped": case.origin == SHIPPED,
        "licence": case.licence,
        "notes": case.notes,
        "sources": manifest["sources"],
        "references": case.references.fillna("").to_dict("records"),
        "seconds": sum(v for k, v in manifest["seconds"].items() if k == "total"),
        "numbers": len(manifest["quantities"]),
        "tables": sorted(p.stem for p in (folder / "expected" / "tables").glob("*.csv")),
        "inputs": manifest["inputs"],
        "program": PROGRAM,
        "version": imps.__version__,
    }
    for name in ("README.md", PROGRAM):
        text = environment.from_string((templates / f"{name}.j2").read_text("utf-8"))
        (folder / name).write_text(text.render(shared), encoding="utf-8")
    (folder / "settings.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    (folder / "requirements.lock").write_text("\n".join(pins) + "\n", encoding="utf-8")
    (folder / "CITATION.bib").write_text(cite(done), encoding="utf-8")
    here = Path(imps.__file__).parent
    shutil.copytree(here, folder / "imps", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def pinned_versions() -> list[str]:
    """Installed versions of everything that the package needs to run, name==version."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    waiting = [DISTRIBUTION]
    while waiting:
        name = waiting.pop()
        for text in importlib.metadata.requires(name) or ():
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            key = need.name.lower().replace("_", "-")
            if key not in found:
                found[key] = importlib.metadata.version(need.name)
                waiting.append(need.name)
    return [f"{name}=={version}" for name, version in sorted(found.items())]
