"""Repeating a run from its manifest, and runs side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from imps.account.latents import Resolution
from imps.account.priors import Made, Prior, Priors
from imps.account.variant import Variant
from imps.errors import SavedFileError
from imps.posterior.archive import edited_outputs
from imps.posterior.saved_fits import FIT_FILE, load_fit, load_saved_case
from imps.project.case import SHIPPED, Case
from imps.results.attribution import Attribution, attribute
from imps.results.checks import check
from imps.results.verdict import account_title
from imps.runs.chain import ChainRun, chain_run
from imps.runs.manifest import account_digest, draws_digest, environment, quantities, read_manifest
from imps.runs.run import Run, changed_inputs, run
from imps.runs.working_folder import RESULTS_FOLDER, other_parts
from imps.shipped import find_case, known_cases

IDENTICAL = "identical"
EQUAL = "equal within Monte Carlo error"
DIFFERENT = "different"
FALSE_ALARM = 0.001
"""Chance that a repetition with other draws of the same posterior is called different."""
KNOWN_SD = 1e-3
"""Persons; a quantity with less spread is known and must come out equal."""


@dataclass(frozen=True)
class Rerun:
    """A run repeated from its manifest, and whether it came out the same.

    Attributes
    ----------
    verdict : {"identical", "equal within Monte Carlo error", "different"}
    differences : tuple of str
        What came out different, worst first.
    changed : tuple of str
        What is not as it was: inputs, priors, versions, platform.
    run : Run, or ChainRun of a chain of censuses
    """

    verdict: str
    differences: tuple[str, ...]
    changed: tuple[str, ...]
    run: Run | ChainRun

    def __repr__(self) -> str:
        what = f": {'; '.join(self.differences[:5])}" if self.differences else ""
        lines = [f"{self.verdict}{what}"]
        return "\n".join([*lines, *(f"  not as it was: {line}" for line in self.changed[:8])])


def rerun(
    manifest: str | Path,
    *,
    case: Case | None = None,
    out: str | Path | None = None,
    cores: int = 2,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Rerun:
    """Repeat a run and say whether it comes out the same.

    Parameters
    ----------
    manifest : path
        A manifest, or the folder of a run.
    case : Case, optional
        The case, where it is neither shipped nor saved beside the manifest; of a chain they are.
    out : path, optional
        Folder for the results of the repetition.
    cores, progress, say
        As in :func:`imps.run`.

    Returns
    -------
    Rerun

    Raises
    ------
    SavedFileError
        If the manifest cannot be read, or the model held terms of the user's own.

    Notes
    -----
    Identical: every draw and every table, bit by bit. Equal within Monte Carlo error:
    no mean or standard deviation of a reported quantity is farther from the one in the
    manifest than independent draws of one posterior would leave it, at a family-wise level of
    0.001 (Bonferroni).
    """
    then, place = read_manifest(manifest), Path(manifest)
    if "periods" in then:
        if "priors" not in then:
            raise SavedFileError(
                "the manifest is of an earlier release, which kept no priors of a chain: give the "
                "command of the run again."
            )
        periods = _periods_of(then, place)
        again = chain_run(periods, _priors_of(then), out, then["request"], say=say)
        return _judged(then, place, again)
    request = dict(then["request"])
    variant = Variant.of_record(request.pop("variant"))
    if variant.added:
        raise SavedFileError(
            f"the model held terms of your own ({', '.join(variant.added)}), which are code and "
            "stand in no manifest: run your own script again."
        )
    found = run(
        case or _case_of(then, place),
        out=out,
        priors=_priors_of(then),
        resolution=Resolution(**then["resolution"]),
        cores=cores,
        progress=progress,
        say=say,
        **request,
        **variant.options(),
    )
    return _judged(then, place, found)


def _judged(then: Mapping[str, Any], place: Path, found: Run | ChainRun) -> Rerun:
    verdict, different, changed = _compared(then, found)
    folder = place if place.is_dir() else place.parent
    changed += (*edited_outputs(folder), *changed_inputs(then, folder))
    return Rerun(verdict, different, changed, found)


def _priors_of(then: Mapping[str, Any]) -> Priors:
    return Priors(
        tuple(Prior(**row) for row in then["priors"]),
        then.get("priors_as_of"),
        Made(**then.get("priors_made_for", {})),
    )


def _periods_of(then: Mapping[str, Any], manifest: Path) -> list[Case]:
    """Shipped cases of a chain as they are now, where all are, or those saved with the run."""
    if all(name in known_cases() for name in then["cases"]):
        return [find_case(name) for name in then["cases"]]
    saved = (manifest if manifest.is_dir() else manifest.parent) / FIT_FILE
    if not saved.exists():
        raise SavedFileError(
            f"the periods {', '.join(then['periods'])} are not all shipped cases and no {FIT_FILE} "
            "lies beside the manifest. Put it there, or give the command of the run again."
        )
    return list(load_saved_case(saved))


def _case_of(then: Mapping[str, Any], manifest: Path) -> Case:
    """The shipped case as it is now, or the one that was saved with the run."""
    # manifests of before 0.2 say no origin; only projects had settings then
    shipped = then["origin"] == SHIPPED if "origin" in then else then["input_settings"] is None
    if shipped and then["case"] in known_cases():
        return find_case(then["case"])
    saved = (manifest if manifest.is_dir() else manifest.parent) / FIT_FILE
    if not saved.exists():
        raise SavedFileError(
            f"'{then['case']}' is not a shipped case and no {FIT_FILE} lies beside the manifest. "
            "Pass the case: imps.rerun(manifest, case=...), or --case on the command line."
        )
    found = load_saved_case(saved)
    if not isinstance(found, Case):
        raise SavedFileError(f"{FIT_FILE} beside the manifest holds no case; pass it as case=.")
    return found


def _compared(
    then: Mapping[str, Any], found: Run | ChainRun
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    now = {**environment(), "account_sha256": account_digest(found.fit.model)}
    names = ("account_sha256", "imps", "revision", "python", "packages", "lock_sha256", "blas",
             "platform")  # fmt: skip
    changed = tuple(other_parts(then, now, names))
    if then.get("draws_sha256") is None:
        return DIFFERENT, ("the manifest is of a run that never finished",), changed
    tables = _other_tables(then, found)
    if draws_digest(found.fit) == then["draws_sha256"] and not tables:
        return IDENTICAL, (), changed
    lines = _beyond_error(then["quantities"], quantities(found.fit, found.checks))
    if then["method"] != found.fit.method:
        lines.insert(0, f"method {then['method']} then, {found.fit.method} now")
    return (DIFFERENT if lines else EQUAL), tuple(lines), changed


def _other_tables(then: Mapping[str, Any], found: Run | ChainRun) -> list[str]:
    """Names of tables whose text is not the one of the manifest."""
    return [
        name
        for name, table in found.tables().items()
        if then["outputs"].get(f"tables/{name}.csv")
        != hashlib.sha256(table.csv_text().encode("utf-8")).hexdigest()
    ]


def _beyond_error(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Quantities whose mean or sd differ by more than Monte Carlo error, worst first."""
    before = {row["quantity"]: row for row in then}
    after = {row["quantity"]: row for row in now}
    if list(before) != list(after):
        lost = [name for name in before if name not in after]
        new = [name for name in after if name not in before]
        return [f"other quantities: {', '.join([*lost, *new][:5])}"]
    limit = -float(ndtri(FALSE_ALARM / 2 / (2 * len(before))))
    found = []
    for name, a in before.items():
        b = after[name]
        if a["ess"] is None or b["ess"] is None:  # known: nothing was sampled
            if not np.isclose(a["mean"], b["mean"], rtol=1e-9, atol=KNOWN_SD):
                found.append((np.inf, f"{name} {a['mean']:,.6g} then, {b['mean']:,.6g} now"))
            continue
        error = np.hypot(a["sd"] / np.sqrt(a["ess"]), b["sd"] / np.sqrt(b["ess"]))
        z = abs(a["mean"] - b["mean"]) / error
        ratio = np.sqrt(0.5 / a["ess"] + 0.5 / b["ess"])
        z_sd = abs(np.log(a["sd"] / b["sd"])) / ratio
        if max(z, z_sd) > limit:
            what = "mean" if z >= z_sd else "sd"
            found.append(
                (
                    max(z, z_sd),
                    f"{what} of {name} {a[what]:,.6g} then, {b[what]:,.6g} now "
                    f"({max(z, z_sd):.1f} standard errors)",
                )
            )
    return [line for _, line in sorted(found, key=lambda x: -x[0])]


