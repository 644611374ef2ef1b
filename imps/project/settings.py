"""The settings of a case: a TOML file of data only, with paths relative to the file itself.

What a key may be stands in :mod:`imps.project.sections`. All faults of a file are reported
together, with the line, what was found and what is allowed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args

from pydantic import ValidationError

from imps.account.prior_rows import LAYOUT_PRIORS
from imps.account.priors import OPTIONAL_PRIORS, as_of_expected, default_priors
from imps.names import SURVEY
from imps.project.sections import (
    RECORDS,
    SECTIONS,
    Account,
    CaseSettings,
    FitSettings,
    NormalCoverage,
    OutputSettings,
    PriorChange,
    PriorTable,
    Section,
    StreamSettings,
    TableSettings,
    UniformCoverage,
)
from imps.reading.findings import Collector, ImportLog
from imps.reading.kinds import SCHEMAS
from imps.reading.options import OPTION_NAMES, as_toml, expected, nearest
from imps.reading.table import published_path

SCHEMA_VERSION: Final = 1
AS_OF: Final = "as_of"
KIND: Final = "kind"
NO_PRIORS: Final = (AS_OF, KIND)
"""Settings of [priors] that are no prior: year of knowledge, and kind of country made for."""
OWN_PRIORS: Final = "Your own: [[account.kinds]]: name, flow, sd. Of chains: imps chain --prior."
SETTINGS_FILE: Final = "settings.toml"
MAX_SETTINGS_BYTES: Final = 1_000_000
MAX_TABLES: Final = 200
REQUIRED_KINDS: Final = ("population", "births", "deaths", "survey_flows")
INSTEAD: Final = MappingProxyType({"survey_flows": ("survey_totals", "interviews", "streams")})
"""Kinds of table that may stand in the place of a required one."""
NOT_OF_STREAMS: Final = ("age_counted", "observed", "includes", "cv_unit", "sex_ratio", "basis")
"""Options of tables that a stream states in another way, or has not."""


@dataclass(frozen=True)
class Settings:
    """The settings of a case, checked, with every default filled in.

    Attributes
    ----------
    folder : Path
        Folder of the settings file; all paths are relative to it.
    account, case, fit, output
        The sections of the file.
    tables : tuple of TableSettings
    priors : mapping
        Prior name to {"mean": ..., "sd": ...}.
    priors_as_of : int or None
        Year whose knowledge the priors of the package have, `as_of` in [priors].
    priors_kind : str
        Kind of country that they were made for, `kind` in [priors].
    """

    folder: Path
    account: Account
    case: CaseSettings
    fit: FitSettings
    output: OutputSettings
    tables: tuple[TableSettings, ...]
    priors: Mapping[str, Mapping[str, float]]
    priors_as_of: int | None = None
    priors_kind: str = SURVEY

    @property
    def results(self) -> Path:
        """Folder of the results, inside that of the settings."""
        return self.folder / self.output.folder

    def resolved(self) -> dict[str, Any]:
        """All settings as plain values for a manifest, without absolute paths."""
        asked = {AS_OF: (self.priors_as_of, None), KIND: (self.priors_kind, SURVEY)}
        beside = {name: value for name, (value, default) in asked.items() if value != default}
        return {
            "schema": SCHEMA_VERSION,
            **{name: getattr(self, name).model_dump(mode="json") for name in SECTIONS},
            "priors": {**beside, **{name: dict(row) for name, row in self.priors.items()}},
            "tables": [
                {"kind": t.kind, "file": published_path(t.file), **t.options, **_beside_options(t)}
                for t in self.tables
            ],
        }


def _beside_options(table: TableSettings) -> dict[str, Any]:
    """Coverage of a stock, what a stream is, or how records become a table."""
    if table.records is not None:
        stated = table.records.model_dump(mode="json", exclude={"file"}, exclude_defaults=True)
        return {k: published_path(v) if isinstance(v, str) else v for k, v in stated.items()}
    if table.stream is not None:
        return table.stream.model_dump(mode="json", exclude_unset=True)
    return {"coverage": dict(table.coverage)} if table.coverage else {}


# Reading settings


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
    known = default_priors(*OPTIONAL_PRIORS, *LAYOUT_PRIORS) if prior_names is None else prior_names
    settings = reader.settings(file.parent, tuple(known))
    return (None if log.failed else settings), log.log()


def _settings_text(file: Path, log: Collector) -> str | None:
    try:
        if file.stat().st_size > MAX_SETTINGS_BYTES:
            log.add("TOO_LARGE.settings")
            return None
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        log.add("SETTINGS_SYNTAX.text")
    except (OSError, ValueError):
        log.add("FILE_NOT_READABLE.settings")
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
        shown = lines[min(line, len(lines)) - 1].strip()
        log.add(
            "SETTINGS_SYNTAX.slashes" if "\\" in shown else "SETTINGS_SYNTAX",
            rows=[line],
            texts=[shown],
            reason=f"{column}{reason[:1].lower()}{reason[1:]}",
        )
    except (ValueError, RecursionError):
        log.add("SETTINGS_SYNTAX.depth")
    return None


S = TypeVar("S", bound=Section)


class _Reader:
    """Checks the content of a settings file section by section."""

    def __init__(self, content: dict[str, Any], text: str, log: Collector) -> None:
        self.content = content
        self.lines = text.splitlines()
        self.log = log

    def settings(self, folder: Path, prior_names: tuple[str, ...]) -> Settings:
        """All sections; faults go to the log."""
        self._version()
        known = ("schema", *SECTIONS, *SCHEMAS, *RECORDS, "priors")
        for key in self.content:
            if key not in known:
                self._unknown(key, known, "a section of the settings")
        parts: dict[str, Any] = {
            name: self._section(model, self.content.get(name, {}), name)
            for name, model in SECTIONS.items()
        }
        account = parts["account"]
        self._check_output(folder, parts["output"].folder)
        if 0 < account.last_mid_year <= account.first_mid_year:
            self._range("last_mid_year", account.last_mid_year, "a year after first_mid_year")
        made = self._made_for()
        return Settings(
            folder=folder,
            tables=tuple(self._tables()),
            priors=MappingProxyType(self._priors((*prior_names, *(k.name for k in account.kinds)))),
            priors_as_of=made.as_of,
            priors_kind=made.kind,
            **parts,
        )

    def _version(self) -> None:
        version = self.content.get("schema")
        if version is None:
            self.log.add("SETTING_MISSING.version", column="schema", version=SCHEMA_VERSION)
        elif version != SCHEMA_VERSION or isinstance(version, bool):
            self.log.add(
                "SETTINGS_VERSION",
                column="schema",
                rows=self._line("schema"),
                texts=[version],
                version=SCHEMA_VERSION,
            )

    def _section(self, model: type[S], given: Any, name: str) -> S:
        """A section as its model; its faults go to the log, and defaults take their place."""
        if not isinstance(given, dict):
            self._range(name, given, f"a section [{name}]")
            return model()
        try:
            return model.model_validate(given)
        except ValidationError as refused:
            faults = refused.errors(include_url=False)
        for fault in faults:
            self._report(model, name, fault)
        wrong = {fault["loc"][0] for fault in faults}
        return model.model_validate({k: v for k, v in given.items() if k not in wrong})

    def _report(self, model: type[Section], name: str, fault: Mapping[str, Any]) -> None:
        place = tuple(k for k in fault["loc"] if k != "[key]")
        key, owner = str(place[-1]), _owner(model, place[:-1])
        if fault["type"] == "extra_forbidden":
            section = ".".join([name, *(str(k) for k in place[:-1] if isinstance(k, str))])
            self._unknown(key, owner.model_fields, f"a setting of [{section}]")
        elif fault["type"] == "missing":
            self.log.add(
                "SETTING_MISSING.key",
                column=key,
                rows=self._line(str(fault["loc"][0])),
                section=f"{name}.{fault['loc'][0]}",
                key=key,
                expected=expected(owner.model_fields[key]),
            )
        elif key == "seed":
            self.log.add(
                "SEED_BAD", column="seed", rows=self._line("seed"), texts=[as_toml(fault["input"])]
            )
        else:
            one_of = fault["ctx"]["expected"] if fault["type"] == "literal_error" else ""
            nested = one_of and len(place) > 1
            self._range(key, fault["input"], one_of if nested else _expected(model, place))

    def _check_output(self, project: Path, folder: str) -> None:
        """Results stay inside the project folder, through links as well."""
        path = PurePath(folder)
        windows = ":" in folder or "\\" in folder
        outside = not path.parts or path.is_absolute() or ".." in path.parts or windows
        if outside or not _inside(project / folder, project):
            self.log.add(
                "OUTPUT_OUTSIDE", column="folder", rows=self._line("folder"), texts=[folder]
            )

    def _tables(self) -> list[TableSettings]:
        tables: list[TableSettings] = []
        for kind in (*SCHEMAS, *RECORDS):
            entries = self.content.get(kind, [])
            for entry in entries if isinstance(entries, list) else [entries]:
                if table := self._table(kind, entry):
                    tables.append(table)
        lost = [k for k in REQUIRED_KINDS if not {k, *INSTEAD.get(k, ())} & set(self.content)]
        if lost:
            cause = "flows" if lost == ["survey_flows"] else "settings"
            self.log.add(f"TABLE_MISSING.{cause}", kinds=lost, first=lost[0])
        if len(tables) > MAX_TABLES:
            self.log.add("TOO_LARGE.tables", tables=len(tables))
        return tables[:MAX_TABLES]

    def _table(self, kind: str, entry: Any) -> TableSettings | None:
        if not isinstance(entry, dict):
            self._range(kind, entry, f'a section [[{kind}]] with file = "..."')
            return None
        file = entry.get("file")
        if not isinstance(file, str) or not file:
            self.log.add("SETTING_MISSING.file", column=kind, rows=self._line(kind), kind=kind)
            return None
        if kind in RECORDS:
            options = {k: v for k, v in entry.items() if k in OPTION_NAMES}
            rest = {k: v for k, v in entry.items() if k not in OPTION_NAMES}
            found = self._section(RECORDS[kind], rest, kind)
            return TableSettings(kind, file, MappingProxyType(options), records=found)
        coverage, stream = entry.get("coverage", {}) if kind == "stocks" else {}, None
        if coverage:
            coverage = self._coverage(coverage, file)
        known = OPTION_NAMES
        own: tuple[str, ...] = ("coverage",) if kind == "stocks" else ()
        if kind == "streams":
            own = tuple(StreamSettings.model_fields)
            known = tuple(name for name in OPTION_NAMES if name not in (*NOT_OF_STREAMS, *own))
            stated = {k: v for k, v in entry.items() if k in own}
            stream = self._section(StreamSettings, stated, kind)
        names = (*known, "file", *own)
        for key in entry:
            if key not in names:
                self._unknown(key, names, f"a setting of [[{kind}]]")
        options = {k: v for k, v in entry.items() if k in known}
        return TableSettings(
            kind, file, MappingProxyType(options), MappingProxyType(coverage), stream=stream
        )

    def _coverage(self, given: Any, file: str) -> dict[str, Any]:
        models: dict[str, type[Section]] = {"normal": NormalCoverage, "uniform": UniformCoverage}
        kind = given.get("distribution") if isinstance(given, dict) else None
        model = models.get(kind) if isinstance(kind, str) else None
        if model is None:
            self._prior_bad("coverage", given, f"of {file} has no distribution out of {[*models]}")
            return {}
        try:
            found = model.model_validate(given)
        except ValidationError as refused:
            names = [name for name in model.model_fields if name != "distribution"]
            shape = {"missing", "extra_forbidden", "float_type", "finite_number"}
            wrong = {fault["type"] for fault in refused.errors()} & shape
            needs = f"of {file} needs {' and '.join(names)} only"
            self._prior_bad("coverage", given, needs if wrong else f"of {file} is no distribution")
            return {}
        if isinstance(found, UniformCoverage) and found.lower >= found.upper:
            self._prior_bad("coverage", given, f"of {file} is no distribution")
            return {}
        return dict(given)

    def _priors(self, names: tuple[str, ...]) -> dict[str, Mapping[str, float]]:
        given = self.content.get("priors", {})
        if not isinstance(given, dict):
            self._range("priors", given, "sections [priors.NAME]")
            return {}
        kept: dict[str, Mapping[str, float]] = {}
        for name, row in given.items():
            if name in NO_PRIORS:
                continue
            if name not in names:
                self._unknown(name, (*NO_PRIORS, *names), "a prior", OWN_PRIORS)
            elif (change := self._prior(name, row)) is not None:
                kept[name] = MappingProxyType(change)
        return kept

    def _made_for(self) -> PriorTable:
        """Year and kind of country that the package's priors are asked for."""
        given = self.content.get("priors", {})
        asked = {k: given[k] for k in NO_PRIORS if k in given} if isinstance(given, dict) else {}
        year = asked.get(AS_OF)
        wrong = "" if year is None else as_of_expected(year)
        found = self._section(PriorTable, {**asked, AS_OF: None} if wrong else asked, "priors")
        if found.kind != SURVEY and year is not None:
            wrong = f"left out beside {KIND}, whose priors have one version"
        if wrong:
            self._range(AS_OF, year, wrong)
        return found

    def _prior(self, name: str, row: Any) -> dict[str, float] | None:
        if not isinstance(row, dict) or not row:
            self._prior_bad(name, row, "needs mean, sd or both")
            return None
        try:
            return PriorChange.model_validate(row).model_dump(exclude_unset=True)
        except ValidationError as refused:
            for fault in refused.errors():
                key, value = str(fault["loc"][0]), fault["input"]
                if fault["type"] == "extra_forbidden":
                    self._unknown(key, PriorChange.model_fields, f"a setting of [priors.{name}]")
                    continue
                wanted = "a finite number above 0" if key == "sd" else "a finite number"
                self._prior_bad(name, f"{key} = {as_toml(value)}", f"needs {key} to be {wanted}")
        return None

    def _prior_bad(self, name: str, value: Any, problem: str) -> None:
        self.log.add(
            "PRIOR_BAD.settings",
            column=f"priors.{name}",
            rows=self._line(name),
            texts=[value],
            problem=problem,
        )

    def _unknown(self, key: str, known: Iterable[str], what: str, also: str = "") -> None:
        names = tuple(known)
        self.log.add(
            "SETTING_UNKNOWN",
            column=key,
            rows=self._line(key),
            texts=[key],
            what=what,
            known=names,
            instead=f"{nearest(key, names)} {also}".strip(),
        )

    def _range(self, key: str, value: Any, words: str) -> None:
        self.log.add(
            "SETTING_RANGE",
            column=key,
            rows=self._line(key),
            texts=[as_toml(value)],
            name=key,
            expected=words,
        )

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


# What a field takes, in words


def _owner(model: type[Section], place: tuple[Any, ...]) -> type[Section]:
    """The model in which a key stands, such as that of an era of the account."""
    for key in place:
        field = model.model_fields.get(str(key))
        inner = get_args(field.annotation) if field is not None else ()
        model = next((a for a in inner if isinstance(a, type) and issubclass(a, Section)), model)
    return model


def _expected(model: type[Section], place: tuple[Any, ...]) -> str:
    """What a setting should be; of a value inside a list or table, what all of it should be."""
    for i in range(len(place), 0, -1):
        field = _owner(model, place[: i - 1]).model_fields.get(str(place[i - 1]))
        if field is not None:
            return expected(field)
    return "another value"


def shown_name(path: str | os.PathLike[str]) -> str:
    """The settings file as it is named in messages."""
    given = Path(path)
    return str(given / SETTINGS_FILE) if given.is_dir() else str(given)
