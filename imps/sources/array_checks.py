"""Checks of labels and cells that every source makes when it is built."""

import numpy as np
import xarray as xr

from imps.demography.periods import BASES
from imps.errors import DefinitionError, LabelError, MissingCellError, some
from imps.names import AGE, SEX, SEXES, YEAR


def check_dims(array: xr.DataArray, dims: tuple[str, ...], source: str) -> None:
    """Refuse an array whose dimensions are not exactly `dims`, in order."""
    if array.dims != dims:
        raise LabelError(
            f"source '{source}': dimensions are {array.dims}, expected {dims}. "
            "Transpose or rename them."
        )


def check_sexes(array: xr.DataArray, source: str) -> None:
    """Refuse sexes other than male, female, in that order."""
    found = tuple(str(s) for s in array[SEX].values)
    if found != SEXES:
        raise LabelError(
            f"source '{source}': sexes are {found}, expected {SEXES} in this order. "
            f"{_difference(found, SEXES)}"
        )


def check_ages(array: xr.DataArray, source: str, expected: np.ndarray | None = None) -> None:
    """Refuse ages with gaps, or other ages than the account's."""
    found = array[AGE].values
    wanted = np.arange(found.size) if expected is None else expected
    if found.shape != wanted.shape or not (found == wanted).all():
        raise LabelError(
            f"source '{source}': ages run from {found[0]} to {found[-1]} ({found.size} labels), "
            f"expected single years {wanted[0]} to {wanted[-1]} (open age group) without gaps. "
            f"{_difference(found, wanted)}"
        )


def check_years(array: xr.DataArray, source: str, expected: np.ndarray) -> None:
    """Refuse years other than those expected, in order."""
    found = array[YEAR].values
    if found.shape != expected.shape or not (found == expected).all():
        raise LabelError(
            f"source '{source}': years are {found.tolist()}, expected {expected.tolist()}. "
            f"{_difference(found, expected)}"
        )


def check_basis(basis: str, source: str) -> None:
    """Refuse a period that is neither the calendar year nor the year to mid-year."""
    if basis not in BASES:
        raise DefinitionError(f"source '{source}': basis is '{basis}', expected one of {BASES}.")


def check_complete(
    array: xr.DataArray, source: str, what: str = "value", *, signed: bool = False
) -> None:
    """Refuse missing, infinite or (unless `signed`) negative cells and name the first of them."""
    values = array.values
    bad = ~np.isfinite(values)
    if bad.any():
        raise MissingCellError(
            f"source '{source}': {bad.sum()} of {values.size} cells have no {what} "
            f"({some(_cells(array, bad))}). A missing cell is not a zero: supply it, or leave "
            "the source out."
        )
    if not signed and (values < 0).any():
        raise MissingCellError(
            f"source '{source}': {(values < 0).sum()} cells have a negative {what} "
            f"({some(_cells(array, values < 0))}). Counts and flows are not negative; only net "
            "migration has a sign."
        )


def check_positive(array: xr.DataArray, source: str, what: str) -> None:
    """Refuse cells that are zero or less where only positive values mean anything."""
    bad = ~(array.values > 0)
    if bad.any():
        raise MissingCellError(
            f"source '{source}': {bad.sum()} of {array.size} cells have a {what} that is not "
            f"positive ({some(_cells(array, bad))}). A zero {what} claims certainty: use "
            "smoothed standard errors."
        )


def _cells(array: xr.DataArray, bad: np.ndarray) -> list[str]:
    places = [
        [str(array[dim].values[i]) for dim, i in zip(array.dims, index, strict=True)]
        for index in np.argwhere(bad)
    ]
    return [" ".join(place) for place in places]


def _difference(found: object, expected: object) -> str:
    missing = [x for x in np.asarray(expected).tolist() if x not in np.asarray(found).tolist()]
    extra = [x for x in np.asarray(found).tolist() if x not in np.asarray(expected).tolist()]
    parts = []
    if missing:
        parts.append(f"Missing: {some(missing)}.")
    if extra:
        parts.append(f"Not expected: {some(extra)}.")
    return " ".join(parts) or "The order differs."