def compare_runs(*runs: str | Path | Run, prob: float = 0.95) -> pd.DataFrame:
    """Attributions of several runs side by side, persons.

    Parameters
    ----------
    *runs : Run, or path of a run folder or of a saved fit
        Two or more.
    prob : float
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a source, then the headline groups and the gap; of each run the mean and the
        interval, with the title of its account as the upper label of the columns, and its folder
        where two are of one account. A source that a run does not have is missing, not zero.
        `attrs["verdicts"]` has what the checks say of each fit.

    Raises
    ------
    SavedFileError
        If there are fewer than two runs, or one cannot be read.
    """
    if len(runs) < 2:
        raise SavedFileError("compare needs at least two runs.")
    found = [_attribution_of(one) for one in runs]
    titles = [title for _, title in found]
    frames, verdicts = {}, {}
    for i, (one, (attribution, title)) in enumerate(zip(runs, found, strict=True)):
        name = title if titles.count(title) == 1 else f"{title}: {_folder_of(one)}"
        name = name if name not in frames else f"{name} ({i + 1})"
        frames[name] = _attributed(attribution, prob)
        verdicts[name] = attribution.verdict.brief
    order = dict.fromkeys(label for frame in frames.values() for label in frame.index)
    joined = pd.concat({k: f.reindex(list(order)) for k, f in frames.items()}, axis=1)
    joined = joined.rename_axis(["kind", "name"])
    joined.attrs["verdicts"] = verdicts
    joined.attrs["unit"] = max((a.words.unit for a, _ in found), key=lambda unit: unit.size)
    return joined


