"""Run one notebook over a grid of parameters and seeds, on this machine or on a Ray cluster.

Every point of the grid is a run of its own, and all results are collected in one tidy table.
"""

import contextlib
import itertools
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future, as_completed
from pathlib import Path

from scs_siam.runtime.files import BadInput, atomic, digest, locked, root, sha256, writing
from scs_siam.tools import notebooks

RECORD = "SCS_SIAM_RECORD"  # environment variable: the CSV file that `record` writes in a sweep
RETRIES = 5  # how often Ray starts a point again whose worker died; training resumes
SHARED = "all machines need the project and --out at the same path of a file system they share"


def record(frame):
    """Hand a DataFrame to the sweep that runs this notebook, if one does, and return it."""
    if not len(frame):
        raise BadInput("the table to record is empty; a point of a sweep must measure something")
    if path := os.environ.get(RECORD):
        named = any(name is not None for name in frame.index.names)
        with atomic(path) as part:
            (frame.reset_index() if named else frame).to_csv(part, index=False)
    return frame


def sweep(
    notebook: str | Path,
    grid: dict[str, list],
    seeds: Iterable[int],
    jobs: int,
    out: str | Path,
    on_point: Callable[[int, int], None] | None = None,
    pool=None,
):
    """Run a notebook for every point of `grid` and every seed; return one tidy DataFrame.

    A notebook takes part by calling `record(frame)` once with what it measured. The names of the
    files of a point hold its parameters and a hash of them, of the notebook's code and of this
    package, so a finished point is not run again, neither later nor by another process.
    `out`/<notebook>.csv collects all points. Points go on when one fails; BadInput then reports the
    failures at the end. `on_point(done, total)` is called after each point. `jobs` local processes
    run the points unless a `pool`, such as a RayPool, is given.
    """
    notebook, out = notebooks.find_notebook(notebook), Path(out)
    names = [*grid, "seed"]
    points = [dict(zip(names, values)) for values in itertools.product(*grid.values(), seeds)]
    if not points or jobs < 1:
        needs = "a sweep needs at least one value of each parameter, one seed and one job"
        raise BadInput(f"{notebook}: {needs}")
    notebooks.check_parameters(notebook, points[0])
    stems = [out / name for name in _names(notebook, points)]
    with locked(out):
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)  # before Ray's workers check that they see it
        failures = _run_missing(notebook, points, stems, pool or notebooks.pool(jobs), on_point)
        if failures:
            count = f"{len(failures)} of {len(points)} points failed, the others are kept"
            raise BadInput(f"{count}; {failures[0]}")
        return _collect(points, stems, out / f"{notebook.stem}.csv")


def _run_missing(notebook, points, stems, pool, on_point):
    """Run the points whose files are missing; return a line for each point that fails."""

    def is_missing(stem):
        return not all(_file(stem, suffix).is_file() for suffix in (".ipynb", ".csv"))

    todo = [(point, stem) for point, stem in zip(points, stems) if is_missing(stem)]
    failures = []
    with pool:
        futures = [pool.submit(_run_point, notebook, point, stem) for point, stem in todo]
        for done, future in enumerate(as_completed(futures), len(points) - len(todo) + 1):
            if isinstance(future.exception(), BadInput):
                failures.append(str(future.exception()))
            else:
                future.result()
            if on_point:
                on_point(done, len(points))
    return failures


def _names(notebook, points):
    cells = notebooks.read_notebook(notebook).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    package = [sha256(path) for path in sorted((root() / "scs_siam").rglob("*.py"))]
    for point in points:
        words = "-".join(f"{name}={value}" for name, value in point.items())
        readable = re.sub(r"[^\w.=-]+", "_", words)[:80]
        yield f"{notebook.stem}-{readable}-{digest([code, package, point], 8)}"


def _file(stem, suffix):
    return stem.with_name(stem.name + suffix)  # a name holds dots, so with_suffix would cut it


def _run_point(notebook, point, stem):
    os.environ[RECORD] = str(_file(stem, ".csv").resolve())
    os.environ["SCS_FIGURES"] = str(_file(stem, "-figures").resolve())
    notebooks.run_notebook(notebook, _file(stem, ".ipynb"), point)
    if not _file(stem, ".csv").is_file():
        call = "scs_siam.tools.sweeps.record(frame)"
        raise BadInput(f"{notebook}: records no result; call {call} in it")


