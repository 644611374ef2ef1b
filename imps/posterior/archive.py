"""Objects of the package as plain values and arrays, and back: data only, never code.

What is written is JSON and numeric arrays; what is read is built from a fixed list of
classes of this package, whose own checks run again. Nothing in a file is executed. Digests say
whether the files of a finished run are still those that it wrote.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.chained import ChainModel, chain_model
from imps.account.latents import Resolution
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import Made, Prior, Priors, with_fixed
from imps.account.variant import Form
from imps.errors import PriorError, SavedFileError
from imps.project.case import Case
from imps.sources import (
    AdministrativeFlow,
    Births,
    BornBefore,
    Counted,
    Deaths,
    Era,
    Evidence,
    KnownChange,
    KnownSum,
    MirrorSeries,
    Misclassified,
    Register,
    RolledForward,
    Shared,
    SourceKind,
    Sources,
    Stock,
    Stream,
    SurveyFlow,
)
from imps.sources.definitions import Detail

MANIFEST_FILE: Final = "manifest.json"
COMPARED: Final = ("fit.nc", "tables/")
"""Outputs whose numbers are read or cited; a report and figures are made again from them."""


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def edited_outputs(folder: Path) -> list[str]:
    """In words, which fit and tables in the folder of a run are not as the run wrote them.

    A file that is not there is not an edit. Without a manifest that can be read nothing is said.
    """
    try:
        outputs = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["outputs"].items()
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{name} is not the file that the run wrote"
        for name, then in sorted(outputs)
        if name.startswith(COMPARED)
        and ".." not in Path(name).parts
        and (file := folder / name).is_file()
        and digest(file.read_bytes()) != then
    ]


CLASSES = {
    kind.__name__: kind
    for kind in (
        AdministrativeFlow, Births, BornBefore, Case, Counted, Deaths, Detail, Era, Evidence,
        Form, KnownChange, KnownSum, Made, MirrorSeries, Misclassified, Prior, Priors, Register,
        Resolution, RolledForward, Shared, SourceKind, Sources, Stock, Stream, SurveyFlow,
    )
}  # fmt: skip
"""What a file may hold."""
ACCOUNT_PARTS = ("sources", "priors", "resolution", "form")
PERIODS = "periods"
"""Sources of each period of a chain, where a record holds one."""
ROWS = "rows"
"""Labels of the rows of the likelihood, where some of the sources' were left out."""


def pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON; numeric arrays go to `arrays` and are named in it.

    An object of a class that is not in `CLASSES`, such as a source of the user's own, is
    kept by the name of its class alone: it is code, and code is not saved.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, list | tuple):
        return {"tuple": [pack(x, arrays) for x in value]}
    if isinstance(value, Mapping) and not dataclasses.is_dataclass(value):
        return {"mapping": [[str(k), pack(v, arrays)] for k, v in value.items()]}
    if isinstance(value, np.ndarray):
        return _pack_array(value, arrays)
    if isinstance(value, xr.DataArray):
        coords = {
            str(k): [list(c.dims), _pack_column(value.indexes.get(k, c), arrays)]
            for k, c in value.coords.items()
        }
        return {
            "labelled": pack(value.values, arrays), "dims": list(value.dims), "coords": coords
        }  # fmt: skip
    if isinstance(value, pd.DataFrame):
        columns = [
            [str(name), str(column.dtype), _pack_column(column, arrays)]
            for name, column in value.items()
        ]
        return {"table": columns}
    if type(value).__name__ in CLASSES:
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {
            "class": type(value).__name__,
            "fields": {k: pack(v, arrays) for k, v in fields.items()},
        }
    return {"own": type(value).__name__}


