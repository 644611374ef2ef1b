"""The table of areas as it is printed: one row an area, sources side by side."""

from __future__ import annotations

import pandas as pd

from imps.areas.attribution import reported
from imps.areas.fit import AreaFit
from imps.tables.printed import PrintedTable

COLUMNS = ("mean", "lower90", "upper90")


def areas_table(fit: AreaFit) -> PrintedTable:
    """Gap and sources of every area, with 90 per cent intervals, persons."""
    long = fit.table()
    head = ["code", "name", "population", "gap", "gap_percent"]
    wide = long.drop_duplicates("code")[head].reset_index(drop=True)
    for source in reported(fit):
        rows = long[long["source"] == source].reset_index(drop=True)
        for column in COLUMNS:
            wide[f"{source}_{column}"] = rows[column]
    flagged = long.drop_duplicates("code")["flagged"].to_numpy()
    frame = pd.concat([wide, pd.DataFrame({"flagged": flagged})], axis=1)
    persons = [c for c in frame if c not in ("code", "name", "gap_percent", "flagged")]
    return PrintedTable(
        frame,
        f"Gaps of {len(fit)} areas by source, {fit.area_of_nation}, {fit.period}",
        "tab:areas",
        (
            "Persons, rolled-forward minus census; mean and equal-tailed 90 % interval. Areas add "
            "up to the nation in every draw.",
            "External and internal migration of one area are only softly told apart.",
            *fit.areas.notes,
            f"Fit of the nation: {fit.verdict}.",
        ),
        tuple(persons),
        unit=fit.words.unit,
    )