def _collect(points, stems, path):
    import pandas as pd

    tables = []
    for point, stem in zip(points, stems):
        frame = pd.read_csv(_file(stem, ".csv"))
        others = [name for name in frame if name not in point]
        missing = {name: value for name, value in point.items() if name not in frame}
        tables.append(frame.assign(**missing)[[*point, *others]])
    table = pd.concat(tables)
    with atomic(path) as part:
        table.to_csv(part, index=False)
    return table.reset_index(drop=True)


class RayPool:
    """A pool that runs points as tasks of a Ray cluster, one core and `gpus` GPUs each.

    RAY_ADDRESS=HOST:PORT names a cluster that `ray start` made; without it Ray starts on this
    machine alone. A task whose worker dies is run again on another machine. Use it in a `with`
    block. BadInput if Ray is not installed, no cluster answers or no machine has so many GPUs.
    """

    def __init__(self, gpus: float = 0.0):
        try:
            import ray
        except ImportError:
            raise BadInput("Ray is not installed; pip install 'scs-siam[ray]'") from None
        self.ray, self.gpus, self.references = ray, gpus, []
        self.quiet = contextlib.redirect_stdout(sys.stderr)  # stdout is for the table alone

    def __enter__(self):
        self.quiet.__enter__()
        try:
            self._connect(os.environ.get("RAY_ADDRESS", ""))
            nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            cores, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
            plural = "s" * (len(nodes) > 1)
            line = f"Ray: {len(nodes)} machine{plural}, {cores:g} cores, {gpus:g} GPUs"
            print(line, file=sys.stderr)
            if not any(n.get("CPU", 0) >= 1 and n.get("GPU", 0) >= self.gpus for n in nodes):
                problem = "no machine of the Ray cluster has a core and so many GPUs"
                remedy = "ask for fewer, or use ray start --num-cpus N --num-gpus N"
                raise BadInput(f"--gpus {self.gpus:g}: {problem}; {remedy}")
        except BaseException:
            self.__exit__()
            raise
        self.task = self.ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES)(_call)
        return self

    def _connect(self, address):
        if address:
            _check_address(address)
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        try:
            self.ray.init(address or "local", **quiet)
        except Exception as error:  # Ray raises exceptions of many kinds
            reason = " ".join(str(error).split())
            remedy = (
                "run the sweep on a machine of the cluster, with RAY_AUTH_MODE=token if it asks"
            )
            where = address or "this machine"
            raise BadInput(f"Ray at {where}: {reason}; {remedy} for a token") from error

    def __exit__(self, *_):
        for reference in self.references:
            self.ray.cancel(reference)  # as Ctrl-C would: the worker leaves no half-written file
        if self.references:
            self.ray.wait(self.references, num_returns=len(self.references), timeout=10)
        self.ray.shutdown()
        self.quiet.__exit__(None, None, None)

    def submit(self, function: Callable, *args) -> Future:
        """Return a Future of `function(*args)`; paths become absolute, as workers run elsewhere."""
        absolute = [arg.resolve() if isinstance(arg, Path) else arg for arg in args]
        self.references.append(reference := self.task.remote(function, *absolute))
        promised: Future = Future()
        reference.future().add_done_callback(lambda done: self._fulfil(promised, done))
        return promised

    def _fulfil(self, promised, done):
        error, kinds = done.exception(), self.ray.exceptions
        cause = error.cause if isinstance(error, kinds.RayTaskError) else None
        if error is None:
            promised.set_result(done.result())
        elif isinstance(cause, kinds.RaySystemError):  # the worker does not even find this package
            last = str(cause).splitlines()[-1]
            promised.set_exception(BadInput(f"a worker failed ({last}); {SHARED}"))
        elif cause is None:
            promised.set_exception(BadInput(f"Ray gave up: {' '.join(str(error).split())}"))
        else:
            promised.set_exception(cause if isinstance(cause, BadInput) else error)


def _check_address(address):
    """Raise BadInput unless something listens at `address`: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        remedy = "give HOST:PORT as ray start --head prints it"
        raise BadInput(f"RAY_ADDRESS={address}: is not an address; {remedy}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        problem = f"no Ray cluster answers there ({error}); start one with ray start --head"
        raise BadInput(f"RAY_ADDRESS={address}: {problem}") from error


def _call(function, *args):
    for path in args:
        if isinstance(path, Path) and not path.parent.is_dir():
            raise BadInput(f"machine {socket.gethostname()} does not see {path.parent}; {SHARED}")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # Ray sets it where GPUs were asked for
    return function(*args)