def _folder_of(one: str | Path | Run) -> str:
    """Folder of a run, with the project around it where that is what tells it apart."""
    if isinstance(one, Run):
        return one.case.name if one.folder is None else one.folder.name
    place = Path(one).resolve()
    return f"{place.parent.name}/{place.name}" if place.name == RESULTS_FOLDER else place.name


def _attribution_of(one: str | Path | Run) -> tuple[Attribution, str]:
    """The gap of a run by source, and the title of its account."""
    if isinstance(one, Run):
        return one.attribution, one.case.title
    fit = load_fit(one)
    place = Path(one)
    case = load_saved_case(place / FIT_FILE if place.is_dir() else place)
    found = attribute(fit, checks=check(fit))
    return found, account_title(found, case)


def _attributed(found: Attribution, prob: float) -> pd.DataFrame:
    """Mean and interval by kind (source, group, gap) and name."""
    level = f"{prob * 100:g}"
    columns = ["mean", f"lower{level}", f"upper{level}"]
    sources, groups = found.summary(prob=prob), found.groups(prob=prob)
    sources.index = pd.MultiIndex.from_product([["source"], sources["source"]])
    groups.index = pd.MultiIndex.from_product([["group"], groups["group"]])
    gap = pd.DataFrame(
        [[found.total] * 3], columns=columns, index=pd.MultiIndex.from_tuples([("gap", "gap")])
    )
    return pd.concat([sources[columns], groups[columns], gap])
