"""Chains by NUTS: the PyMC model sampled with nutpie, one sampler a chain."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import numpy as np
import xarray as xr

from imps.names import CHAIN, DRAW
from imps.posterior.chains import Chains, kept_apart, stream_seed
from imps.posterior.draws import account_draws, own_variables
from imps.posterior.given_model import Given
from imps.sampling import Sampling

LOG = logging.getLogger("imps")
LOGGED = 10
"""Lines of a log that the progress of a chain takes."""
LOOK_EVERY = 0.2
"""Seconds between looks at whether the user has stopped NUTS."""


def chains_by_nuts(
    found: Given,
    sampling: Sampling,
    kept: Chains,
    progress: bool,
    tell: Callable[[str], None],
) -> tuple[list[xr.Dataset], dict[str, float]]:
    """Chains in order, and seconds of compiling and sampling.

    Each chain has a sampler and a seed of its own, so that none depends on another.
    """
    import nutpie

    start, n = time.perf_counter(), sampling.chains
    done = kept.done("nuts", n, tell)
    missing = [chain for chain in range(1, n + 1) if chain not in done]
    middle = start
    if missing:
        tell(
            f"NUTS: compiling, then {len(missing)} chains of {sampling.tune} + "
            f"{sampling.draws} draws"
        )
        compiled = nutpie.compile_pymc_model(found.pymc())
        middle = time.perf_counter()

        def finish(chain: int, trace: Any) -> None:
            done[chain] = _nuts_chain(found, trace)
            kept.keep("nuts", chain, done[chain])
            tell(f"chain {chain} finished, {len(done)} of {n}")

        _sample_each(compiled, missing, sampling, progress, finish)
    seconds = {"compile": middle - start, "sample": time.perf_counter() - middle}
    return [done[chain] for chain in sorted(done)], seconds


def _sample_each(
    compiled: Any,
    chains: list[int],
    sampling: Sampling,
    progress: bool,
    finish: Callable[[int, Any], None],
) -> None:
    """Sample chains, at most `cores` at a time, and tell `finish` of each; all stop together."""
    import nutpie

    stopped = Event()
    with _bars(chains, (sampling.draws or 0) + sampling.tune, progress) as show:

        def one(chain: int) -> Any:
            sampler = nutpie.sample(
                compiled,
                draws=sampling.draws,
                tune=sampling.tune,
                chains=1,
                cores=1,
                seed=stream_seed(sampling.seed, f"chain {chain}: nuts"),
                progress_bar=False,
                progress_callback=show(chain),
                save_warmup=False,
                target_accept=sampling.target_accept,
                blocking=False,
            )
            while not stopped.is_set():  # a sampler that is waited for cannot be cancelled
                with suppress(TimeoutError):
                    return sampler.wait(timeout=LOOK_EVERY)
            sampler.cancel()

        pool = ThreadPoolExecutor(min(sampling.cores, len(chains)))
        futures = {pool.submit(one, chain): chain for chain in chains}
        try:
            waiting = set(futures)
            while waiting:  # in short turns, so that a time limit is seen
                done, waiting = wait(waiting, LOOK_EVERY, FIRST_COMPLETED)
                for future in done:
                    finish(futures[future], future.result())
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


@contextmanager
def _bars(
    chains: list[int], total: int, progress: bool
) -> Iterator[Callable[[int], Callable[[Any], None] | None]]:
    """Progress of each chain with its divergences: a bar if asked for, and lines in the log."""
    if not progress and not LOG.isEnabledFor(logging.INFO):
        yield lambda _: None
        return
    from rich.progress import Progress

    with Progress(transient=True, disable=not progress) as bars:
        tasks = {chain: bars.add_task(f"chain {chain}", total=total) for chain in chains}
        logged = dict.fromkeys(chains, 0)

        def show(chain: int) -> Callable[[Any], None]:
            def update(states: Any) -> None:
                done, divergences = states[0].finished_draws, states[0].divergences
                text = f"chain {chain}" + (f", {divergences} divergences" if divergences else "")
                bars.update(tasks[chain], completed=done, description=text)
                if LOGGED * done // total > logged[chain]:
                    logged[chain] = LOGGED * done // total
                    LOG.info("%s: %d of %d draws", text, done, total)

            return update

        yield show


def _nuts_chain(found: Given, trace: Any) -> xr.Dataset:
    """One chain of nutpie under the public names, with variables of the user's own."""
    posterior, stats = trace["posterior"].to_dataset(), trace["sample_stats"]
    kept = {
        name: ((CHAIN, DRAW), np.asarray(stats[name].values))
        for name in ("diverging", "n_steps", "energy")
    }
    own = kept_apart(own_variables(found, posterior))
    return account_draws(found, posterior).assign(kept).merge(own)
