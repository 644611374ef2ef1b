"""Errors and warnings of the package.

One base class, :class:`ImpsError`; each error also inherits the built-in one a
reader would expect. A message says what, where, found against allowed, and
what to do next.
"""

from collections.abc import Iterable
from typing import ClassVar


class ImpsError(Exception):
    """Base of every error that the package raises on purpose.

    Attributes
    ----------
    code : str
        Stable code that the message starts with, where the error has one of its own.
    """

    code: ClassVar[str] = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.code}  {message}" if self.code else message


class LabelError(ImpsError, ValueError):
    """Labels (sex, age, age group, year) are missing, unknown or in another order."""


class MissingCellError(ImpsError, ValueError):
    """A source has cells without a value; a missing cell is not a zero."""


class SourceError(ImpsError, ValueError):
    """A source cannot be used as given, or sources contradict each other."""


class DefinitionError(ImpsError, ValueError):
    """Two figures that differ in definition, period, vintage or area are mixed."""


class PriorError(ImpsError, ValueError):
    """A prior is unknown, unused, missing or not a distribution."""


class UnknownCaseError(ImpsError, ValueError):
    """No shipped case has that name."""


class NotFittedError(ImpsError, TypeError):
    """A function that needs a fit was given something else."""


class TimeLimitError(ImpsError, TimeoutError):
    """A fit took longer than it was allowed to."""

    code = "TIME_LIMIT"


class FitSkippedError(ImpsError, RuntimeError):
    """A fit that the exact way does not suit was left out, as was asked for."""

    code = "FIT_SKIPPED"


class ScalesNotFoundError(ImpsError, ArithmeticError):
    """The search for the most probable scales did not end at a mode, or no point there counts."""

    code = "SCALES_NOT_FOUND"


class OutputExistsError(ImpsError, FileExistsError):
    """A folder of results is already there and is not overwritten."""

    code = "OUTPUT_EXISTS"


class RunChangedError(OutputExistsError):
    """A run that was cut off is not continued with other inputs, priors or settings."""

    code = "RUN_CHANGED"


class RunBusyError(OutputExistsError):
    """Another process is at work on the same run."""

    code = "RUN_BUSY"


class SavedFileError(ImpsError, ValueError):
    """A saved fit or a manifest cannot be read, or was not written by this package."""


class RunVersionError(SavedFileError):
    """A saved file has the form of another release; both releases are named."""

    code = "RUN_VERSION"


class SaveFailedError(ImpsError, OSError):
    """A file could not be written; what was there before is untouched."""

    code = "SAVE_FAILED"


class SettingError(ImpsError, ValueError):
    """An option of a run lies outside what is allowed."""


class ImpsWarning(UserWarning):
    """Something that the user can decide about."""


def how_many(n: int, thing: str) -> str:
    """A number of things in words, such as "1 fault" or "2 faults"."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def some(labels: Iterable[object], limit: int = 5) -> str:
    """List at most `limit` labels in words, with the number left out."""
    items = [str(label) for label in labels]
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


class WeightError(ImpsError, ValueError):
    """A weighting stage of a survey cannot be computed as given; names stage, stratum, rows."""


class DesignError(ImpsError, ValueError):
    """A survey design does not support the variance that was asked for."""


class DisclosureError(ImpsError, ValueError):
    """A table would rest on so few interviews that it could tell of a person."""

    code = "COUNT_TOO_SMALL"


class InputError(ImpsError, ValueError):
    """Files or data frames that would give a wrong number, or none; all faults together.

    Attributes
    ----------
    log : ImportLog
        Every finding of every file, with its code, place and next step.
    """

    def __init__(self, log: object) -> None:
        super().__init__(str(log))
        self.log = log


class InputWarning(ImpsWarning):
    """Something odd in a file that was accepted; the message starts with its code."""
