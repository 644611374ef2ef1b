"""Records of a project become tables of cells: survey flows and switchers, nothing of a person.

The records stay where they are. What leaves this module is a table as a file could have given
it, in which no cell rests on fewer interviews than the settings allow, and the digests of the
files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.errors import DisclosureError, ImpsError
from imps.project.case import Beside
from imps.project.sections import InterviewSettings, RecordSettings, StaySettings, TableSettings
from imps.reading.findings import Collector, ImportLog
from imps.reading.table import Table, inspect_table, published_path
from imps.sources.definitions import SURVEY
from imps.survey.composition import ComponentKind
from imps.survey.design import calibrations
from imps.survey.estimation import estimate_totals
from imps.survey.interviews import DIRECTION, flow_rows, long_term
from imps.survey.replicates import ReplicateWeights
from imps.survey.switchers import switchers_of_stays
from imps.survey.weighting import SHIFT_STRATA, StageWeights, weight_records

TOTALS: Final = ("shifts", "non_response", "traffic", "unsampled", "imbalance")
"""Settings that name a file of totals; the imbalance stage is optional."""
PERIOD: Final = "year"
CELLS: Final = (PERIOD, DIRECTION, "sex", "age_group")
UNIT: Final = "sampling_unit"
_KIND_OF: Final = {"interviews": "survey_flows", "stays": "administrative_flows"}


def inspect_records(
    folder: Path, entry: TableSettings
) -> tuple[Table | None, ImportLog, tuple[Beside, ...]]:
    """The table of cells that a file of records gives, the log, and the files behind it."""
    log, own = Collector(entry.file), entry.records
    assert own is not None  # the entry is one of records
    _ask(own, log)
    names = TOTALS if isinstance(own, InterviewSettings) else ("stated",)
    wanted = {name: file for name in names if (file := getattr(own, name))}
    found = {name: _read(folder, file, log) for name, file in {"": entry.file, **wanted}.items()}
    if log.failed:
        return None, log.log(), ()
    read = {name: table for name, table in found.items() if table is not None}
    for name in wanted:
        _look_for_copies(read[name], log)
    behind = tuple(table for name, table in read.items() if name)
    frames = {name: table.frame for name, table in read.items()}
    try:
        if isinstance(own, InterviewSettings):
            rows = _flows(own, frames, log)
        elif isinstance(own, StaySettings):
            rows = _switchers(own, frames, log)
    except DisclosureError as error:
        log.add("COUNT_TOO_SMALL", reason=str(error.args[0]).rstrip("."))
    except ImpsError as error:
        log.add("INTERVIEWS_REFUSED", reason=str(error).rstrip("."))
    if log.failed:
        return None, log.log(), behind
    options = {"unit": "persons", "fractional_counts": True, **entry.options}
    if entry.kind == "interviews":
        options = {"definition": SURVEY, **options}
    table, more = inspect_table(rows, _KIND_OF[entry.kind], options, name=entry.file)
    if table is not None:
        table = replace(table, file_hash=read[""].sha256)
    return table, log.log() + more, behind


def _ask(own: RecordSettings, log: Collector) -> None:
    """What cannot be known from the records, and what is given twice."""

    def ask(cause: str) -> None:
        log.add(f"INTERVIEWS_ASKED.{cause}", column=cause)

    if own.smallest_count is None:
        ask("smallest_count")
    if isinstance(own, StaySettings):
        if own.drift is None:
            ask("drift")
        if not own.stated:
            log.add("SETTING_MISSING.key", column="stated", section="stays", key="stated",
                    expected="a file of people by year, flow and class")  # fmt: skip
        return
    assert isinstance(own, InterviewSettings)
    totals = [name for name in TOTALS if getattr(own, name)]
    design = [name for name in ("stratum", "psu") if getattr(own, name)]
    if own.months is None:
        ask("months")
    for one, other in ((own.weight, totals), (own.replicates, design), (own.replicates, totals)):
        if one and other:
            log.add("WEIGHTS_TWICE", one=f"'{one}'", other=" and ".join(other))
    if not own.weight and not set(TOTALS[:4]) <= set(totals):
        ask("weights")
    elif own.weight and not own.replicates and len(design) < 2:
        ask("design")
    if own.replicates and own.replicate_scale is None:
        ask("replicate_scale")


def _read(folder: Path, file: str, log: Collector) -> Beside | None:
    """A file of records or totals; its rows bear the numbers that a spreadsheet shows."""
    path = folder / file
    try:
        data = path.read_bytes()
        parquet = path.suffix.lower() == ".parquet"
        frame = pd.read_parquet(path) if parquet else pd.read_csv(path, encoding="utf-8")
    except (OSError, ValueError) as fault:
        why = "there is no such file" if isinstance(fault, OSError) else "it is no CSV or Parquet"
        log.add("FILE_NOT_READABLE", file=file, why=why)
        return None
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    return Beside(published_path(file), frame, hashlib.sha256(data).hexdigest())


def _look_for_copies(table: Beside, log: Collector) -> None:
    """Totals of one stratum are added, so that a row that stands there twice counts twice."""
    rows = table.frame.index[table.frame.duplicated(keep=False)]
    if len(rows):
        log.add("INTERVIEWS_LOOK.copies", file=table.file, rows=rows)


def _flows(
    own: InterviewSettings, frames: Mapping[str, pd.DataFrame], log: Collector
) -> pd.DataFrame:
    """Rows of both directions from interviews, weighted here or before."""
    records = frames[""]
    assert own.months is not None and own.smallest_count is not None  # asked before
    if own.stay:
        flag = long_term(records, stay=own.stay, months=own.months)
        records = records.assign(**{own.counted: flag})
    how: dict[str, Any] = {"weight": own.weight or "final_weight", "counted": own.counted}
    if own.replicates:
        columns = [name for name in records if str(name).startswith(own.replicates)]
        how["replicate_weights"] = ReplicateWeights.of(
            records[columns], coefficients=own.replicate_scale or np.nan
        )
        made = f"as given, {len(columns)} replicates"
    else:
        how |= {"stratum": own.stratum, "psu": own.psu, "lonely_psu": own.lonely_psu}
        how |= {"method": own.method, "replicates": own.bootstraps, "seed": own.seed}
        made = "as given"
    if not own.weight:
        totals = {name: frames[name] for name in TOTALS if name in frames}
        records, stages = weight_records(records, by=[PERIOD], **totals)
        for stage in stages.values():
            _look(stage, log)
        how |= {"stratum": own.stratum or (PERIOD, *SHIFT_STRATA), "psu": own.psu or UNIT}
        how["calibration"] = calibrations([PERIOD])
        how["sampled"] = totals["shifts"] if "sampled" in totals["shifts"] else None
        made = "made in six stages"
    found = estimate_totals(records, cells=CELLS, **how)
    rows = flow_rows(
        found, months=own.months, smallest_count=own.smallest_count, smoothed=own.smoothed
    )
    errors = f"{found.method}{', smoothed over cells' if own.smoothed else ''}"
    log.add("INTERVIEWS_ESTIMATED", total=len(rows), records=len(records), weights=made,
            errors=errors)  # fmt: skip
    return rows


def _look(stage: StageWeights, log: Collector) -> None:
    """How many strata of a stage deserve a look; which they are is told to nobody else."""
    for problem, rows in stage.checks.groupby("problem", sort=False):
        log.add("INTERVIEWS_LOOK", total=len(rows), stage=stage.stage, problem=problem)


def _switchers(
    own: StaySettings, frames: Mapping[str, pd.DataFrame], log: Collector
) -> pd.DataFrame:
    """Rows of switchers from interviews at the end of a stay."""
    assert own.drift is not None and own.smallest_count is not None  # asked before
    stays = frames[""]
    table = switchers_of_stays(
        ComponentKind[own.kind.upper()],
        stays,
        frames["stated"],
        by=own.by,
        turned=own.turned,
        weight=own.weight or "weight",
        stratum=own.stratum or ("stratum",),
        psu=own.psu or UNIT,
        drift=own.drift,
        reference=own.file,
        smallest_count=own.smallest_count,
        lonely_psu=own.lonely_psu,
    ).table
    error = float(table["standard_error"].sum() / max(table["estimate"].sum(), 1.0))
    log.add("INTERVIEWS_ESTIMATED.stays", total=len(table), records=len(stays), kind=own.kind,
            error=error)  # fmt: skip
    rows = table.rename(columns={"estimate": "count"})[[PERIOD, "flow", "count"]]
    return rows.assign(source=own.kind)
