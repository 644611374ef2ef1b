"""Work spread over the workers of any executor of `concurrent.futures`, or of a dask client."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # to look for the libraries takes 10 ms


_AT_WORK, _LIMITS = Lock(), list[Any]()


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS on one thread: the same numbers bit by bit wherever a task runs.

    The limit is one of the whole process: of several threads the first in sets it, and the last
    out lifts it.
    """
    with _AT_WORK:
        _LIMITS.append(_LIMITS[-1] if _LIMITS else _blas().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _AT_WORK:
            limit = _LIMITS.pop()
            if not _LIMITS:
                limit.restore_original_limits()


def spread[Task, Result](
    client: Any, function: Callable[..., Result], tasks: Sequence[Task], *shared: Any
) -> Iterator[tuple[int, Result]]:
    """Number and result of ``function(*shared, task)`` for each task, as they are finished.

    Parameters
    ----------
    client : None, executor or dask client
        None does the work here, in order.
    function : callable
        Of a module, so that another process finds it.
    tasks : sequence
    shared : objects
        Sent to every worker of dask once, and not with each task: one that dies takes no
        other's work with it. To processes of this machine by a file that each reads once.
    """
    if client is None:
        yield from ((i, function(*shared, task)) for i, task in enumerate(tasks))
        return
    with ExitStack() as stack:
        if hasattr(client, "get_executor"):
            shared = tuple(client.scatter(list(shared), hash=False, broadcast=True))
            client = client.get_executor()
        elif isinstance(client, ProcessPoolExecutor):
            path = Path(stack.enter_context(TemporaryDirectory())) / "shared"
            path.write_bytes(pickle.dumps(shared))
            function, shared = partial(_by_file, function, path), ()
        futures = {client.submit(function, *shared, task): i for i, task in enumerate(tasks)}
        for future in as_completed(futures):
            yield futures[future], future.result()


@lru_cache(maxsize=1)
def _read(path: Path) -> tuple[Any, ...]:
    return tuple(pickle.loads(path.read_bytes()))


def _by_file(function: Callable[..., Any], path: Path, task: Any) -> Any:
    return function(*_read(path), task)


def in_order[Task, Result](
    client: Any, function: Callable[..., Result], tasks: Sequence[Task], *shared: Any
) -> list[Result]:
    """Results of :func:`spread` in the order of the tasks."""
    found = dict(spread(client, function, tasks, *shared))
    return [found[i] for i in range(len(tasks))]
