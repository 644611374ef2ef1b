"""Streams of an account from checked tables: carried ones, and further counts of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from imps.names import AGE, AGE_GROUP, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, labelled
from imps.project.sections import Account, StreamSettings
from imps.project.vital import intervals, needed_years
from imps.reading.findings import Collector
from imps.reading.options import CALENDAR_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.stocks import to_mid_years
from imps.sources.streams import (
    AT_END,
    AT_MOVE,
    ERRORS,
    KNOWN,
    MIGRATION,
    SAMPLE,
    Evidence,
    Misclassified,
    Shared,
    Stream,
)

MIRROR: Final = "mirror"
SUM: Final = "sum"
ALL_AGES: Final = "all ages"
SMALLEST_ERROR: Final = 0.0005
"""Relative error of a count of migrants below which no register claims to be."""
DIRECTIONS: Final = {"immigration": "arrivals", "emigration": "departures", "net": "net"}


@dataclass(frozen=True)
class Series:
    """One source and direction of one table of streams.

    Attributes
    ----------
    name : str
        Of the stream: that of the source, with the direction where it has both.
    flow : str
    rows : DataFrame
    table : Table
    stated : StreamSettings
    """

    name: str
    flow: str
    rows: pd.DataFrame
    table: Table
    stated: StreamSettings

    @property
    def carried(self) -> bool:
        """Whether the roll-forward carries it; a sum or a mirror is evidence."""
        return self.stated.quality not in (SUM, MIRROR)


def streams_of(
    tables: Sequence[Table],
    settings: Mapping[str, StreamSettings],
    account: Account,
    log: Collector,
) -> tuple[tuple[Stream, ...], tuple[Evidence, ...]]:
    """Streams that are carried, and evidence on them; faults go to the log.

    Parameters
    ----------
    settings : mapping of table name to StreamSettings
        What the streams of each file are.
    """
    own = of_kinds(tables, "streams")
    flows = _directions(own)
    series = [s for table in own for s in _series(table, flows, settings, log)]
    _check_twice([s for s in series if s.carried], log)
    known = {s.name for s in series if s.carried}
    _check_names(series, known, log)
    if log.failed:
        return (), ()
    carried = [_stream(s, account, log) for s in series if s.carried]
    beside = [_evidence(s, account, log) for s in series if not s.carried]
    return tuple(s for s in carried if s), tuple(e for e in beside if e)


def _directions(tables: Sequence[Table]) -> dict[str, set[str]]:
    """Directions of each source in all tables."""
    found: dict[str, set[str]] = {}
    for table in tables:
        for source, flow in (
            table.frame[["source", "flow"]].drop_duplicates().itertuples(index=False)
        ):
            found.setdefault(str(source), set()).add(str(flow))
    return found


def _by_name(
    table: Table, flows: Mapping[str, set[str]]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Name, direction and rows of each series of a table.

    A source with arrivals and departures, in this table or another, is two streams.
    """
    for (source, flow), rows in table.frame.groupby(["source", "flow"], sort=False):
        name, both = str(source), len(flows[str(source)]) > 1
        yield f"{name}_{DIRECTIONS[str(flow)]}" if both else name, str(flow), rows


def _series(
    table: Table,
    flows: Mapping[str, set[str]],
    settings: Mapping[str, StreamSettings],
    log: Collector,
) -> Iterator[Series]:
    """The series of one table, once what only the user can know is said of them."""
    stated = settings.get(table.name, StreamSettings())
    ages = AGE in table.frame and (table.frame[AGE_GROUP] != ALL_AGES).any()
    evidence = stated.quality in (SUM, MIRROR)
    errs = stated.quality not in (None, "exact", SUM, MIRROR)
    asked = {
        "quality": stated.quality is None,
        "ages": ages and stated.ages is None,
        "level": errs and stated.level is None,
        "of": evidence and not stated.of,
        "coverage": stated.quality == MIRROR and stated.coverage is None,
        "correlation": bool(stated.shared_error) and stated.correlation is None,
    }
    for what, lacking in asked.items():
        if lacking:
            log.add(f"STREAM_NEEDS.{what}", file=table.name, column=what, quality=stated.quality)
    sampled = stated.quality == SAMPLE or evidence
    if stated.quality and sampled != ("standard_error" in table.frame):
        cause = "error" if sampled else "no_error"
        log.add(f"STREAM_DETAIL.{cause}", file=table.name, column="standard_error",
                quality=stated.quality)  # fmt: skip
    if errs is False and stated.quality and (stated.level or stated.misclassified):
        log.add("STREAM_DETAIL.exact", file=table.name, column="level", quality=stated.quality)
    if not log.failed:
        for name, flow, rows in _by_name(table, flows):
            yield Series(name, flow, rows, table, stated)


def _check_twice(series: Sequence[Series], log: Collector) -> None:
    """One carried measurement of each stream; another one is evidence on it."""
    times = Counter(s.name for s in series)
    for name, n in times.items():
        if n > 1:
            files = [s.table.name for s in series if s.name == name]
            log.add("STREAM_TWICE", file=files[1], column="source", texts=[name], name=name,
                    files=files, total=n)  # fmt: skip


