"""Areas at processes of dask that are killed: no finished slab is lost, the draws are the same."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from made_areas import made_areas

from imps.areas.fit import fit_areas

ASKED = {"seed": 4, "draws": 300, "lower_ages": (0, 15, 20, 30, 60)}
CLIENT = """
import pickle, sys
from pathlib import Path
from dask.distributed import Client
from imps.areas.fit import fit_areas
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    nation, areas, asked = pickle.loads((folder / "asked.pkl").read_bytes())
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        fit_areas(nation, areas, **asked, client=client, keep=folder / "kept")
"""
LONG = 120.0


def slabs(folder):
    return {path.name: path.read_bytes() for path in folder.glob("slab-*.nc")}


def wait_for(ready):
    end = time.monotonic() + LONG
    while not ready():
        assert time.monotonic() < end, "nothing was finished in time"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(fitted, model):
    areas = made_areas(model)
    return areas, fit_areas(fitted, areas, **ASKED)


def test_killed_client_and_killed_worker(undisturbed, fitted, tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    areas, whole = undisturbed
    kept = tmp_path / "kept"
    (tmp_path / "asked.pkl").write_bytes(pickle.dumps((fitted, areas, ASKED)))
    (tmp_path / "client.py").write_text(CLIENT, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "client.py", str(tmp_path)], cwd=tmp_path, start_new_session=True
    )
    wait_for(lambda: slabs(kept) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = slabs(kept)
    assert 0 < len(before) < len(whole.slab_points)

    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        first = client.run(os.getpid)[next(iter(client.scheduler_info()["workers"]))]

        def kill():
            wait_for(lambda: len(slabs(kept)) > len(before))
            os.kill(first, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        again = fit_areas(fitted, areas, **ASKED, client=client, keep=kept)
        killer.join()
        assert first not in client.run(os.getpid).values()
    assert np.array_equal(again.totals, whole.totals)
    after = slabs(kept)
    assert {name: after[name] for name in before} == before


def test_processes_give_the_same_draws(undisturbed, fitted):
    areas, whole = undisturbed
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        again = fit_areas(fitted, areas, **ASKED, client=pool)
    assert np.array_equal(again.totals, whole.totals)
