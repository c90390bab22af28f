"""A sweep on a Ray cluster of two nodes gives what local processes give, although one is killed."""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest

from scs_siam.tools import sweeps
from scs_siam.tools.sweeps import RayPool, _call

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = "sigma: float = 0.5  # weight of the background\nseed: int = 0  # first seed"
CODE = """import os, time, uuid
from pathlib import Path
import pandas as pd
from scs_siam.tools.sweeps import record
if raylet := os.environ.get("RAY_RAYLET_PID"):
    Path(f"{sigma} {raylet} {os.environ['CUDA_VISIBLE_DEVICES']} {uuid.uuid4().hex}.begun").touch()
    while not Path("go").exists(): time.sleep(0.05)
if sigma > 1: raise ValueError("sigma is above 1")
record(pd.DataFrame({"auc": [sigma + seed]}))"""


@pytest.fixture
def notebook(tmp_path):
    cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(CODE),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    return tmp_path / "a.ipynb"


@pytest.fixture
def cluster(monkeypatch):
    """Processes of a head with two cores and of a node with one; Ray believes that each has a GPU."""
    for name, value in {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": uuid.uuid4().hex,
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(
            name, value
        )  # a token of its own, since one in ~/.ray would be used by the head alone
    ray = pytest.importorskip("ray")
    address = f"{ray.util.get_node_ip_address()}:{free_port()}"
    folder, nodes = (
        tempfile.mkdtemp(prefix="ray-", dir="/tmp"),
        [],
    )  # a short path: Ray puts sockets there
    try:
        port = address.split(":")[1]
        nodes.append(
            start(
                "--head",
                f"--port={port}",
                f"--temp-dir={folder}",
                "--include-dashboard=false",
                "--num-cpus=2",
            )
        )
        wait(lambda: listens(address))
        nodes.append(start(f"--address={address}", "--num-cpus=1"))
        monkeypatch.setenv("RAY_ADDRESS", address)
        yield nodes
    finally:
        ray.shutdown()
        for node in nodes:
            end(node)
        shutil.rmtree(folder, ignore_errors=True)


def start(*options):
    """`ray start` in the foreground."""
    code = "from ray.scripts.scripts import main; main()"
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "start",
            "--block",
            "--num-gpus=1",
            "--disable-usage-stats",
            "--object-store-memory=80000000",
            *options,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def free_port():
    """A port below those that Ray gives to its workers."""
    return next(port for port in range(9300, 9999) if not listens(f"127.0.0.1:{port}"))


def listens(address):
    host, port = address.split(":")
    with socket.socket() as probe:
        return not probe.connect_ex((host, int(port)))


def wait(ready, seconds=120):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def end(node):
    """Kill the processes of a node."""
    if node.poll() is None:
        for process in [*psutil.Process(node.pid).children(recursive=True), node]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait()


def test_a_sweep_on_two_nodes_one_of_which_dies(cluster, notebook, tmp_path, refused, capsys):
    head, second = cluster

    def begun():
        return [path.name.split() for path in tmp_path.glob("*.begun")]

    class Killing(RayPool):
        """Kills the second node when a point runs on each."""

        def __enter__(self):
            super().__enter__()
            wait(lambda: len(self.ray.nodes()) == 2)
            return self

        def submit(self, function, path, point, stem):
            future = super().submit(function, path, point, stem)
            if point["sigma"] == 0.75:
                wait(lambda: len(begun()) == 2)
                assert len({raylet for _, raylet, _, _ in begun()}) == 2 and {
                    card for _, _, card, _ in begun()
                } == {"0"}
                end(second)
                (tmp_path / "go").touch()
            return future

    shared = sweeps.sweep(
        notebook, {"sigma": [0.25, 0.75]}, [1], 1, tmp_path / "ray", pool=Killing(gpus=1)
    )
    assert sorted(sigma for sigma, _, _, _ in begun()) in (
        ["0.25", "0.25", "0.75"],
        ["0.25", "0.75", "0.75"],
    )
    assert head.poll() is None and second.poll() is not None
    local = sweeps.sweep(notebook, {"sigma": [0.25, 0.75]}, [1], 2, tmp_path / "local")
    pd.testing.assert_frame_equal(shared, local)
    for sigma, gpus, words in (
        (2.0, 0, ("a.ipynb, cell 2", "sigma is above 1")),
        (0.5, 4, ("--gpus 4", "ray start")),
    ):
        refused(
            lambda: sweeps.sweep(
                notebook, {"sigma": [sigma]}, [0], 1, tmp_path / "out", pool=RayPool(gpus)
            ),
            *words,
        )
    assert "Ray: 1 machine, 2 cores, 1 GPUs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address, words",
    [("127.0.0.1:9", "no Ray cluster answers"), ("9", "HOST:PORT"), ("here:there", "HOST:PORT")],
)
def test_an_address_without_a_cluster(monkeypatch, refused, address, words):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    refused(lambda: RayPool().__enter__(), f"RAY_ADDRESS={address}", words)


def test_a_machine_that_does_not_see_the_notebook_says_so(tmp_path, refused):
    refused(
        lambda: _call(len, tmp_path / "absent" / "a.ipynb"),
        socket.gethostname(),
        "does not see",
        tmp_path / "absent",
        "same path",
    )


def test_without_ray(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(RayPool, "pip install 'scs-siam[ray]'")
