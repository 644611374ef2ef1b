"""Notebooks run from a clean kernel in draft mode and keep no local path.

Each has a kernel of its own, forked from one process that has loaded the libraries of others.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

SERVE = """
import json, os, signal, socket, sys
import arviz, ipykernel.ipkernel, matplotlib.figure, pandas, pymc, scipy.stats, xarray  # not ours
from ipykernel.kernelapp import IPKernelApp

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("ready", flush=True)
while True:
    asking, _ = listening.accept()
    file, folder, own = json.loads(asking.makefile().readline())
    if os.fork() == 0:  # a process in which nothing of the package is loaded yet
        assert not any(name.split(".")[0] == "imps" for name in sys.modules)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        os.chdir(folder)
        os.environ.update(own)
        sys.path.insert(0, "")
        IPKernelApp.launch_instance(argv=["-f", file])
        os._exit(0)
    asking.close()
"""
ASK = """
import json, os, socket, sys
kernel = socket.socket(socket.AF_UNIX)
kernel.connect(sys.argv[1])
own = {name: value for name, value in os.environ.items() if name.startswith(("IMPS_", "JPY_"))}
kernel.sendall((json.dumps([sys.argv[2], os.getcwd(), own]) + chr(10)).encode())
kernel.recv(1)  # until the kernel ends
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """Manager of kernels that are forked from one process."""
    place = str(tmp_path_factory.mktemp("kernels") / "ask")
    inline = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    argv = [sys.executable, "-c", ASK, place, "{connection_file}"]

    class Forked(AsyncKernelManager):
        kernel_spec = KernelSpec(argv=argv, display_name="forked", language="python")

    with subprocess.Popen([sys.executable, "-c", SERVE, place], stdout=-1, env=inline) as process:
        assert process.stdout.readline() == b"ready\n"
        yield Forked
        process.kill()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, kernels, monkeypatch):
    monkeypatch.setenv("IMPS_DRAFT", "1")
    NotebookClient(
        nbformat.read(path, as_version=4),
        timeout=300,
        kernel_manager_class=kernels,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_executed_and_clean(path):
    notebook = json.loads(path.read_text("utf-8"))
    first = "".join(notebook["cells"][0]["source"])
    for word in ("**Question.**", "**Data.**", "**Answer.**"):
        assert word in first
    code = [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"]]
    assert all(c["execution_count"] for c in code)
    assert any(c["outputs"] for c in code)
    text = path.read_text("utf-8")
    assert "Traceback" not in text
    for place in (os.path.expanduser("~"), str(Path(__file__).parents[1])):
        assert place not in text
