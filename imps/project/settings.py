"""The settings of a case from files.

Settings are a TOML file: data only, with paths relative to the file itself, a
schema version, and no unknown key.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final

from imps.account.priors import OPTIONAL_PRIORS, default_priors
from imps.project.between import MEAN_OF_CALENDAR_YEARS, Account
from imps.reading.findings import Collector, ImportLog, listed
from imps.reading.kinds import SCHEMAS
from imps.reading.options import OPTION_NAMES, nearest
from imps.reading.table import published_path

SCHEMA_VERSION: Final = 1
SETTINGS_FILE: Final = "settings.toml"
MAX_SETTINGS_BYTES: Final = 1_000_000
MAX_TABLES: Final = 200
REQUIRED_KINDS: Final = ("population", "births", "deaths", "survey_flows")


@dataclass(frozen=True)
class FitSettings:
    """How the model is fitted.

    Attributes
    ----------
    seed : int
        One integer for everything random.
    chains, draws, tune, cores : int
        `tune` and `cores` are for NUTS only.
    target_accept : float
        Of NUTS.
    """

    seed: int = 1
    chains: int = 4
    draws: int = 1000
    tune: int = 600
    cores: int = 2
    target_accept: float = 0.97


@dataclass(frozen=True)
class OutputSettings:
    """Where results go: a folder inside the project.

    Attributes
    ----------
    folder : str
    overwrite : bool
    """

    folder: str = "results"
    overwrite: bool = False


@dataclass(frozen=True)
class TableSettings:
    """One file of the case.

    Attributes
    ----------
    kind, file : str
        Kind of table; path as written, relative to the settings file.
    options : mapping
        Fields of `ReadOptions`.
    coverage : mapping
        Prior of the coverage of a stock: distribution "normal" with mean and sd, or
        "uniform" with lower and upper; empty if none.
    """

    kind: str
    file: str
    options: Mapping[str, Any] = field(default_factory=dict)
    coverage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The settings of a case, checked, with every default filled in.

    Attributes
    ----------
    folder : Path
        Folder of the settings file; all paths are relative to it.
    account, fit, output
        The sections of the file.
    tables : tuple of TableSettings
    priors : mapping
        Prior name to {"mean": ..., "sd": ...}.
    """

    folder: Path
    account: Account
    fit: FitSettings
    output: OutputSettings
    tables: tuple[TableSettings, ...]
    priors: Mapping[str, Mapping[str, float]]

    @property
    def results(self) -> Path:
        """Folder of the results, inside that of the settings."""
        return self.folder / self.output.folder

    def resolved(self) -> dict[str, Any]:
        """All settings as plain values for a manifest, without absolute paths."""
        return {
            "schema": SCHEMA_VERSION,
            "account": dataclasses.asdict(self.account),
            "fit": dataclasses.asdict(self.fit),
            "output": dataclasses.asdict(self.output),
            "priors": {name: dict(row) for name, row in self.priors.items()},
            "tables": [
                {"kind": t.kind, "file": published_path(t.file), **t.options, **_coverage(t)}
                for t in self.tables
            ],
        }


def _coverage(table: TableSettings) -> dict[str, Any]:
    return {"coverage": dict(table.coverage)} if table.coverage else {}


# Reading settings


def read_settings(
    path: str | os.PathLike[str], *, prior_names: Iterable[str] | None = None
) -> Settings:
    """Read a settings file, or the one in a project folder; all faults together.

    Raises
    ------
    InputError
        With every fault and its line.
    """
    settings, log = inspect_settings(path, prior_names=prior_names)
    log.raise_faults()
    assert settings is not None  # without a fault there are settings
    return settings