def _check_names(series: Sequence[Series], known: set[str], log: Collector) -> None:
    """What evidence counts, and who is in a wrong class, are streams of the account."""
    for s in {id(s.stated): s for s in series}.values():
        surveyed = () if s.carried else ("immigration", "emigration")
        asked = [*s.stated.of, *(m.stream for m in s.stated.misclassified)]
        lost = [name for name in asked if name not in known and name not in surveyed]
        for m in s.stated.misclassified:
            if m.first_age > m.last_age:
                log.add("SETTING_RANGE", file=s.table.name, column="first_age",
                        texts=[m.first_age], name="first_age",
                        expected=f"an age up to last_age, {m.last_age}")  # fmt: skip
            other = {"arrivals": "departures", "departures": "arrivals"}
            put = m.stream.rpartition("_")[2]
            if other.get(put, "-") in m.name.split("_"):
                log.add("STREAM_DIRECTION", file=s.table.name, column="stream", texts=[m.stream],
                        name=m.name, one=other[put], stream=m.stream)  # fmt: skip
        if s.stated.level and s.carried and 0 < s.stated.level.sd < SMALLEST_ERROR:
            log.add("ERROR_TINY.stream", file=s.table.name, column="level",
                    texts=[s.stated.level.sd], error=s.stated.level.sd)  # fmt: skip
        if lost:
            log.add("STREAM_UNKNOWN", file=s.table.name, column="of", texts=lost, known=known)


def check_anchored(tables: Sequence[Table], stocks: Mapping[str, str], log: Collector) -> None:
    """Refuse a stream that was fitted to a stock which is data too.

    Parameters
    ----------
    stocks : mapping of role to vintage
    """
    for table in of_kinds(tables, "streams"):
        anchor = table.metadata.get("anchored_to", "")
        for role, vintage in stocks.items():
            if anchor and anchor.casefold() == vintage.casefold():
                log.add("STREAM_ANCHORED", file=table.name, column="anchored_to", texts=[anchor],
                        role=role, vintage=vintage)  # fmt: skip


def _stream(s: Series, account: Account, log: Collector) -> Stream | None:
    count = _cells(s, "count", account, log)
    error = _cells(s, "standard_error", account, log) if s.stated.quality == SAMPLE else None
    if count is None or (s.stated.quality == SAMPLE and error is None):
        return None
    return Stream(
        s.name,
        s.flow,
        count,
        str(s.stated.quality),
        errors=_errors(s.stated),
        reason=s.stated.reason,
        standard_error=error,
        role=KNOWN if s.stated.role == "known" else MIGRATION,
        misclassified=tuple(
            Misclassified(m.name, m.mean, m.sd, m.first_age, m.last_age, m.reason)
            for m in s.stated.misclassified
            if m.stream == s.name
        ),
        **_described(s, account),
    )


def _errors(stated: StreamSettings) -> dict[str, tuple[float, float]]:
    level = {"level": (stated.level.mean, stated.level.sd)} if stated.level else {}
    rest = {what: getattr(stated, what) for what in ERRORS if what != "level"}
    return level | {what: (0.0, sd) for what, sd in rest.items() if sd is not None}


def _evidence(s: Series, account: Account, log: Collector) -> Evidence | None:
    count = _cells(s, "count", account, log)
    error = _cells(s, "standard_error", account, log)
    if count is None or error is None:
        return None
    share = s.stated.coverage
    return Evidence(
        s.name,
        s.stated.of,
        count,
        error,
        coverage_mean=share.mean if share else 1.0,
        coverage_sd=share.sd if share else 0.0,
        **_described(s, account),
    )


def _described(s: Series, account: Account) -> dict[str, Any]:
    """Vintage, reference and the like, which streams and evidence have alike."""
    stated, table = s.stated, s.table
    return {
        "vintage": table.metadata.get("vintage", "") or "not stated",
        "reference": table.references(s.rows),
        "ages": AT_MOVE if stated.ages == "at-move" else AT_END,
        "shared": Shared(stated.shared_error, stated.correlation or 0.0)
        if stated.shared_error
        else None,
        "anchored_to": table.metadata.get("anchored_to", ""),
        "counted": counted(table, account),
    }


def _cells(s: Series, value: str, account: Account, log: Collector) -> xr.DataArray | None:
    """A column by year, and by sex and age group as far as they were published."""
    period, rows = s.table.metadata["period"], s.rows
    years = needed_years(account, period)
    rows = rows[rows[YEAR].isin(years)]
    if not s.carried and period != CALENDAR_YEAR:
        years = [y for y in years if y in set(rows[YEAR])]
    lost = [y for y in years if y not in set(rows[YEAR])]
    if lost or not years:
        log.add("CELLS_NEEDED.source", file=s.table.name, column=YEAR, total=max(len(lost), 1),
                source=s.name, years=lost or needed_years(account, period))  # fmt: skip
        return None
    labels = _labels(rows)
    if labels is None or len(rows) != len(years) * int(np.prod([len(x) for x in labels.values()])):
        log.add("STREAM_DETAIL", file=s.table.name, column=s.table.value, total=len(rows),
                name=s.name)  # fmt: skip
        return None
    if not complete(rows, value, s.table, log):
        return None
    found = labelled(rows, value, {YEAR: years, **labels})
    if period != CALENDAR_YEAR:
        return found
    ends, dims = intervals(account), tuple(labels)
    if value == "count":
        return to_mid_years(found.values, np.array(years), ends, dims, dict(labels))
    half = to_mid_years(found.values**2, np.array(years), ends, dims, dict(labels)) / 2
    return half**0.5


def _labels(rows: pd.DataFrame) -> dict[str, Sequence[object]] | None:
    """Sexes and age groups that were published; None where years or sexes differ in them."""
    found: dict[str, Sequence[object]] = {}
    if SEX in rows and set(rows[SEX]) != {"persons"}:
        found[SEX] = SEXES
        if set(rows[SEX]) != set(SEXES):
            return None
    if AGE in rows and set(rows[AGE_GROUP]) != {ALL_AGES}:
        first = rows.groupby(AGE_GROUP)[AGE].first().sort_values()
        found[AGE_GROUP] = first.index.tolist()
        if first.iloc[0] != 0:
            return None
    return found
