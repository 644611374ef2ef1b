"""The folder of a run under way: new or continued, held by one process, replaced if asked."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from imps.errors import (
    ImpsError,
    OutputExistsError,
    RunBusyError,
    RunChangedError,
    SavedFileError,
)
from imps.posterior.saved_fits import CHAINS_FOLDER
from imps.runs.manifest import FINISHED, MANIFEST_FILE, digest, read_manifest, write_manifest

UNFINISHED = ".unfinished"
LOCK_FILE = ".lock"
RESULTS_FOLDER = "results"


def check_replaceable(target: Path, force: bool) -> None:
    """A folder is replaced only if that was asked for and it is the folder of a run."""
    if not target.exists():
        return
    if not force:
        raise OutputExistsError(
            f"the folder '{target}' is already there. Choose another, or say --force "
            "(force=True) to replace it."
        )
    empty = target.is_dir() and not any(target.iterdir())
    if not empty and not (target / MANIFEST_FILE).is_file():
        raise OutputExistsError(
            f"'{target}' is not the folder of a run (it has no {MANIFEST_FILE}), so it is not "
            "replaced. Choose another."
        )


def working_folder(
    target: Path, manifest: Mapping[str, Any], force: bool, tell: Callable[[str], None]
) -> Path:
    """The folder of a run under way: a new one with its manifest, or the one that was cut off."""
    working = target.with_name(target.name + UNFINISHED)
    if working.exists():
        with alone(working):
            reasons = _other_run(working, manifest)
        if not reasons:
            tell(f"continuing the run in {working.name}")
            return working
        if not force or not (working / MANIFEST_FILE).is_file():
            raise RunChangedError(
                f"'{working}' holds an unfinished run that differs: {'; '.join(reasons)}. Give "
                "its own command to continue it, remove the folder, or say --force (force=True) "
                "to discard it."
            )
        shutil.rmtree(working)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{working.name}-", dir=target.parent))
    new.chmod(0o755)
    try:
        write_manifest(new / MANIFEST_FILE, manifest)
        os.replace(new, working)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        if working.exists():  # since a moment ago
            raise _busy(working) from None
        raise
    return working


@contextmanager
def alone(working: Path) -> Iterator[None]:
    """Hold the folder of a run under way, so that no other process works in it.

    The hold ends with the process, however it ends.

    Raises
    ------
    RunBusyError
        If another process holds it, or has just ended its run.
    """
    if not working.is_dir():  # the lock would make it anew
        raise _busy(working)
    try:
        with FileLock(working / LOCK_FILE, blocking=False):
            yield
    except Timeout:
        raise _busy(working) from None


@contextmanager
def at_work(working: Path) -> Iterator[None]:
    """Hold the folder of a run; where it is refused and nothing can be lost, the folder goes."""
    try:
        with alone(working):
            yield
    except (RunBusyError, OutputExistsError):
        raise
    except ImpsError:
        if not any((working / CHAINS_FOLDER).glob("*-*.nc")):
            shutil.rmtree(working, ignore_errors=True)
        raise


def put_in_place(
    working: Path, target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]
) -> None:
    """Write the results inside the working folder, then move them to their place in one step."""
    results = working / RESULTS_FOLDER
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    write(results)
    ended = {
        "finished": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "outputs": {
            f.relative_to(results).as_posix(): digest(f.read_bytes())
            for f in sorted(results.rglob("*"))
            if f.is_file()
        },
        "status": FINISHED,
    }
    write_manifest(results / MANIFEST_FILE, {**manifest, **ended})
    if target.exists():
        os.replace(target, Path(tempfile.mkdtemp(dir=working)) / target.name)
    os.replace(results, target)


def _busy(working: Path) -> RunBusyError:
    return RunBusyError(
        f"another process is at work in '{working}'. Wait until it has ended, or choose another "
        "folder."
    )


SAME = ("case", "account_sha256", "imps", "python", "lock_sha256", "request")
"""Parts of the manifest that must agree for a run to be continued."""


def _other_run(working: Path, manifest: Mapping[str, Any]) -> list[str]:
    """In words, why an unfinished run is not this one."""
    try:
        then = read_manifest(working)
    except SavedFileError as fault:
        return [str(fault)]
    return changed_files(then, manifest) + other_parts(then, manifest, SAME)


def changed_files(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, which input files of two manifests differ."""
    before, after = ({f["file"]: f["sha256"] for f in m.get("inputs", [])} for m in (then, now))
    return [
        f"file '{name}' was changed" if name in before and name in after
        else f"file '{name}' is {'gone' if name in before else 'new'}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]  # fmt: skip


def other_parts(then: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """In words, which parts of two manifests differ."""
    lines = []
    for name in names:
        a, b = then.get(name), now.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            lines += [
                f"{k} {a.get(k)} then, {b.get(k)} now"
                for k in dict.fromkeys([*a, *b])
                if a.get(k) != b.get(k)
            ]
        elif name.endswith("_sha256"):
            lines.append(f"other {DIGESTED.get(name, name)}")
        else:
            lines.append(f"{name} {a} then, {b} now")
    return lines


DIGESTED = {"account_sha256": "figures or priors", "lock_sha256": "installed packages"}
