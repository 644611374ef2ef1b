"""Fits, what-ifs and calibration at other workers, and after the kernel was restarted."""

import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import imps
from imps.posterior.given_model import given
from imps.posterior.pymc_model import pymc_model
from imps.posterior.workers import one_thread

QUICK = {"seed": 1, "draws": 20, "chains": 1, "method": "exact"}


@pytest.fixture(scope="module")
def few(model):
    return imps.fit(model, **QUICK)


def same(one, other):
    np.testing.assert_array_equal(one.draws["latent"].values, other.draws["latent"].values)


def test_models_fits_and_what_ifs_pickle(model, few):
    same(pickle.loads(pickle.dumps(few)), few)
    built = pymc_model(model)
    with built:
        pm.Potential("own", -(built["latent"][0] ** 2))
    again = pickle.loads(pickle.dumps(built))
    assert given(again).variant.added == ("own",)
    widened = pickle.loads(pickle.dumps(imps.what_if(few)))(census=2)
    pd.testing.assert_frame_equal(widened, imps.what_if(few)(census=2))


PROCESSES = partial(ProcessPoolExecutor, mp_context=get_context("spawn"))


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, PROCESSES], ids=["threads", "processes"])
def test_work_runs_through_any_executor(pool, model, few):
    """Real workers: a fit, a what-if, refits under wider priors, calibration."""
    with pool(1) as executor:
        same(executor.submit(imps.fit, model, **QUICK).result(), few)
        same(executor.submit(imps.fit, pymc_model(model), **QUICK).result(), few)
        table = executor.submit(imps.what_if(few), census=2).result()
        pd.testing.assert_frame_equal(table, imps.what_if(few)(census=2))
        wide = imps.widened(few, ["census"], [2.0], draws=20, client=executor)
        pd.testing.assert_frame_equal(wide, imps.widened(few, ["census"], [2.0], draws=20))
        ranks = imps.calibration.calibrate(model, replicates=1, seed=1, client=executor).ranks
    assert len(ranks) == 1


ELSEWHERE = """
import numpy as np, imps
if __name__ == "__main__":  # processes of dask read this again
    model = imps.linear_model(imps.load_case("uk-1991-2001").sources, imps.default_priors())
    few = dict(seed=1, draws=20, chains=1, method="exact")
    here = imps.fit(model, **few)
    def base(fit):
        return fit.quantities()["gap[base]"]
"""
LOKY = """
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    for found in Parallel(n_jobs=2, backend="threading")([delayed(imps.fit)(model, **few)] * 2):
        assert np.array_equal(base(found), base(here))
    (found,) = Parallel(n_jobs=2, backend="loky")([delayed(imps.fit)(model, **few)])
    assert np.array_equal(base(found), base(here))
    wide = imps.widened(here, ["census"], [2.0], draws=20, client=get_reusable_executor(2))
    assert len(wide) == 2
"""
DASK = """
    from distributed import Client
    for processes in (False, True):
        with Client(n_workers=1, threads_per_worker=1, processes=processes,
                    dashboard_address=None) as client:
            found = client.submit(imps.fit, client.scatter(model), **few).result()
            assert np.array_equal(base(found), base(here))
            assert len(imps.widened(here, ["census"], [2.0], draws=20, client=client)) == 2
"""


@pytest.mark.parametrize("way", [LOKY, DASK], ids=["joblib", "dask"])
def test_fits_run_in_joblib_and_dask(way, tmp_path):
    script = tmp_path / "elsewhere.py"
    script.write_text(ELSEWHERE + way)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


BEFORE = """
import imps
model = imps.linear_model(imps.load_case("uk-1991-2001").sources, imps.default_priors())
fit = imps.fit(model, seed=1, draws=20, chains=1, method="exact")
fit.save("fit.nc")
import pickle; pickle.dump(model, open("model.pickle", "wb"))
print(fit.quantities()["gap[base]"].sum())
"""
AFTER = """
import imps, pickle, xarray
model = pickle.load(open("model.pickle", "rb"))
fit = imps.load_fit("fit.nc", model=model)
assert not fit.stale
assert imps.tables.attribution_table and imps.plots.caption  # names of the pages
fit = imps.from_draws(model, xarray.open_datatree("fit.nc"))
print(fit.quantities()["gap[base]"].sum())
"""


def test_work_goes_on_after_the_kernel_was_restarted(tmp_path):
    from jupyter_client.manager import KernelManager

    kernel = KernelManager()
    kernel.start_kernel(cwd=str(tmp_path))
    printed = []
    try:
        for code in (BEFORE, AFTER):
            client = kernel.blocking_client()
            client.start_channels()
            client.wait_for_ready(timeout=300)
            said = {"stream": [], "error": []}

            def hear(message, said=said):
                if message["msg_type"] in said:
                    said[message["msg_type"]].append(message["content"])

            client.execute_interactive(code, output_hook=hear, timeout=600)
            assert not said["error"], said["error"]
            printed.append("".join(x["text"] for x in said["stream"] if x["name"] == "stdout"))
            client.stop_channels()
            kernel.restart_kernel(now=True)
    finally:
        kernel.shutdown_kernel(now=True)
    assert printed[0] == printed[1] != ""


def test_one_that_is_done_leaves_blas_on_one_thread_for_the_others():
    def threads():
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == before