def _pack_column(column: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Labels or a column; categories keep their order, whole numbers their missing values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = pd.Categorical(column)
        return {
            "codes": [int(code) for code in values.codes],
            "categories": pack(values.categories.to_numpy(), arrays),
            "ordered": bool(values.ordered),
        }
    if pd.api.types.is_extension_array_dtype(column.dtype) and column.dtype.kind in "iufb":
        plain = [None if x is pd.NA else x for x in column.tolist()]
        return {"nullable": plain, "dtype": str(column.dtype)}
    return pack(column.to_numpy(), arrays)


def _pack_array(value: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Axes are kept in the order of the memory: sums to the last bit depend on it."""
    if value.dtype.kind in "biuf":
        order = np.argsort([-abs(step) for step in value.strides], kind="stable")
        name = f"array_{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value.transpose(order))
        return {"array": name, "axes": [int(axis) for axis in order]}
    if value.dtype.kind == "U" and value.ndim == 1:
        return {"labels": [str(x) for x in value]}
    if value.dtype.kind in "OT" and value.ndim == 1:
        return {"texts": [None if pd.isna(x) else str(x) for x in value]}
    raise TypeError(f"arrays of {value.dtype} are not saved")


def unpack(plain: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What :func:`pack` wrote.

    Raises
    ------
    SavedFileError
        If the file names a class that is not of the package, or code that was not saved.
    """
    if not isinstance(plain, dict):
        return plain
    if "date" in plain:
        return dt.date.fromisoformat(plain["date"])
    if "tuple" in plain:
        return tuple(unpack(x, arrays) for x in plain["tuple"])
    if "mapping" in plain:
        return {key: unpack(x, arrays) for key, x in plain["mapping"]}
    if "array" in plain:
        return np.asarray(arrays[plain["array"]]).transpose(np.argsort(plain["axes"]))
    if "labels" in plain:
        return np.array(plain["labels"], dtype=str)
    if "codes" in plain:
        categories = unpack(plain["categories"], arrays)
        return pd.Categorical.from_codes(plain["codes"], categories, ordered=plain["ordered"])
    if "nullable" in plain:
        return pd.array(plain["nullable"], dtype=plain["dtype"])
    if "texts" in plain:
        return np.array(plain["texts"], dtype=object)
    if "labelled" in plain:
        values = unpack(plain["labelled"], arrays)
        coords = {k: (dims, unpack(c, arrays)) for k, (dims, c) in plain["coords"].items()}
        return xr.DataArray(values, dims=plain["dims"], coords=coords)
    if "table" in plain:
        return pd.DataFrame(
            {n: _typed(pd.Series(unpack(c, arrays)), kind) for n, kind, c in plain["table"]}
        )
    if "own" in plain:
        raise SavedFileError(
            f"the fit was made with an object of your own, {plain['own']}, and code is not saved. "
            "Build the model again and pass it: load_fit(path, model=...)."
        )
    kind = CLASSES.get(plain.get("class", ""))
    if kind is None:
        raise SavedFileError(f"it holds '{plain.get('class')}', which is none of this package.")
    value = kind(**{key: unpack(x, arrays) for key, x in plain["fields"].items()})
    return with_fixed(value) if isinstance(value, Priors) else value


def _typed(column: pd.Series, kind: str) -> pd.Series:
    """The column in the type it was saved with; categories have it already."""
    return column if kind == "category" else column.astype(kind)


def differences(then: Any, now: Any, name: str) -> list[str]:
    """In words, where two values differ: one line for each figure, label or text.

    Parameters
    ----------
    then, now : objects of the package, arrays or plain values
    name : str
        What they are called, such as "sources".
    """
    if isinstance(then, xr.DataArray) and isinstance(now, xr.DataArray):
        return _array_differences(then, now, name)
    if isinstance(then, pd.DataFrame) and isinstance(now, pd.DataFrame):
        return [] if then.equals(now) else [f"{name}: the table differs"]
    if isinstance(then, Priors) and isinstance(now, Priors):
        return _prior_differences(then, now)
    if dataclasses.is_dataclass(then) and type(then) is type(now):
        silent = isinstance(then, Counted)  # what was not stated then has not changed
        return [
            line
            for f in dataclasses.fields(then)
            if not (silent and getattr(then, f.name) == "")
            for line in differences(getattr(then, f.name), getattr(now, f.name), f"{name}.{f.name}")
        ]
    if isinstance(then, tuple) and isinstance(now, tuple):
        if len(then) != len(now):
            return [f"{name}: {len(then)} then, {len(now)} now"]
        return [
            line
            for i, (a, b) in enumerate(zip(then, now, strict=True))
            for line in differences(a, b, f"{name}[{getattr(a, 'name', i)}]")
        ]
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        return [] if dict(then) == dict(now) else [f"{name}: {dict(then)} then, {dict(now)} now"]
    return [] if then == now else [f"{name}: {_short(then)} then, {_short(now)} now"]


def _array_differences(then: xr.DataArray, now: xr.DataArray, name: str) -> list[str]:
    if then.dims != now.dims or then.shape != now.shape:
        return [f"{name}: {dict(then.sizes)} then, {dict(now.sizes)} now"]
    if any(not np.array_equal(then[d].values, now[d].values) for d in then.dims):
        return [f"{name}: other labels"]
    apart = then.values != now.values
    if then.dtype.kind == "f":
        apart &= ~(np.isnan(then.values) & np.isnan(now.values))
    if not apart.any():
        return []
    worst = float(np.abs(now.values - then.values).max())
    return [f"{name}: {int(apart.sum())} cells differ, by up to {worst:,.6g}"]


def _prior_differences(then: Priors, now: Priors) -> list[str]:
    lines = [f"prior '{n}' is gone" for n in then if n not in now]
    lines += [f"prior '{n}' is new" for n in now if n not in then]
    for name in then:
        if name in now and (then[name].distribution != now[name].distribution):
            lines.append(
                f"prior '{name}': {then[name].distribution} then, {now[name].distribution} now"
            )
    return lines


def _short(value: object) -> str:
    text = str(value)
    return f"'{text if len(text) < 60 else text[:57] + '...'}'"


def account_record(linear: LinearModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What an account was written down from: sources, priors, resolution and form."""
    arrays: dict[str, np.ndarray] = {}
    record: dict[str, Any] = {n: pack(part, arrays) for n, part in _parts(linear).items()}
    if linear.rows_left_out:
        record[ROWS] = list(linear.row_labels)
    return record, arrays


def _parts(linear: LinearModel) -> dict[str, Any]:
    """What an account, or a chain of them, was written down from, by name."""
    if not isinstance(linear, ChainModel):
        return {name: getattr(linear.account, name) for name in ACCOUNT_PARTS}
    return {
        PERIODS: tuple(account.sources for account in linear.accounts),
        "priors": linear.priors,
        "linked": linear.linked,
        "revised": linear.revised,
    }


def read_account(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LinearModel:
    """The account written down again from its record, by the present release.

    Raises
    ------
    SavedFileError
        If the record lacks a prior that the account has today.
    """
    parts = {name: unpack(packed, arrays) for name, packed in record.items() if name != ROWS}
    linear: LinearModel
    try:
        if PERIODS in parts:
            linear = chain_model(parts.pop(PERIODS), parts.pop("priors"), **parts, stored=True)
        else:
            linear = linear_model(
                parts["sources"],
                parts["priors"],
                parts["resolution"],
                form=parts["form"],
                stored=True,
            )
    except PriorError as error:
        raise SavedFileError(
            f"its account is of another version of the package and cannot be written down by this "
            f"one ({error}) Use the version that wrote it, or fit anew."
        ) from error
    return only_rows(linear, record[ROWS]) if ROWS in record else linear


def only_rows(linear: LinearModel, labels: Sequence[str]) -> LinearModel:
    """The model with the rows of these labels alone."""
    kept = set(labels)
    return linear.with_rows(np.array([label in kept for label in linear.row_labels]))


def account_differences(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], linear: LinearModel
) -> list[str]:
    """In words, how an account differs from the one that was recorded; empty if it does not."""
    lines = []
    rows = list(linear.row_labels) if linear.rows_left_out else None
    if record.get(ROWS) != rows:
        lines.append(f"rows: {_number(record.get(ROWS))} then, {_number(rows)} now")
    parts = _parts(linear)
    if (PERIODS in parts) != (PERIODS in record):
        return [*lines, "one is a chain of periods, the other the account of one"]
    for name, part in parts.items():
        now_arrays: dict[str, np.ndarray] = {}
        now = pack(part, now_arrays)
        if _own(record[name]) or _own(now):  # code cannot be compared, its name can
            then_names, now_names = _own(record[name]), _own(now)
            if then_names != now_names:
                lines.append(f"{name}: own objects {then_names} then, {now_names} now")
            continue
        then = unpack(record[name], arrays)
        lines += differences(then, unpack(now, now_arrays), name)
    return lines


def _number(rows: Sequence[str] | None) -> str:
    return "all" if rows is None else str(len(rows))


def holds_code(plain: Any) -> bool:
    """Whether a packed value left an object of the user's own behind."""
    return bool(_own(plain))


def _own(plain: Any) -> list[str]:
    """Names of classes that were not saved, anywhere in a packed value."""
    if isinstance(plain, list):
        return [name for x in plain for name in _own(x)]
    if not isinstance(plain, dict):
        return []
    if "own" in plain and len(plain) == 1:
        return [plain["own"]]
    return [name for x in plain.values() for name in _own(x)]