def inspect_settings(
    path: str | os.PathLike[str], *, prior_names: Iterable[str] | None = None
) -> tuple[Settings | None, ImportLog]:
    """Read settings without raising: the settings, if they may be used, and the log."""
    given = Path(path)
    file = given / SETTINGS_FILE if given.is_dir() else given
    log = Collector(shown_name(path), place_word="line")
    text = _settings_text(file, log)
    content = _parsed(text, log) if text is not None else None
    if text is None or content is None:
        return None, log.log()
    reader = _Reader(content, text, log)
    settings = reader.settings(
        file.parent, tuple(default_priors(*OPTIONAL_PRIORS) if prior_names is None else prior_names)
    )
    return (None if log.failed else settings), log.log()


def _settings_text(file: Path, log: Collector) -> str | None:
    try:
        if file.stat().st_size > MAX_SETTINGS_BYTES:
            log.add("TOO_LARGE", "settings have more than a million bytes", "Shorten the file.")
            return None
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        log.add("SETTINGS_SYNTAX", "is not UTF-8 text", "Save the file as UTF-8.")
    except (OSError, ValueError):
        log.add(
            "FILE_NOT_READABLE",
            "cannot be read: there is no such settings file, or it may not be read",
            "Check the path, or write a project with write_project(directory).",
        )
    return None


def _parsed(text: str, log: Collector) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        found = re.search(r"(.*?)\s*\(at line ([0-9]+), column ([0-9]+)\)", str(fault))
        lines = text.splitlines() or [""]
        line = int(found.group(2)) if found else len(lines)
        column = f"column {found.group(3)}, " if found else ""
        reason = found.group(1) if found else "the file ends too early"
        log.add(
            "SETTINGS_SYNTAX",
            f"is not TOML ({column}{reason[:1].lower()}{reason[1:]})",
            "Write paths with forward slashes, such as data/births.csv."
            if "\\" in reason
            else "Look for a missing quotation mark or bracket.",
            rows=[line],
            texts=[lines[min(line, len(lines)) - 1].strip()],
        )
    except (ValueError, RecursionError):
        log.add("SETTINGS_SYNTAX", "nests too deeply or holds a number that is too long",
                "Write plain settings.")  # fmt: skip
    return None


_SECTIONS: Final = {
    "account": Account,
    "fit": FitSettings,
    "output": OutputSettings,
}
_RANGES: Final = {
    "first_mid_year": (0, 2200),
    "last_mid_year": (0, 2200),
    "census_standard_error": (0.0, 0.1),
    "chains": (1, 64),
    "draws": (1, 1_000_000),
    "tune": (0, 1_000_000),
    "cores": (1, 1024),
    "target_accept": (0.5, 0.999),
}
_CHOICES: Final = {
    "calendar_to_mid_year": ("", MEAN_OF_CALENDAR_YEARS),
    "special_populations": ("", "as-declared"),
}


