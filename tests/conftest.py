"""Fixtures shared by the tests: the shipped case, its model, one exact fit."""

import os
from functools import wraps
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # many tests start a process of their own

import numpy as np
import pytest

import imps
from imps.posterior.exact import GaussianPosterior
from imps.project.check import check_project

EACH_ALONE = ("test_notebooks.py", "test_documents.py")
"""Files of long tests that share nothing: their tests go to whoever is free."""
LONG = (*EACH_ALONE, "test_workers.py", "test_runs.py", "test_variants.py", "test_replication.py")
"""Begun first, so that no core waits at the end for the last of them."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process a file, whose fixtures are then made once.

    By names of files: groups of marks are lost between xdist 3.8 and pytest 9.2, without a word.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if file.endswith(EACH_ALONE) else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    """Long files first."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def shipped_cases_are_checked_once():
    """What `load_project` found in a folder of the package serves again while its files stand.

    Tests of the checks themselves call `check_project` of `imps.project.check`, which is not this.
    """
    package, found = Path(imps.__file__).parent, {}

    @wraps(check_project)
    def checked(path, *, prior_names=None, **options):
        folder = Path(path).resolve()
        if prior_names is not None or package not in folder.parents:
            return check_project(path, prior_names=prior_names, **options)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        state = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        if found.get(folder, ("",))[0] != state:
            found[folder] = state, check_project(path, **options)
        return found[folder][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imps.project.check.check_project", checked)
        yield


@pytest.fixture(scope="session")
def case():
    return imps.load_case("uk-1991-2001")


@pytest.fixture(scope="session")
def sources(case):
    return case.sources


@pytest.fixture(scope="session")
def model(sources):
    return imps.linear_model(sources, imps.default_priors())


@pytest.fixture(scope="session")
def posterior(model):
    return GaussianPosterior(model)


@pytest.fixture(scope="session")
def fitted(model):
    return imps.fit(model, seed=1, draws=500)


@pytest.fixture(scope="session")
def attribution(fitted):
    return imps.attribute(fitted)


@pytest.fixture(scope="session")
def reconciliation(fitted):
    return imps.reconcile(fitted)


@pytest.fixture
def rng():
    return np.random.default_rng(20011991)
