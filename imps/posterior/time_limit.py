"""Work that is given up when its time is over."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

from imps.errors import TimeLimitError


def within[T](seconds: float | None, work: Callable[[], T]) -> T:
    """Do some work, but for no more than some seconds of wall time.

    The work runs in a thread of its own, so that the caller has its answer in time whatever
    library the work is in; the thread stops at its next line of Python.

    Parameters
    ----------
    seconds : float, above 0, or None
        None sets no limit.
    work : callable

    Raises
    ------
    TimeLimitError
        If the time is over first, or is no time.
    """
    if seconds is None:
        return work()
    if not seconds > 0:
        raise TimeLimitError(f"time_limit is {seconds!r}, expected seconds above 0, or None.")
    found: list[T] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as fault:  # told to the caller
            faults.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        if thread.is_alive():
            stop = ctypes.py_object(TimeLimitError)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), stop)
    if faults:
        raise faults[0]
    if not found:
        raise TimeLimitError(
            f"the fit took longer than its time limit of {seconds:g} seconds and was given up; "
            "chains that were finished are kept where a folder was given. Raise time_limit, or "
            "take method='exact', which needs seconds where NUTS needs minutes."
        )
    return found[0]