class _Reader:
    """Checks the content of a settings file key by key."""

    def __init__(self, content: dict[str, Any], text: str, log: Collector) -> None:
        self.content = content
        self.lines = text.splitlines()
        self.log = log

    def settings(self, folder: Path, prior_names: tuple[str, ...]) -> Settings:
        """All sections; faults go to the log."""
        self._version()
        known = ("schema", *_SECTIONS, *SCHEMAS, "priors")
        for key in self.content:
            if key not in known:
                self._unknown(key, known, "a section of the settings")
        sections = {name: self._section(name, kind) for name, kind in _SECTIONS.items()}
        account, output = sections["account"], sections["output"]
        self._check_output(folder, output.folder)
        if 0 < account.last_mid_year <= account.first_mid_year:
            self._range("last_mid_year", account.last_mid_year, "a year after first_mid_year")
        return Settings(
            folder=folder,
            account=account,
            fit=sections["fit"],
            output=output,
            tables=tuple(self._tables()),
            priors=MappingProxyType(self._priors(prior_names)),
        )

    def _version(self) -> None:
        version = self.content.get("schema")
        if version is None:
            self.log.add(
                "SETTING_MISSING", "there is no schema version", f"Add schema = {SCHEMA_VERSION}.",
                column="schema",
            )  # fmt: skip
        elif version != SCHEMA_VERSION or isinstance(version, bool):
            self.log.add(
                "SETTINGS_VERSION",
                f"is the schema of other settings; this release reads {SCHEMA_VERSION}",
                "Use the release that wrote the file, or adapt it.",
                column="schema", rows=self._line("schema"), texts=[version],
            )  # fmt: skip

    def _section(self, name: str, kind: type) -> Any:
        given = self.content.get(name, {})
        if not isinstance(given, dict):
            self._range(name, given, f"a section [{name}]")
            return kind()
        fields = {f.name: f.default for f in dataclasses.fields(kind)}
        kept = {}
        for key, value in given.items():
            if key not in fields:
                self._unknown(key, fields, f"a setting of [{name}]")
            elif self._valid(key, value, fields[key]):
                kept[key] = float(value) if isinstance(fields[key], float) else value
        return kind(**kept)

    def _valid(self, key: str, value: Any, default: Any) -> bool:
        if key == "seed":
            good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
            if not good:
                self.log.add(
                    "SEED_BAD", "is not a seed; expected a whole number from 0 to 4294967295",
                    "Write seed = 1, without quotation marks.",
                    column="seed", rows=self._line("seed"), texts=[_as_toml(value)],
                )  # fmt: skip
            return good
        expected = _expected(key, value, default)
        if expected:
            self._range(key, value, expected)
        return not expected

    def _check_output(self, project: Path, folder: str) -> None:
        """Results stay inside the project folder, through links as well."""
        path = PurePath(folder)
        windows = ":" in folder or "\\" in folder
        outside = not path.parts or path.is_absolute() or ".." in path.parts or windows
        if outside or not _inside(project / folder, project):
            self.log.add(
                "OUTPUT_OUTSIDE", "is not a folder inside the project",
                'Set folder = "results" or another relative name.',
                column="folder", rows=self._line("folder"), texts=[folder],
            )  # fmt: skip

    def _tables(self) -> list[TableSettings]:
        tables: list[TableSettings] = []
        for kind in SCHEMAS:
            entries = self.content.get(kind, [])
            for entry in entries if isinstance(entries, list) else [entries]:
                if table := self._table(kind, entry):
                    tables.append(table)
        lost = [kind for kind in REQUIRED_KINDS if kind not in self.content]
        if lost:
            self.log.add(
                "TABLE_MISSING", f"the account has no {listed(lost)}",
                f'Add [[{lost[0]}]] with file = "{lost[0]}.csv".',
            )  # fmt: skip
        if len(tables) > MAX_TABLES:
            self.log.add("TOO_LARGE", f"there are {len(tables)} tables", "Join some of them.")
        return tables[:MAX_TABLES]

    def _table(self, kind: str, entry: Any) -> TableSettings | None:
        if not isinstance(entry, dict):
            self._range(kind, entry, f'a section [[{kind}]] with file = "..."')
            return None
        file = entry.get("file")
        if not isinstance(file, str) or not file:
            self.log.add(
                "SETTING_MISSING", f"a section [[{kind}]] names no file",
                f'Add file = "{kind}.csv".', column=kind, rows=self._line(kind),
            )  # fmt: skip
            return None
        coverage = entry.get("coverage", {}) if kind == "stocks" else {}
        if coverage:
            coverage = self._coverage(coverage, file)
        names = (*OPTION_NAMES, "file", *(("coverage",) if kind == "stocks" else ()))
        for key in entry:
            if key not in names:
                self._unknown(key, names, f"a setting of [[{kind}]]")
        options = {k: v for k, v in entry.items() if k in OPTION_NAMES}
        return TableSettings(kind, file, MappingProxyType(options), MappingProxyType(coverage))

    def _coverage(self, given: Any, file: str) -> dict[str, Any]:
        words = {"normal": ("mean", "sd"), "uniform": ("lower", "upper")}
        kind = given.get("distribution") if isinstance(given, dict) else None
        if kind not in words:
            self._prior_bad("coverage", given, f"of {file} has no distribution out of {[*words]}")
            return {}
        first, second = (given.get(word) for word in words[kind])
        numbers = _finite(first) and _finite(second)
        if set(given) - {"distribution", *words[kind]} or not numbers:
            self._prior_bad("coverage", given, f"of {file} needs {' and '.join(words[kind])} only")
            return {}
        if (second <= 0) if kind == "normal" else not 0 <= first < second:
            self._prior_bad("coverage", given, f"of {file} is not a distribution")
            return {}
        return dict(given)

    def _priors(self, names: tuple[str, ...]) -> dict[str, Mapping[str, float]]:
        given = self.content.get("priors", {})
        if not isinstance(given, dict):
            self._range("priors", given, "sections [priors.NAME]")
            return {}
        kept: dict[str, Mapping[str, float]] = {}
        for name, row in given.items():
            if name not in names:
                self._unknown(name, names, "a prior")
            elif self._prior_valid(name, row):
                kept[name] = MappingProxyType({k: float(v) for k, v in row.items()})
        return kept

    def _prior_valid(self, name: str, row: Any) -> bool:
        if not isinstance(row, dict) or not row:
            self._prior_bad(name, row, "needs mean, sd or both")
            return False
        good = True
        for key, value in row.items():
            if key not in ("mean", "sd"):
                self._unknown(key, ("mean", "sd"), f"a setting of [priors.{name}]")
            elif not _finite(value) or (key == "sd" and value <= 0):
                wanted = "a finite number above 0" if key == "sd" else "a finite number"
                self._prior_bad(name, f"{key} = {_as_toml(value)}", f"needs {key} to be {wanted}")
            else:
                continue
            good = False
        return good

    def _prior_bad(self, name: str, value: Any, problem: str) -> None:
        self.log.add(
            "PRIOR_BAD", f"is not a prior: it {problem}",
            "Write, for example, mean = 0.0 and sd = 0.1.",
            column=f"priors.{name}", rows=self._line(name), texts=[value],
        )  # fmt: skip

    def _unknown(self, key: str, known: Iterable[str], what: str) -> None:
        names = tuple(known)
        self.log.add(
            "SETTING_UNKNOWN", f"is not {what}",
            nearest(key, names) or f"Known are {', '.join(names)}.",
            column=key, rows=self._line(key), texts=[key],
        )  # fmt: skip

    def _range(self, key: str, value: Any, expected: str) -> None:
        self.log.add(
            "SETTING_RANGE", f"is not a value of '{key}'; expected {expected}", f"Correct {key}.",
            column=key, rows=self._line(key), texts=[_as_toml(value)],
        )  # fmt: skip

    def _line(self, key: str) -> list[int]:
        """The line of a key or section, as an editor shows it."""
        pattern = re.compile(rf"\s*(\[+([\w.\"-]*\.)?\"?)?{re.escape(key)}\"?\s*(=|\])")
        return next(([i] for i, line in enumerate(self.lines, 1) if pattern.match(line)), [])


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path lies below a folder once links are followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def _expected(key: str, value: Any, default: Any) -> str:
    """What a setting should be, or nothing when it is."""
    if key in _CHOICES:
        return "" if value in _CHOICES[key] else f"one of {_CHOICES[key]}"
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if key in _RANGES:
        low, high = _RANGES[key]
        whole = isinstance(default, int)
        right = isinstance(value, int) if whole else isinstance(value, int | float)
        good = right and not isinstance(value, bool) and low <= value <= high
        return "" if good else f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
    return "" if isinstance(value, str) else "a text"


def _finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def shown_name(path: str | os.PathLike[str]) -> str:
    """The settings file as it is named in messages."""
    given = Path(path)
    return str(given / SETTINGS_FILE) if given.is_dir() else str(given)
